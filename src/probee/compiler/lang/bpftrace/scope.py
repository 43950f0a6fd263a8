"""What resolve learns about a script: its maps, its variables, the probe instances it is compiled for.

An *instance* is one probe body in one context: `args` of a wildcard tracepoint differ from match to match, so such a probe
has as many instances as matches; where the body does not depend on the match, one instance serves them all.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.config import Config
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Source
from probee.model.ctype import StructType
from probee.model.target import Binary, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.lang.bpftrace.function_option import Option
    from probee.model.usdt import UsdtPlace
    from probee.probes.probe import Probe


class Unresolved(Exception):
    """A type is not known yet; the statement is looked at again in the next round."""


class Within:
    """While it is entered, what is looked at is the body of a macro: errors, warnings and actions come from its call, too."""

    __slots__ = ("_calls", "_span")

    def __init__(self, script: Script, node: ast.Expansion) -> None:
        self._calls = script.calls
        self._span = node.span if node.source is not None else 0

    def __enter__(self) -> None:
        self._calls.append(self._span)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._calls.pop()
        found = _compile_error(error)
        if found is not None:
            found.expanded_from(self._span)


class Outside:
    """While it is entered, what is looked at is an argument of the innermost macro, written where that is called."""

    __slots__ = ("_calls", "_span")

    def __init__(self, script: Script) -> None:
        self._calls = script.calls

    def __enter__(self) -> None:
        self._span = self._calls.pop() if self._calls else 0

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._calls.append(self._span)
        found = _compile_error(error)
        if found is not None:
            found.in_argument()


def _compile_error(error: object) -> CompileError | None:
    if isinstance(error, Unresolved):
        error = error.args[0]
    return error if isinstance(error, CompileError) else None


class MapInfo:
    """A map of the script.  `keyed` is None until its first use; `parameters` are those of hist, lhist and tseries.

    `counts`: something adds to it, which makes it an integer if nothing else says what it is.
    """

    __slots__ = ("counts", "declared", "entries", "key", "keyed", "name", "parameters", "read", "span", "value", "written")

    def __init__(self, name: str, span: int) -> None:
        self.name = name
        self.span = span
        self.keyed: bool | None = None
        self.key: Ty | None = None
        self.value: Ty | None = None
        self.parameters: tuple[int | str, ...] = ()
        self.declared = ""
        self.entries = 0
        self.read = False
        self.written = False
        self.counts = False


class VariableInfo:
    """A scratch variable in one instance.  `place` is where lowering keeps it; `declaration`: by a let without a value."""

    __slots__ = ("assigned", "declaration", "fixed", "name", "place", "span", "type")

    def __init__(self, name: str, span: int) -> None:
        self.name = name
        self.span = span
        self.type: Ty | None = None
        self.fixed = False  # its type was declared, and does not grow
        self.assigned = False
        self.declaration = False
        self.place: object = None


class Known:
    """The value of an expression that is constant: int, bool or bytes; a `literal` has no type of its own yet."""

    __slots__ = ("literal", "value")

    def __init__(self, value: int | bytes, *, literal: bool = True) -> None:
        self.value = value
        self.literal = literal


class Instance:
    """A probe's body in one context, or a function's.

    `point` is the (canonical) probe it stands for, `args` its arguments as a record of C type, `matches` the attach points
    that share the program, `variables` the scratch variables by the node that introduced them.  A function has `parameters`
    by name and the type that it `returns` (None in a probe).
    """

    __slots__ = ("args", "index", "matches", "parameters", "places", "point", "probe", "returns", "span", "variables")

    def __init__(self, probe: ast.Probe, point: Probe, matches: list[Probe], index: int) -> None:
        self.probe = probe
        self.point = point
        self.matches = matches
        self.index = index
        self.span = probe.span
        self.args: StructType | None = None
        self.places: list[tuple[Probe, UsdtPlace]] = []  # of USDT probes, all with the same arguments if those are asked for
        self.variables: dict[int, VariableInfo] = {}
        self.parameters: dict[str, VariableInfo] = {}
        self.returns: Ty | None = None

    @property
    def provider(self) -> str:
        return self.point.provider.name

    @property
    def binary(self) -> Binary | None:
        """The program or library that is probed; of several, the first."""
        return self.matches[0].binary if self.matches else None

    @property
    def space(self) -> str:
        """Where a pointer made from a plain number points, in this probe."""
        return "user" if self.provider in ("uprobe", "uretprobe", "usdt") else "kernel"


class Script:
    """A script being compiled: what was read of it, and what has been learnt."""

    __slots__ = (
        "asked", "binary", "builds", "calls", "can_exit", "config", "environment", "functions", "instances", "maps", "named",
        "options", "parameters", "program", "source", "stored_lengths", "structs", "symbols", "target", "warnings",
    )  # fmt: skip

    def __init__(
        self, program: ast.Program, source: Source, target: Target, config: Config, parameters: tuple[str, ...]
    ) -> None:
        self.program = program
        self.source = source
        self.target = target
        self.config = config
        self.parameters = parameters
        self.binary: Binary | None = None  # the program of the probe that is being looked at, whose types have names here
        self.builds: dict[str, str] = {}  # build ids of the programs whose debug information was used, by path
        self.maps: dict[str, MapInfo] = {}
        self.instances: list[Instance] = []
        self.structs: dict[str, object] = {}  # "struct x" → CType, from the preamble
        self.symbols: dict[str, tuple[int, Ty]] = {}  # enum members and #defines of the preamble
        self.options: dict[str, object] = {}
        self.environment: dict[str, str] = {}  # BPFTRACE_* variables
        self.stored_lengths = False  # len() is asked of stacks that come from variables or maps
        self.can_exit = False  # exit() is called somewhere but in end, or there are so many places that detaching takes long
        self.named: dict[str, str] = {}  # options after `--`: "" for one without a value
        self.asked: dict[str, Option] = {}  # those that getopt() asks for
        self.functions: dict[str, Instance] = {}  # fn, by name
        self.warnings: list[CompileError] = []
        self.calls: list[int] = []  # spans of the macro calls around what is being looked at, outermost first

    def has_feature(self, name: str) -> bool:
        """Say whether the kernel has a feature, and whether it may be used (--no-feature)."""
        without = self.options.get("without")
        return not (isinstance(without, tuple) and name in without) and self.target.has_feature(name)

    def parents(self) -> tuple[int, ...]:
        """Return the macro calls that the current place comes from, innermost first."""
        return tuple([span for span in reversed(self.calls) if span])

    def warn(self, message: str, span: int, *, hint: str = "") -> None:
        """Note a warning once, whatever the number of rounds."""
        if not any(w.span == span and w.message == message for w in self.warnings):
            warning = CompileError(message, span, hint=hint, source=self.source)
            for call in self.parents():
                warning.expanded_from(call, self.source)
            self.warnings.append(warning)
