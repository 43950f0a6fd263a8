from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.formats.insn import insn as i
from probee.formats.insn import opcode as o
from probee.formats.insn.assemble import assemble
from probee.formats.insn.interpret import InterpretError, Machine

U64 = 0xFFFF_FFFF_FFFF_FFFF
U32 = 0xFFFF_FFFF
MIN64, MIN32 = 1 << 63, 1 << 31


def compute(text: str, r1: int = 0, r2: int = 0) -> int:
    """Run lines on two numbers and return r0, which is r1 if the lines do not set it."""
    lines = f"r1 = {r1 & U64:#x} ll\nr2 = {r2 & U64:#x} ll\nr0 = r1\n{text}\nexit"
    return Machine(assemble(lines)).run().r0


@pytest.mark.parametrize(
    ("text", "r1", "r2", "expected"),
    [
        ("r0 += r2", U64, 2, 1),
        ("w0 += w2", 0x1_FFFF_FFFF, 1, 0),
        ("r0 -= r2", 1, 2, U64),
        ("r0 *= r2", 1 << 63, 2, 0),
        ("r0 /= r2", U64, 2, U64 // 2),
        ("r0 /= r2", 5, 0, 0),
        ("r0 %= r2", 5, 0, 5),
        ("w0 %= w2", 0x5_0000_0007, 0, 7),
        ("w0 /= w2", 0x5_0000_0007, 0x7_0000_0000, 0),
        ("r0 /= -1", 5, 0, 0),
        ("r0 s/= r2", -7, 2, -3 & U64),
        ("r0 s%= r2", -7, 2, -1 & U64),
        ("r0 s%= r2", 7, -2, 1),
        ("r0 s/= r2", MIN64, -1, MIN64),
        ("r0 s%= r2", MIN64, -1, 0),
        ("w0 s/= w2", MIN32, U32, MIN32),
        ("r0 s/= r2", 5, 0, 0),
        ("r0 s%= r2", -5, 0, -5 & U64),
        ("r0 |= r2", 0xF0, 0x0F, 0xFF),
        ("r0 &= -2", U64, 0, U64 - 1),
        ("r0 ^= -1", 0, 0, U64),
        ("w0 ^= -1", 0, 0, U32),
        ("r0 <<= r2", 1, 65, 2),
        ("w0 <<= w2", 1, 33, 2),
        ("r0 >>= r2", U64, 63, 1),
        ("w0 >>= 1", U64, 0, U32 >> 1),
        ("r0 s>>= 63", MIN64, 0, U64),
        ("w0 s>>= 4", 0x1_8000_0000, 0, 0xF800_0000),
        ("w0 s>>= w2", 0x4000_0000, 32, 0x4000_0000),
        ("r0 = -r0", 1, 0, U64),
        ("w0 = -w0", 1, 0, U32),
        ("w0 = w0", U64, 0, U32),
        ("r0 = -1", 0, 0, U64),
        ("w0 = -1", 0, 0, U32),
        ("r0 = (s8)r0", 0x80, 0, -0x80 & U64),
        ("w0 = (s8)w0", 0x80, 0, 0xFFFF_FF80),
        ("r0 = (s32)r0", 0xFFFF_FFFF_7FFF_FFFF, 0, 0x7FFF_FFFF),
        ("r0 = be16 r0", 0xAABB_1234, 0, 0x3412),
        ("r0 = be64 r0", 0x0102030405060708, 0, 0x0807060504030201),
        ("r0 = le32 r0", U64, 0, U32),
        ("r0 = bswap32 r0", 0xFF_1122_3344, 0, 0x44332211),
    ],
)
def test_arithmetic_wraps_and_truncates_as_bpf_does(text: str, r1: int, r2: int, expected: int) -> None:
    assert compute(text, r1, r2) == expected


@pytest.mark.parametrize(
    ("condition", "r1", "r2", "holds"),
    [
        ("r1 > r2", U64, 1, True),
        ("r1 s> r2", U64, 1, False),
        ("r1 s< r2", U64, 1, True),
        ("w1 s< w2", 0x8000_0000, 0, True),
        ("w1 == w2", 0x1_0000_0005, 5, True),
        ("r1 == r2", 0x1_0000_0005, 5, False),
        ("r1 == -1", U64, 0, True),
        ("w1 == -1", U32, 0, True),
        ("r1 == -1", U32, 0, False),
        ("r1 > -1", U64, 0, False),
        ("r1 >= -1", U64, 0, True),
        ("r1 <= r2", 5, 5, True),
        ("r1 < r2", 5, 5, False),
        ("r1 s>= -5", -5, 0, True),
        ("r1 s<= -6", -5, 0, False),
        ("r1 & 6", 8, 0, False),
        ("w1 & w2", 0x1_0000_0000, 0x1_0000_0001, False),
        ("r1 & r2", 0x1_0000_0000, 0x1_0000_0001, True),
        ("r1 != r2", 1, 1, False),
    ],
)
def test_conditions_compare_signed_or_unsigned_in_their_width(condition: str, r1: int, r2: int, holds: bool) -> None:
    assert compute(f"r0 = 1\nif {condition} goto yes\nr0 = 0\nyes:", r1, r2) == holds


@given(st.integers(0, U64), st.integers(0, U64), st.sampled_from(["+=", "-=", "*=", "|=", "&=", "^="]))
def test_32_bit_ring_operations_are_the_low_half_of_64_bit_ones(a: int, b: int, sign: str) -> None:
    assert compute(f"w0 {sign} w2", a, b) == compute(f"r0 {sign} r2", a, b) & U32


@given(st.integers(0, U64), st.integers(0, U64))
def test_division_and_modulo_belong_together(a: int, b: int) -> None:
    for prefix in ("", "s"):
        text = f"r3 = r0\nr3 {prefix}/= r2\nr3 *= r2\nr0 {prefix}%= r2\nr0 += r3"
        assert compute(text, a, b) == a


def test_executed_instructions_are_counted_on_the_path_taken() -> None:
    program = assemble("r1 = 3\nloop:\nr1 += -1\nif r1 != 0 goto loop\nr0 = 0x123456789 ll\nexit")
    assert Machine(program).run().n_executed == 1 + 3 * 2 + 2


def test_endless_loop_is_stopped() -> None:
    with pytest.raises(InterpretError, match="still running after 1000"):
        Machine(assemble("goto -1"), max_insns=1000).run()


@pytest.mark.parametrize(
    "text",
    ["exit", "r0 = r3\nexit", "r3 += 1\nr0 = 0\nexit", "r0 = 0\nif r4 == 0 goto +0\nexit", "*(u64 *)(r10 - 8) = r5\nexit"],
)
def test_use_of_an_unset_register_is_an_error_with_its_instruction(text: str) -> None:
    with pytest.raises(InterpretError, match=r"slot .*unset"):
        Machine(assemble(text)).run()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r0 = 0", "falls off its end"),
        ("goto +5", "no instruction there"),
        ("goto +1\nr1 = 0x1 ll\nr0 = 0\nexit", "no instruction there"),
        ("r10 += 8\nexit", "frame pointer is read-only"),
        ("r1 = map[nowhere] ll\nexit", "nothing is called 'nowhere'"),
        ("r1 = const[nowhere] ll\nexit", "nothing is called 'nowhere'"),
        ("call func[nowhere]\nexit", "nothing is called 'nowhere'"),
    ],
)
def test_program_that_cannot_be_linked_is_refused(text: str, message: str) -> None:
    with pytest.raises(InterpretError, match=message):
        Machine(assemble(text))


def test_late_constants_and_symbols_are_filled_in() -> None:
    program = assemble("r0 = const[start] ll\nr1 = btf[var offset] ll\nr0 += r1\nexit")
    assert Machine(program, constants={"start": 1 << 40}, symbols={"offset": 2}).run().r0 == (1 << 40) + 2


def test_functions_get_arguments_and_keep_callee_saved_registers() -> None:
    main = assemble("r6 = 5\nr1 = 7\nr2 = 8\ncall func[product]\nr0 += r6\nexit")
    product = assemble("r6 = r1\nr6 *= r2\nr0 = r6\nexit")
    assert Machine(main, functions={"product": product}).run().r0 == 61


def test_call_by_offset_reaches_the_function_behind() -> None:
    assert Machine(assemble("r1 = 20\ncall pc+1\nexit\nr0 = r1\nr0 += 1\nexit")).run().r0 == 21


def test_argument_registers_are_unset_after_a_call() -> None:
    with pytest.raises(InterpretError, match="unset"):
        Machine(assemble("r1 = 20\ncall pc+2\nr0 = r1\nexit\nr0 = 1\nexit")).run()


def test_recursion_ends_at_eight_frames() -> None:
    with pytest.raises(InterpretError, match="more than 8 frames"):
        Machine(assemble("call pc-1\nexit")).run()


def test_jump_with_long_offset_is_taken() -> None:
    assert Machine([i.mov64_imm(0, 1), i.gotol(1), i.mov64_imm(0, 2), i.exit_()]).run().r0 == 1


def test_may_goto_goes_on() -> None:
    assert Machine([i.mov64_imm(0, 1), i.Insn(o.OP_MAY_GOTO, off=1), i.mov64_imm(0, 2), i.exit_()]).run().r0 == 2
