"""Macro definitions and what names mean inside an expansion: the registry, overloads, and the Frame of one expansion."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.errors import CompileError, Source, locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container


class Definition:
    """A macro, where it was written, and the variables that its body introduces."""

    __slots__ = ("introduced", "library", "macro", "source")

    def __init__(self, macro: ast.Macro, source: Source, *, library: bool) -> None:
        self.macro = macro
        self.source = source
        self.library = library
        taken = {param.name for param in macro.params if isinstance(param, ast.Variable)}
        self.introduced = frozenset(_introduced(macro.body) - taken)

    def signature(self) -> list[type]:
        """Return the kinds of the parameters."""
        return [type(param) for param in self.macro.params]

    def distance(self, args: list[ast.Expr]) -> int:
        """Return how badly arguments fit: 0 is a match, a wrong number dominates."""
        params = self.macro.params
        wrong = sum(not _fits(param, arg) for param, arg in zip(params, args, strict=False))
        return 1024 * abs(len(params) - len(args)) + wrong

    def generality(self) -> int:
        """Return how many parameters take anything."""
        return sum(isinstance(param, ast.Identifier) for param in self.macro.params)


def _fits(param: ast.Expr, arg: ast.Expr) -> bool:
    return isinstance(param, ast.Identifier) or type(param) is type(arg)


def _introduced(body: ast.Block) -> set[str]:
    """Return the names of variables that are declared, assigned or looped over."""
    names = set()
    for node in ast.walk(body):
        if isinstance(node, (ast.Let, ast.For)):
            names.add(node.variable.name)
        elif isinstance(node, ast.Assign) and isinstance(node.target, ast.Variable):
            names.add(node.target.name)
    return names


class Frame:
    """What names mean in one expansion, or (definition None) in the program itself."""

    __slots__ = ("_maps", "_variables", "bindings", "caller", "definition", "number", "source")

    def __init__(
        self, definition: Definition | None, source: Source, caller: Frame | None = None, number: int = 0
    ) -> None:
        self.definition = definition
        self.source = source
        self.caller = caller
        self.number = number
        self.bindings: dict[str, ast.Expr] = {}  #: identifier parameters → arguments, which belong to `caller`
        self._variables: dict[str, str] = {}
        self._maps: dict[str, str] = {}

    def bind(self, param: ast.Expr, arg: ast.Expr) -> None:
        """Bind one parameter."""
        assert self.caller is not None
        if isinstance(param, ast.Variable) and isinstance(arg, ast.Variable):
            self._variables[param.name] = self.caller.variable(arg.name)
        elif isinstance(param, ast.MapRef) and isinstance(arg, ast.MapRef):
            self._maps[param.name] = self.caller.map(arg)
        elif isinstance(param, ast.Identifier):
            self.bindings[param.name] = arg

    def variable(self, name: str) -> str:
        """Return a variable's name outside all macros."""
        if self.definition is None:
            return name
        if name in self._variables:
            return self._variables[name]
        if name in self.definition.introduced:
            return f"${self.definition.macro.name}_{self.number}_{name}"
        return name

    def map(self, node: ast.MapRef) -> str:
        """Return a map's name outside all macros; raises CompileError for one that was not passed in."""
        if self.definition is None:
            return node.name
        if node.name not in self._maps:
            message = f"Unhygienic access to map: @{node.name}. Maps must be passed into the macro as arguments."
            raise CompileError(message, node.span, source=self.source)
        return self._maps[node.name]

    def check_declaration(self, variable: ast.Variable) -> None:
        """Refuse a declaration that would hide a parameter."""
        if variable.name in self._variables:
            message = f"Variable declaration shadows macro arg ${variable.name}"
            raise CompileError(message, variable.span, source=self.source)

    def check_recursion(self, definition: Definition, call: ast.Node) -> None:
        """Refuse to expand a macro inside its own expansion."""
        chain = []
        frame: Frame | None = self
        while frame is not None and frame.definition is not None:
            chain.append(frame.definition)
            frame = frame.caller
        if definition in chain:
            names = [item.macro.name for item in reversed(chain[: chain.index(definition) + 1])]
            path = " > ".join([*names, definition.macro.name])
            message = f"Recursive macro call detected. Call chain: {path}"
            raise CompileError(message, call.span, source=self.source)

    def follow(self, name: str) -> tuple[ast.Expr, Frame, int] | None:
        """Return what an identifier parameter stands for once arguments that are parameters themselves are seen through.

        The frame is the one that the result belongs to, the number how many expansions out it lies. None for a name that
        is no parameter.
        """
        frame: Frame = self
        hops = 0
        found: ast.Expr | None = None
        while name in frame.bindings and frame.caller is not None:
            found = frame.bindings[name]
            frame = frame.caller
            hops += 1
            if not isinstance(found, ast.Identifier):
                break
            name = found.name
        return (found, frame, hops) if found is not None else None


class Registry:
    """All macros by name."""

    __slots__ = ("_functions", "names")

    def __init__(self, functions: Container[str]) -> None:
        self._functions = functions
        self.names: dict[str, list[Definition]] = {}

    def add_all(self, macros: list[ast.Macro], source: Source, *, library: bool) -> None:
        """Register macros; raises CompileError for a parameter or a macro that is defined twice."""
        for macro in macros:
            _check_params(macro, source)
            definition = Definition(macro, source, library=library)
            known = self.names.setdefault(macro.name, [])
            for other in known:
                if other.library == library and other.signature() == definition.signature():
                    hint = f"This is the original definition: {locate(other.source, other.macro.span)}"
                    raise CompileError(f"Redefinition of macro: {macro.name}", macro.span, hint=hint, source=source)
            known.append(definition)

    def find(self, node: ast.Node, name: str, args: list[ast.Expr], frame: Frame) -> Definition | None:
        """Return the macro that a call or a bare name means; None if it means something else.

        Raises CompileError for a call that fits none of the macros of its name.
        """
        known = self.names.get(name)
        if known is None:
            return None
        if frame.definition is not None and frame.definition.library:
            known = [definition for definition in known if definition.library]
        fitting = [definition for definition in known if definition.distance(args) == 0]
        if fitting:
            return min(fitting, key=lambda definition: (definition.library, definition.generality()))
        if known and name not in self._functions and self._must_fit(node, known):
            raise _misfit(node, name, min(known, key=lambda d: d.distance(args)), args, frame)
        return None

    def _must_fit(self, node: ast.Node, known: list[Definition]) -> bool:
        """A bare name may happen to be a library macro's; the user's own macros are never meant by accident."""
        return isinstance(node, ast.Call) or not all(definition.library for definition in known)


_KINDS = {ast.Variable: ("Variable", "$"), ast.MapRef: ("Map", "@"), ast.Identifier: ("Ident", "")}


def _check_params(macro: ast.Macro, source: Source) -> None:
    seen = set()
    for param in macro.params:
        kind, sigil = _KINDS[type(param)]
        if (kind, param.name) in seen:
            message = f"{kind} for macro argument has already been used: {sigil}{param.name}"
            raise CompileError(message, param.span, source=source)
        seen.add((kind, param.name))


def _misfit(node: ast.Node, name: str, closest: Definition, args: list[ast.Expr], frame: Frame) -> CompileError:
    message = f"Call to {name}() has arguments that do not match any definition."
    return CompileError(message, node.span, hint=_difference(closest.macro, args), source=frame.source)


def _difference(macro: ast.Macro, args: list[ast.Expr]) -> str:
    """Say in what a call differs from a definition."""
    if len(macro.params) != len(args):
        return (
            f"The closest definition of {macro.name}() has a different number of arguments. "
            f"Expected: {len(macro.params)} but got {len(args)}"
        )
    for param, arg in zip(macro.params, args, strict=True):
        if not _fits(param, arg):
            got = {ast.Variable: "a variable", ast.MapRef: "a map"}.get(type(arg), "an expression")
            wanted = "a variable" if isinstance(param, ast.Variable) else "a map"
            sigil = _KINDS[type(param)][1]
            return f"Mismatched arg. {macro.name}() expects {wanted} for arg {sigil}{param.name} but got {got}."
    return ""
