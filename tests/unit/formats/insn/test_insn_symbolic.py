from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from probee.errors import FormatError
from probee.formats.insn import insn as i
from probee.formats.insn.disassemble import disassemble
from probee.formats.insn.encode import encode
from probee.formats.insn.interpret import ArrayMap, machine_of, models_of
from probee.formats.insn.ref import ConstRef, MapRef, MapValueRef
from probee.formats.insn.symbolic import symbolic


def relocation(slot: int, kind: str, name: str, addend: int = 0) -> SimpleNamespace:
    return SimpleNamespace(slot=slot, kind=kind, name=name, addend=addend)


PROGRAM = [
    i.mov64_imm(0, 0),
    i.ld_map(1, "m"),
    i.ld_map_value(2, "data", 8),
    i.ld_const(3, "start"),
    i.stx(8, 2, 3, 0),
    i.Insn(0x85, src=1, imm=1),
    i.exit_(),
    i.Insn(0x18, 1, 4, imm=1),
    i.mov64_imm(0, 1),
    i.exit_(),
]
COMPILED = SimpleNamespace(
    instructions=encode(PROGRAM),
    relocations=(
        relocation(1, "map", "m"),
        relocation(3, "map_value", "data", 8),
        relocation(5, "constant", "start"),
    ),
)


def test_relocations_become_references_again() -> None:
    insns = symbolic(COMPILED)
    assert insns == PROGRAM
    assert [insn.ref for insn in insns if insn.ref] == [MapRef("m"), MapValueRef("data", 8), ConstRef("start")]


def test_functions_are_labelled_in_the_listing() -> None:
    assert disassemble(symbolic(COMPILED)).splitlines()[-7:] == [
        "   8: call pc+1 <F1>",
        "   9: exit",
        "F1:",
        "  10: r1 = func#1 <F2> ll",
        "F2:",
        "  12: r0 = 1",
        "  13: exit",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [(relocation(2, "map", "m"), "slot 2, where no instruction begins"), (relocation(1, "moon", "m"), "kind 'moon'")],
)
def test_relocation_that_fits_nowhere_is_refused(wrong: SimpleNamespace, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        symbolic(SimpleNamespace(instructions=COMPILED.instructions, relocations=(wrong,)))


def test_compiled_program_runs_on_models_of_its_map_specs() -> None:
    specs = [SimpleNamespace(name=name, type=2, key_size=4, value_size=16, max_entries=1) for name in ("m", "data")]
    maps = models_of(specs)
    program = SimpleNamespace(instructions=encode([*PROGRAM[:5], i.exit_()]), relocations=COMPILED.relocations)
    machine_of(program, maps, constants={"start": 77}).run()
    assert isinstance(maps["data"], ArrayMap)
    assert maps["data"].get(bytes(4)) == struct.pack("<QQ", 0, 77)
