"""The verifier's refusal, told in the user's source: which line, and why in plain words.

Reads the log of kernel/bpf/verifier.c as 5.10 to 7.x write it: instruction lines ("12: (85) call bpf_loop#181"), register
states after or beside them ("13: R0_w=inv(id=0)", "; R0_w=scalar()"), source lines ("; text"), and then complaints.  The
index of the instruction is the slot in the program, so spec.lines leads to the source.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from probee.errors import Source, VerifierError, excerpt, locate
from probee.kernel.programs.complaint import explain
from probee.model.spec import ObjectSpec, ProgramSpec

CUT = "… cut here, the log is longer …"  # load.py writes it between two logs

_INSTRUCTION = re.compile(r"(\d+): \([0-9a-f]{2}\) ")
_HELPER = re.compile(r"\d+: \(85\) call (\w+)#")
_TOO_LARGE = "BPF program is too large"  # stands behind an instruction in its line where states are compared there
_NOT_ALLOWED = "helper call is not allowed in probe"  # the target is not on the helper's own list (bpf_d_path)
_NOISE = re.compile(
    r";|\d+: R\d|\d+: safe|from \d+ to \d+|processed \d+ insns|verification time|stack depth|func#|mark_precise|regs=|last_idx"
    r"|first_idx|parent |propagating|Live regs|Validating |insn \d+ cannot be|arg#\d+ reference type|caller:|callee:| *frame\d|"
    r"returning from callee|to caller at|max_states|caller passes|update_live|\s*$"
)
_PLACED = (
    re.compile(r"(?:back-edge|jump out of range) from insn (\d+)"),
    re.compile(r"(?:infinite loop detected at|unreachable|at) insn (\d+)"),
    re.compile(r"alloc_insn=(\d+)"),
    re.compile(r"insn (\d+)"),
)


class Rejection:
    """What a log says: the complaint's lines, and the slot of the instruction it is about, -1 when it names none.

    `forbidden` is the helper that may not be called there, "" if that is not what it says.
    """

    __slots__ = ("complaint", "forbidden", "slot")

    def __init__(self, log: str) -> None:
        lines = log.replace(_TOO_LARGE, f"\n{_TOO_LARGE}").splitlines()
        if CUT in lines:  # the head of a long log: what the complaint is about is not in it
            lines = lines[lines.index(CUT) + 1 :]
        last = next((i for i in range(len(lines) - 1, -1, -1) if _INSTRUCTION.match(lines[i])), -1)
        self.complaint = [line.strip() for line in lines[last + 1 :] if not _NOISE.match(line)]
        helper = _HELPER.match(lines[last]) if last >= 0 and _NOT_ALLOWED in self.complaint else None
        self.forbidden = helper[1] if helper else ""
        self.slot = self._named_slot()
        if self.slot < 0 and last >= 0:
            self.slot = int(lines[last].partition(":")[0])

    def _named_slot(self) -> int:
        """A complaint about control flow or a lost reference names its instruction itself."""
        for line in self.complaint:
            for pattern in _PLACED:
                found = pattern.search(line)
                if found:
                    return int(found[1])
        return -1


def rejection(errno: int, log: str, spec: ProgramSpec, object: ObjectSpec) -> VerifierError:
    """Return the error for a program that the kernel refused, with its place in the source where it is known."""
    found = Rejection(log)
    words = explain(found.complaint, errno)
    raw = "; ".join(found.complaint)
    message = f"the kernel refused {spec.probe or spec.name}: {words}"
    if raw and raw != words:
        message += f" (verifier: {raw})"
    if found.forbidden:
        message = f"helper {found.forbidden} not allowed in probe"
    place = ""
    span = span_of(spec, found.slot) or _probe_span(spec, object)
    if span and object.source_text:
        source = Source(object.source_name, object.source_text, object.source_parts)
        place = locate(source, span)
        message = f"{place}: {message}\n{excerpt(source, span)}"
    return VerifierError(errno, message, log=log, insn=found.slot, place=place)


def _probe_span(spec: ProgramSpec, object: ObjectSpec) -> int:
    """Return the span of the attach point of a program: what is shown for instructions that stand for no text."""
    return next((link.span for link in object.links if link.program == spec.name), 0)


def span_of(spec: ProgramSpec, slot: int) -> int:
    """Return the span in the source that an instruction comes from, 0 when it is not known."""
    if slot < 0 or not spec.lines:
        return 0
    at = bisect_right(spec.lines, (slot, 1 << 62)) - 1
    while at >= 0 and not spec.lines[at][1]:
        at -= 1
    return spec.lines[at][1] if at >= 0 else 0
