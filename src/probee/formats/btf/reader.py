"""Types of a kernel, read from its BTF one at a time: `Btf`.

Nothing is decoded before it is asked for.  A name leads to its types through the index (index.py), a type becomes a
model/ctype.py object at its first use and stays the same object after that; its members refer to other types by thunks,
so that cycles cost nothing.  Qualifiers are dropped; a pointee's type tag moves to the pointer.

A module's BTF is *split*: its type ids and string offsets continue those of its base, vmlinux.  Whatever the bytes are,
the only error is BtfError.
"""

from __future__ import annotations

from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.blob import Blob, Buffer
from probee.formats.btf.index import TypeIndex
from probee.model.ctype import (
    VOID,
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
    from collections.abc import Callable, Iterator

    from probee.model.ctype import Reference

# Declarations nest about ten deep in real kernels; more than this many steps without reaching a struct is a loop.
_MAX_CHAIN = 64
_MAX_NESTED = 4096  # anonymous structs inside one member; the kernel's largest has some dozens
_QUALIFIERS = frozenset((kind.VOLATILE, kind.CONST, kind.RESTRICT))
_TRANSPARENT = _QUALIFIERS | {kind.TYPE_TAG}
_SIZED = frozenset((kind.INT, kind.STRUCT, kind.UNION, kind.ENUM, kind.FLOAT, kind.ENUM64))


class Btf:
    """One blob of BTF.  `index` comes from a cache when the caller has one, and is built at the first use otherwise."""

    __slots__ = ("_blob", "_index", "_old_enums", "_types", "base", "first_id", "first_string")

    def __init__(self, data: Buffer, base: Btf | None = None, *, index: TypeIndex | None = None) -> None:
        self._blob = Blob(data, split=base is not None)
        self._index = index
        self._types: dict[int, CType] = {}
        self._old_enums: bool | None = None
        self.base = base
        self.first_id: int = base.end_id if base is not None else 1
        self.first_string: int = base.first_string + len(base._blob.strings) if base is not None else 0

    @property
    def index(self) -> TypeIndex:
        if self._index is None:
            base = self.base
            self._index = TypeIndex.build(self._blob, base._blob if base is not None else None)
        return self._index

    @property
    def end_id(self) -> int:
        """One more than the last type id."""
        return self.first_id + len(self.index.offsets)

    # -- names to ids

    def find(self, kind_name: str, name: str, *, own: bool = False) -> list[int]:
        """Return the ids of all types of a kind ("struct", "func", see kind.BY_NAME) with exactly this name.

        A module's own types come first, then its base's unless `own`.
        """
        kinds = kind.BY_NAME[kind_name]
        wanted = name.encode()
        if not wanted:
            return []
        found = []
        for number in self.index.candidates(wanted):
            at, info = self._record(self.first_id + number)
            if kind.kind_of(info) in kinds and self._name_bytes(self._blob.types[at]) == wanted:
                found.append(self.first_id + number)
        if self.base is not None and not own:
            found += self.base.find(kind_name, name)
        return found

    def id_of(self, kind_name: str, name: str) -> int | None:
        """Return the id of the first type that `find` finds: what bpf(2) takes as attach_btf_id for a "func"."""
        found = self.find(kind_name, name)
        return found[0] if found else None

    def named(self, kind_name: str, name: str) -> CType | None:
        """Return the first type that `find` finds."""
        found = self.find(kind_name, name)
        return self.type(found[0]) if found else None

    def function(self, name: str, *, own: bool = False) -> FunctionType | None:
        """Return a kernel function's signature."""
        found = self.find("func", name, own=own)
        ctype = self.type(found[0]) if found else None
        return ctype if isinstance(ctype, FunctionType) else None

    def raw_tracepoint(self, name: str) -> FunctionType | None:
        """Return the signature behind `typedef void (*btf_trace_NAME)(void *__data, ...)`.

        A typedef of a function pointer has no parameter names; they come from the tracepoint's iterator function
        (Linux 5.10, commit d25e37d89dd2 "tracepoint: Optimize using static_call()").
        """
        found = self.named("typedef", f"btf_trace_{name}")
        pointer = found.target if isinstance(found, TypedefType) else None
        function = pointer.target if isinstance(pointer, PointerType) else None
        if not isinstance(function, FunctionType):
            return None
        iterator = self.function(f"__traceiter_{name}")
        if iterator is None or len(iterator.parameters) != len(function.parameters):
            return function
        return FunctionType(VOID, iterator.parameters)

    def enumerator(self, name: str) -> tuple[int, EnumType] | None:
        """Return (value, enum) of the first enum that has a member of this name; a module's base is asked too."""
        wanted = name.encode()
        for number in self.index.candidates(wanted) if wanted else ():
            _, info = self._record(self.first_id + number)
            if kind.kind_of(info) in (kind.ENUM, kind.ENUM64):
                enum = self.type(self.first_id + number)
                assert isinstance(enum, EnumType)
                for member, value in enum.values:
                    if member == name:
                        return value, enum
        return self.base.enumerator(name) if self.base is not None else None

    def variable(self, name: str) -> CType | None:
        """Return the type of a variable that BTF lists, per-CPU ones and, since pahole 1.30, other global ones."""
        return self.named("var", name)

    # -- lists

    def names(self, kind_name: str) -> Iterator[str]:
        """Yield the names of all own types of a kind, as `find` takes it; anonymous ones are left out."""
        for number in kind.BY_NAME[kind_name]:
            yield from filter(None, self._names_of(number))

    def functions(self) -> Iterator[str]:
        """Yield the name of every function of this blob, without its base's; 40 ms for the 56,000 of a kernel."""
        return self._names_of(kind.FUNC)

    def variables(self) -> Iterator[str]:
        """Yield the name of every variable of this blob."""
        return self._names_of(kind.VAR)

    def raw_tracepoints(self) -> Iterator[str]:
        """Yield the name of every raw tracepoint that this blob has a `btf_trace_` typedef for."""
        prefix = "btf_trace_"
        return (name[len(prefix) :] for name in self._names_of(kind.TYPEDEF) if name.startswith(prefix))

    def section_variables(self, section: str) -> frozenset[str]:
        """Return the names of the variables in a data section; ".data..percpu" holds the per-CPU ones."""
        names = set()
        for id in self.find("datasec", section, own=True):
            at, info = self._record(id)
            words = self._blob.types
            for where in range(at + 3, at + 3 + 3 * kind.vlen_of(info), 3):
                names.add(self.name(words[where]))
        return frozenset(names)

    def is_percpu(self, name: str) -> bool:
        """Say whether a variable is per-CPU."""
        return name in self.section_variables(".data..percpu")

    def tagged(self, tag: str) -> Iterator[str]:
        """Yield the name of everything that has a declaration tag; "bpf_kfunc" gives the kernel's kfuncs (Linux 6.10)."""
        for id in self.find("decl_tag", tag, own=True):
            at, _ = self._record(id)
            yield self.name(self._blob.types[at + 2])

    def _names_of(self, wanted: int) -> Iterator[str]:
        words = self._blob.types
        mask, pattern = 0x7F000000, wanted << 24
        try:
            names = [words[at] for at in self.index.offsets if words[at + 1] & mask == pattern]
        except IndexError:
            raise BtfError("the BTF index does not belong to this BTF") from None
        return (self._text(offset) for offset in names)

    # -- ids to types

    def kind(self, id: int) -> int:
        """Return the kind of a type, one of kind.py's numbers."""
        return self._kind_and_target(id)[0]

    def name(self, id: int) -> str:
        """Return the name of a type, "" when it has none."""
        if id < self.first_id and self.base is not None:
            return self.base.name(id)
        return self._text(self._blob.types[self._record(id)[0]]) if id else ""

    def type(self, id: int) -> CType:
        """Return a type.  A function gives its signature, a variable its type; the same id gives the same object."""
        known = self._types.get(id)
        if known is not None:
            return known
        if id < self.first_id:
            if not id:
                return VOID
            if self.base is not None:
                return self.base.type(id)
        at, info = self._record(id)
        decode = _DECODERS.get(kind.kind_of(info))
        if decode is None:
            raise BtfError(f"BTF type {id} at offset {self._place(at)} has kind {kind.kind_of(info)}, which is no C type")
        ctype = self._types[id] = decode(self, at, info)
        return ctype

    def _record(self, id: int) -> tuple[int, int]:
        """Return (word offset, info) of an own type that lies wholly inside the type section."""
        number = id - self.first_id
        if number < 0:
            raise BtfError(f"BTF type id {id} is below this blob's first, {self.first_id}")
        try:
            at = self.index.offsets[number]
            info = self._blob.types[at + 1]
            fixed, each = self._blob.tails[kind.kind_of(info)]
        except (IndexError, KeyError):
            raise BtfError(f"BTF has no type {id}: its ids end at {self.end_id - 1}") from None
        if at + fixed + each * kind.vlen_of(info) > len(self._blob.types):
            raise BtfError(f"BTF type {id} at offset {self._place(at)} runs past the type section")
        return at, info

    def _place(self, at: int) -> int:
        return self._blob.types_at + 4 * at

    def _name_bytes(self, offset: int) -> bytes:
        if offset < self.first_string:
            assert self.base is not None
            return self.base._name_bytes(offset)
        return self._blob.string(offset - self.first_string)

    def _text(self, offset: int) -> str:
        return self._name_bytes(offset).decode("utf-8", "replace") if offset else ""

    def _reference(self, id: int) -> Reference:
        return self._types.get(id) or ((lambda: self.type(id)) if id else VOID)

    def _kind_and_target(self, id: int) -> tuple[int, int, int]:
        """Return (kind, word offset, referred type or 0) of any id, base's included; `void` is (0, 0, 0)."""
        if not id:
            return 0, 0, 0
        if id < self.first_id and self.base is not None:
            return self.base._kind_and_target(id)
        at, info = self._record(id)
        number = kind.kind_of(info)
        if number == kind.ARRAY:
            return number, at, self._blob.types[at + 3]
        return number, at, 0 if number in _SIZED or number == kind.FWD else self._blob.types[at + 2]

    def _check_chain(self, id: int) -> None:
        """Refuse a pointer, array or typedef that leads back to itself without a struct in between."""
        for _ in range(_MAX_CHAIN):
            _, _, id = self._kind_and_target(id)
            if not id:
                return
        raise BtfError(f"BTF type {id} is defined by itself")

    def size_of(self, id: int) -> int:
        """Return the size in bytes, through typedefs; 0 for what has none."""
        factor = 1
        for _ in range(_MAX_CHAIN):
            number, at, target = self._kind_and_target(id)
            if number in _SIZED:
                size: int = self._owner(id)._blob.types[at + 2]
                return factor * size
            if number == kind.PTR:
                return factor * 8
            if number == kind.ARRAY:
                factor *= self._owner(id)._blob.types[at + 5]
            elif number not in _TRANSPARENT and number != kind.TYPEDEF:
                return 0
            id = target
        raise BtfError(f"BTF type {id} is defined by itself")

    def _owner(self, id: int) -> Btf:
        owner = self
        while id < owner.first_id and owner.base is not None:
            owner = owner.base
        return owner

    # -- one decoder per kind

    def _int(self, at: int, info: int) -> CType:
        words = self._blob.types
        flags = words[at + 3] >> 24
        name = self._text(words[at])
        encoding = "bool" if flags & kind.INT_BOOL else "char" if flags & kind.INT_CHAR or name == "char" else ""
        return IntType(name, words[at + 2], signed=bool(flags & kind.INT_SIGNED), encoding=encoding)

    def _pointer(self, at: int, info: int) -> CType:
        id, tag = self._blob.types[at + 2], ""
        self._check_chain(id)
        while not tag:
            number, where, target = self._kind_and_target(id)
            if number not in _TRANSPARENT:
                break
            if number == kind.TYPE_TAG:
                tag = self._type_tag(id, where)
            id = target
        return PointerType(self._reference(id), tag=tag)

    def _type_tag(self, id: int, at: int) -> str:
        """Return the tag's name, "" when its kind_flag says that it is some other attribute (Linux 6.15)."""
        owner = self._owner(id)
        return "" if owner._blob.types[at + 1] >> 31 else owner._text(owner._blob.types[at])

    def _array(self, at: int, info: int) -> CType:
        words = self._blob.types
        element, count = words[at + 3], words[at + 5]
        self._check_chain(element)
        return ArrayType(self._reference(element), count, size=self.size_of(element) * count)

    def _struct(self, at: int, info: int) -> CType:
        words = self._blob.types
        name = "struct" if kind.kind_of(info) == kind.STRUCT else "union"
        return StructType(name, self._text(words[at]), words[at + 2], lambda: self._members(at, info))

    def _members(self, at: int, info: int) -> tuple[Member, ...]:
        words = self._blob.types
        packed = info >> 31  # kind_flag: the offset word holds a bit field's size in its upper 8 bits
        members = []
        for where in range(at + 3, at + 3 + 3 * kind.vlen_of(info), 3):
            name, id, offset = words[where], words[where + 1], words[where + 2]
            bit_size = 0
            if packed:
                bit_size, offset = offset >> 24, offset & 0xFFFFFF
            else:
                bit_size, shift = self._old_bit_field(id)
                offset += shift
            if not name:
                self._check_nesting(id)
            members.append(Member(self._text(name), self._reference(id), offset, bit_size))
        return tuple(members)

    def _old_bit_field(self, id: int) -> tuple[int, int]:
        """Return (bits, bit offset) when the member's integer says that it is a bit field, (0, 0) otherwise.

        So pahole did before kind_flag, Linux 4.20 (commit 9d5f9f701b18 "bpf: btf: fix struct/union/fwd types").
        """
        number, at, _ = self._kind_and_target(id)
        if number != kind.INT:
            return 0, 0
        words = self._owner(id)._blob.types
        bits, offset = words[at + 3] & 0xFF, words[at + 3] >> 16 & 0xFF
        return (0, 0) if bits == words[at + 2] * 8 and not offset else (bits, offset)

    def _check_nesting(self, id: int) -> None:
        """Refuse an anonymous struct that contains itself: looking for a member in it would never end."""
        pending = [id]
        for _step in range(_MAX_NESTED):
            if not pending:
                return
            id = pending.pop()
            number, at, _ = self._kind_and_target(id)
            if number in (kind.STRUCT, kind.UNION):
                words = self._owner(id)._blob.types
                rows = range(at + 3, at + 3 + 3 * kind.vlen_of(words[at + 1]), 3)
                pending += [words[where + 1] for where in rows if not words[where]]
        raise BtfError(f"BTF struct {id} contains itself")

    def _enum(self, at: int, info: int) -> CType:
        words = self._blob.types
        read = self._values64 if kind.kind_of(info) == kind.ENUM64 else self._values
        signed = bool(info >> 31) or (kind.kind_of(info) == kind.ENUM and self._looks_negative(at, info))
        count = kind.vlen_of(info)
        return EnumType(self._text(words[at]), words[at + 2], lambda: read(at, count, signed), signed=signed)

    def _looks_negative(self, at: int, info: int) -> bool:
        """Say whether an enum without kind_flag is signed: only when no enum at all has the flag.

        kind_flag of enums is as young as ENUM64 (Linux 6.0, commit 6089fb325cf7 "bpf: Add btf enum64 support"); older
        BTF has -1 as 0xffffffff without saying so, newer BTF means 4294967295.
        """
        words = self._blob.types
        values = range(at + 4, at + 3 + 2 * kind.vlen_of(info), 2)
        return any(words[where] >> 31 for where in values) and self._has_old_enums()

    def _has_old_enums(self) -> bool:
        if self._old_enums is None:
            words, flagged = self._blob.types, 1 << 31 | kind.ENUM << 24
            base_is_old = self.base is None or self.base._has_old_enums()
            infos = (words[self._record(id)[0] + 1] for id in range(self.first_id, self.end_id))
            self._old_enums = base_is_old and not any(
                info & 0xFF000000 == flagged or kind.kind_of(info) == kind.ENUM64 for info in infos
            )
        return self._old_enums

    def _values(self, at: int, count: int, signed: bool) -> tuple[tuple[str, int], ...]:
        words = self._blob.types
        pairs = ((words[where], words[where + 1]) for where in range(at + 3, at + 3 + 2 * count, 2))
        return tuple((self._text(name), value - (value >> 31 << 32) if signed else value) for name, value in pairs)

    def _values64(self, at: int, count: int, signed: bool) -> tuple[tuple[str, int], ...]:
        words = self._blob.types
        values = []
        for where in range(at + 3, at + 3 + 3 * count, 3):
            value = words[where + 1] | words[where + 2] << 32
            values.append((self._text(words[where]), value - (value >> 63 << 64) if signed else value))
        return tuple(values)

    def _forward(self, at: int, info: int) -> CType:
        return ForwardType("union" if info >> 31 else "struct", self._text(self._blob.types[at]))

    def _typedef(self, at: int, info: int) -> CType:
        words = self._blob.types
        self._check_chain(words[at + 2])
        return TypedefType(self._text(words[at]), self._reference(words[at + 2]))

    def _qualified(self, at: int, info: int) -> CType:
        target = self._blob.types[at + 2]
        self._check_chain(target)
        return self.type(target)

    def _function(self, at: int, info: int) -> CType:
        target = self._blob.types[at + 2]
        if self._kind_and_target(target)[0] != kind.FUNC_PROTO:
            raise BtfError(f"BTF function at offset {self._place(at)} has type {target}, which is no signature")
        return self.type(target)

    def _prototype(self, at: int, info: int) -> CType:
        words = self._blob.types
        self._check_chain(words[at + 2])
        found = [(words[where], words[where + 1]) for where in range(at + 3, at + 3 + 2 * kind.vlen_of(info), 2)]
        variadic = bool(found) and found[-1] == (0, 0)
        if variadic:
            found.pop()
        parameters = tuple(Parameter(self._text(name), self._reference(id)) for name, id in found)
        return FunctionType(self._reference(words[at + 2]), parameters, variadic=variadic)

    def _float(self, at: int, info: int) -> CType:
        words = self._blob.types
        return FloatType(self._text(words[at]), words[at + 2])


_DECODERS: dict[int, Callable[[Btf, int, int], CType]] = {
    kind.INT: Btf._int, kind.PTR: Btf._pointer, kind.ARRAY: Btf._array, kind.STRUCT: Btf._struct,
    kind.UNION: Btf._struct, kind.ENUM: Btf._enum, kind.ENUM64: Btf._enum, kind.FWD: Btf._forward,
    kind.TYPEDEF: Btf._typedef, kind.VOLATILE: Btf._qualified, kind.CONST: Btf._qualified,
    kind.RESTRICT: Btf._qualified, kind.TYPE_TAG: Btf._qualified, kind.FUNC: Btf._function,
    kind.FUNC_PROTO: Btf._prototype, kind.FLOAT: Btf._float, kind.VAR: Btf._qualified,
}  # fmt: skip
