"""A program of BCC's C, from its text to a unit of IR: every function that is not static becomes a BPF program.

Names, types and attach points of the programs follow bcc's conventions (context.py).  Maps keep their names; the types of their
keys and values, and of what is submitted through them, go into the object for Python.
"""

from __future__ import annotations

from typing import Any

from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Program, Unit, Value, connect
from probee.compiler.lang.c import assign, call, expression, helper, intrinsic, printk, statement, usdt
from probee.compiler.lang.c.context import Kind, bind_parameters, kind_of
from probee.compiler.lang.c.lower import Frame, Lowerer
from probee.compiler.lang.c.mapspec import map_spec, map_types
from probee.compiler.lang.c.program_text import parse_program
from probee.compiler.lang.c.provenance import Location, Provenance
from probee.compiler.lang.c.unit import FunctionDeclaration, TranslationUnit
from probee.errors import CompileError, ProbeeError, Source, Unsupported
from probee.model.spec import ProgramType
from probee.model.target import Target
from probee.model.usdt import UsdtPlace

LOWERING = (assign, call, expression, helper, intrinsic, printk, statement, usdt)  # they register what they lower
MAX_ATTEMPTS = 16  # each learns where some variable points
RAW_NESTING = 3  # runs of one program on one CPU that the kernel does not keep from each other
_UNGUARDED = frozenset((ProgramType.RAW_TRACEPOINT, ProgramType.PERF_EVENT, ProgramType.TRACING, ProgramType.LSM))


def lower_program(source: Source, target: Target, options: dict[str, Any]) -> Unit:
    """Return the unit of a C program.  options: cflags (list), usdt {function: places}."""
    parsed = parse_program(source, target, options)
    unit = Unit()
    unit.features = frozenset(name for name in ("probe_read_kernel", "atomic_fetch", "insn_v4") if target.has_feature(name))
    unit.options = {"local": True}
    for declaration in parsed.maps.values():
        unit.maps[declaration.name] = map_spec(parsed, declaration, target)
    for function in parsed.functions.values():
        if not function.static and not function.inline:
            _lower_function(parsed, unit, target, function, options.get("usdt") or {})
    unit.options["license"] = parsed.license
    unit.types.update(map_types(parsed))
    unit.warnings = [CompileError(message, span).at(source).text("warning") if span else message
                     for message, span in parsed.warnings]  # fmt: skip
    return unit


def _lower_function(
    parsed: TranslationUnit,
    unit: Unit,
    target: Target,
    function: FunctionDeclaration,
    enabled: dict[str, tuple[UsdtPlace, ...]],
) -> None:
    kind = kind_of(function, parsed, target)
    groups = _groups(enabled.get(function.name, ()))
    if len(groups) > 1:
        unit.options[f"usdt {function.name}"] = " ".join(str(number) for number in _numbers(enabled[function.name], groups))
    for number, place in enumerate(groups.values() or [None]):
        name = function.name if number == 0 else f"{function.name}__usdt{number}"
        lowered = _attempt(parsed, unit, target, function, kind, name, place)
        nesting = RAW_NESTING if kind.type in _UNGUARDED else 1
        unit.programs.append(
            Program(
                name, kind.type, [lowered], probe=function.name, attach_type=kind.attach_type,
                attach_target=kind.attach_target, nesting=nesting,
            )
        )  # fmt: skip


def _groups(places: tuple[UsdtPlace, ...]) -> dict[str, UsdtPlace | None]:
    """Return one place of each specification of arguments."""
    found: dict[str, UsdtPlace | None] = {}
    for place in places:
        found.setdefault(place.specification, place)
    return found


def _numbers(places: tuple[UsdtPlace, ...], groups: dict[str, UsdtPlace | None]) -> list[int]:
    order = list(groups)
    return [order.index(place.specification) for place in places]


def _attempt(
    parsed: TranslationUnit, unit: Unit, target: Target, function: FunctionDeclaration, kind: Kind, name: str,
    place: UsdtPlace | None,
) -> Function:  # fmt: skip
    """Lower a function, again while where its pointers point to is learnt."""
    provenance = Provenance()
    for _ in range(MAX_ATTEMPTS):
        provenance.begin()
        body = _Body(parsed, unit, target, function, kind, name)
        try:
            lowered = body.lower(provenance, place)
        except CompileError as error:
            error.span = error.span or body.span
            raise
        except ProbeeError as error:  # of the target: what it cannot tell
            raise CompileError(str(error), body.span) from None
        provenance.check(lowered, body.targets, body.tracked)
        if not provenance.changed:
            connect(lowered)
            return lowered
    raise Unsupported("it cannot be told where the pointers of this function point to", function.span)


class _Body:
    """One lowering of one program."""

    def __init__(
        self, parsed: TranslationUnit, unit: Unit, target: Target, function: FunctionDeclaration, kind: Kind, name: str
    ) -> None:
        self.parsed = parsed
        self.unit = unit
        self.target = target
        self.function = function
        self.kind = kind
        self.name = name
        self.builder: Builder | None = None
        self.targets: dict[Value, Location] = {}
        self.tracked: set[Value] = set()

    @property
    def span(self) -> int:
        """Where the lowering is."""
        return self.builder.span if self.builder is not None else self.function.span

    def lower(self, provenance: Provenance, place: UsdtPlace | None) -> Function:
        function = self.function
        result = Function(self.name, (pointer("context"),), I64, span=function.span)
        builder = self.builder = Builder(result)
        low = Lowerer(self.parsed, self.unit, self.target, builder, provenance, builder.param(0))
        low.usdt = place
        self.targets, self.tracked = low.targets, low.tracked
        low.frames.append(Frame(function, (), None))
        self.parsed.scope.type_of_expression = low.type_in
        low.scope = self.parsed.scope.child()
        bind_parameters(low, function, self.kind)
        body = builder.new_block()  # the entry stays open: constants are written there
        builder.at(body)
        for item in function.node.body.block_items or ():
            low.statement(item)
        call.check_labels(low)
        if not builder.terminated:
            builder.return_(builder.const(0))
        builder.block = result.entry
        builder.jump(body)
        for block in result.blocks:
            if not block.values or block.values[-1].op not in ("jump", "branch", "return"):
                builder.block = block
                builder.return_(builder.const(0))
        return result
