"""What BtfBuilder writes, the kernel takes: BPF_BTF_LOAD, and BPF_PROG_LOAD with func_info and line_info."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

import pytest

from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder, func_info, identifier, line_info

pytestmark = pytest.mark.kernel

_SYSCALL_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _BTF_LOAD = 5, 18
_SOCKET_FILTER = 1
_RETURN_ZERO = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def bpf(command: int, attr: bytes) -> int:
    """Return a descriptor, or minus errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(_SYSCALL_BPF[os.uname().machine], command, ctypes.create_string_buffer(attr, len(attr)), len(attr))
    return int(result) if result >= 0 else -ctypes.get_errno()


def address(data: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(data)


def load_btf(blob: bytes) -> tuple[int, str]:
    """Return (descriptor or minus errno, the kernel's log)."""
    data, log = ctypes.create_string_buffer(blob, len(blob)), ctypes.create_string_buffer(1 << 16)
    fd = bpf(_BTF_LOAD, struct.pack("=QQIII", address(data), address(log), len(blob), len(log), 1))
    return fd, log.value.decode()


@pytest.fixture(scope="module", autouse=True)
def _may_load() -> None:
    b = BtfBuilder()
    b.integer("int", 4, signed=True)
    fd, _ = load_btf(b.blob())
    if fd in (-errno.EPERM, -errno.ENOSYS):
        pytest.skip(f"bpf(BPF_BTF_LOAD) is not permitted here ({os.strerror(-fd)}): needs CAP_BPF")
    assert fd >= 0
    os.close(fd)


@pytest.fixture
def opened() -> Iterator[list[int]]:
    fds: list[int] = []
    yield fds
    for fd in fds:
        os.close(fd)


def everything() -> BtfBuilder:
    b = BtfBuilder()
    number = b.integer("unsigned int", 4)
    char = b.integer("char", 1, signed=True)
    b.integer("_Bool", 1, boolean=True)
    node = b.declare("node")
    b.define(node, "node", 32, [
        ("next", b.pointer(node), 0, 0), ("low", number, 64, 3), ("high", number, 67, 29), ("name", b.array(char, 16), 128, 0),
    ])  # fmt: skip
    b.struct("either", 8, [("whole", b.typedef("word_t", b.integer("long int", 8, signed=True)), 0, 0)], union=True)
    b.enum("color", [("RED", 0), ("GREEN", -4)])
    proto = b.func_proto(number, [("ctx", b.pointer(b.const(node))), ("flags", number)])
    b.func(identifier("kprobe:vfs_read+8"), proto, kind.LINKAGE_STATIC)
    b.string("    @reads = count();")
    return b


def test_every_kind_that_the_builder_has_a_method_for_is_loaded(opened: list[int]) -> None:
    fd, log = load_btf(everything().blob())
    assert fd >= 0, log
    opened.append(fd)


def test_the_longest_name_is_loaded(opened: list[int]) -> None:
    b = BtfBuilder()
    b.struct("x" * 127, 4, [])
    fd, log = load_btf(b.blob())
    assert fd >= 0, log
    opened.append(fd)


def test_the_kernel_refuses_the_names_that_the_builder_refuses() -> None:
    b = BtfBuilder()
    b.record(kind.STRUCT, "kprobe:vfs_read", 4)
    fd, log = load_btf(b.blob())
    assert (fd, "Invalid name" in log) == (-errno.EINVAL, True)


def test_program_with_function_and_line_information_is_loaded(opened: list[int]) -> None:
    b = BtfBuilder()
    function = b.func("main_prog", b.func_proto(b.integer("int", 4, signed=True), [("ctx", b.pointer(0))]))
    file, text = b.string("stdin"), b.string("BEGIN { exit(); }")
    functions = ctypes.create_string_buffer(func_info([(0, function)]), 8)
    lines = ctypes.create_string_buffer(line_info([(1, file, text, 2, 9000), (0, file, text, 1, 1)]), 32)
    btf, log = load_btf(b.blob())
    assert btf >= 0, log
    opened.append(btf)
    insns, license = ctypes.create_string_buffer(_RETURN_ZERO, 16), ctypes.create_string_buffer(b"GPL")
    output = ctypes.create_string_buffer(1 << 16)
    attr = struct.pack(
        "=IIQQIIQII16sIIIIQIIQI", _SOCKET_FILTER, 2, address(insns), address(license), 2, len(output), address(output), 0, 0,
        b"main_prog", 0, 0, btf, 8, address(functions), 1, 16, address(lines), 2,
    )  # fmt: skip
    fd = bpf(_PROG_LOAD, attr)
    assert fd >= 0, output.value.decode()
    opened.append(fd)
    assert "BEGIN { exit(); }" in output.value.decode()
