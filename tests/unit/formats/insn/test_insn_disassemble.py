from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from insn_strategy import any_insn

from probee.errors import FormatError
from probee.formats.insn import insn as i
from probee.formats.insn import opcode as o
from probee.formats.insn.assemble import assemble
from probee.formats.insn.disassemble import disassemble, format_insn
from probee.model.helper import helper_id, helper_name, n_arguments

LINES = [
    (i.mov64_reg(1, 6), "r1 = r6"),
    (i.mov32_imm(1, 0xFFFFFFFF), "w1 = -1"),
    (i.alu32_imm(o.ADD, 2, 5), "w2 += 5"),
    (i.alu64_reg(o.ARSH, 2, 3), "r2 s>>= r3"),
    (i.alu64_imm(o.DIV, 2, 3, signed=True), "r2 s/= 3"),
    (i.movsx32(2, 3, 16), "w2 = (s16)w3"),
    (i.neg(4), "r4 = -r4"),
    (i.neg32(4), "w4 = -w4"),
    (i.endian(4, 16, to_be=True), "r4 = be16 r4"),
    (i.endian(4, 64, to_be=False), "r4 = le64 r4"),
    (i.bswap(4, 32), "r4 = bswap32 r4"),
    (i.ldx(8, 0, 1, 8), "r0 = *(u64 *)(r1 + 8)"),
    (i.ldsx(2, 0, 1, -2), "r0 = *(s16 *)(r1 - 2)"),
    (i.stx(1, 10, 0, -1), "*(u8 *)(r10 - 1) = r0"),
    (i.st_imm(4, 10, -4, -7), "*(u32 *)(r10 - 4) = -7"),
    (i.atomic(8, o.ADD, 1, 2, 0), "lock *(u64 *)(r1 + 0) += r2"),
    (i.atomic(4, o.ADD | o.FETCH, 1, 2, 4), "w2 = atomic_fetch_add((u32 *)(r1 + 4), w2)"),
    (i.atomic(8, o.XCHG, 1, 2), "r2 = atomic64_xchg((u64 *)(r1 + 0), r2)"),
    (i.atomic(8, o.CMPXCHG, 1, 2), "r0 = atomic64_cmpxchg((u64 *)(r1 + 0), r0, r2)"),
    (i.jmp_imm(o.JGT, 1, 5, 3), "if r1 > 5 goto +3"),
    (i.jmp32_reg(o.JSLE, 1, 5, -3), "if w1 s<= w5 goto -3"),
    (i.jmp_imm(o.JSET, 1, 1, 0), "if r1 & 1 goto +0"),
    (i.ja(2), "goto +2"),
    (i.gotol(-70000), "gotol -70000"),
    (i.call(5), "call ktime_get_ns"),
    (i.call(9999), "call helper#9999"),
    (i.call_func("sub"), "call func[sub]"),
    (i.call_kfunc("bpf_iter_num_new"), "call kfunc[bpf_iter_num_new]"),
    (i.exit_(), "exit"),
    (i.ld_imm64(1, 0x1FFFFFFFF), "r1 = 0x1ffffffff ll"),
    (i.ld_map(1, "events"), "r1 = map[events] ll"),
    (i.ld_map_value(1, ".data", 16), "r1 = map_value[.data]+16 ll"),
    (i.ld_const(1, "start"), "r1 = const[start] ll"),
    (i.ld_func(2, "callback"), "r2 = func[callback] ll"),
    (i.ld_btf_id(2, "runqueues"), "r2 = btf[var runqueues] ll"),
    (i.Insn(o.OP_LD_IMM64, 1, o.PSEUDO_MAP_FD, imm=7), "r1 = map#7 ll"),
    (i.Insn(o.LD | o.IND | o.H, src=3, imm=-2), "r0 = *(u16 *)skb[r3 - 2]"),
]


@pytest.mark.parametrize(("insn", "text"), LINES)
def test_each_kind_has_its_notation_and_is_read_back(insn: i.Insn, text: str) -> None:
    assert format_insn(insn) == text
    assert assemble(text) == [insn]


@given(st.lists(any_insn()))
def test_every_program_survives_disassembly_and_assembly(program: list[i.Insn]) -> None:
    assert assemble(disassemble(program)) == program


def test_jump_targets_are_labelled_from_above() -> None:
    program = [
        i.ld_imm64(1, 1),
        i.jmp_imm(o.JEQ, 1, 0, 2),
        i.ja(-2),
        i.mov64_imm(0, 0),
        i.exit_(),
    ]
    assert disassemble(program).splitlines() == [
        "   0: r1 = 0x1 ll",
        "L1:",
        "   2: if r1 == 0 goto +2 <L2>",
        "   3: goto -2 <L1>",
        "   4: r0 = 0",
        "L2:",
        "   5: exit",
    ]


def test_label_alone_is_a_target() -> None:
    program = assemble(
        """
        r0 = 0x10          ; hexadecimal
        loop:
        r0 += -1
        if r0 != 0 goto loop   // until zero
        r1 = map[m] ll
        goto end
        r0 = 1
        end:
        exit
        """
    )
    assert [insn.branch for insn in program if insn.branch is not None] == [-2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r0 = 1\nr1 <> 5", "line 2: not an instruction"),
        ("goto nowhere", "line 1: no label nowhere"),
        ("goto +3 <L1>\nL1:\nexit", r"line 1: L1 is at \+0, not at \+3"),
        ("r11 = 5", "not an instruction"),
        ("r1 = w2", "not an instruction"),
        ("r1 = -r2", "not an instruction"),
        ("r1 = be17 r1", "byte swap of 17"),
        ("call no_such_helper", "not an instruction"),
        ("r2 = atomic64_fetch_add((u64 *)(r1 + 0), r3)", "not an instruction"),
        ("r2 = atomic64_fetch_add((u32 *)(r1 + 0), r2)", "not an instruction"),
        ("if r1 > w2 goto +1", "not an instruction"),
        ("*(u16 *)(r1 + 0) = rx", "not an instruction"),
    ],
)
def test_what_is_no_instruction_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        assemble(text)


def test_helper_table_is_complete_and_bijective() -> None:
    names = [helper_name(number) for number in range(212)]
    assert None not in names
    assert len(set(names)) == 212
    assert [helper_id(str(name)) for name in names] == list(range(212))
    assert helper_name(212) is None
    assert helper_id("bpf_map_lookup_elem") == 1


@pytest.mark.parametrize(
    ("name", "count"),
    [("ktime_get_ns", 0), ("map_update_elem", 4), ("perf_event_output", 5), ("trace_printk", 5), ("loop", 4)],
)
def test_helpers_know_their_argument_count(name: str, count: int) -> None:
    assert n_arguments(helper_id(name) or 0) == count
