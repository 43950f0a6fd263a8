"""Names to types: one walk per probe instance, repeated until no map or variable grows any more.

Annotates the tree (`Expr.type`, `Expr.meaning`) and fills Script.maps.  Types of maps and variables only ever grow, so the
rounds end.  An expression whose type is not known yet raises Unresolved, which its statement catches; what is still
unresolved after the last round is an error.  Operators are in operator.py, names in builtin.py, calls in function.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.scope import Instance, Known, MapInfo, Script, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.type_name import resolve_type
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, UnknownName

MAX_ROUNDS = 16
MAX_UNROLL = 100


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
        declare_maps(self.script)
        for _ in range(MAX_ROUNDS):
            self.changed, self.pending = False, []
            for instance in self.script.instances:
                self.probe(instance)
            if not self.changed:
                break
        if self.pending:
            raise self.pending[0]

    def probe(self, instance: Instance) -> None:
        """Resolve one instance; also called right before it is lowered, so that the annotations are its own."""
        self.instance = instance
        self.scopes, self.loops = [], []
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
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            from probee.errors import Unsupported

            raise Unsupported(f"{type(node).__name__} is not supported yet", node.span)
        handler(self, node)

    def _expression_statement(self, node: ast.ExprStatement | ast.Discard) -> None:
        self.expr(node.value, statement=True)

    def _let(self, node: ast.Let) -> None:
        declared = self.type_of_name(node.declared) if node.declared is not None else None
        if declared is not None and (declared.is_aggregation or declared.kind == "none"):
            raise TypeMismatch(f"Invalid variable declaration type: {declared}", node.span)
        info = self._declare(node.variable, node)
        if declared is not None:
            info.fixed = True
            self._grow_variable(info, declared)
        if node.value is not None:
            self._assign_variable(info, node.variable, node.value)

    def _declare(self, variable: ast.Variable, node: ast.Node) -> VariableInfo:
        """Bring a variable into the innermost scope."""
        info = self.instance.variables.get(id(node))
        if info is None:
            if self.lookup(variable.name) is not None:
                message = f"Variable ${variable.name} was already declared. Variable shadowing is not allowed."
                raise CompileError(message, variable.span)
            info = self.instance.variables[id(node)] = VariableInfo(variable.name, variable.span)
        self.scopes[-1][variable.name] = info
        variable.meaning = info
        return info

    def lookup(self, name: str) -> VariableInfo | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def _grow_variable(self, info: VariableInfo, type: Ty) -> None:
        if info.type is None or info.type != type:
            info.type = type
            self.changed = True

    def _assign(self, node: ast.Assign) -> None:
        target = node.target
        value = node.value
        if node.op != "=":
            value = compound(node)
        if isinstance(target, ast.Variable):
            info = self.lookup(target.name)
            if info is None:
                if node.op != "=":
                    raise UnknownName(f"Undefined or undeclared variable: ${target.name}", target.span)
                self.expr(value)  # before the variable comes into scope
                info = self._declare(target, node)
            self._assign_variable(info, target, value)
            return
        self.assign_map(target, value, node)

    def _assign_variable(self, info: VariableInfo, variable: ast.Variable, value: ast.Expr) -> None:
        type = self.expr(value)
        if type.kind == "none":
            raise TypeMismatch(f"Invalid expression for assignment: {describe(value)} has no value", value.span)
        if type.is_aggregation:
            raise TypeMismatch(f"Value '{type}' cannot be assigned to a scratch variable.", value.span)
        variable.meaning = info
        variable.type = info.type or type
        info.assigned = True
        joined = unify(info.type, type, known_int(value)) if info.type is not None else type
        if info.fixed and info.type is not None:
            joined = info.type if joined == info.type or (info.type.is_int and type.is_int) else None
        if joined is None:
            message = (
                f"Type mismatch for ${info.name}: trying to assign value of type '{type}' "
                f"when variable already has a type '{info.type}'"
            )
            raise TypeMismatch(message, value.span)
        self._grow_variable(info, joined)
        variable.type = joined

    def assign_map(self, target: ast.MapRef | ast.MapAccess, value: ast.Expr, node: ast.Node) -> None:
        """Resolve `@m = value` or `@m[key] = value`."""
        info = self.map_use(target)
        info.written = True
        type = self.expr(value)
        if type.kind == "none":
            raise TypeMismatch(f"Invalid expression for assignment: {describe(value)} has no value", value.span)
        joined = unify(info.value, type, known_int(value)) if info.value is not None else type
        if joined is None:
            name = f"@{info.name}"
            message = (
                f"Type mismatch for {name}: trying to assign value of type '{type}' when map already has a type '{info.value}'"
            )
            raise TypeMismatch(message, value.span)
        if info.value is None or info.value != joined:
            info.value = joined
            self.changed = True
        if isinstance(value, ast.Call) and type.is_aggregation and isinstance(value.meaning, tuple):
            self._aggregation_parameters(info, value)
        target.type = joined

    def _aggregation_parameters(self, info: MapInfo, call: ast.Call) -> None:
        parameters: tuple[int | str, ...] = call.meaning
        if info.parameters and info.parameters != parameters:
            what = "bits in a single hist" if call.name == "hist" else f"bounds in a single {call.name}"
            raise CompileError(f"Different {what} unsupported", call.span)
        info.parameters = parameters

    def map_use(self, node: ast.MapRef | ast.MapAccess) -> MapInfo:
        """Resolve a mention of a map with or without a key: its shape, its key's type."""
        ref = node.map if isinstance(node, ast.MapAccess) else node
        info = self.script.maps.get(ref.name)
        if info is None:
            info = self.script.maps[ref.name] = MapInfo(ref.name, ref.span)
        keyed = isinstance(node, ast.MapAccess)
        if info.keyed is None:
            info.keyed = keyed
        elif info.keyed != keyed:
            now, before = ("with", "without") if keyed else ("without", "with")
            now_kind, before_kind = ("non-scalar map", "scalar map") if keyed else ("scalar map", "non-scalar map")
            message = (
                f"@{info.name} used as a map {now} an explicit key ({now_kind}), "
                f"previously used {before} an explicit key ({before_kind})"
            )
            raise CompileError(message, node.span)
        if isinstance(node, ast.MapAccess):
            self._key(info, node)
        return info

    def _key(self, info: MapInfo, node: ast.MapAccess) -> None:
        type = self.expr(node.key)
        if type.is_aggregation or type.kind in ("none", "struct") or (type.kind == "pointer" and type.space == "context"):
            raise TypeMismatch(f"{type} cannot be part of a map key", node.key.span)
        joined = unify(info.key, type, known_int(node.key)) if info.key is not None else type
        if joined is None:
            message = (
                f"Argument mismatch for @{info.name}: trying to access with arguments: '{type}' "
                f"when map expects arguments: '{info.key}'"
            )
            raise TypeMismatch(message, node.span)
        if info.key is None or info.key != joined:
            info.key = joined
            self.changed = True

    def condition(self, node: ast.Expr) -> None:
        """Resolve an expression that decides something."""
        type = self.expr(node)
        if not (type.is_scalar or type.kind in t.READABLE or type.kind in t.WORDS):
            raise TypeMismatch(f"Invalid condition: {type}", node.span)

    def _if(self, node: ast.If) -> None:
        self.attempt(self.condition, node.condition)
        self.block(node.then)
        if isinstance(node.otherwise, ast.Block):
            self.block(node.otherwise)
        elif node.otherwise is not None:
            self.statement(node.otherwise)

    def _while(self, node: ast.While) -> None:
        hint = "Use a range-based for loop instead, e.g. for ($i : 0..10) { ... }"
        self.script.warn("While loops are deprecated and may be removed in the future.", node.span, hint=hint)
        self.attempt(self.condition, node.condition)
        self._loop_body(node.body, "inline")

    def _unroll(self, node: ast.Unroll) -> None:
        self.expr(node.count)
        count = known_int(node.count)
        if count is None:
            raise CompileError("invalid unroll value", node.count.span)
        if count < 1:
            raise CompileError("unroll minimum value is 1", node.span)
        if count > MAX_UNROLL:
            raise CompileError(f"unroll maximum value is {MAX_UNROLL}", node.span)
        self._loop_body(node.body, "inline")

    def _for(self, node: ast.For) -> None:
        self.scopes.append({})
        info = self.instance.variables.get(id(node))
        if info is None:
            if self.lookup(node.variable.name) is not None:
                self.script.warn(f"Loop declaration shadows existing variable: ${node.variable.name}", node.variable.span)
            info = self.instance.variables[id(node)] = VariableInfo(node.variable.name, node.variable.span)
        self.scopes[-1][node.variable.name] = info
        node.variable.meaning = info
        info.assigned = True
        try:
            self._grow_variable(info, self._loop_variable(node.iterable))
            self._loop_body(node.body, "callback")
        finally:
            self.scopes.pop()

    def _loop_variable(self, iterable: ast.MapRef | ast.Range) -> Ty:
        if isinstance(iterable, ast.Range):
            for bound in (iterable.start, iterable.end):
                if not self.expr(bound).is_int:
                    raise TypeMismatch("Loop range requires an integer for the start and end values", bound.span)
            return t.INT64
        info = self.script.maps.get(iterable.name)
        if info is None or info.keyed is None:
            raise Unresolved(UnknownName(f"Undefined map: @{iterable.name}", iterable.span))
        if not info.keyed:
            raise CompileError(f"@{iterable.name} has no explicit keys (scalar map), and cannot be used for iteration", iterable.span)
        if info.key is None or info.value is None:
            raise Unresolved(UnknownName(f"Undefined map: @{iterable.name}", iterable.span))
        info.read = True
        value = t.int_of(8, signed=info.value.signed) if info.value.kind in t.READABLE else info.value
        return t.tuple_of([info.key, value])

    def _loop_body(self, body: ast.Block, kind: str) -> None:
        self.loops.append(kind)
        try:
            self.block(body)
        finally:
            self.loops.pop()

    def _jump(self, node: ast.Break | ast.Continue) -> None:
        if not self.loops:
            word = "break" if isinstance(node, ast.Break) else "continue"
            raise CompileError(f"'{word}' statement is not allowed in a probe", node.span)

    def _return(self, node: ast.Return) -> None:
        if node.value is not None and not self.expr(node.value).is_int:
            raise TypeMismatch("return value of a probe must be an integer", node.value.span)

    # -- expressions

    def expr(self, node: ast.Expr, *, statement: bool = False) -> Ty:
        """Resolve an expression, annotate it, and return its type."""
        from probee.compiler.lang.bpftrace.operator import EXPRESSIONS

        handler = EXPRESSIONS.get(type(node))
        if handler is None:
            from probee.errors import Unsupported

            raise Unsupported(f"{type(node).__name__} is not supported yet", node.span)
        node.meaning = None
        if statement and isinstance(node, ast.Call):
            node.meaning = "statement"
        found = handler(self, node)
        node.type = found
        return found

    def type_of_name(self, name: ast.TypeName) -> Ty:
        if isinstance(name, ast.TypeOf):
            operand = name.operand
            if isinstance(operand, ast.TypeName):
                return self.type_of_name(operand)
            if isinstance(operand, ast.MapRef):
                info = self.script.maps.get(operand.name)
                if info is not None and info.keyed and info.key is not None:
                    return info.key
            return self.expr(operand)
        if isinstance(name, ast.PointerType) and isinstance(name.target, ast.TypeOf):
            return t.pointer_to(self.type_of_name(name.target), self.instance.space)
        return resolve_type(self.script, name, self.instance.space)


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


def compound(node: ast.Assign) -> ast.Binary:
    """Rewrite `target op= value` as `target = target op value`, once; returns the new value."""
    made = ast.Binary(node.span, node.op[:-1], node.target, node.value)
    node.value, node.op = made, "="
    return made


def known_int(node: ast.Expr) -> int | None:
    """Return the value of an expression that resolve found to be a constant integer."""
    meaning = getattr(node, "meaning", None)
    if isinstance(meaning, Known) and isinstance(meaning.value, int):
        return int(meaning.value)
    return None


def describe(node: ast.Expr) -> str:
    """Return a few words for an expression, for messages."""
    return f"{node.name}()" if isinstance(node, ast.Call) else type(node).__name__


_STATEMENTS: dict[type, Callable[[Resolver, Any], object]] = {
    ast.ExprStatement: Resolver._expression_statement,
    ast.Discard: Resolver._expression_statement,
    ast.Let: Resolver._let,
    ast.Assign: Resolver._assign,
    ast.If: Resolver._if,
    ast.While: Resolver._while,
    ast.Unroll: Resolver._unroll,
    ast.For: Resolver._for,
    ast.Break: Resolver._jump,
    ast.Continue: Resolver._jump,
    ast.Return: Resolver._return,
    ast.Block: Resolver.block,
}
