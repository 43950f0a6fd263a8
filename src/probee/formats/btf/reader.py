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
from probee.formats.btf.decode import DECODERS, MAX_CHAIN
from probee.formats.btf.index import TypeIndex
from probee.model.ctype import VOID, CType, EnumType, FunctionType, PointerType, TypedefType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from probee.model.ctype import Reference


class Btf:
    """One blob of BTF.  `index` comes from a cache when the caller has one, and is built at the first use otherwise."""

    __slots__ = ("_blob", "_index", "_old_enums", "_types", "base", "first_id", "first_string", "words")

    def __init__(self, data: Buffer, base: Btf | None = None, *, index: TypeIndex | None = None) -> None:
        self._blob = Blob(data, split=base is not None)
        self.words = self._blob.types  # the type section; a record is known by the index of its first word
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
            at, info = self.record(self.first_id + number)
            if kind.kind_of(info) in kinds and self._name_bytes(self.words[at]) == wanted:
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
            _, info = self.record(self.first_id + number)
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
            at, info = self.record(id)
            words = self.words
            for where in range(at + 3, at + 3 + 3 * kind.vlen_of(info), 3):
                names.add(self.name(words[where]))
        return frozenset(names)

    def is_percpu(self, name: str) -> bool:
        """Say whether a variable is per-CPU."""
        return name in self.section_variables(".data..percpu")

    def tagged(self, tag: str) -> Iterator[str]:
        """Yield the name of everything that has a declaration tag; "bpf_kfunc" gives the kernel's kfuncs (Linux 6.10)."""
        for id in self.find("decl_tag", tag, own=True):
            at, _ = self.record(id)
            yield self.name(self.words[at + 2])

    def string_place(self, text: str) -> int | None:
        """Return the offset of a whole string, as records name it; None when the blob's own strings have none such."""
        found = bytes(self._blob.strings).find(b"\0" + text.encode() + b"\0")
        return None if found < 0 else self.first_string + found + 1

    def _names_of(self, wanted: int) -> Iterator[str]:
        words = self.words
        mask, pattern = 0x7F000000, wanted << 24
        try:
            names = [words[at] for at in self.index.offsets if words[at + 1] & mask == pattern]
        except IndexError:
            raise BtfError("the BTF index does not belong to this BTF") from None
        return (self.text(offset) for offset in names)

    # -- ids to types

    def kind(self, id: int) -> int:
        """Return the kind of a type, one of kind.py's numbers."""
        return self.step(id)[0]

    def name(self, id: int) -> str:
        """Return the name of a type, "" when it has none."""
        if id < self.first_id and self.base is not None:
            return self.base.name(id)
        return self.text(self.words[self.record(id)[0]]) if id else ""

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
        at, info = self.record(id)
        decode = DECODERS.get(kind.kind_of(info))
        if decode is None:
            raise BtfError(f"BTF type {id} at offset {self.place(at)} has kind {kind.kind_of(info)}, which is no C type")
        ctype = self._types[id] = decode(self, at, info)
        return ctype

    def record(self, id: int) -> tuple[int, int]:
        """Return (word offset, info) of an own type that lies wholly inside the type section."""
        number = id - self.first_id
        if number < 0:
            raise BtfError(f"BTF type id {id} is below this blob's first, {self.first_id}")
        try:
            at = self.index.offsets[number]
            info = self.words[at + 1]
            fixed, each = self._blob.tails[kind.kind_of(info)]
        except (IndexError, KeyError):
            raise BtfError(f"BTF has no type {id}: its ids end at {self.end_id - 1}") from None
        if at + fixed + each * kind.vlen_of(info) > len(self.words):
            raise BtfError(f"BTF type {id} at offset {self.place(at)} runs past the type section")
        return at, info

    def place(self, at: int) -> int:
        return self._blob.types_at + 4 * at

    def _name_bytes(self, offset: int) -> bytes:
        if offset < self.first_string:
            assert self.base is not None
            return self.base._name_bytes(offset)
        return self._blob.string(offset - self.first_string)

    def text(self, offset: int) -> str:
        return self._name_bytes(offset).decode("utf-8", "replace") if offset else ""

    def reference(self, id: int) -> Reference:
        return self._types.get(id) or ((lambda: self.type(id)) if id else VOID)

    def step(self, id: int) -> tuple[int, int, int]:
        """Return (kind, word offset, referred type or 0) of any id, base's included; `void` is (0, 0, 0)."""
        if not id:
            return 0, 0, 0
        if id < self.first_id and self.base is not None:
            return self.base.step(id)
        at, info = self.record(id)
        number = kind.kind_of(info)
        if number == kind.ARRAY:
            return number, at, self.words[at + 3]
        return number, at, 0 if number in kind.SIZED or number == kind.FWD else self.words[at + 2]

    def size_of(self, id: int) -> int:
        """Return the size in bytes, through typedefs; 0 for what has none."""
        factor = 1
        for _ in range(MAX_CHAIN):
            number, at, target = self.step(id)
            if number in kind.SIZED:
                size: int = self.owner(id).words[at + 2]
                return factor * size
            if number == kind.PTR:
                return factor * 8
            if number == kind.ARRAY:
                factor *= self.owner(id).words[at + 5]
            elif number not in kind.TRANSPARENT and number != kind.TYPEDEF:
                return 0
            id = target
        raise BtfError(f"BTF type {id} is defined by itself")

    def owner(self, id: int) -> Btf:
        owner = self
        while id < owner.first_id and owner.base is not None:
            owner = owner.base
        return owner

    def has_old_enums(self) -> bool:
        """Say whether no enum of this blob tells its sign, because it is older than the flag that does."""
        if self._old_enums is None:
            words, flagged = self.words, 1 << 31 | kind.ENUM << 24
            base_is_old = self.base is None or self.base.has_old_enums()
            infos = (words[self.record(id)[0] + 1] for id in range(self.first_id, self.end_id))
            self._old_enums = base_is_old and not any(
                info & 0xFF000000 == flagged or kind.kind_of(info) == kind.ENUM64 for info in infos
            )
        return self._old_enums
