"""The notations of USDT arguments, x86-64's and aarch64's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import FormatError
from probee.formats.elf.argument import Argument, parse_arguments
from probee.formats.elf.read import AARCH64, X86, X86_64
from probee.probes.register import registers

SYMBOLS = {"counter": 0x5000, "a.b$1": 0x6000}


def parse(text: str, machine: int = X86_64) -> Argument:
    (found,) = parse_arguments(text, machine, address=0x4000, resolve=SYMBOLS.get)
    return found


def parts(argument: Argument) -> tuple[str, str, int, str, int]:
    return argument.kind, argument.register, argument.value, argument.index, argument.scale


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8@%rdi", ("register", "di", 0, "", 1)),
        ("-4@%eax", ("register", "ax", 0, "", 1)),
        ("2@%r10w", ("register", "r10", 0, "", 1)),
        ("1@%sil", ("register", "si", 0, "", 1)),
        ("-1@%r8b", ("register", "r8", 0, "", 1)),
        ("4@$5", ("constant", "", 5, "", 1)),
        ("-4@$-9", ("constant", "", -9, "", 1)),
        ("8@$0x7fff", ("constant", "", 0x7FFF, "", 1)),
        ("8@(%rax)", ("memory", "ax", 0, "", 1)),
        ("8@-16(%rbp)", ("memory", "bp", -16, "", 1)),
        ("4@8+4(%rsp)", ("memory", "sp", 12, "", 1)),
        ("8@(%rax,%rbx,8)", ("memory", "ax", 0, "bx", 8)),
        ("-4@24(%r12,%rcx)", ("memory", "r12", 24, "cx", 1)),
        ("1@0x10(,%rdx,2)", ("memory", "", 16, "dx", 2)),
        ("8@counter(%rip)", ("memory", "ip", 0x1000, "", 1)),
        ("8@counter+8(%rip)", ("memory", "ip", 0x1008, "", 1)),
        ("8@8+counter(%rip)", ("memory", "ip", 0x1008, "", 1)),
        ("8@counter", ("memory", "ip", 0x1000, "", 1)),
        ("4@a.b$1-4(%rip)", ("memory", "ip", 0x1FFC, "", 1)),
        ("%rax", ("register", "ax", 0, "", 1)),
    ],
)
def test_operands_of_x86(text: str, expected: tuple[str, str, int, str, int]) -> None:
    assert parts(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8@x0", ("register", "r0", 0, "", 1)),
        ("-4@w21", ("register", "r21", 0, "", 1)),
        ("8@sp", ("register", "sp", 0, "", 1)),
        ("4@wzr", ("constant", "", 0, "", 1)),
        ("-4@5", ("constant", "", 5, "", 1)),
        ("-4@#-5", ("constant", "", -5, "", 1)),
        ("8@[x29]", ("memory", "r29", 0, "", 1)),
        ("-4@[sp, 12]", ("memory", "sp", 12, "", 1)),
        ("8@[x29, -8]", ("memory", "r29", -8, "", 1)),
        ("8@[x0, x1]", ("memory", "r0", 0, "r1", 1)),
        ("8@[x0, x1, lsl 3]", ("memory", "r0", 0, "r1", 8)),
        ("4@[x0,x1,lsl #2]", ("memory", "r0", 0, "r1", 4)),
    ],
)
def test_operands_of_aarch64(text: str, expected: tuple[str, str, int, str, int]) -> None:
    assert parts(parse(text, AARCH64)) == expected


def test_size_and_sign() -> None:
    assert [(a.size, a.signed) for a in parse_arguments("-8@%rax 1@%bl -2@$3 %rcx", X86_64)] == [
        (8, True), (1, False), (2, True), (8, False),
    ]  # fmt: skip


def test_the_second_byte_of_a_register_is_shifted() -> None:
    assert (parse("1@%ah").register, parse("1@%ah").shift, parse("1@%al").shift) == ("ax", 8, 0)


@pytest.mark.parametrize(
    ("text", "machine"), [("8f@%xmm0", X86_64), ("4f@-4(%rbp)", X86_64), ("8@%xmm3", X86_64), ("8f@d0", AARCH64)]
)
def test_floating_point_is_said_to_be(text: str, machine: int) -> None:
    assert parse(text, machine).is_float


def test_arguments_are_split_at_blanks_outside_of_brackets() -> None:
    assert [argument.text for argument in parse_arguments("-4@[sp, 12]  8@x1 -4@[x2, x3, lsl 2]", AARCH64)] == [
        "-4@[sp, 12]", "8@x1", "-4@[x2, x3, lsl 2]",
    ]  # fmt: skip
    assert parse_arguments("", X86_64) == ()


@pytest.mark.parametrize(
    ("text", "machine", "why"),
    [
        ("8@%rnn", X86_64, "%rnn is no register"),
        ("8@%fs:16", X86_64, "segment register"),
        ("8@nowhere(%rip)", X86_64, "there is no symbol nowhere"),
        ("8@$counter", X86_64, "only known once the program is loaded"),
        ("8@counter(,%rax,8)", X86_64, "only known once the program is loaded"),
        ("8@-4(%rip)", X86_64, "only known once the program is loaded"),
        ("8@(%rax,%rbx,3)", X86_64, "a scale of 3"),
        ("8@(%rax", X86_64, "bracket that is not closed"),
        ("8@(%rax,%rbx,1,2)", X86_64, "too many parts"),
        ("3@%rax", X86_64, "a size of 3 bytes"),
        ("x@%rax", X86_64, "USDT argument 0"),
        ("8@(%ah)", X86_64, "%ah cannot hold an address"),
        ("8@x31", AARCH64, "x31 is no register"),
        ("8@[x0, w1]", AARCH64, "way of addressing"),
        ("8@[x0, :lo12:sym]", AARCH64, "way of addressing"),
        ("8@[x0, x1, lsl 9]", AARCH64, "a shift of lsl 9"),
        ("8@[x0", AARCH64, "bracket that is not closed"),
        ("4@%eax", X86, "not known for i386"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_why(text: str, machine: int, why: str) -> None:
    with pytest.raises(FormatError, match=why.replace("(", r"\(")):
        parse(text, machine)


@pytest.mark.parametrize(("machine", "arch"), [(X86_64, "x86_64"), (AARCH64, "aarch64")])
def test_every_register_has_a_place_in_pt_regs(machine: int, arch: str) -> None:
    names = {
        X86_64: ["%rax", "%rbx", "%rcx", "%rdx", "%rsi", "%rdi", "%rbp", "%rsp", *(f"%r{n}" for n in range(8, 16))],
        AARCH64: ["sp", *(f"x{n}" for n in range(31))],
    }[machine]
    offsets = [registers(arch).offset(parse(f"8@{name}", machine).register) for name in names]
    assert len(set(offsets)) == len(names)
    assert registers(arch).offset("ip" if machine == X86_64 else "pc") not in offsets


@given(st.text("%$@()[],:+-0189xabdirslpfc. \n", max_size=24), st.sampled_from([X86_64, AARCH64]))
def test_any_text_is_read_or_refused(text: str, machine: int) -> None:
    try:
        found = parse_arguments(text, machine, resolve=SYMBOLS.get)
    except FormatError:
        return
    assert all(argument.kind in ("constant", "register", "memory") for argument in found)
