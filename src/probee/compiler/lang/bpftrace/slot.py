"""Arguments of typed programs: fentry, fexit and iterators, whose context the verifier knows word by word.

The context of fentry and fexit is an array of 8-byte words, as the kernel's trampoline lays it out (get_ctx_arg_idx in
kernel/bpf/btf.c): each argument in the next word, a struct by value in as many as it needs, the result after the last one.
What may be loaded directly is btf_ctx_access's decision: numbers, and pointers to structs, to void and to char.  Other
pointers are taken for numbers: they are read from the context as from any kernel memory.
"""

from __future__ import annotations

from probee.compiler.ir.type import I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.place import Place
from probee.model import ctype as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.lang.bpftrace.lower import Lowerer

_WORD = 8


class SlotMember(c.Member):
    """An argument at the start of a word.  One that is not `direct` is read from the context as from any kernel memory."""

    __slots__ = ("direct",)

    def __init__(self, name: str, type: c.CType, bit_offset: int, *, direct: bool | None = None) -> None:
        super().__init__(name, type, bit_offset)
        self.direct = _is_direct(type) if direct is None else direct


class ObjectMember(SlotMember):
    """What an iterator walks over: null when the walk is at its end, which ends the program."""

    __slots__ = ()


def function_struct(name: str, prototype: c.FunctionType) -> c.StructType:
    """Return a function's arguments as a struct."""
    members: list[c.Member] = []
    offset = 0
    for index, parameter in enumerate(prototype.parameters):
        members.append(SlotMember(parameter.name or f"arg{index}", parameter.type, offset * 8))
        offset += _words(parameter.type)
    return c.StructType("struct", f"_function_{name}", offset, tuple(members))


def result_member(prototype: c.FunctionType) -> SlotMember | None:
    """Return where fexit finds a function's result; None if it has none."""
    offset = sum(_words(parameter.type) for parameter in prototype.parameters)
    return None if isinstance(c.strip(prototype.result), c.VoidType) else SlotMember("retval", prototype.result, offset * 8)


def _words(ctype: c.CType) -> int:
    """Return how many bytes of words a type takes."""
    return -(-max(c.size_of(ctype), 1) // _WORD) * _WORD


def iterator_struct(struct: c.StructType) -> c.StructType:
    """Return an iterator's context with what it walks over marked as such: its last pointer, null at the end of the walk.

    Its pointers lie in anonymous unions, which give them 64 bits on any machine (__bpf_md_ptr).
    """
    members = [_context_member(member) for member in struct.members]
    pointers = [member for member in members if isinstance(c.strip(member.type), c.PointerType)]
    if pointers:
        last = pointers[-1]
        members[members.index(last)] = ObjectMember(last.name, last.type, last.bit_offset, direct=True)
    return c.StructType("struct", struct.name, struct.size, tuple(members))


def _context_member(member: c.Member) -> SlotMember:
    inner = c.strip(member.type)
    if not member.name and isinstance(inner, c.StructType) and inner.members:
        name, type = inner.members[0].name, inner.members[0].type
    else:
        name, type = member.name, member.type
    return SlotMember(name, type, member.bit_offset, direct=not isinstance(c.strip(type), c.PointerType))


def value(low: Lowerer, where: Place, member: SlotMember) -> Value:
    """Return the scalar at a place in the context: an i64 extended by its sign, or a pointer."""
    b, type = low.b, where.type
    if isinstance(member, ObjectMember) and low.walked is not None:
        raw = low.walked
    elif member.direct:
        raw = b.load_context(where.base, I64, where.offset)
    else:
        raw = b.load(_address(low, where), I64)
    if type.kind == "pointer":
        return b.pointer(raw, type.space if type.space in ("kernel", "user") else "kernel")
    return b.resize(b.trunc(raw, int_type(type.size)), I64, signed=type.signed)


def leave_at_end(low: Lowerer) -> None:
    """End an iterator's program when it is called for nothing: once more, after the last of what it walks over."""
    struct = low.script.target.type_named("struct", f"bpf_iter__{low.instance.point.function}")
    members = iterator_struct(struct).members if isinstance(struct, c.StructType) else ()
    b = low.b
    for member in members:
        if isinstance(member, ObjectMember) and low.context is not None:
            low.walked = b.load_context(low.context, I64, member.offset)
            leave, run = b.new_block(), b.new_block()
            b.branch(b.compare("eq", low.walked, 0), leave, run)
            b.at(leave)
            low.leave()
            b.at(run)


def memory(low: Lowerer, where: Place) -> Place:
    """Return the place of a struct by value, to be read as any kernel memory."""
    return Place(_address(low, where), 0, where.type)


def _address(low: Lowerer, where: Place) -> Value:
    b = low.b
    return b.pointer(b.add(b.address(where.base), where.offset), "kernel")


def _is_direct(ctype: c.CType) -> bool:
    inner = c.strip(ctype)
    if not isinstance(inner, c.PointerType):
        return True
    target = c.strip(inner.target)
    return isinstance(target, (c.StructType, c.VoidType)) or (isinstance(target, c.IntType) and target.name == "char")


def type_of(member: c.Member) -> t.Ty:
    """Return the language's type for an argument."""
    return t.from_ctype(member.type, "kernel")
