"""Building BTF for our own programs: `BtfBuilder`, and the func_info and line_info that go with BPF_PROG_LOAD.

Only kinds that Linux 5.10 knows have a method, and only names that it accepts get in: identifiers of at most 127
characters (its btf_name_valid_identifier; `identifier` makes one of any text).  Equal integers, pointers, arrays,
typedefs and strings are stored once.  `record` writes any kind, checked by nobody: tests of the reader use it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from probee.errors import BtfError
from probee.formats.btf import kind

MAX_NAME = 127  # KSYM_NAME_LEN (linux/kallsyms.h) was 128 with its zero byte until Linux 6.1
MAX_COLUMN = 1023
MAX_LINE = (1 << 22) - 1

MemberRow = tuple[str, int, int, int]  # name, type id, bit offset, bits of a bit field or 0


def identifier(text: str) -> str:
    """Return a name that every kernel accepts and that looks like the text."""
    name = "".join([c if c.isascii() and c.isalnum() else "_" for c in text]) or "_"
    return ("_" + name if name[0].isdigit() else name)[:MAX_NAME]


class BtfBuilder:
    """Types are added one by one; each method returns the new type's id.  0 is void.

    `base` makes it split BTF, as modules have: ids and string offsets continue after the base's, whose ids may be used,
    and whose strings are not repeated.
    """

    def __init__(self, base: BtfBuilder | None = None) -> None:
        self._records: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self._base_strings: dict[str, int] = dict(base._strings) if base is not None else {}
        self._strings: dict[str, int] = {} if base is not None else {"": 0}
        self._string_size: int = base._string_size if base is not None else 1
        self._first_id: int = base._first_id + len(base._records) if base is not None else 1

    @classmethod
    def after(cls, first_id: int, string_size: int) -> BtfBuilder:
        """Return a builder whose ids and string offsets continue those of a blob (see extend.py)."""
        builder = cls()
        builder._strings, builder._string_size, builder._first_id = {}, string_size, first_id
        return builder

    # -- strings

    def string(self, text: str) -> int:
        """Return the offset of a string: a name, or a file name or source line for line_info.  No zero bytes."""
        if not text:
            return 0
        offset = self._base_strings.get(text, self._strings.get(text))
        if offset is None:
            encoded = text.encode("utf-8", "surrogateescape")  # of a script that is not UTF-8, the bytes it had
            if 0 in encoded:
                raise BtfError(f"a BTF string cannot hold a zero byte: {text!r}")
            offset = self._strings[text] = self._string_size
            self._string_size += len(encoded) + 1
        return offset

    def _name(self, name: str) -> str:
        if name and name != identifier(name):
            raise BtfError(f"{name!r} is not a name that every kernel accepts in BTF: use an identifier of at most {MAX_NAME}")
        return name

    # -- types

    def integer(self, name: str, size: int, *, signed: bool = False, bits: int = 0, boolean: bool = False) -> int:
        """Add an integer; `bits` is the value's width when it is not size * 8.

        The kernel takes one encoding at most, so that no integer is both signed and a "char" (btf_int_check_meta).
        """
        flags = kind.INT_BOOL if boolean else kind.INT_SIGNED if signed else 0
        return self.record(kind.INT, name, size, tail=(flags << 24 | (bits or size * 8),), share=True)

    def pointer(self, target: int) -> int:
        return self.record(kind.PTR, "", target, share=True)

    def array(self, element: int, count: int) -> int:
        """Add an array; its index type, which nobody reads, is unsigned int."""
        return self.record(kind.ARRAY, "", 0, tail=(element, self.integer("unsigned int", 4), count), share=True)

    def typedef(self, name: str, target: int) -> int:
        return self.record(kind.TYPEDEF, self._name(name), target, share=True)

    def const(self, target: int) -> int:
        return self.record(kind.CONST, "", target, share=True)

    def struct(self, name: str, size: int, members: Sequence[MemberRow], *, union: bool = False) -> int:
        """Add a struct or union of `size` bytes."""
        id = self.declare(name)
        self.define(id, name, size, members, union=union)
        return id

    def declare(self, name: str) -> int:
        """Add a struct whose members are not known yet, so that they can refer to it; `define` completes it."""
        return self.record(kind.FWD, self._name(name), 0)

    def define(self, id: int, name: str, size: int, members: Sequence[MemberRow], *, union: bool = False) -> None:
        """Give a declared struct its members."""
        packed = any(bits for _, _, _, bits in members)
        tail = [
            word
            for member, type, offset, bits in members
            for word in (self.string(self._name(member)), type, bits << 24 | offset)
        ]
        number = kind.UNION if union else kind.STRUCT
        self._records[id - self._first_id] = self._pack(number, self._name(name), size, len(members), packed, tail)

    def enum(self, name: str, values: Sequence[tuple[str, int]], *, size: int = 4) -> int:
        """Add an enum of 32-bit values; the flag that says "signed" is younger than Linux 5.10 and ignored there."""
        tail = [word for member, value in values for word in (self.string(self._name(member)), value & 0xFFFFFFFF)]
        return self.record(kind.ENUM, self._name(name), size, vlen=len(values), tail=tail)

    def func_proto(self, result: int, parameters: Sequence[tuple[str, int]]) -> int:
        """Add a signature; ("", 0) as the last parameter makes it variadic."""
        tail = [word for name, type in parameters for word in (self.string(self._name(name)), type)]
        return self.record(kind.FUNC_PROTO, "", result, vlen=len(parameters), tail=tail)

    def func(self, name: str, proto: int, linkage: int = kind.LINKAGE_GLOBAL) -> int:
        """Add a function; subprograms and callbacks are kind.LINKAGE_STATIC."""
        return self.record(kind.FUNC, self._name(name), proto, vlen=linkage)

    def record(
        self, number: int, name: str, size_or_type: int, *, vlen: int = 0, flag: bool = False,
        tail: Sequence[int] = (), share: bool = False,
    ) -> int:  # fmt: skip
        """Add a type of any kind from its words; an equal one is shared when asked."""
        record = self._pack(number, name, size_or_type, vlen, flag, tail)
        if share and record in self._known:
            return self._known[record]
        id = self._first_id + len(self._records)
        self._records.append(record)
        if share:
            self._known[record] = id
        return id

    def _pack(self, number: int, name: str, size_or_type: int, vlen: int, flag: bool, tail: Sequence[int]) -> bytes:
        if vlen > 0xFFFF:
            raise BtfError(f"{name or 'a BTF type'} has {vlen} elements; the oldest supported kernels allow 65535")
        info = flag << 31 | number << 24 | vlen
        return struct.pack(f"={3 + len(tail)}I", self.string(name), info, size_or_type, *tail)

    # -- bytes

    def blob(self) -> bytes:
        """Return the whole BTF, for bpf(BPF_BTF_LOAD)."""
        types = b"".join(self._records)
        strings = b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in self._strings)
        head = (kind.MAGIC, kind.VERSION, 0, kind.HEADER_SIZE, 0, len(types), len(types), len(strings))
        return struct.pack("=HBBIIIII", *head) + types + strings


def func_info(functions: Iterable[tuple[int, int]]) -> bytes:
    """Return struct bpf_func_info records of (instruction index, BTF id of the function), in the order of instructions."""
    return b"".join(struct.pack("=II", *row) for row in sorted(functions))


def line_info(lines: Iterable[tuple[int, int, int, int, int]]) -> bytes:
    """Return struct bpf_line_info records of (instruction index, file name, line's text, line, column).

    The two middle ones are string offsets.  The kernel wants one record per instruction, in order: of several, the
    first stays.  Lines and columns that have no room are clamped.
    """
    first: dict[int, bytes] = {}
    for at, file, text, line, column in lines:
        place = min(line, MAX_LINE) << 10 | min(column, MAX_COLUMN)
        first.setdefault(at, struct.pack("=IIII", at, file, text, place))
    return b"".join(first[at] for at in sorted(first))
