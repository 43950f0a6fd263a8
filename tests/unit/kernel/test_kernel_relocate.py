"""Patching instructions with what only the loader knows."""

from __future__ import annotations

import struct

import pytest

from probee.errors import FormatError
from probee.formats.insn.assemble import assemble
from probee.formats.insn.disassemble import disassemble
from probee.formats.insn.encode import decode, encode
from probee.kernel.programs.relocate import Patcher
from probee.model.spec import Relocation


def patched(text: str, *relocations: Relocation, patcher: Patcher | None = None) -> str:
    patcher = patcher or Patcher({"m": 7}.__getitem__, {"c": 0x1122334455667788, "minus": -2})
    return disassemble(decode(patcher.patch(encode(assemble(text)), relocations)))


def test_a_map_becomes_its_descriptor() -> None:
    assert "r1 = map#7 ll" in patched("r1 = 0 ll\nexit", Relocation(0, "map", "m"))


def test_a_map_value_keeps_the_offset_into_it() -> None:
    assert "r1 = map_value#7+24 ll" in patched("r1 = 0 ll\nexit", Relocation(0, "map_value", "m", 24))


@pytest.mark.parametrize(("name", "value"), [("c", 0x1122334455667788), ("minus", 2**64 - 2)])
def test_a_constant_fills_both_halves(name: str, value: int) -> None:
    insns = decode(Patcher({}.__getitem__, {"c": 0x1122334455667788, "minus": -2}).patch(
        encode(assemble("r3 = 0 ll\nexit")), (Relocation(0, "constant", name),)
    ))  # fmt: skip
    assert (insns[0].dst, insns[0].src, insns[0].imm) == (3, 0, value)


def test_a_call_counts_from_the_next_slot() -> None:
    assert "call pc+1" in patched("call pc+0\nexit\nr0 = 0\nexit", Relocation(0, "function", "f", 2))


def test_a_callback_is_an_address_relative_to_its_first_slot() -> None:
    text = patched("r2 = func#0 ll\nexit\nr0 = 0\nexit", Relocation(0, "function", "f", 3))
    assert "r2 = func#2" in text


def test_slots_count_both_halves_of_constants() -> None:
    text = patched("r1 = 0 ll\nr2 = 0 ll\nexit", Relocation(2, "map", "m"))
    assert "r2 = map#7 ll" in text


def test_a_kernel_function_of_vmlinux_needs_no_descriptor() -> None:
    patcher = Patcher({}.__getitem__, {}, lambda kind, name: (1234, 0))
    assert "call kfunc#1234" in patched("call kfunc#0\nexit", Relocation(0, "btf_kfunc", "f"), patcher=patcher)
    assert patcher.fd_array == []


def test_kernel_functions_of_modules_go_by_their_place_in_the_array() -> None:
    ids = {"a": (10, 55), "b": (11, 56), "c": (12, 55), "d": (13, 0)}
    patcher = Patcher({}.__getitem__, {}, lambda kind, name: ids[name])
    code = patcher.patch(
        encode(assemble("call kfunc#0\n" * 4 + "exit")), tuple(Relocation(i, "btf_kfunc", n) for i, n in enumerate("abcd"))
    )
    assert [struct.unpack_from("=hi", code, 8 * slot + 2) for slot in range(4)] == [(1, 10), (2, 11), (1, 12), (0, 13)]
    assert patcher.fd_array == [0, 55, 56]


def test_a_kernel_variable_is_its_id_and_its_modules_descriptor() -> None:
    patcher = Patcher({}.__getitem__, {}, lambda kind, name: (99, 5))
    code = patcher.patch(encode(assemble("r1 = 0 ll\nexit")), (Relocation(0, "btf_ksym", "runqueues"),))
    assert (code[1] >> 4, *struct.unpack_from("=i", code, 4), *struct.unpack_from("=i", code, 12)) == (3, 99, 5)


@pytest.mark.parametrize(
    ("text", "relocation", "words"),
    [
        ("r1 = 0\nexit", Relocation(1, "map", "m"), "not on a 64-bit immediate load"),
        ("r1 = 0 ll", Relocation(2, "map", "m"), "outside of the program"),
        ("r1 = 0 ll", Relocation(-1, "map", "m"), "outside of the program"),
        ("r1 = 0 ll", Relocation(0, "btf_kfunc", "f"), "not on a call"),
        ("r1 = 0\nexit", Relocation(0, "function", "f"), "not on a call"),
        ("r1 = 0 ll", Relocation(0, "nonsense", "f"), "no such kind"),
        ("r1 = 0 ll", Relocation(0, "constant", "unknown"), "constant unknown, which has no value"),
        ("call kfunc#0\nexit", Relocation(0, "btf_kfunc", "f"), "needs the kernel's BTF"),
    ],
)
def test_relocations_that_make_no_sense_are_refused(text: str, relocation: Relocation, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Patcher({"m": 7}.__getitem__, {"c": 1}).patch(encode(assemble(text)), (relocation,))


def test_a_load_whose_second_half_is_missing_is_outside_of_the_program() -> None:
    with pytest.raises(FormatError, match="outside of the program"):
        Patcher({"m": 7}.__getitem__, {}).patch(encode(assemble("r1 = 0 ll"))[:8], (Relocation(0, "map", "m"),))
