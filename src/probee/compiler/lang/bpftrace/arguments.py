"""`args`: the arguments of a probe as one struct, from a tracepoint's format or a raw tracepoint's prototype.

Its members lie in the program's context.  A `__data_loc` field is a LocatedMember: a u32 that says where in the record the
data is; reading it gives the data's address.
"""

from __future__ import annotations

from probee.compiler.ir.type import I32, I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.place import Place
from probee.errors import CompileError
from probee.model import ctype as c
from probee.model.target import Target, TracepointField, TracepointFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from probee.compiler.lang.bpftrace.lower import Lowerer

TEXT_SIZE = 64  # bytes of the text that is shown of a field whose data lies elsewhere
N_COMMON = 8  # bytes of common fields, which programs may not read


class LocatedMember(c.Member):
    """A field whose data is elsewhere in the record: the low 16 bits of its u32 are the offset.

    `relative`: from the end of the field (`__rel_loc`), else from the start of the record.
    """

    __slots__ = ("relative",)

    def __init__(self, name: str, offset: int, *, relative: bool) -> None:
        super().__init__(name, c.PointerType(c.IntType("char", 1, signed=True)), offset * 8)
        self.relative = relative


def tracepoint_struct(target: Target, format: TracepointFormat) -> c.StructType:
    """Return a tracepoint's record as a struct, common fields left out."""
    user = format.category == "syscalls"
    members = tuple(_member(target, field, user=user) for field in format.fields if not field.name.startswith("common_"))
    size = max((field.offset + field.size for field in format.fields), default=0)
    return c.StructType("struct", f"_tracepoint_{format.category}_{format.name}", size, members)


def _member(target: Target, field: TracepointField, *, user: bool) -> c.Member:
    if field.data_loc:
        return LocatedMember(field.name, field.offset, relative=field.relative)
    return c.Member(field.name, _type(target, field, user=user), field.offset * 8)


def _type(target: Target, field: TracepointField, *, user: bool) -> c.CType:
    """Return the C type that a format file spells; sizes and signs in the file win over the names."""
    name = field.type_name.replace("const ", "").replace("volatile ", "").strip()
    bracket = name.find("[")
    base = name[:bracket].strip() if bracket >= 0 else name
    if base.endswith("*"):
        return _pointer(target, base, tag="user" if user and field.size == 8 else "")
    if bracket >= 0 or "[" in field.declaration:
        element = _named(target, base, 0, signed=field.signed)
        return c.ArrayType(element, field.size // (c.size_of(element) or 1), size=field.size)
    return _named(target, base, field.size, signed=field.signed)


def _pointer(target: Target, text: str, *, tag: str) -> c.CType:
    inner = text[:-1].strip()
    if inner.endswith("*"):
        return c.PointerType(_pointer(target, inner, tag=tag), tag=tag)
    return c.PointerType(_named(target, inner, 0, signed=True), tag=tag)


def _named(target: Target, name: str, size: int, *, signed: bool) -> c.CType:
    """Return a type by its C name; `size` 0 when the file gives none."""
    kind, _, rest = name.partition(" ")
    if name == "void":
        return c.VOID
    if name in t.C_INTS and (not size or t.C_INTS[name][0] == size):
        return c.IntType(name, t.C_INTS[name][0], signed=t.C_INTS[name][1])
    if name == "bool":
        return c.IntType("bool", 1, signed=False, encoding="bool")
    if kind in ("struct", "union", "enum") and target.has_btf:
        found = target.type_named(kind, rest.strip())
        if found is not None:
            return found
    if target.has_btf and kind not in ("struct", "union"):
        found = target.type_named("typedef", name)
        if found is not None and (not size or c.size_of(found) == size):
            return found
    if kind in ("struct", "union"):
        return c.ForwardType(kind, rest.strip()) if not size else c.StructType(kind, rest.strip(), size, ())
    if size in (1, 2, 4, 8):
        return c.IntType(name, size, signed=signed)
    return c.ArrayType(c.IntType("unsigned char", 1, signed=False), size, size=size)


def prototype_struct(name: str, prototype: c.FunctionType) -> c.StructType:
    """Return a raw tracepoint's arguments as a struct of 8-byte slots, the hidden `__data` left out."""
    members = tuple(
        c.Member(parameter.name or f"arg{index}", parameter.type, index * 64)
        for index, parameter in enumerate(prototype.parameters[1:])
    )
    return c.StructType("struct", f"_raw_tracepoint_{name}", len(members) * 8, members)


def located(low: Lowerer, where: Place, member: LocatedMember) -> Value:
    """Return the address of a `__data_loc` field's data, which lies behind the record in kernel memory."""
    b = low.b
    if where.space != "context":
        raise CompileError("the data of this field can only be read from the probe's own arguments", b.span)
    offset = b.and_(b.zext(b.load_context(where.base, I32, where.offset), I64), 0xFFFF)
    base = b.add(b.address(where.base), offset)
    return b.pointer(b.add(base, where.offset + 4) if member.relative else base, "kernel")


# -- all arguments at once


def has_located(type: t.Ty) -> bool:
    """True for a record of arguments whose data lies partly behind it."""
    return type.kind == "struct" and type.ctype is not None and any(isinstance(m, LocatedMember) for m in type.ctype.members)


def shown(low: Lowerer, node: ast.Expr) -> tuple[t.Ty, Callable[[Place], None]]:
    """Return what print(args) shows, and what writes it: a record in which text that lies elsewhere is a string."""
    struct = node.type.ctype
    types = [_shown_type(member) for member in struct.members]
    record = t.tuple_of(types, [member.name for member in struct.members])

    def write(where: Place) -> None:
        base = low.place(node)
        for member, field in zip(struct.members, record.fields, strict=True):
            source = base.at(member.bit_offset // 8, field.type)
            target = where.at(field.offset, field.type)
            if isinstance(member, LocatedMember):
                place.read_string(low.b, target, TEXT_SIZE, located(low, source, member), "kernel")
            else:
                place.copy(low.b, target, source, padded=False)

    return record, write


def _shown_type(member: c.Member) -> t.Ty:
    return t.string(TEXT_SIZE) if isinstance(member, LocatedMember) else t.from_ctype(member.type, "kernel")
