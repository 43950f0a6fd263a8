"""One decoder per kind of BTF: a record's words to a model/ctype.py object.  reader.py's `Btf` calls them.

A decoder looks only at its own record, and as far beyond it as it needs to refuse a type that has no end.  Members, enum
values and referred types are left to thunks.
"""

from __future__ import annotations

from probee.errors import BtfError
from probee.formats.btf import kind
from probee.model.ctype import (
    ArrayType,
    CType,
    EnumType,
    FloatType,
    ForwardType,
    FunctionType,
    IntType,
    Member,
    Parameter,
    PointerType,
    StructType,
    TypedefType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from probee.formats.btf.reader import Btf

MAX_CHAIN = 64  # declarations nest about ten deep in real kernels; more steps without reaching a struct are a loop
_MAX_NESTED = 4096  # anonymous structs inside one member; the kernel's largest has some dozens


def _int(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    flags = words[at + 3] >> 24
    name = btf.text(words[at])
    encoding = "bool" if flags & kind.INT_BOOL else "char" if flags & kind.INT_CHAR or name == "char" else ""
    return IntType(name, words[at + 2], signed=bool(flags & kind.INT_SIGNED), encoding=encoding)


def _pointer(btf: Btf, at: int, info: int) -> CType:
    id, tag, const = btf.words[at + 2], "", False
    _check_chain(btf, id)
    while not tag:
        number, where, target = btf.step(id)
        if number not in kind.TRANSPARENT:
            break
        if number == kind.TYPE_TAG:
            tag = _type_tag(btf, id, where)
        const = const or number == kind.CONST
        id = target
    return PointerType(btf.reference(id), tag=tag, const=const)


def _type_tag(btf: Btf, id: int, at: int) -> str:
    """Return the tag's name, "" when its kind_flag says that it is some other attribute (Linux 6.15)."""
    owner = btf.owner(id)
    return "" if owner.words[at + 1] >> 31 else owner.text(owner.words[at])


def _array(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    element, count = words[at + 3], words[at + 5]
    _check_chain(btf, element)
    return ArrayType(btf.reference(element), count, size=btf.size_of(element) * count)


def _struct(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    name = "struct" if kind.kind_of(info) == kind.STRUCT else "union"
    return StructType(name, btf.text(words[at]), words[at + 2], lambda: _members(btf, at, info))


def _members(btf: Btf, at: int, info: int) -> tuple[Member, ...]:
    words = btf.words
    packed = info >> 31  # kind_flag: the offset word holds a bit field's size in its upper 8 bits
    members = []
    for where in range(at + 3, at + 3 + 3 * kind.vlen_of(info), 3):
        name, id, offset = words[where], words[where + 1], words[where + 2]
        bit_size = 0
        if packed:
            bit_size, offset = offset >> 24, offset & 0xFFFFFF
        else:
            bit_size, shift = _old_bit_field(btf, id)
            offset += shift
        if not name:
            _check_nesting(btf, id)
        members.append(Member(btf.text(name), btf.reference(id), offset, bit_size))
    return tuple(members)


def _old_bit_field(btf: Btf, id: int) -> tuple[int, int]:
    """Return (bits, bit offset) when the member's integer says that it is a bit field, (0, 0) otherwise.

    So pahole did before kind_flag (Linux commit 9d5f9f701b18 "bpf: btf: fix struct/union/fwd types with kind_flag", v5.0).
    """
    number, at, _ = btf.step(id)
    if number != kind.INT:
        return 0, 0
    words = btf.owner(id).words
    bits, offset = words[at + 3] & 0xFF, words[at + 3] >> 16 & 0xFF
    return (0, 0) if bits == words[at + 2] * 8 and not offset else (bits, offset)


def _check_nesting(btf: Btf, id: int) -> None:
    """Refuse an anonymous struct that contains itself: looking for a member in it would never end."""
    pending = [id]
    for _step in range(_MAX_NESTED):
        if not pending:
            return
        id = pending.pop()
        number, at, _ = btf.step(id)
        if number in (kind.STRUCT, kind.UNION):
            words = btf.owner(id).words
            rows = range(at + 3, at + 3 + 3 * kind.vlen_of(words[at + 1]), 3)
            pending += [words[where + 1] for where in rows if not words[where]]
    raise BtfError(f"BTF struct {id} contains itself")


def _enum(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    wide = kind.kind_of(info) == kind.ENUM64
    read = _values64 if wide else _values
    signed = bool(info >> 31) or (not wide and _looks_negative(btf, at, info))
    count = kind.vlen_of(info)
    return EnumType(btf.text(words[at]), words[at + 2], lambda: read(btf, at, count, signed), signed=signed)


def _looks_negative(btf: Btf, at: int, info: int) -> bool:
    """Say whether an enum without kind_flag is signed: only when no enum at all has the flag.

    kind_flag of enums is as young as ENUM64 (Linux 6.0, commit 6089fb325cf7 "bpf: Add btf enum64 support"); older
    BTF has -1 as 0xffffffff without saying so, newer BTF means 4294967295.
    """
    words = btf.words
    values = range(at + 4, at + 3 + 2 * kind.vlen_of(info), 2)
    return any(words[where] >> 31 for where in values) and btf.has_old_enums()


def _values(btf: Btf, at: int, count: int, signed: bool) -> tuple[tuple[str, int], ...]:
    words = btf.words
    pairs = ((words[where], words[where + 1]) for where in range(at + 3, at + 3 + 2 * count, 2))
    return tuple((btf.text(name), value - (value >> 31 << 32) if signed else value) for name, value in pairs)


def _values64(btf: Btf, at: int, count: int, signed: bool) -> tuple[tuple[str, int], ...]:
    words = btf.words
    values = []
    for where in range(at + 3, at + 3 + 3 * count, 3):
        value = words[where + 1] | words[where + 2] << 32
        values.append((btf.text(words[where]), value - (value >> 63 << 64) if signed else value))
    return tuple(values)


def _forward(btf: Btf, at: int, info: int) -> CType:
    return ForwardType("union" if info >> 31 else "struct", btf.text(btf.words[at]))


def _typedef(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    _check_chain(btf, words[at + 2])
    return TypedefType(btf.text(words[at]), btf.reference(words[at + 2]))


def _qualified(btf: Btf, at: int, info: int) -> CType:
    target = btf.words[at + 2]
    _check_chain(btf, target)
    return btf.type(target)


def _function(btf: Btf, at: int, info: int) -> CType:
    target = btf.words[at + 2]
    if btf.step(target)[0] != kind.FUNC_PROTO:
        raise BtfError(f"BTF function at offset {btf.place(at)} has type {target}, which is no signature")
    return btf.type(target)


def _prototype(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    _check_chain(btf, words[at + 2])
    found = [(words[where], words[where + 1]) for where in range(at + 3, at + 3 + 2 * kind.vlen_of(info), 2)]
    variadic = bool(found) and found[-1] == (0, 0)
    if variadic:
        found.pop()
    parameters = tuple(Parameter(btf.text(name), btf.reference(id)) for name, id in found)
    return FunctionType(btf.reference(words[at + 2]), parameters, variadic=variadic)


def _float(btf: Btf, at: int, info: int) -> CType:
    words = btf.words
    return FloatType(btf.text(words[at]), words[at + 2])


def _check_chain(btf: Btf, id: int) -> None:
    """Refuse a pointer, array or typedef that leads back to itself without a struct in between."""
    for _ in range(MAX_CHAIN):
        _, _, id = btf.step(id)
        if not id:
            return
    raise BtfError(f"BTF type {id} is defined by itself")


DECODERS: dict[int, Callable[[Btf, int, int], CType]] = {
    kind.INT: _int, kind.PTR: _pointer, kind.ARRAY: _array, kind.STRUCT: _struct,
    kind.UNION: _struct, kind.ENUM: _enum, kind.ENUM64: _enum, kind.FWD: _forward,
    kind.TYPEDEF: _typedef, kind.VOLATILE: _qualified, kind.CONST: _qualified,
    kind.RESTRICT: _qualified, kind.TYPE_TAG: _qualified, kind.FUNC: _function,
    kind.FUNC_PROTO: _prototype, kind.FLOAT: _float, kind.VAR: _qualified,
}  # fmt: skip
