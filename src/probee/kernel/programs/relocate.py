"""Relocations: the numbers that instructions get when they are loaded.

Writes into slots of struct bpf_insn (u8 code, u8 dst:4 src:4, s16 off, s32 imm; include/uapi/linux/bpf.h).  `src` of a 64-bit
immediate load or call says what the number means: BPF_PSEUDO_*.
"""

from __future__ import annotations

from struct import pack_into

from probee.errors import FormatError
from probee.model.spec import Relocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    BtfLookup = Callable[[str, str], tuple[int, int]]

LD_IMM64 = 0x18
CALL = 0x85

PSEUDO_MAP_FD = 1
PSEUDO_MAP_VALUE = 2
PSEUDO_BTF_ID = 3
PSEUDO_FUNC = 4
PSEUDO_CALL = 1
PSEUDO_KFUNC_CALL = 2


class Patcher:
    """Patches one program.  `fd_of` gives a map's descriptor by name; `find_btf(kind, name)` gives (type id, descriptor of the
    module's BTF or 0 for vmlinux) for kinds "kfunc" and "ksym".  After `patch`, `fd_array` goes to the load when not empty.
    """

    def __init__(
        self, fd_of: Callable[[str], int], constants: Mapping[str, int], find_btf: BtfLookup | None = None
    ) -> None:
        self.fd_of = fd_of
        self.constants = constants
        self.find_btf = find_btf
        self.fd_array: list[int] = []

    def patch(self, instructions: bytes, relocations: tuple[Relocation, ...]) -> bytes:
        """Return the instructions with every relocation applied."""
        code = bytearray(instructions)
        for relocation in relocations:
            at = relocation.slot * 8
            wide = 0 <= at < len(code) and code[at] == LD_IMM64
            if not 0 <= at <= len(code) - (16 if wide else 8):
                raise FormatError(f"relocation of {relocation.name} is at slot {relocation.slot}, outside of the program")
            self._apply(code, at, relocation, wide=wide)
        return bytes(code)

    def _apply(self, code: bytearray, at: int, relocation: Relocation, *, wide: bool) -> None:
        kind, name = relocation.kind, relocation.name
        if kind in ("function", "btf_kfunc") and not (wide and kind == "function") and code[at] != CALL:
            raise FormatError(f"relocation of {name} ({kind}) is not on a call")
        if kind == "function":
            _set_function(code, at, relocation.addend - relocation.slot - 1, wide=wide)
        elif kind == "btf_kfunc":
            self._set_kfunc(code, at, name)
        elif not wide:
            raise FormatError(f"relocation of {name} ({kind}) is not on a 64-bit immediate load")
        elif kind == "map":
            _set_wide(code, at, PSEUDO_MAP_FD, self.fd_of(name), 0)
        elif kind == "map_value":
            _set_wide(code, at, PSEUDO_MAP_VALUE, self.fd_of(name), relocation.addend)
        elif kind == "constant":
            if name not in self.constants:
                raise FormatError(f"the program uses the constant {name}, which has no value")
            value = self.constants[name] + relocation.addend
            _set_wide(code, at, 0, value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF)
        elif kind == "btf_ksym":
            _set_wide(code, at, PSEUDO_BTF_ID, *self._btf("ksym", name))
        else:
            raise FormatError(f"relocation of {name}: no such kind: {kind}")

    def _btf(self, kind: str, name: str) -> tuple[int, int]:
        if self.find_btf is None:
            raise FormatError(f"{kind} {name} needs the kernel's BTF, which nobody gave")
        return self.find_btf(kind, name)

    def _set_kfunc(self, code: bytearray, at: int, name: str) -> None:
        """A kernel function: `imm` its id, `off` the place of its module's BTF in fd_array (0: vmlinux)."""
        type_id, module_fd = self._btf("kfunc", name)
        place = 0
        if module_fd:
            self.fd_array = self.fd_array or [0]
            if module_fd not in self.fd_array:
                self.fd_array.append(module_fd)
            place = self.fd_array.index(module_fd)
        code[at + 1] = code[at + 1] & 15 | PSEUDO_KFUNC_CALL << 4
        pack_into("=hi", code, at + 2, place, type_id)


def _set_wide(code: bytearray, at: int, source: int, low: int, high: int) -> None:
    code[at + 1] = code[at + 1] & 15 | source << 4
    pack_into("=I", code, at + 4, low)
    pack_into("=I", code, at + 12, high)


def _set_function(code: bytearray, at: int, distance: int, *, wide: bool) -> None:
    """A subprogram: a call, or its address as a callback; both count slots from the next one."""
    code[at + 1] = code[at + 1] & 15 | (PSEUDO_FUNC if wide else PSEUDO_CALL) << 4
    pack_into("=i", code, at + 4, distance)
    if wide:
        pack_into("=I", code, at + 12, 0)
