"""Text to instructions: the notation that disassemble.py writes, one instruction a line.

Also read: a label instead of an offset (`goto L2`, with a line `L2:`), hexadecimal numbers, a leading `slot:`, empty
lines, and comments after `;` or `//`.  An offset given together with a label must agree with it.
"""

from __future__ import annotations

import re

from probee.errors import FormatError
from probee.formats.insn import insn as i
from probee.formats.insn import legal
from probee.formats.insn import opcode as o
from probee.formats.insn.form import FORMS


def assemble(text: str) -> list[i.Insn]:
    """Return the instructions of a listing.  FormatError names the line of what is none."""
    insns: list[i.Insn] = []
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str, int]] = []  # index, label, line
    slot = 0
    for line_number, line in enumerate(text.splitlines(), 1):
        line = re.split(r";|//", line, maxsplit=1)[0].strip()
        line = re.sub(r"^\d+:\s*", "", line)
        if match := re.fullmatch(r"([A-Za-z_]\w*):", line):
            labels[match[1]] = slot
        elif line:
            insn, label = parse_insn(line, line_number)
            if label:
                jumps.append((len(insns), label, line_number))
            insns.append(insn)
            slot += insn.n_slots
    _link(insns, labels, jumps)
    return insns


def _link(insns: list[i.Insn], labels: dict[str, int], jumps: list[tuple[int, str, int]]) -> None:
    """Turn labels into offsets; a label that is nowhere defined is fine beside an offset."""
    slots = i.slot_offsets(insns)
    for index, label, line_number in jumps:
        insn = insns[index]
        known = not label.startswith("?")
        name = label.removeprefix("?")
        if name not in labels:
            if known:
                raise FormatError(f"line {line_number}: no label {name}")
            continue
        offset = labels[name] - slots[index] - 1
        if not known and insn.branch != offset:
            raise FormatError(f"line {line_number}: {name} is at {offset:+d}, not at {insn.branch:+d}")
        if insn.op == o.OP_GOTOL:
            insn.imm = offset
        else:
            insn.off = offset


def parse_insn(line: str, line_number: int = 1) -> tuple[i.Insn, str]:
    """Return an instruction and the label it jumps to ("" if none, "?name" if its offset is given as well)."""
    for pattern, build in FORMS:
        if match := re.fullmatch(pattern, line):
            try:
                insn, label = build(*match.groups())
            except (KeyError, ValueError):
                break
            problem = legal.complaint(insn.op, insn.dst, insn.src, insn.off, insn.imm)
            if problem:
                raise FormatError(f"line {line_number}: {line}: {problem}")
            return insn, label
    raise FormatError(f"line {line_number}: not an instruction: {line}")
