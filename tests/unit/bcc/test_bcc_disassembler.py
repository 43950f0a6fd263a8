"""Listings and layouts in bcc's notation."""

from __future__ import annotations

import ctypes as ct
from struct import pack
from types import SimpleNamespace

import pytest

from probee.bcc.disassembler import decode_map, disassemble_prog, disassemble_str


def one(code: int, target: int = 1, source: int = 2, offset: int = -3, immediate: int = -4) -> str:
    return disassemble_str(pack("=BBhi", code, source << 4 | target, offset, immediate))[0]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x07, "r1 += -4"), (0x0F, "r1 += r2"), (0x44, "r1 |= 0xfffffffc"), (0x84, "r1 = ~ (u32)r1"), (0x97, "r1 %= -4"),
        (0xB7, "r1 = -4"), (0xC7, "r1 s>>= -4"), (0xDC, "r1 endian r2"), (0x05, "goto -3 <-2>"),
        (0x15, "if r1 == -4 goto pc-3 <-2>"), (0x4D, "if r1 & r2 goto pc-3 <-2>"), (0x20, "r0 = *(u32*)skb[-4]"),
        (0x50, "r0 = *(u8*)skb[r2 -4]"), (0x79, "r1 = *(u64*)(r2 -3)"), (0x6A, "*(u16*)(r1 -3) = -4"),
        (0x73, "*(u8*)(r1 -3) = r2"), (0x95, "exit"),
    ],
)  # fmt: skip
def test_an_instruction(code: int, text: str) -> None:
    assert one(code) == f"   0: ({code:02x}) {text}"


def test_calls_have_names() -> None:
    assert one(0x85, 0, 0, 0, 5) == "   0: (85) call bpf_ktime_get_ns#5"
    assert one(0x85, 0, 0, 0, 9999) == "   0: (85) call <unknown helper #9999>"
    assert one(0x85, 0, 1, 0, 7) == "   0: (85) call +7"


def test_a_program_with_a_map() -> None:
    code = pack("=BBhi", 0x18, 1 << 4 | 1, 0, 3) + pack("=BBhi", 0, 0, 0, 0) + pack("=BBhi", 0x95, 0, 0, 0)
    assert disassemble_prog(b"f", code).splitlines() == [
        "Disassemble of BPF program b'f':",
        "   0: (18) r1 = <map at fd #3>",
        "   1:      (64-bit upper word)",
        "   2: (95) exit",
    ]


class Inner(ct.Structure):
    _fields_ = (("c", ct.c_int, 4), ("d", ct.c_int, 8))


class Key(ct.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("a", ct.c_int), ("b", ct.c_short), ("e", Inner))


def test_the_layout_of_a_table() -> None:
    table = SimpleNamespace(Key=Key, Leaf=ct.c_ulonglong, map_fd=3, map_id=0)
    assert decode_map(b"test_map", table, 1).splitlines() == [
        "Layout of BPF map b'test_map' (type HASH, FD 3, ID 0):",
        "  struct {",
        "    int a;",
        "    short b;",
        "    struct {",
        "      int c:4;",
        "      int d:8;",
        "    } e;",
        "  } key;",
        "  unsigned long long value;",
    ]


def test_sizes_are_shown_when_asked_for() -> None:
    table = SimpleNamespace(Key=Key, Leaf=ct.c_char * 16, map_fd=3, map_id=0)
    lines = decode_map(b"m", table, 2, sizeinfo=True).splitlines()
    assert "    [4 +2] short b;" in lines
    assert lines[-1].endswith("char[16] value;")
