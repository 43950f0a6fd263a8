"""Types of what reaches into values: fields, tuple elements, indices, dereferences, addresses, sizes and offsets."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.type_name import find_struct
from probee.errors import CompileError, TypeMismatch, UnknownName
from probee.model import ctype as c


def field(resolver: Resolver, node: ast.Field) -> Ty:
    operand = resolver.expr(node.operand)
    type = operand
    if operand.kind == "pointer":
        type = _pointee(resolver, operand, node.operand.span)
    if type.kind == "record":
        found = next((f for f in type.fields if f.name == node.name), None)
        if found is None:
            raise UnknownName(f"Record does not contain a field named '{node.name}'", node.span)
        if isinstance(node.operand.meaning, Known):
            from probee.compiler.lang.bpftrace.type_info import known_field

            node.meaning = Known(known_field(node.operand, node.name))
        return found.type
    if type.kind != "struct" or type.ctype is None:
        raise TypeMismatch(f"Can not access field '{node.name}' on expression of type '{operand}'", node.span)
    return _struct_field(resolver, node, type.ctype, type.space or resolver.instance.space)


def _pointee(resolver: Resolver, pointer: Ty, span: int) -> Ty:
    """Return what a pointer points to; a struct that is only declared where it was named is looked up."""
    if isinstance(pointer.target, c.CType) and isinstance(c.strip(pointer.target), c.ForwardType):
        return t.struct_of(find_struct(resolver.script, pointer.target, span), pointer.space)
    return t.pointee(pointer)


def _struct_field(resolver: Resolver, node: ast.Field, struct: c.StructType, space: str) -> Ty:
    path = struct.find(node.name)
    if not path:
        raise _unknown_field(node, struct)
    node.meaning = path
    member = path[-1]
    inner = c.strip(member.type)
    _refuse_floats(node, inner)
    space = resolver.instance.space if space == "context" else space
    if isinstance(inner, c.ForwardType):
        return t.struct_of(find_struct(resolver.script, inner, node.span), space)
    return t.from_ctype(member.type, space)


def _refuse_floats(node: ast.Field, type: c.CType) -> None:
    while isinstance(type, c.ArrayType):
        type = c.strip(type.element)
    if isinstance(type, c.FloatType):
        message = f"Field '{node.name}' has type '{type.spelling()}': eBPF has no floating-point numbers"
        raise TypeMismatch(message, node.span)


def _unknown_field(node: ast.Field, struct: c.StructType) -> CompileError:
    from probee.probes.candidate import closest

    if node.name.startswith("common_") and struct.name.startswith("_tracepoint_"):
        return CompileError("BPF does not support accessing common tracepoint fields", node.span)
    near = closest(node.name, [member.name for member in struct.members if member.name], 1)
    if struct.name.startswith("_arguments_"):
        return _unknown_argument(node, struct, near)
    message = f"Struct/union of type '{struct.kind} {struct.name}' does not contain a field named '{node.name}'"
    return UnknownName(message, node.span, did_you_mean=near[0] if near else "")


def _unknown_argument(node: ast.Field, struct: c.StructType, near: tuple[str, ...]) -> CompileError:
    name = struct.name.removeprefix("_arguments_")
    error = UnknownName(f"The function {name} has no argument '{node.name}'", node.span, did_you_mean=near[0] if near else "")
    if not near:
        error.hint = f"Its arguments: {', '.join(m.name for m in struct.members) or 'none'}."
    return error


def tuple_index(resolver: Resolver, node: ast.TupleIndex) -> Ty:
    type = resolver.expr(node.operand)
    if type.kind not in ("tuple", "record"):
        raise TypeMismatch(f"Can not access index '{node.index}' on expression of type '{type}'", node.span)
    if node.index >= len(type.fields):
        message = f"Invalid tuple index: {node.index}. Found {len(type.fields)} elements in tuple."
        raise CompileError(message, node.span)
    return type.fields[node.index].type


def index(resolver: Resolver, node: ast.Index) -> Ty:
    type, by = resolver.expr(node.operand), resolver.expr(node.index)
    if not by.is_int:
        message = f"The array index operator [] only accepts non-negative integer indices. Got: {by}"
        raise TypeMismatch(message, node.span)
    known = known_int(node.index)
    if known is not None and known < 0 and type.kind != "pointer":
        message = f"The array index operator [] only accepts non-negative integer indices. Got: {known}"
        raise TypeMismatch(message, node.span)
    if type.kind == "array" and type.element is not None:
        if known is not None and type.count and known >= type.count:
            raise CompileError(f"the index {known} is out of bounds for array of size {type.count}", node.span)
        return type.element
    if type.kind == "string":
        return t.INT8
    if type.kind in ("tuple", "record"):
        if known is None or known >= len(type.fields):
            raise CompileError(f"Invalid tuple index: {known}. Found {len(type.fields)} elements in tuple.", node.span)
        return type.fields[known].type
    if type.kind != "pointer":
        message = f"The array index operator [] can only be used on arrays, pointers, and tuples, found {type}."
        raise TypeMismatch(message, node.span)
    target = _pointee(resolver, type, node.span)
    if target.size == 0:
        message = "The array index operator [] cannot be used on a pointer to an unsized type (void *)."
        raise TypeMismatch(message, node.span)
    return target


def dereference(resolver: Resolver, node: ast.Deref) -> Ty:
    type = resolver.expr(node.operand)
    if type.kind == "struct" and type.space == "context":  # `*args`: what args was once
        return type
    if type.kind in ("int", "enum"):  # an address: what lies there is a 64-bit number
        return t.UINT64
    if type.kind != "pointer":
        raise TypeMismatch(f"Can not dereference type '{type}'. It is not a pointer.", node.span)
    target = _pointee(resolver, type, node.span)
    if target.size == 0:
        raise TypeMismatch(f"Can not dereference type '{type}': what it points to has no size.", node.span)
    return target


def sizeof(resolver: Resolver, node: ast.SizeOf) -> Ty:
    operand = node.operand
    type = subject(resolver, operand)
    node.meaning = Known(type.size)
    return t.UINT64


def subject(resolver: Resolver, operand: ast.Expr | ast.TypeName) -> Ty:
    """Return the type that is named, or the type of the expression: a bare name may be either."""
    if isinstance(operand, ast.TypeName):
        return resolver.type_of_name(operand)
    if isinstance(operand, ast.TypeArgument):
        return resolver.type_of_name(operand.target)
    named = resolver.type_named(operand) if isinstance(operand, ast.Identifier) else None
    return named if named is not None else resolver.expr(operand)


def offsetof(resolver: Resolver, node: ast.OffsetOf) -> Ty:
    type = subject(resolver, node.subject)
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


def address_of(resolver: Resolver, node: ast.AddressOf) -> Ty:
    if isinstance(node.operand, ast.MapRef):
        if node.operand.name not in resolver.script.maps:
            raise Unresolved(UnknownName(f"Undefined map: @{node.operand.name}", node.operand.span))
        return t.pointer_to(c.VOID, "kernel")
    type = resolver.expr(node.operand)
    assert isinstance(node.operand.meaning, VariableInfo)
    return t.pointer_to(type, "stack")
