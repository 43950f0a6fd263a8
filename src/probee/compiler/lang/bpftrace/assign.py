"""Types of assignments: what makes variables, map values and map keys grow, and what they refuse (reference §4.4, §4.7)."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known, MapInfo, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, UnknownName

_EXAMPLES = {
    "count": "count()", "sum": "sum(retval)", "min": "min(retval)", "max": "max(retval)", "avg": "avg(retval)",
    "stats": "stats(arg2)", "hist": "hist(retval)", "lhist": "lhist(rand % 10, 0, 10, 1)",
    "tseries": 'tseries(rand % 10, 10s, 1)',
}  # fmt: skip


_CAST_WARNING = (
    "Expression of type: {} being cast to type: {}. This may cause unexpected results. "
    "Use an explicit cast to suppress this warning."
)


# -- variables


def let(resolver: Resolver, node: ast.Let) -> None:
    declared = resolver.type_of_name(node.declared) if node.declared is not None else None
    if declared is not None and (declared.is_aggregation or declared.kind == "none"):
        raise TypeMismatch(f"Invalid variable declaration type: {declared}", node.declared.span if node.declared else node.span)
    if node.value is not None:
        resolver.expr(node.value)  # before the variable comes into scope
    info = resolver.declare(node.variable, node, node.span >> 24)
    info.declaration = node.value is None
    if declared is not None:
        info.fixed = not _is_unsized(node.declared)
        if info.fixed:
            resolver.grow_variable(info, t.settled(declared))
    if node.value is None:
        return
    try:
        assign_variable(resolver, info, node.variable, node.value, node.span)
    except TypeMismatch as error:
        if not isinstance(node.declared, ast.TypeOf):
            raise
        raise Unresolved(error) from None  # what it is the type of may still grow


def _is_unsized(name: ast.TypeName | None) -> bool:
    return isinstance(name, ast.NamedType) and not name.tag and name.name in ("string", "buffer", "inet")


def assign(resolver: Resolver, node: ast.Assign) -> None:
    target, value = node.target, node.value
    if node.op != "=":
        value = _compound(node)
        if isinstance(target, (ast.MapRef, ast.MapAccess)):
            resolver.map_use(target).counts = True
    if not isinstance(target, ast.Variable):
        assign_map(resolver, target, value, node.span)
        return
    info = resolver.lookup(target.name)
    if info is None:
        if isinstance(value, ast.Binary) and value.left is target:
            raise UnknownName(f"Undefined or undeclared variable: ${target.name}", target.span)
        resolver.expr(value)
        info = resolver.declare(target, node)
    assign_variable(resolver, info, target, value, node.span)


def _compound(node: ast.Assign) -> ast.Binary:
    """Rewrite `target op= value` as `target = target op value`, once; returns the new value."""
    made = ast.Binary(node.span, node.op[:-1], node.target, node.value)
    node.value, node.op = made, "="
    return made


def assign_variable(
    resolver: Resolver, info: VariableInfo, variable: ast.Variable, value: ast.Expr, span: int
) -> None:
    """Resolve `$v = value` for a variable that is in scope; `span` is the assignment's."""
    variable.meaning = info
    info.assigned = True
    type = resolver.expr(value)
    call = aggregation_call(value)
    if call is not None:
        raise CompileError(f"{call.name}() must be assigned directly to a map", call.span)
    if type.kind == "none" or (type.is_aggregation and type.kind not in t.READABLE):
        raise TypeMismatch(f"Value '{type}' cannot be assigned to a scratch variable.", span)
    if type.is_aggregation:
        type = t.int_of(8, signed=type.signed)
    joined = _fixed(resolver, info.type, type, value) if info.fixed and info.type is not None else _joined(info.type, type)
    if joined is None:
        message = (
            f"Type mismatch for ${info.name}: trying to assign value of type '{type}' "
            f"when variable already has a type '{info.type}'"
        )
        raise TypeMismatch(message, span)
    message = (
        f"Type mismatch for ${info.name}: trying to assign value of type '{type}' when variable already has a type '{joined}'"
    )
    _check_literal(value, joined, message, span)
    if not info.fixed:
        _warn_of_cast(resolver, type, joined, value)
    resolver.grow_variable(info, joined)
    variable.type = joined


def _check_literal(value: ast.Expr, type: Ty, message: str, span: int = 0) -> None:
    """Raise when a literal is out of the range of the type that everything else makes."""
    known = known_int(value) if isinstance(value.meaning, Known) and value.meaning.literal else None
    if known is not None and type.kind == "int" and not t.fits(known, type):
        raise TypeMismatch(message, span or value.span)


def _warn_of_cast(resolver: Resolver, type: Ty, joined: Ty, value: ast.Expr) -> None:
    """Say that values will not all survive, as when signed and unsigned 64-bit numbers meet."""
    changes_sign = type.kind == joined.kind == "int" and type.size == joined.size == 8 and joined.signed and not type.signed
    if changes_sign and not isinstance(value.meaning, Known):
        resolver.script.warn(_CAST_WARNING.format(type, joined), value.span)


def _joined(old: Ty | None, new: Ty) -> Ty | None:
    return new if old is None else unify(old, new)


def _fixed(resolver: Resolver, declared: Ty, type: Ty, value: ast.Expr) -> Ty | None:
    """A declared type stays: literals must fit, other integers are cut, which is said."""
    joined = unify(declared, type)
    if joined == declared:
        return declared
    if not (declared.kind == "int" and type.kind == "int"):
        if declared.kind == type.kind and declared.kind in ("string", "buffer") and declared.size < type.size:
            return None
        return None
    known = known_int(value)
    if known is not None and isinstance(value.meaning, Known) and value.meaning.literal:
        return declared if t.fits(known, declared) else None
    resolver.script.warn(_CAST_WARNING.format(type, declared), value.span)
    return declared


# -- maps


def assign_map(resolver: Resolver, target: ast.MapRef | ast.MapAccess, value: ast.Expr, span: int) -> None:
    """Resolve `@m = value` or `@m[key] = value`."""
    info = resolver.map_use(target)
    info.written = True
    type = resolver.expr(value)
    if type.kind == "none":
        raise TypeMismatch(f"Value '{type}' cannot be assigned to a map.", span)
    call = aggregation_call(value)
    if type.is_aggregation and call is None:
        type = _read_aggregation(info, type, span)
    joined = _joined(info.value, type)
    if joined is None or (info.value is not None and info.value.is_aggregation != joined.is_aggregation):
        message = (
            f"Type mismatch for @{info.name}: trying to assign value of type '{type}' "
            f"when map already has a type '{info.value}'"
        )
        raise TypeMismatch(message, span)
    if joined.kind == "pointer" and joined.space == "context":
        raise TypeMismatch(f"Value '{type}' cannot be assigned to a map.", span)
    message = f"Type mismatch for @{info.name}: trying to assign value of type '{type}' when map already has a type '{joined}'"
    _check_literal(value, joined, message, span)
    _warn_of_cast(resolver, type, joined, value)
    resolver.grow_map(info, joined)
    if call is not None and type.is_aggregation and isinstance(call.meaning, tuple):
        _aggregation_parameters(info, call)
    target.type = joined


def _read_aggregation(info: MapInfo, type: Ty, span: int) -> Ty:
    """Return the number that an aggregation's value is where a map already holds numbers."""
    if type.kind in t.READABLE and info.value is not None and info.value.is_int:
        return t.int_of(8, signed=type.signed)
    message = (
        f"Map value '{type}' cannot be assigned from one map to another. The function that returns this type must be "
        f"called directly e.g. `@{info.name} = {_EXAMPLES[type.kind]};`."
    )
    hint = "Add a cast to integer if you want the value of the aggregate." if type.kind in t.READABLE else ""
    raise TypeMismatch(message, span, hint=hint)


def aggregation_call(value: ast.Expr) -> ast.Call | None:
    """Return the call of an aggregation that an expression is, through macros and blocks; None when it is none."""
    while True:
        if isinstance(value, ast.Argument):
            value = value.value
        elif isinstance(value, ast.Expansion):
            value = value.body
        elif isinstance(value, ast.Block) and value.value is not None:
            value = value.value
        else:
            return value if isinstance(value, ast.Call) and value.name in t.AGGREGATIONS else None


def _aggregation_parameters(info: MapInfo, call: ast.Call) -> None:
    parameters: tuple[int | str, ...] = call.meaning
    if info.parameters and info.parameters != parameters:
        what = "bits in a single hist" if call.name == "hist" else f"{call.name} bounds in a single map"
        raise CompileError(f"Different {what} unsupported", call.span)
    info.parameters = parameters


def map_use(resolver: Resolver, node: ast.MapRef | ast.MapAccess) -> MapInfo:
    """Resolve a mention of a map with or without a key: its shape, its key's type."""
    maps = resolver.script.maps
    ref = node.map if isinstance(node, ast.MapAccess) else node
    info = maps.get(ref.name)
    if info is None:
        info = maps[ref.name] = MapInfo(ref.name, ref.span)
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
        _key(resolver, info, node)
    return info


def _key(resolver: Resolver, info: MapInfo, node: ast.MapAccess) -> None:
    type = resolver.expr(node.key)
    _check_key(type, node.key)
    if type.kind in t.READABLE:
        type = t.int_of(8, signed=type.signed)
    joined = _joined(info.key, type)
    if joined is None:
        message = (
            f"Argument mismatch for @{info.name}: trying to access with arguments: '{type}' "
            f"when map expects arguments: '{info.key}'"
        )
        raise TypeMismatch(message, node.span)
    message = (
        f"Argument mismatch for @{info.name}: trying to access with arguments: '{type}' "
        f"when map expects arguments: '{joined}'"
    )
    _check_literal(node.key, joined, message)
    resolver.grow_key(info, joined)


def _check_key(type: Ty, node: ast.Expr) -> None:
    if type.kind == "none":
        raise TypeMismatch(f"Invalid map key type: {type}", node.span)
    for part in (type, *(field.type for field in type.fields)):
        if part.is_aggregation and part.kind not in t.READABLE:
            raise TypeMismatch(f"{part} cannot be part of a map key", node.span)
        if part.kind == "pointer" and part.space == "context":
            raise TypeMismatch("context cannot be part of a map key", node.span)
