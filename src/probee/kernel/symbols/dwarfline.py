"""Line tables: the opcodes of DWARF's line programs (section 6.2.5 of version 5), run into arrays.

The head of a program is read by pyelftools.  Its own decoder makes an object of each row, at a tenth of the speed and twenty
times the memory, and a unit has tens of thousands.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATEMENT, END = 1, 2  # flags of rows
(
    _EXTENDED, _COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN, _NEGATE_STATEMENT, _BASIC_BLOCK, _CONST_ADD_PC,
    _FIXED_ADVANCE_PC,
) = range(10)  # fmt: skip
_END_SEQUENCE, _SET_ADDRESS = 1, 2  # extended ones


class LineTable:
    """Rows in order of their addresses; those with flag END say where code without a line begins."""

    __slots__ = ("addresses", "columns", "files", "flags", "lines")

    def __init__(self) -> None:
        self.addresses = array("Q")
        self.files = array("I")
        self.lines = array("I")
        self.columns = array("I")
        self.flags = bytearray()

    def add(self, address: int, file: int, line: int, column: int, flags: int) -> None:
        self.addresses.append(address)
        self.files.append(file)
        self.lines.append(line & 0xFFFF_FFFF)
        self.columns.append(column & 0xFFFF_FFFF)
        self.flags.append(flags)

    def take(self, other: LineTable, start: int, end: int) -> None:
        """Append some rows of another table."""
        self.addresses += other.addresses[start:end]
        self.files += other.files[start:end]
        self.lines += other.lines[start:end]
        self.columns += other.columns[start:end]
        self.flags += other.flags[start:end]

    def at(self, address: int) -> int:
        """Return the number of the row that an address belongs to, -1 for none."""
        at = bisect_right(self.addresses, address) - 1
        return at if at >= 0 and not self.flags[at] & END else -1

    def has_code(self, at: int) -> bool:
        """Return whether any code belongs to a row: others at the same address may follow it."""
        return at + 1 < len(self.addresses) and self.addresses[at + 1] != self.addresses[at]


def line_table(program: Any) -> LineTable:
    """Return the rows of a line program, without the code that a linker has thrown away (it is left at address 0)."""
    table, sequences = _run(program)
    starts = [(table.addresses[start], start, end) for start, end in sequences if table.addresses[start]]
    ordered = LineTable()
    for _, start, end in sorted(starts):
        ordered.take(table, start, end)
    return ordered


def _run(program: Any) -> tuple[LineTable, list[tuple[int, int]]]:
    """Run a program; return its rows as they come, and (first, last + 1) of each sequence of them."""
    header = program.header
    data, at, end = program.stream.getvalue(), program.program_start_offset, program.program_end_offset
    base, line_base, line_range = header["opcode_base"], header["line_base"], header["line_range"] or 1
    step, operands = header["minimum_instruction_length"], header["standard_opcode_lengths"]
    default = STATEMENT if header["default_is_stmt"] else 0
    const = (255 - base) // line_range * step
    order = "little" if program.structs.little_endian else "big"
    table, sequences, first = LineTable(), [], 0
    add = table.add
    address, file, line, column, flags = 0, 1, 1, 0, default
    while at < end:
        opcode = data[at]
        at += 1
        if opcode >= base:
            advance, forward = divmod(opcode - base, line_range)
            address += advance * step
            line += line_base + forward
            add(address, file, line, column, flags)
        elif opcode == _EXTENDED:
            length, at = _unsigned(data, at)
            if data[at] == _END_SEQUENCE:
                add(address, file, line, column, END)
                sequences.append((first, len(table.addresses)))
                first = len(table.addresses)
                address, file, line, column, flags = 0, 1, 1, 0, default
            elif data[at] == _SET_ADDRESS:
                address = int.from_bytes(data[at + 1 : at + length], order)  # type: ignore[arg-type]
            at += length
        elif opcode == _COPY:
            add(address, file, line, column, flags)
        elif opcode == _ADVANCE_PC:
            value, at = _unsigned(data, at)
            address += value * step
        elif opcode == _ADVANCE_LINE:
            value, at = _signed(data, at)
            line += value
        elif opcode == _SET_FILE:
            file, at = _unsigned(data, at)
        elif opcode == _SET_COLUMN:
            column, at = _unsigned(data, at)
        elif opcode == _NEGATE_STATEMENT:
            flags ^= STATEMENT
        elif opcode == _CONST_ADD_PC:
            address += const
        elif opcode == _FIXED_ADVANCE_PC:
            address += int.from_bytes(data[at : at + 2], order)  # type: ignore[arg-type]
            at += 2
        else:  # nothing that matters here, with as many operands as the head says
            for _ in range(operands[opcode - 1]):
                _, at = _unsigned(data, at)
    return table, sequences


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Return a ULEB128 number and where it ends."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(data: bytes, at: int) -> tuple[int, int]:
    """Return an SLEB128 number and where it ends."""
    start = at
    value, at = _unsigned(data, at)
    sign = 1 << (7 * (at - start) - 1)
    return (value ^ sign) - sign if value & sign else value, at
