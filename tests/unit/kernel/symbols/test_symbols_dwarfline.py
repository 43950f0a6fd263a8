"""Line programs of DWARF, opcode by opcode."""

from __future__ import annotations

from io import BytesIO
from struct import pack
from types import SimpleNamespace

import pytest

from probee.kernel.symbols.dwarfline import END, STATEMENT, LineTable, line_table

HEADER = {
    "opcode_base": 13, "line_base": -5, "line_range": 14, "minimum_instruction_length": 1, "default_is_stmt": 1,
    "standard_opcode_lengths": [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1],
}  # fmt: skip
COPY, NEGATE, CONST_ADD_PC = b"\x01", b"\x06", b"\x08"


def at(address: int) -> bytes:
    return b"\x00\x09\x02" + pack("<Q", address)


def special(forward: int, line: int) -> bytes:
    return bytes([13 + forward * 14 + line + 5])


END_SEQUENCE = b"\x00\x01\x01"


def run(*opcodes: bytes, **header: object) -> LineTable:
    data = b"".join(opcodes)
    stream = BytesIO(b"head" + data + b"\xff\xff")
    program = SimpleNamespace(
        header={**HEADER, **header}, stream=stream, structs=SimpleNamespace(little_endian=True), program_start_offset=4,
        program_end_offset=4 + len(data),
    )  # fmt: skip
    return line_table(program)


def rows(table: LineTable) -> list[tuple[int, ...]]:
    return list(zip(table.addresses, table.files, table.lines, table.columns, table.flags, strict=True))


def test_special_opcodes_advance_address_and_line():
    table = run(at(0x1000), special(0, 4), special(3, -2), b"\x02\x04", END_SEQUENCE)
    assert rows(table) == [(0x1000, 1, 5, 0, STATEMENT), (0x1003, 1, 3, 0, STATEMENT), (0x1007, 1, 3, 0, END)]


def test_standard_opcodes_set_the_registers():
    table = run(
        at(0x1000), b"\x02\x85\x01", b"\x03\x7b", b"\x03\xe4\x00", b"\x04\x02", b"\x05\x90\x01", NEGATE, COPY,
        b"\x07\x0a\x0b\x0c\x7f", CONST_ADD_PC, b"\x09\x34\x12", COPY, END_SEQUENCE,
    )  # fmt: skip
    assert rows(table)[:2] == [(0x1085, 2, 96, 144, 0), (0x1085 + 17 + 0x1234, 2, 96, 144, 0)]


def test_unknown_opcodes_are_passed_over():
    table = run(
        at(0x1000), b"\x0d\x81\x02\x03", b"\x00\x02\x80\x01", COPY, END_SEQUENCE,
        opcode_base=14, standard_opcode_lengths=[*HEADER["standard_opcode_lengths"], 2],
    )  # fmt: skip
    assert rows(table) == [(0x1000, 1, 1, 0, STATEMENT), (0x1000, 1, 1, 0, END)]


def test_sequences_are_put_in_order_and_what_the_linker_threw_away_is_left_out():
    one, two, gone = (
        [at(0x2000), COPY, b"\x02\x10", END_SEQUENCE], [at(0x1000), special(0, 1), b"\x02\x08", END_SEQUENCE],
        [at(0), COPY, b"\x02\x04", END_SEQUENCE],
    )  # fmt: skip
    table = run(*one, *two, *gone)
    assert list(table.addresses) == [0x1000, 0x1008, 0x2000, 0x2010]
    assert [table.at(address) for address in (0xFFF, 0x1000, 0x1007, 0x1008, 0x1FFF, 0x2004, 0x2010, 1 << 40)] == [
        -1, 0, 0, -1, -1, 2, -1, -1,
    ]  # fmt: skip


def test_of_rows_at_one_address_the_last_has_the_code():
    table = run(at(0x1000), COPY, special(0, 3), special(4, 1), END_SEQUENCE)
    assert [table.has_code(row) for row in range(4)] == [False, True, False, False]
    assert table.lines[table.at(0x1002)] == 4


@pytest.mark.parametrize("length", range(1, 11))
def test_a_program_that_is_cut_off_raises_what_callers_expect(length):
    whole = b"".join((at(0x1000), b"\x02\x85\x01"))
    try:
        table = run(whole[:length])
    except IndexError:
        return
    assert rows(table) == []
