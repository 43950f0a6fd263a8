from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.formats.insn.assemble import assemble
from probee.formats.insn.interpret import ArrayMap, InterpretError, Machine, Memory
from probee.formats.insn.interpret.memory import WINDOW_BITS

U64 = 0xFFFF_FFFF_FFFF_FFFF


def run(text: str, ctx: bytes | bytearray = b"", **options: object) -> int:
    return Machine(assemble(text), **options).run(ctx).r0  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "expected"), [(8, 0x8877665544332211), (4, 0x44332211), (2, 0x2211), (1, 0x11)])
def test_loads_are_little_endian_and_zero_extended(size: int, expected: int) -> None:
    assert run(f"r0 = *(u{8 * size} *)(r1 + 8)\nexit", bytes(8) + bytes.fromhex("1122334455667788")) == expected


def test_signed_load_extends_the_sign() -> None:
    assert run("r0 = *(s16 *)(r1 + 0)\nexit", b"\xfe\xff") == U64 - 1


def test_stores_cut_to_their_size() -> None:
    text = """
        r2 = -1
        *(u64 *)(r10 - 8) = 0
        *(u16 *)(r10 - 8) = r2
        *(u8 *)(r10 - 3) = 300
        r0 = *(u64 *)(r10 - 8)
        exit"""
    assert run(text) == 0x2C_0000_00FFFF >> 8 << 8 | 0xFF


def test_store_of_a_negative_immediate_fills_eight_bytes() -> None:
    assert run("*(u64 *)(r10 - 8) = -2\nr0 = *(u64 *)(r10 - 8)\nexit") == U64 - 1


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("r0 = *(u64 *)(r10 + 0)", "offset 512 of stack of frame 0, which has 512"),
        ("r0 = *(u64 *)(r10 - 520)", "offset -8 of stack of frame 0"),
        ("r0 = *(u64 *)(r1 + 4)", "read of 8 bytes .* offset 4 of ctx, which has 8"),
        ("*(u8 *)(r1 + 0) = 1", "write of 1 bytes .* ctx is read-only"),
        ("r0 = *(u32 *)(r10 - 6)", "not aligned"),
        ("*(u64 *)(r10 - 12) = 1", "not aligned"),
        ("r2 = 0\nr0 = *(u8 *)(r2 + 0)", "NULL"),
        ("r2 = 0\n*(u8 *)(r2 + 16) = 0", "write of 1 bytes at 0x10: that is NULL"),
    ],
)
def test_access_outside_its_region_is_an_error(access: str, message: str) -> None:
    with pytest.raises(InterpretError, match=message):
        run(f"{access}\nr0 = 0\nexit", bytes(8))


def test_context_may_be_written_when_it_is_a_bytearray() -> None:
    ctx = bytearray(8)
    run("*(u32 *)(r1 + 4) = 7\nr0 = 0\nexit", ctx)
    assert ctx == struct.pack("<II", 0, 7)


def test_fault_of_a_typed_pointer_reads_zero_when_asked() -> None:
    assert run("r1 = 16\nr0 = *(u64 *)(r1 + 8)\nexit", faults_read_zero=True) == 0


def test_stack_is_poisoned_anew_in_each_call() -> None:
    text = "call pc+3\ncall pc+2\nr0 = r0\nexit\nr0 = *(u64 *)(r10 - 8)\n*(u64 *)(r10 - 8) = 1\nexit"
    assert run(text) == 0xA5A5A5A5A5A5A5A5


def test_callee_reaches_its_callers_stack_by_pointer() -> None:
    assert run("r1 = r10\nr1 += -8\ncall pc+2\nr0 = *(u64 *)(r10 - 8)\nexit\n*(u64 *)(r1 + 0) = 9\nr0 = 0\nexit") == 9


@pytest.mark.parametrize(
    ("operation", "stored", "register"),
    [
        ("lock *(u64 *)(r1 + 0) += r2", 13, 3),
        ("lock *(u64 *)(r1 + 0) |= r2", 11, 3),
        ("lock *(u64 *)(r1 + 0) &= r2", 2, 3),
        ("lock *(u64 *)(r1 + 0) ^= r2", 9, 3),
        ("r2 = atomic64_fetch_add((u64 *)(r1 + 0), r2)", 13, 10),
        ("r2 = atomic64_fetch_or((u64 *)(r1 + 0), r2)", 11, 10),
        ("r2 = atomic64_fetch_and((u64 *)(r1 + 0), r2)", 2, 10),
        ("r2 = atomic64_fetch_xor((u64 *)(r1 + 0), r2)", 9, 10),
        ("r2 = atomic64_xchg((u64 *)(r1 + 0), r2)", 3, 10),
        ("w2 = atomic_fetch_add((u32 *)(r1 + 0), w2)", 13, 10),
        ("store_release((u64 *)(r1 + 0), r2)", 3, 3),
        ("r2 = load_acquire((u64 *)(r1 + 0))", 10, 10),
    ],
)
def test_atomic_operations_change_memory_and_fetch_the_old_value(operation: str, stored: int, register: int) -> None:
    ctx = bytearray(struct.pack("<Q", 10))
    assert run(f"r2 = 3\n{operation}\nr0 = r2\nexit", ctx) == register
    assert struct.unpack("<Q", ctx)[0] == stored


@pytest.mark.parametrize(("expected", "stored"), [(10, 3), (11, 10)])
def test_compare_exchange_stores_only_on_equality(expected: int, stored: int) -> None:
    ctx = bytearray(struct.pack("<Q", 10))
    text = f"r0 = {expected}\nr2 = 3\nr0 = atomic64_cmpxchg((u64 *)(r1 + 0), r0, r2)\nexit"
    assert run(text, ctx) == 10
    assert struct.unpack("<Q", ctx)[0] == stored


def test_32_bit_compare_exchange_looks_at_half_of_r0_and_clears_the_rest() -> None:
    ctx = bytearray(struct.pack("<Q", 0xFFFF_FFFF_0000_000A))
    text = "r0 = 0x700000000a ll\nr2 = 3\nw0 = atomic_cmpxchg((u32 *)(r1 + 0), w0, w2)\nexit"
    assert run(text, ctx) == 10
    assert struct.unpack("<Q", ctx)[0] == 0xFFFF_FFFF_0000_0003


def test_misaligned_atomic_is_an_error() -> None:
    with pytest.raises(InterpretError, match="not aligned"):
        run("r2 = 3\nlock *(u64 *)(r1 + 1) += r2\nr0 = 0\nexit", bytearray(16))


def test_packet_has_a_start_and_an_end() -> None:
    text = "r2 = *(u32 *)(r1 + 0)\nr0 = *(u32 *)(r1 + 4)\nr3 = *(u8 *)(r2 + 2)\nr0 -= r2\nr0 <<= 8\nr0 |= r3\nexit"
    assert Machine(assemble(text)).run(bytes(24), packet=b"abcd").r0 == 4 << 8 | ord("c")


@given(st.integers(1, 3 << WINDOW_BITS), st.integers(-16, 16), st.sampled_from([1, 2, 4, 8]))
def test_only_bytes_inside_a_region_can_be_reached(length: int, beside: int, size: int) -> None:
    memory = Memory()
    memory.add(bytes(8), "kernel", "before")
    region = memory.add(bytes(length), "kernel", "this")
    memory.add(bytes(8), "kernel", "after")
    for offset in (beside, length + beside):
        inside = offset >= 0 and offset + size <= length
        address = region.base + offset
        assert (memory.peek(address, size, user=False) is not None) == inside
        if not inside:
            with pytest.raises(InterpretError):
                memory.read(address, size)


def test_region_can_be_placed_at_a_chosen_address_once() -> None:
    memory = Memory()
    assert memory.add(b"x", "kernel", at=0xFFFF_8000_0010_0000).base == 0xFFFF_8000_0010_0000
    with pytest.raises(InterpretError, match="taken"):
        memory.add(b"y", "kernel", at=0xFFFF_8000_0010_0000)
    with pytest.raises(InterpretError, match="no multiple"):
        memory.add(b"y", "kernel", at=0xFFFF_8000_0020_0008)


def test_removed_region_is_nothing() -> None:
    memory = Memory()
    region = memory.add(bytes(8), "kernel")
    memory.remove(region)
    with pytest.raises(InterpretError, match="nothing"):
        memory.read(region.base, 1)


def test_global_data_is_addressed_directly() -> None:
    data = ArrayMap(4, 16, 1)
    machine = Machine(assemble("r1 = map_value[data]+8 ll\n*(u32 *)(r1 + 4) = 5\nr0 = 0\nexit"), {"data": data})
    machine.run()
    assert data.get(bytes(4)) == struct.pack("<QII", 0, 0, 5)
