"""BTF that feature probes hand to the kernel, written by hand: a header, a few type records, a string section.

Mirrors struct btf_header and struct btf_type of include/uapi/linux/btf.h.
"""

from __future__ import annotations

from struct import pack, pack_into

from probee.kernel.features.instruction import RETURN_ZERO
from probee.kernel.syscalls.bpf import E2BIG, Command, bpf
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.program import LoadAttribute, program_load
from probee.model.spec import ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STRINGS = b"\0int\0f\0"
_INT, _F = 1, 5  # offsets of the names in _STRINGS

_KIND_INT, _KIND_ENUM64, _KIND_FUNC, _KIND_FUNC_PROTO, _KIND_FLOAT = 1, 19, 12, 13, 16


def _type(name: int, kind: int, size_or_type: int, rest: bytes = b"", count: int = 0) -> bytes:
    return pack("=III", name, kind << 24 | count, size_or_type) + rest


_INT_TYPE = _type(_INT, _KIND_INT, 4, pack("=I", 1 << 24 | 32))  # type id 1: signed 32 bit
_FUNC_TYPES = _INT_TYPE + _type(0, _KIND_FUNC_PROTO, 1) + _type(_F, _KIND_FUNC, 2)  # ids 2 and 3: int f(void), static


def _blob(types: bytes) -> bytearray:
    header = pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(_STRINGS))
    return bytearray(header + types + _STRINGS)


def _load(types: bytes) -> int:
    blob = _blob(types)
    attribute = bytearray(28)
    pack_into("=QQI", attribute, 0, address_of(blob), 0, len(blob))
    return bpf(Command.BTF_LOAD, attribute)


def _accepts(types: bytes) -> bool:
    result = _load(types)
    if result >= 0:
        Descriptor(result, "feature probe").close()
    return result >= 0


def _line_info() -> bool:
    """A program with a function record and a line record."""
    result = _load(_FUNC_TYPES)
    if result < 0:
        return False
    with Descriptor(result, "feature probe") as btf:
        options = LoadAttribute(
            btf_fd=btf.fd, func_info=pack("=II", 0, 3), line_info=pack("=IIII", 0, _INT, _INT, 1 << 10 | 1)
        )
        loaded = program_load(ProgramType.KPROBE, RETURN_ZERO, options)
    if loaded >= 0:
        Descriptor(loaded, "feature probe").close()
    return loaded >= 0


def _module() -> bool:
    """Since modules have BTF, every BTF has a name to be asked for; before, the longer question is refused."""
    result = _load(_INT_TYPE)
    if result < 0:
        return False
    with Descriptor(result, "feature probe") as btf:
        name, info, attribute = bytearray(16), bytearray(32), bytearray(16)
        pack_into("=QI", info, 16, address_of(name), len(name))
        pack_into("=IIQ", attribute, 0, btf.fd, len(info), address_of(info))
        return bpf(Command.OBJ_GET_INFO_BY_FD, attribute) not in (-E2BIG, -22)


SAMPLES: dict[str, Callable[[], bool]] = {
    "func": lambda: _accepts(_FUNC_TYPES),
    "float": lambda: _accepts(_type(_F, _KIND_FLOAT, 4)),
    "enum64": lambda: _accepts(_type(_F, _KIND_ENUM64, 8, pack("=III", _INT, 1, 0), 1)),
    "line_info": _line_info,
    "module": _module,
}
