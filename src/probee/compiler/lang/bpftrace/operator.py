"""Types of expressions: literals, operators, access to fields and elements, casts (reference §4.2–4.5).

Every rule is one function `(resolver, node) -> Ty`, found in EXPRESSIONS by the node's class.  A constant result is left in
`node.meaning` as Known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.type_name import find_struct
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, UnknownName
from probee.model import ctype as c

_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
_U64 = (1 << 64) - 1


# -- leaves


def _int_literal(resolver: Resolver, node: ast.IntLiteral) -> Ty:
    node.meaning = Known(node.value)
    return t.literal_type(node.value, unsigned=node.unsigned)


def _bool_literal(resolver: Resolver, node: ast.BoolLiteral) -> Ty:
    node.meaning = Known(bool(node.value))
    return t.BOOL


def _string_literal(resolver: Resolver, node: ast.StringLiteral) -> Ty:
    limit = resolver.script.config.number("max_strlen")
    if len(node.value) >= limit:
        raise CompileError(f"String is too long (over {limit} bytes): {node.value.decode('utf-8', 'replace')}", node.span)
    node.meaning = Known(node.value)
    return t.string(len(node.value) + 1)


def _variable(resolver: Resolver, node: ast.Variable) -> Ty:
    info = resolver.lookup(node.name)
    if info is None:
        raise UnknownName(f"Undefined or undeclared variable: ${node.name}", node.span)
    node.meaning = info
    if info.type is None:
        raise Unresolved(CompileError(f"Variable used before it was assigned: ${node.name}", node.span))
    return info.type


def _map(resolver: Resolver, node: ast.MapRef | ast.MapAccess) -> Ty:
    info = resolver.map_use(node)
    info.read = True
    if info.value is None:
        raise Unresolved(UnknownName(f"Undefined map: @{info.name}", node.span))
    if info.value.kind in ("hist", "lhist", "tseries", "stats"):
        pass  # only functions that take a whole map, or print, can use it; they check
    return info.value


def _positional(resolver: Resolver, node: ast.Positional) -> Ty:
    """A number, or a string: by its text.  A missing one is 0."""
    parameters = resolver.script.parameters
    text = parameters[node.index - 1] if node.index <= len(parameters) else ""
    if not text:
        resolver.script.warn(f"Positional parameter ${node.index} is empty or not provided.", node.span)
        node.meaning = Known(0)
        return t.INT64
    number = parameter_number(text)
    if number is None:
        node.meaning = Known(text.encode())
        return t.string(len(text.encode()) + 1)
    node.meaning = Known(number)
    return t.literal_type(number)


def parameter_number(text: str) -> int | None:
    """Return the number that a positional parameter spells, None when it is text."""
    from probee.probes.number import parse_signed

    try:
        return parse_signed(text)
    except (ValueError, CompileError):
        return None


def _positional_count(resolver: Resolver, node: ast.PositionalCount) -> Ty:
    node.meaning = Known(len(resolver.script.parameters))
    return t.literal_type(len(resolver.script.parameters))


def _identifier(resolver: Resolver, node: ast.Identifier) -> Ty:
    from probee.compiler.lang.bpftrace.builtin import resolve_name

    return resolve_name(resolver, node)


def _call(resolver: Resolver, node: ast.Call) -> Ty:
    from probee.compiler.lang.bpftrace.function import resolve_call

    return resolve_call(resolver, node)


# -- operators


def _unary(resolver: Resolver, node: ast.Unary) -> Ty:
    type = resolver.expr(node.operand)
    known = node.operand.meaning.value if isinstance(node.operand.meaning, Known) else None
    if node.op == "!":
        resolver.condition(node.operand)
        if isinstance(known, int):
            node.meaning = Known(not known)
        return t.BOOL
    if not type.is_int:
        raise TypeMismatch(f"The {node.op} operator can not be used on expressions of type '{type}'", node.span)
    if isinstance(known, int):
        value = -known if node.op == "-" else ~known
        if node.op == "-" and known > 1 << 63:
            raise CompileError("negative value will underflow", node.span)
        if node.op == "~" and not type.signed:
            value &= (1 << (8 * type.size)) - 1
        node.meaning = Known(value)
        return t.literal_type(value)
    return t.int_of(type.size, signed=True) if node.op == "-" and type.kind == "int" else (
        type if type.kind == "int" else t.INT64
    )


def _binary(resolver: Resolver, node: ast.Binary) -> Ty:
    left, right = _both(resolver, node)
    if left.kind == "pointer" or right.kind == "pointer":
        return _pointer_binary(node, left, right)
    if {left.kind, right.kind} & {"string", "array", "tuple", "record", "buffer", "inet", "macaddr"}:
        return _memory_binary(node, left, right)
    left, right = _read(left), _read(right)
    if not (_numeric(left) and _numeric(right)):
        raise TypeMismatch(f"Type mismatch for '{node.op}': comparing {left} with {right}", node.span)
    folded = _fold(node, left, right)
    if node.op in _COMPARISONS:
        return t.BOOL
    if folded is not None:
        return folded
    if node.op == "-":
        return t.INT64
    if node.op in ("<<", ">>"):
        return t.int_of(8, signed=left.signed)
    signed = signed_operands(node, left, right)
    if node.op in ("/", "%") and signed and (left.size, left.signed) != (right.size, right.signed):
        message = f"signed operands for '{node.op}' can lead to undefined behavior (cast to unsigned to silence warning)"
        resolver.script.warn(message, node.span)
    return t.int_of(8, signed=signed)


def _both(resolver: Resolver, node: ast.Binary) -> tuple[Ty, Ty]:
    return resolver.expr(node.left), resolver.expr(node.right)


def _read(type: Ty) -> Ty:
    """An aggregation that is read gives a number; a symbol or stack compares as its address."""
    if type.kind in t.READABLE:
        return t.int_of(8, signed=type.signed)
    return t.UINT64 if type.kind in t.WORDS else type


def _numeric(type: Ty) -> bool:
    return type.is_int


def signed_operands(node: ast.Binary, left: Ty, right: Ty) -> bool:
    """Say whether the operator works on signed numbers: a literal takes the other operand's sign."""
    left_known, right_known = known_int(node.left), known_int(node.right)
    if left_known is not None and left_known >= 0 and right_known is None:
        return right.signed
    if right_known is not None and right_known >= 0 and left_known is None:
        return left.signed
    return left.signed or right.signed


def _pointer_binary(node: ast.Binary, left: Ty, right: Ty) -> Ty:
    if node.op in _COMPARISONS:
        if not all(side.kind == "pointer" or side.is_int for side in (left, right)):
            raise TypeMismatch(f"Type mismatch for '{node.op}': comparing {left} with {right}", node.span)
        return t.BOOL
    if left.kind == "pointer" and right.is_int and node.op in ("+", "-"):
        return left
    if right.kind == "pointer" and left.is_int and node.op == "+":
        return right
    if node.op in ("&", "|", "%", "/", ">>", "<<") and left.kind == "pointer" and right.is_int:
        return t.UINT64  # as an address
    raise TypeMismatch(f"The {node.op} operator can not be used on expressions of types '{left}', '{right}'", node.span)


def _memory_binary(node: ast.Binary, left: Ty, right: Ty) -> Ty:
    """Strings, arrays and tuples compare for equality only."""
    if node.op == "+" and isinstance(node.left, ast.StringLiteral) and right.is_int:
        known, drop = node.left.value, known_int(node.right)
        if drop is not None and 0 <= drop <= len(known):
            node.meaning = Known(known[drop:])
            return t.string(len(known) - drop + 1)
    if node.op not in ("==", "!="):
        raise TypeMismatch(f"The {node.op} operator can not be used on expressions of types '{left}', '{right}'", node.span)
    if left.kind == right.kind == "string" or _text_and_bytes(left, right):
        values = [side.meaning.value if isinstance(side.meaning, Known) else None for side in (node.left, node.right)]
        if isinstance(values[0], bytes) and isinstance(values[1], bytes):
            node.meaning = Known((values[0] == values[1]) == (node.op == "=="))
        return t.BOOL
    if left.kind == right.kind == "array" and left.element is not None and right.element is not None:
        if left.size != right.size or not left.element.is_int:
            raise TypeMismatch("Only arrays of same size support comparison operators.", node.span)
        return t.BOOL
    if left.kind == right.kind and left.kind in ("tuple", "record", "macaddr", "inet") and unify(left, right) is not None:
        return t.BOOL
    raise TypeMismatch(f"Type mismatch for '{node.op}': comparing {left} with {right}", node.span)


def _text_and_bytes(left: Ty, right: Ty) -> bool:
    sides = {left.kind: left, right.kind: right}
    array = sides.get("array")
    return "string" in sides and array is not None and array.element is not None and array.element.size == 1


def _fold(node: ast.Binary, left: Ty, right: Ty) -> Ty | None:
    a, b = known_int(node.left), known_int(node.right)
    if a is None or b is None:
        return None
    value = fold_binary(node.op, a, b)
    if value is None:
        raise CompileError("unable to fold literals due to overflow or underflow", node.span)
    node.meaning = Known(value)
    return t.literal_type(value)


def fold_binary(op: str, a: int, b: int) -> int | None:
    """Return `a op b` for constants, true signed arithmetic; None on overflow, or division by zero."""
    if op in _COMPARISONS:
        table = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
        return table[op]
    if op in ("/", "%"):
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        value = quotient if op == "/" else a - quotient * b
    elif op in ("<<", ">>"):
        if not 0 <= b < 64:
            return None
        value = (a << b) & _U64 if op == "<<" else (a & _U64) >> b if a < 0 else a >> b
        if op == "<<" and a >= 0 and a << b > _U64:
            return None
    else:
        value = {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}[op]
    return value if -(1 << 63) <= value <= _U64 else None


def _logical(resolver: Resolver, node: ast.Logical) -> Ty:
    # long chains lean left; walk down first so that depth does not matter
    chain = [node]
    while isinstance(chain[-1].left, ast.Logical):
        chain.append(chain[-1].left)
    resolver.condition(chain[-1].left)
    for inner in reversed(chain):
        resolver.condition(inner.right)
        inner.type, inner.meaning = t.BOOL, None
        a, b = known_int(inner.left), known_int(inner.right)
        if a is not None and b is not None:
            inner.meaning = Known(bool(a and b) if inner.op == "&&" else bool(a or b))
    return t.BOOL


def _ternary(resolver: Resolver, node: ast.Ternary) -> Ty:
    resolver.condition(node.condition)
    then = resolver.expr(node.then, statement=True) if node.then is not None else node.condition.type
    otherwise = resolver.expr(node.otherwise, statement=True)
    return _branches(node, then, otherwise, [node.then or node.condition, node.otherwise])


def _branches(node: ast.Expr, then: Ty, otherwise: Ty, nodes: list[ast.Expr]) -> Ty:
    if then.kind == "none" and otherwise.kind == "none":
        return t.NONE
    joined = unify(then, otherwise, known_int(nodes[1])) if then.kind != "none" and otherwise.kind != "none" else None
    if joined is None:
        message = f"Branches must return the same type or compatible types: have '{then}' and '{otherwise}'"
        raise TypeMismatch(message, node.span)
    return joined


def _if_expression(resolver: Resolver, node: ast.IfExpr) -> Ty:
    resolver.condition(node.condition)
    then = resolver.expr(node.then)
    if node.otherwise is None:
        return t.NONE
    return _branches(node, then, resolver.expr(node.otherwise), [node.then, node.otherwise])


def _block(resolver: Resolver, node: ast.Block) -> Ty:
    return resolver.block(node)


def _increment(resolver: Resolver, node: ast.IncDec) -> Ty:
    target = node.target
    if isinstance(target, ast.Variable):
        type = resolver.expr(target)
        if not (type.is_int or type.kind == "pointer"):
            raise TypeMismatch(f"The {node.op} operator can not be used on expressions of type '{type}'", node.span)
        return type if type.kind == "pointer" else t.int_of(8, signed=type.signed or node.op == "--")
    info = resolver.map_use(target)
    info.read = info.written = True
    if info.value is None or (info.value.kind == "int" and info.value.size < 8):
        info.value = t.INT64
        resolver.changed = True
    if not (info.value.is_int or info.value.kind == "pointer"):
        raise TypeMismatch(f"The {node.op} operator can not be used on expressions of type '{info.value}'", node.span)
    target.type = info.value
    return info.value


# -- access


def _field(resolver: Resolver, node: ast.Field) -> Ty:
    type = resolver.expr(node.operand)
    space = type.space if type.kind == "pointer" else resolver.instance.space
    if type.kind == "pointer":
        type = t.pointee(type)
    if type.kind == "record":
        field = next((f for f in type.fields if f.name == node.name), None)
        if field is None:
            raise UnknownName(f"Record does not contain a field named '{node.name}'", node.span)
        return field.type
    if type.kind == "none" and isinstance(node.operand.type.target, c.ForwardType):
        type = t.struct_of(find_struct(resolver.script, node.operand.type.target, node.operand.span))
    if type.kind != "struct" or type.ctype is None:
        raise TypeMismatch(f"Can not access field '{node.name}' on expression of type '{node.operand.type}'", node.span)
    return _struct_field(resolver, node, type.ctype, space)


def _struct_field(resolver: Resolver, node: ast.Field, struct: c.StructType, space: str) -> Ty:
    path = struct.find(node.name)
    if not path:
        from probee.probes.candidate import closest

        near = closest(node.name, [member.name for member in struct.members if member.name], 1)
        message = f"Struct/union of type '{struct.kind} {struct.name}' does not contain a field named '{node.name}'"
        raise UnknownName(message, node.span, did_you_mean=near[0] if near else "")
    node.meaning = path
    member = path[-1]
    inner = c.strip(member.type)
    if isinstance(inner, c.ForwardType):
        return t.struct_of(find_struct(resolver.script, inner, node.span))
    return t.from_ctype(member.type, "kernel" if space == "context" else space)


def _tuple_index(resolver: Resolver, node: ast.TupleIndex) -> Ty:
    type = resolver.expr(node.operand)
    if type.kind not in ("tuple", "record"):
        raise TypeMismatch(f"Can not access index '{node.index}' on expression of type '{type}'", node.span)
    if node.index >= len(type.fields):
        message = f"Invalid tuple index: {node.index}. Found {len(type.fields)} elements in tuple."
        raise CompileError(message, node.span)
    return type.fields[node.index].type


def _index(resolver: Resolver, node: ast.Index) -> Ty:
    type = resolver.expr(node.operand)
    index = resolver.expr(node.index)
    if not index.is_int:
        raise TypeMismatch(f"The array index operator [] only accepts integer indices. Got: {index}", node.span)
    known = known_int(node.index)
    if type.kind == "array" and type.element is not None:
        if known is not None and type.count and not 0 <= known < type.count:
            raise CompileError(f"the index {known} is out of bounds for array of size {type.count}", node.span)
        return type.element
    if type.kind == "string":
        return t.INT8
    if type.kind in ("tuple", "record"):
        if known is None or not 0 <= known < len(type.fields):
            raise CompileError("a tuple is indexed by a constant within its size", node.span)
        return type.fields[known].type
    if type.kind == "pointer":
        target = t.pointee(type)
        if target.size == 0:
            message = f"The array index operator [] cannot be used on a pointer to an unsized type ({target})."
            raise TypeMismatch(message, node.span)
        return target
    raise TypeMismatch(f"The array index operator [] can only be used on arrays and pointers, found {type}.", node.span)


def _dereference(resolver: Resolver, node: ast.Deref) -> Ty:
    type = resolver.expr(node.operand)
    if type.is_int:  # an address: what lies there is a 64-bit number
        return t.UINT64
    if type.kind != "pointer":
        raise TypeMismatch(f"Can not dereference type '{type}'. It is not a pointer.", node.span)
    target = t.pointee(type)
    if target.kind == "none" and isinstance(type.target, c.ForwardType):
        return t.struct_of(find_struct(resolver.script, type.target, node.span))
    if target.size == 0:
        raise TypeMismatch(f"Can not dereference type '{type}': what it points to has no size.", node.span)
    return target


def _cast(resolver: Resolver, node: ast.Cast) -> Ty:
    source = resolver.expr(node.operand)
    if source.kind in t.READABLE:
        source = t.int_of(8, signed=source.signed)
    target = resolver.type_of_name(node.target)
    known = known_int(node.operand)
    if target.is_int:
        if source.kind == "array" and source.element is not None and source.size in (1, 2, 4, 8):
            return target
        if not (source.is_int or source.kind == "pointer" or source.kind in t.WORDS):
            raise TypeMismatch(f'Cannot cast from "{source}" to "{target}"', node.span)
        if known is not None:
            return _cast_known(node, known, target)
        return target
    if target.kind == "pointer":
        if not (source.is_int or source.kind == "pointer" or source.kind == "array"):
            raise TypeMismatch(f'Cannot cast from "{source}" to "{target}"', node.span)
        space = source.space if source.kind == "pointer" and source.space in ("kernel", "user") else resolver.instance.space
        return t.pointer_to(target.target if target.target is not None else c.VOID, space)
    if target.kind == "array":
        return _cast_array(node, source, target)
    if target.kind == "string" and source.kind == "string":
        return target
    if target.kind == "username" and source.is_int:
        return target
    if target.kind in ("tuple", "record") and unify(target, source) is not None:
        return target
    raise TypeMismatch(f'Cannot cast from "{source}" to "{target}"', node.span)


def _cast_known(node: ast.Cast, value: int, target: Ty) -> Ty:
    if target.kind == "enum" and target.table is not None and value not in target.table:
        raise CompileError(f"Enum: {target.name} doesn't contain a variant value of {value}", node.span)
    if target.kind == "bool":
        node.meaning = Known(value != 0)
        return target
    bits = target.size * 8
    value &= (1 << bits) - 1
    node.meaning = Known(value - (1 << bits) if target.signed and value >> (bits - 1) else value)
    return target


def _cast_array(node: ast.Cast, source: Ty, target: Ty) -> Ty:
    element = target.element
    assert element is not None
    if not (source.is_int and element.is_int):
        raise TypeMismatch(f'Cannot cast from "{source}" to "{target}"', node.span)
    count = target.count or source.size // element.size
    if count * element.size != source.size and not (known_int(node.operand) is not None and count * element.size <= 8):
        message = "Cannot determine array size: the element size is incompatible with the cast integer size"
        raise TypeMismatch(message, node.span)
    return t.array_of(element, count)


# -- composed


def _tuple(resolver: Resolver, node: ast.Tuple) -> Ty:
    return t.tuple_of([_member(resolver, item) for item in node.items])


def _record(resolver: Resolver, node: ast.Record) -> Ty:
    return t.tuple_of([_member(resolver, value) for value in node.values], node.names)


def _member(resolver: Resolver, item: ast.Expr) -> Ty:
    type = resolver.expr(item)
    if type.kind in ("hist", "lhist", "tseries", "stats"):
        raise TypeMismatch(f"Map type {type} cannot exist inside a tuple.", item.span)
    if type.kind == "none":
        raise TypeMismatch("a value that is void cannot exist inside a tuple.", item.span)
    return t.int_of(8, signed=type.signed) if type.kind in t.READABLE else type


def _sizeof(resolver: Resolver, node: ast.SizeOf) -> Ty:
    operand = node.operand
    type = resolver.type_of_name(operand) if isinstance(operand, ast.TypeName) else resolver.expr(operand)
    node.meaning = Known(type.size)
    return t.UINT64


def _offsetof(resolver: Resolver, node: ast.OffsetOf) -> Ty:
    subject = node.subject
    type = resolver.type_of_name(subject) if isinstance(subject, ast.TypeName) else resolver.expr(subject)
    if type.kind == "pointer":
        type = t.pointee(type)
    offset = 0
    for name in node.path:
        if type.kind == "record":
            field = next((f for f in type.fields if f.name == name), None)
            if field is None:
                raise UnknownName(f"Record does not contain a field named '{name}'", node.span)
            offset, type = offset + field.offset, field.type
            continue
        if type.kind != "struct" or type.ctype is None:
            raise TypeMismatch(f"Can not access field '{name}' on expression of type '{type}'", node.span)
        path = type.ctype.find(name)
        if not path:
            message = f"Struct/union of type '{type}' does not contain a field named '{name}'"
            raise UnknownName(message, node.span)
        offset += sum(member.bit_offset for member in path) // 8
        type = t.from_ctype(path[-1].type, "kernel")
    node.meaning = Known(offset)
    return t.UINT64


def _address_of(resolver: Resolver, node: ast.AddressOf) -> Ty:
    if isinstance(node.operand, ast.MapRef):
        raise CompileError("the address of a map is not supported yet", node.span)
    type = resolver.expr(node.operand)
    assert isinstance(node.operand.meaning, VariableInfo)
    return t.pointer_to(type, "stack")


def _expansion(resolver: Resolver, node: ast.Expansion) -> Ty:
    return resolver.expr(node.body)


def _argument(resolver: Resolver, node: ast.Argument) -> Ty:
    type = resolver.expr(node.value)
    if isinstance(node.value.meaning, Known):
        node.meaning = node.value.meaning
    return type


EXPRESSIONS: dict[type, Callable[[Resolver, Any], Ty]] = {
    ast.IntLiteral: _int_literal,
    ast.BoolLiteral: _bool_literal,
    ast.StringLiteral: _string_literal,
    ast.Identifier: _identifier,
    ast.Variable: _variable,
    ast.MapRef: _map,
    ast.MapAccess: _map,
    ast.Positional: _positional,
    ast.PositionalCount: _positional_count,
    ast.Unary: _unary,
    ast.Deref: _dereference,
    ast.AddressOf: _address_of,
    ast.IncDec: _increment,
    ast.Binary: _binary,
    ast.Logical: _logical,
    ast.Ternary: _ternary,
    ast.Cast: _cast,
    ast.Field: _field,
    ast.TupleIndex: _tuple_index,
    ast.Index: _index,
    ast.Call: _call,
    ast.SizeOf: _sizeof,
    ast.OffsetOf: _offsetof,
    ast.Tuple: _tuple,
    ast.Record: _record,
    ast.Block: _block,
    ast.IfExpr: _if_expression,
    ast.Expansion: _expansion,
    ast.Argument: _argument,
}
