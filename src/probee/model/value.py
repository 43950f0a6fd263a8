"""Value types: how the bytes of a record field, a map key or a map value become something that can be shown.

The compiler writes them into the ObjectSpec, the runtime decodes by them, the outputs print by them.  One class with a
`kind` keeps them trivially serialisable; the decoded Python value of each kind is in the table below.

    kind       attributes used                       decoded as
    int        size, signed                          int
    bool       size                                  bool
    enum       size, signed, table {value: name}     int (shown by name; with a mode, as text, which `mode` is for all others)
    pointer    size                                  int (shown in hex)
    string     size (bytes incl. NUL)                bytes up to the NUL; see CHARACTERS
    buffer     size (4-byte length, then data)       bytes
    array      size, element, count                  list
    tuple      size, fields                          tuple
    record     size, fields                          dict name → value (structs of C as well)
    ksym       size 8                                str, resolved
    usym       size 16 (u64 address, u32 pid, u32 0) str, resolved
    kstack     size 8 (i64 stack id), mode, count    tuple of Frame, resolved; or None when the capture failed
    ustack     size 16 (i64 id, u32 pid, u32 0)      same
    inet       size 24 (u64 family, 16 bytes)        str
    username   size 8                                str
    macaddr    size 8                                str
    timestamp  size 16 (u64 ns, u32 clock, u32 fmt)  str, formatted
    cgroup     size 16 (u64 id, u64 pattern)         str, a path
    none       size 0                                None
    count sum avg min max stats hist lhist tseries   an aggregation: see MapSpec.aggregation
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHARACTERS = "characters"  # mode of a string that may fill its memory, as an array of C's: it has not been cut then
MODES = ("bpftrace", "perf", "raw", "build_id")  # of stacks


class Field:
    """A named or positional part of a tuple or record; `offset` is in bytes, bit fields give `bit_offset` and `bit_size`."""

    __slots__ = ("bit_offset", "bit_size", "name", "offset", "type")

    def __init__(self, name: str, offset: int, type: ValueType, *, bit_offset: int = 0, bit_size: int = 0) -> None:
        self.name = name
        self.offset = offset
        self.type = type
        self.bit_offset = bit_offset
        self.bit_size = bit_size


class ValueType:
    """See the table above."""

    __slots__ = ("count", "element", "fields", "kind", "mode", "name", "signed", "size", "table")

    def __init__(
        self,
        kind: str,
        size: int,
        *,
        signed: bool = False,
        element: ValueType | None = None,
        count: int = 0,
        fields: tuple[Field, ...] = (),
        table: dict[int, str] | None = None,
        name: str = "",
        mode: str = "",
    ) -> None:
        self.kind = kind
        self.size = size
        self.signed = signed
        self.element = element
        self.count = count
        self.fields = fields
        self.table = table
        self.name = name
        self.mode = mode

    def to_json(self) -> list[Any]:
        """Return a compact JSON form that `from_json` reads back."""
        out: list[Any] = [self.kind, self.size]
        rest: dict[str, Any] = {}
        if self.signed:
            rest["s"] = 1
        if self.element is not None:
            rest["e"] = self.element.to_json()
        if self.count:
            rest["c"] = self.count
        if self.fields:
            rest["f"] = [[f.name, f.offset, f.type.to_json(), f.bit_offset, f.bit_size] for f in self.fields]
        if self.table is not None:
            rest["t"] = [[value, name] for value, name in self.table.items()]
        if self.name:
            rest["n"] = self.name
        if self.mode:
            rest["m"] = self.mode
        if rest:
            out.append(rest)
        return out

    @classmethod
    def from_json(cls, data: list[Any]) -> ValueType:
        """Read what `to_json` wrote; raises ValueError, TypeError, KeyError or IndexError on anything else."""
        kind, size = data[0], data[1]
        if not isinstance(kind, str) or not isinstance(size, int):
            raise ValueError("not a value type")
        rest = data[2] if len(data) > 2 else {}
        return cls(
            kind,
            size,
            signed=bool(rest.get("s")),
            element=cls.from_json(rest["e"]) if "e" in rest else None,
            count=int(rest.get("c", 0)),
            fields=tuple(
                Field(str(name), int(offset), cls.from_json(type), bit_offset=int(bit), bit_size=int(bits))
                for name, offset, type, bit, bits in rest.get("f", ())
            ),
            table={int(value): str(name) for value, name in rest["t"]} if "t" in rest else None,
            name=str(rest.get("n", "")),
            mode=str(rest.get("m", "")),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValueType) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.kind, self.size))

    def __repr__(self) -> str:
        return f"ValueType({self.to_json()})"


class Frame:
    """One resolved frame of a stack; `symbol` is "" when the address is unknown.

    `path` and `line` say where that is in the source, if that is known.  An `inlined` one has no code of its own: it stands
    before the frame of the function that it is a part of, and shares its address.
    """

    __slots__ = ("address", "inlined", "line", "module", "offset", "path", "symbol")

    def __init__(
        self, address: int, symbol: str = "", offset: int = 0, module: str = "", *, path: str = "", line: int = 0,
        inlined: bool = False,
    ) -> None:  # fmt: skip
        self.address = address
        self.symbol = symbol
        self.offset = offset
        self.module = module
        self.path = path
        self.line = line
        self.inlined = inlined


class StackValue:
    """A resolved stack, innermost frame first; `mode` is one of MODES, `user` says whose it is."""

    __slots__ = ("frames", "mode", "user")

    def __init__(self, frames: tuple[Frame, ...], mode: str, *, user: bool) -> None:
        self.frames = frames
        self.mode = mode
        self.user = user


def integer(size: int, *, signed: bool) -> ValueType:
    """Return the type of an integer of `size` bytes."""
    return ValueType("int", size, signed=signed)


def string(size: int) -> ValueType:
    """Return the type of a string in a buffer of `size` bytes, its NUL included."""
    return ValueType("string", size)
