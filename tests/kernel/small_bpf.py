"""Just enough of bpf(2), by ctypes, to run instructions in the kernel without the room that is being built on them."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Iterator

import pytest

from probee.formats.insn import insn as i
from probee.formats.insn import opcode as o
from probee.formats.insn.disassemble import disassemble
from probee.formats.insn.encode import encode
from probee.formats.insn.ref import FuncRef, MapRef, MapValueRef

SOCKET_FILTER, XDP = 1, 6
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD, PROG_TEST_RUN, BTF_LOAD, MAP_FREEZE = 0, 1, 2, 5, 10, 18, 22
RDONLY_PROG = 1 << 7
_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 0)
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result = int(_libc.syscall(_SYSCALL, command, buffer, len(attr)))
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"bpf({command}): {os.strerror(errno)}")
    return result if command != PROG_TEST_RUN else struct.unpack_from("<I", buffer.raw, 4)[0]


def address(data: object) -> int:
    return ctypes.addressof(data)  # type: ignore[arg-type]


class Kernel:
    """Maps and programs of one test; closes every descriptor that it opened."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def create(self, map_type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0) -> int:
        self._fds.append(bpf(MAP_CREATE, struct.pack("<5I", map_type, key_size, value_size, max_entries, flags)))
        return self._fds[-1]

    def element(self, command: int, fd: int, key: bytes, value: bytes) -> bytes:
        key_buffer = ctypes.create_string_buffer(key, len(key))
        value_buffer = ctypes.create_string_buffer(value, len(value))
        bpf(command, struct.pack("<IIQQQ", fd, 0, address(key_buffer), address(value_buffer), 0))
        return value_buffer.raw

    def btf(self, n_functions: int) -> int:
        """Load the least type information that allows callbacks: `n_functions` functions `int f(void)`."""
        strings = b"\0int\0" + b"".join(b"f%d\0" % number for number in range(n_functions))
        types = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32) + struct.pack("<III", 0, 13 << 24, 1)
        at = 5
        for number in range(n_functions):
            types += struct.pack("<III", at, 12 << 24, 2)
            at += len(b"f%d\0" % number)
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
        data = ctypes.create_string_buffer(header + types + strings, 24 + len(types) + len(strings))
        self._fds.append(bpf(BTF_LOAD, struct.pack("<QQIIII", address(data), 0, len(data), 0, 0, 0)))
        return self._fds[-1]

    def run(self, program: list[i.Insn], starts: list[int], kind: int = SOCKET_FILTER, data: bytes = bytes(64)) -> int:
        """Load a program whose functions begin at `starts`, run it once and return its 32-bit result."""
        code = encode(program)
        insns = ctypes.create_string_buffer(code, len(code))
        log = ctypes.create_string_buffer(1 << 16)
        license_name = ctypes.create_string_buffer(b"GPL")
        info_bytes = b"".join(struct.pack("<II", start, 3 + number) for number, start in enumerate(starts))
        info = ctypes.create_string_buffer(info_bytes, len(info_bytes))
        btf = self.btf(len(starts)) if len(starts) > 1 else 0
        attr = struct.pack(
            "<IIQQIIQII16s", kind, len(code) // 8, address(insns), address(license_name), 1, len(log), address(log), 0, 0, b""
        )
        attr += struct.pack("<IIIIQI", 0, 0, btf, 8 if btf else 0, address(info) if btf else 0, len(starts) if btf else 0)
        try:
            fd = bpf(PROG_LOAD, attr + bytes(4))
        except OSError as error:
            text = log.value.decode(errors="replace")[-3000:]
            if missing := re.search(r"(?:invalid|unknown) func \w+#\d+", text):
                pytest.skip(f"this kernel has no such helper: {missing[0]}")
            raise AssertionError(f"{error}\n{disassemble(program)}\n{text}") from None
        self._fds.append(fd)
        packet = ctypes.create_string_buffer(data, len(data))
        return bpf(PROG_TEST_RUN, struct.pack("<IIIIQQII", fd, 0, len(data), 0, address(packet), 0, 1, 0) + bytes(32))


def kernel_or_skip() -> Iterator[Kernel]:
    """Yield a Kernel for one test; skip, with the kernel's reason, where bpf(2) is not allowed."""
    if not _SYSCALL:
        pytest.skip(f"no number of bpf(2) known for {os.uname().machine}")
    kernel = Kernel()
    try:
        kernel.create(2, 4, 8, 1)
    except OSError as error:
        pytest.skip(f"bpf(2) cannot make a map here: {error}")
    try:
        yield kernel
    finally:
        kernel.close()


def link(main: list[i.Insn], functions: dict[str, list[i.Insn]], maps: dict[str, int]) -> tuple[list[i.Insn], list[int]]:
    """Return one program with numbers in place of references, and the slots where its functions begin."""
    program, starts = list(main), [0]
    names = {}
    for name, insns in functions.items():
        names[name] = i.slot_offsets(program)[-1]
        starts.append(names[name])
        program += insns
    linked = []
    for insn, slot in zip(program, i.slot_offsets(program), strict=False):
        imm = insn.imm
        if isinstance(insn.ref, (MapRef, MapValueRef)):
            imm |= maps[insn.ref.name]
        elif isinstance(insn.ref, FuncRef):
            imm = (names[insn.ref.name] - slot - 1) & (i.U32 if insn.op == o.OP_LD_IMM64 else -1)
        linked.append(i.Insn(insn.op, insn.dst, insn.src, insn.off, imm))
    return linked, starts
