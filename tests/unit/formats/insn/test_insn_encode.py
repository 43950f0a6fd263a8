from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from insn_strategy import any_insn

from probee.errors import FormatError
from probee.formats.insn import insn as i
from probee.formats.insn import legal
from probee.formats.insn import opcode as o
from probee.formats.insn.encode import decode, encode, relocations
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef


@given(st.lists(any_insn()))
def test_every_program_survives_encoding_and_decoding(program: list[i.Insn]) -> None:
    data = encode(program)
    assert decode(data) == program
    assert encode(decode(data)) == data
    assert len(data) == 8 * i.slot_offsets(program)[-1]


@given(st.binary(max_size=64))
def test_any_bytes_are_decoded_exactly_or_refused(data: bytes) -> None:
    try:
        program = decode(data)
    except FormatError:
        return
    assert encode(program) == data


@given(st.integers(0, 255), st.integers(0, 255), st.integers(-2, 2), st.sampled_from([0, 1, 16, 32, 0xE1, 0xF1, 99]))
def test_each_slot_is_decoded_exactly_or_refused(op: int, registers: int, off: int, imm: int) -> None:
    data = bytes([op, registers]) + off.to_bytes(2, "little", signed=True) + imm.to_bytes(4, "little")
    data += bytes(8) if op == o.OP_LD_IMM64 else b""
    try:
        program = decode(data)
    except FormatError as error:
        assert "offset 0x0" in str(error)
        return
    assert encode(program) == data


@pytest.mark.parametrize(
    ("insn", "expected"),
    [
        # as assembled by other tools: bytes of struct bpf_insn
        (i.mov64_imm(0, -1), "b7 00 00 00 ff ff ff ff"),
        (i.mov64_reg(6, 1), "bf 16 00 00 00 00 00 00"),
        (i.mov32_imm(2, 0xFFFFFFFF), "b4 02 00 00 ff ff ff ff"),
        (i.ldx(8, 3, 1, 8), "79 13 08 00 00 00 00 00"),
        (i.stx(4, 10, 2, -4), "63 2a fc ff 00 00 00 00"),
        (i.st_imm(8, 10, -8, 7), "7a 0a f8 ff 07 00 00 00"),
        (i.alu64_imm(o.ADD, 2, -8), "07 02 00 00 f8 ff ff ff"),
        (i.endian(1, 16, to_be=True), "dc 01 00 00 10 00 00 00"),
        (i.bswap(1, 64), "d7 01 00 00 40 00 00 00"),
        (i.atomic(8, o.ADD, 1, 2), "db 21 00 00 00 00 00 00"),
        (i.atomic(4, o.CMPXCHG, 1, 2, 4), "c3 21 04 00 f1 00 00 00"),
        (i.alu64_reg(o.DIV, 1, 2, signed=True), "3f 21 01 00 00 00 00 00"),
        (i.movsx64(1, 2, 32), "bf 21 20 00 00 00 00 00"),
        (i.ldsx(1, 1, 2), "91 21 00 00 00 00 00 00"),
        (i.jmp_imm(o.JSGT, 1, -5, 3), "65 01 03 00 fb ff ff ff"),
        (i.jmp32_reg(o.JEQ, 1, 2, -1), "1e 21 ff ff 00 00 00 00"),
        (i.ja(-2), "05 00 fe ff 00 00 00 00"),
        (i.gotol(70000), "06 00 00 00 70 11 01 00"),
        (i.call(5), "85 00 00 00 05 00 00 00"),
        (i.exit_(), "95 00 00 00 00 00 00 00"),
        (i.ld_imm64(1, 0x1122334455667788), "18 01 00 00 88 77 66 55 00 00 00 00 44 33 22 11"),
        (i.ld_map(1, "m"), "18 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00"),
        (i.ld_map_value(1, "m", 24), "18 21 00 00 00 00 00 00 00 00 00 00 18 00 00 00"),
    ],
)
def test_constructors_make_the_kernels_bytes(insn: i.Insn, expected: str) -> None:
    assert encode([insn]).hex(" ") == expected
    assert not legal.complaint(insn.op, insn.dst, insn.src, insn.off, insn.imm)


def test_negative_64_bit_immediate_is_kept_unsigned() -> None:
    assert i.ld_imm64(1, -1).imm == 0xFFFFFFFFFFFFFFFF
    assert encode([i.Insn(o.OP_LD_IMM64, 1, imm=-1)]) == encode([i.ld_imm64(1, -1)])


@pytest.mark.parametrize(
    "insn",
    [
        i.mov64_imm(0, 1 << 31),
        i.mov64_reg(11, 1),
        i.mov64_reg(0, -1),
        i.ldx(8, 0, 1, 1 << 15),
        i.Insn(o.OP_LD_IMM64, imm=1 << 64),
        i.Insn(o.OP_LD_IMM64, imm=-(1 << 63) - 1),
    ],
)
def test_number_that_does_not_fit_is_refused_with_its_instruction(insn: i.Insn) -> None:
    with pytest.raises(FormatError, match="instruction 1"):
        encode([i.exit_(), insn])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("95", "multiple of 8"),
        ("9500000000000000 ff00000000000000", "offset 0x8: opcode 0xff"),
        ("1800000000000000", "offset 0x0: the second half"),
        ("1800000000000000 9500000000000000", "offset 0x8: not the second half"),
        ("bfb1000000000000", "register r11"),
        ("9501000000000000", "must be zero"),
        ("d700000011000000", "byte swap of 17"),
        ("db21000002000000", "atomic operation 0x2"),
        ("3f21020000000000", "offset 2 in a division"),
        ("bf21070000000000", "sign extension from 7"),
        ("8530000001000000", "call of kind 3"),
        ("1870000001000000 0000000000000000", "immediate of kind 7"),
    ],
)
def test_nonsense_is_refused_with_its_offset(data: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode(bytes.fromhex(data))


def test_relocations_count_slots_and_not_instructions() -> None:
    program = [
        i.ld_map(1, "events"),
        i.ld_map_value(2, "globals", 8),
        i.mov64_imm(3, 0),
        i.ld_const(4, "start"),
        i.call_func("sub"),
        i.ld_func(2, "callback"),
        i.ld_btf_id(1, "runqueues"),
        i.call_kfunc("bpf_task_from_pid"),
    ]
    assert relocations(program) == [
        (0, MapRef("events")),
        (2, MapValueRef("globals", 8)),
        (5, ConstRef("start")),
        (7, FuncRef("sub")),
        (8, FuncRef("callback")),
        (10, BtfIdRef("runqueues", "var")),
        (12, BtfIdRef("bpf_task_from_pid", "func")),
    ]


def test_references_are_equal_by_kind_and_fields() -> None:
    assert MapRef("a") == MapRef("a")
    assert MapRef("a") != ConstRef("a")
    assert MapValueRef("a", 0) != MapValueRef("a", 8)
    assert len({FuncRef("f"), FuncRef("f"), FuncRef("g")}) == 2


def test_branch_is_the_offset_of_jumps_only() -> None:
    assert i.ja(-2).branch == -2
    assert i.gotol(5).branch == 5
    assert i.jmp32_imm(o.JNE, 1, 0, 7).branch == 7
    assert i.call(1).branch is None
    assert i.exit_().branch is None
    assert i.stx(8, 10, 1, -8).branch is None


def test_span_takes_no_part_in_equality() -> None:
    assert i.Insn(o.OP_EXIT, span=5) == i.exit_()
    assert i.exit_() != "exit"
