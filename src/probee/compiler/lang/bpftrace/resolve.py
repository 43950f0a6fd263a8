"""Names to types: one walk per probe instance, repeated until no map or variable grows any more.

Annotates the tree (`Expr.type`, `Expr.meaning`) and fills Script.maps.  Types of maps and variables only ever grow, so the
rounds end.  An expression whose type is not known yet raises Unresolved, which its statement catches; what is still
unresolved after the last round is an error.  Assignments are in assign.py, expressions in expression.py, loops in loop.py.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.scope import Instance, Known, MapInfo, Script, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.type_name import resolve_type
from probee.errors import CompileError, TypeMismatch, UnknownName, Unsupported, make_span, span_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_ROUNDS = 32


class Resolver:
    """Resolves the instances of one script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.instance: Instance = None  # type: ignore[assignment]  # set by `probe`
        self.changed = False
        self.pending: list[CompileError] = []
        self.scopes: list[dict[str, VariableInfo]] = []
        self.loops: list[str] = []  # "callback" or "inline", innermost last

    # -- rounds

    def run(self) -> None:
        """Resolve all instances to a fixpoint; raises CompileError."""
        from probee.compiler.lang.bpftrace.subprogram import declare

        declare_maps(self.script)
        declare(self.script, self)
        for _ in range(MAX_ROUNDS):
            self.changed, self.pending = False, []
            for instance in [*self.script.functions.values(), *self.script.instances]:
                self.probe(instance)
            if not self.changed and not self._settle():
                break
        if self.pending:
            raise self.pending[0]
        for instance in self.script.instances:
            for info in instance.variables.values():
                if info.declaration and not info.assigned:
                    self.script.warn(f"Variable ${info.name} was never assigned to.", info.span)

    def _settle(self) -> bool:
        """Make integers of maps that are only counted up, or only read; True when there are such."""
        if not self.pending:
            return False
        found = [info for info in self.script.maps.values() if info.value is None and (info.counts or info.read)]
        for info in found:
            info.value = t.INT8
            if not info.written:
                self.script.warn(f"@{info.name} is read but never assigned to: it is always 0.", info.span)
        return bool(found)

    def probe(self, instance: Instance) -> None:
        """Resolve one instance; also called right before it is lowered, so that the annotations are its own."""
        self.instance = instance
        self.script.binary = instance.binary
        self.scopes, self.loops = [{**instance.parameters}], []
        if instance.probe.predicate is not None:
            self.attempt(self.condition, instance.probe.predicate)
        self.block(instance.probe.body)

    def attempt(self, action: Callable[[Any], object], node: ast.Node) -> None:
        """Do it; a type that is not known yet is noted, not fatal."""
        try:
            action(node)
        except Unresolved as unresolved:
            self.pending.append(unresolved.args[0])

    # -- statements

    def block(self, node: ast.Block) -> Ty:
        """Resolve a block; its type is its value's, or none."""
        self.scopes.append({})
        try:
            for statement in node.statements:
                self.attempt(self.statement, statement)
            return self.expr(node.value) if node.value is not None else t.NONE
        finally:
            self.scopes.pop()

    def statement(self, node: ast.Node) -> None:
        from probee.compiler.lang.bpftrace.statement import STATEMENTS

        handler = STATEMENTS.get(type(node))
        if handler is None:
            raise Unsupported(f"{type(node).__name__} is not supported yet", node.span)
        handler(self, node)

    def declare(self, variable: ast.Variable, node: ast.Node, start: int = -1) -> VariableInfo:
        """Bring a variable into the innermost scope; `start` is where its declaration begins, if that is not its name."""
        span = variable.span if start < 0 else make_span(start, span_range(variable.span)[1])
        info = self.instance.variables.get(id(node))
        if info is None:
            if self.lookup(variable.name) is not None:
                message = f"Variable ${variable.name} was already declared. Variable shadowing is not allowed."
                raise CompileError(message, span)
            info = self.instance.variables[id(node)] = VariableInfo(variable.name, span)
        self.scopes[-1][variable.name] = info
        variable.meaning = info
        return info

    def lookup(self, name: str) -> VariableInfo | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    # -- growth

    def grow_variable(self, info: VariableInfo, type: Ty) -> None:
        """Note what type a variable must have by now."""
        if info.type is None or not t.identical(info.type, type):
            info.type = type
            self.changed = True

    def grow_map(self, info: MapInfo, type: Ty) -> None:
        """Note what type a map's values must have by now."""
        if info.value is None or not t.identical(info.value, type):
            info.value = type
            self.changed = True

    def grow_key(self, info: MapInfo, type: Ty) -> None:
        """Note what type a map's keys must have by now."""
        if info.key is None or not t.identical(info.key, type):
            info.key = type
            self.changed = True

    def map_use(self, node: ast.MapRef | ast.MapAccess) -> MapInfo:
        """Resolve a mention of a map with or without a key: its shape, its key's type."""
        from probee.compiler.lang.bpftrace.assign import map_use

        return map_use(self, node)

    # -- conditions

    def condition(self, node: ast.Expr) -> None:
        """Resolve an expression that decides something."""
        self.expr(node)
        self.check_condition(node)

    def check_condition(self, node: ast.Expr) -> None:
        """Raise unless the value of a resolved expression can be true or false."""
        type = node.type
        literal = isinstance(node.meaning, Known) and isinstance(node.meaning.value, bytes)
        if not (type.is_scalar or type.kind in t.READABLE or literal):
            raise TypeMismatch(f"Invalid condition: {type}", node.span)

    def branch(self, node: ast.If | ast.IfExpr) -> bool | None:
        """Resolve the condition of an if; its value when only one branch counts, None when both do."""
        if not isinstance(node.condition, ast.Comptime):
            self.attempt(self.condition, node.condition)
            return None
        self.condition(node.condition)
        assert isinstance(node.condition.meaning, Known)
        return bool(node.condition.meaning.value)

    # -- expressions

    def expr(self, node: ast.Expr, *, statement: bool = False) -> Ty:
        """Resolve an expression, annotate it, and return its type; a `statement` may be void."""
        from probee.compiler.lang.bpftrace.expression import EXPRESSIONS

        handler = EXPRESSIONS.get(type(node))
        if handler is None:
            raise Unsupported(f"{type(node).__name__} is not supported yet", node.span)
        node.meaning = None
        if statement and isinstance(node, ast.Call):
            node.meaning = "statement"
        found = handler(self, node)
        node.type = found
        return found

    def type_of_name(self, name: ast.TypeName) -> Ty:
        """Return the type that a type name, or typeof(…), stands for."""
        if isinstance(name, ast.TypeOf):
            return self._type_of(name.operand)
        if isinstance(name, ast.PointerType) and isinstance(name.target, (ast.TypeOf, ast.PointerType, ast.ArrayType)):
            return t.pointer_to(self.type_of_name(name.target), self.instance.space)
        if isinstance(name, ast.ArrayType) and isinstance(name.element, ast.TypeOf):
            return t.array_of(self.type_of_name(name.element), name.size or 0)
        return resolve_type(self.script, name, self.instance.space)

    def _type_of(self, operand: ast.Expr | ast.TypeName) -> Ty:
        """The type of a map is that of its keys."""
        if isinstance(operand, ast.TypeName):
            return self.type_of_name(operand)
        if isinstance(operand, ast.TypeArgument):
            return self.type_of_name(operand.target)
        if isinstance(operand, ast.MapRef):
            info = self.script.maps.get(operand.name)
            if info is None or (info.keyed and info.key is None):
                raise Unresolved(UnknownName(f"Undefined map: @{operand.name}", operand.span))
            if info.keyed and info.key is not None:
                return info.key
        if isinstance(operand, ast.Identifier):
            named = self.type_named(operand)
            if named is not None:
                return named
        return self.expr(operand)

    def type_named(self, node: ast.Identifier) -> Ty | None:
        """Return the type that a bare identifier names where a type or an expression may stand; None when it names none."""
        from probee.compiler.lang.bpftrace.builtin import is_value

        if is_value(self.script, node.name):
            return None
        try:
            return resolve_type(self.script, ast.NamedType(node.span, node.name), self.instance.space)
        except CompileError:
            return None


def declare_maps(script: Script) -> None:
    """Enter `let @m = hash(N)` declarations."""
    for declaration in script.program.maps:
        info = script.maps.setdefault(declaration.map.name, MapInfo(declaration.map.name, declaration.span))
        kinds = ("hash", "lruhash", "percpuhash", "percpulruhash")
        if declaration.kind not in kinds:
            raise CompileError(
                f"Invalid bpf map type: {declaration.kind}", declaration.span, hint=f"Valid map types: {', '.join(kinds)}"
            )
        info.declared, info.entries = declaration.kind, declaration.size


def known_int(node: ast.Expr) -> int | None:
    """Return the value of an expression that resolve found to be a constant integer."""
    meaning = getattr(node, "meaning", None)
    if isinstance(meaning, Known) and isinstance(meaning.value, int):
        return int(meaning.value)
    return None
