"""Instructions to text, one line each, as in the kernel's verifier log; assemble.py reads it back.

Jumps show their offset in slots and the label of their target: `if r1 > 5 goto +3 <L2>`.  A symbolic reference shows its
name in brackets (`r1 = map[events] ll`); a number in place of one shows as `r1 = map#5 ll`.
"""

from __future__ import annotations

from probee.formats.insn import notation as n
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import U32, Insn, signed32, slot_offsets
from probee.formats.insn.ref import BtfIdRef, MapValueRef, Ref
from probee.model.helper import helper_name


def disassemble(insns: list[Insn]) -> str:
    """Return a listing: `slot: text` a line, labels on lines of their own, no final newline."""
    lines = []
    for slot, label, text in listing(insns):
        if label:
            lines.append(f"{label}:")
        if text:
            lines.append(f"{slot:4}: {text}")
    return "\n".join(lines)


def listing(insns: list[Insn]) -> list[tuple[int, str, str]]:
    """Return (slot, label or "", text) of each instruction; a jump to the very end adds a last entry without text."""
    slots = slot_offsets(insns)
    labels = _labels(insns, slots)
    rows = []
    for insn, slot in zip(insns, slots, strict=False):
        offset = _reach(insn)
        target = "" if offset is None else labels.get(slot + 1 + offset, "")
        rows.append((slot, labels.get(slot, ""), format_insn(insn, target)))
    if slots[-1] in labels:
        rows.append((slots[-1], labels[slots[-1]], ""))
    return rows


def _reach(insn: Insn) -> int | None:
    """Return the offset in slots of the jump target, or of the function called or taken the address of."""
    if insn.ref is None and insn.op == o.OP_CALL and insn.src == o.PSEUDO_CALL:
        return insn.imm
    if insn.ref is None and insn.op == o.OP_LD_IMM64 and insn.src == o.PSEUDO_FUNC:
        return signed32(insn.imm)
    return insn.branch


def _labels(insns: list[Insn], slots: list[int]) -> dict[int, str]:
    """Return a name for each slot that is reached from elsewhere, numbered from above: functions F, jump targets L."""
    letters: dict[int, str] = {}
    for insn, slot in zip(insns, slots, strict=False):
        offset = _reach(insn)
        if offset is not None:
            letter = "L" if insn.branch is not None else "F"
            letters[slot + 1 + offset] = min(letter, letters.get(slot + 1 + offset, letter))
    reached = [slot for slot in sorted(letters) if slot in set(slots)]
    return {
        slot: f"{letter}{number}"
        for letter in "FL"
        for number, slot in enumerate((slot for slot in reached if letters[slot] == letter), 1)
    }


def format_insn(insn: Insn, label: str = "") -> str:
    """Return the text of one instruction; `label` names its jump target or callee."""
    cls = insn.op & 7
    if insn.op == o.OP_LD_IMM64:
        return f"r{insn.dst} = {_wide_immediate(insn)}{f' <{label}>' if label else ''} ll"
    if cls in (o.ALU, o.ALU64):
        return _alu(insn, "r" if cls == o.ALU64 else "w")
    if cls in (o.JMP, o.JMP32):
        return _jump(insn, "r" if cls == o.JMP else "w", label)
    if cls == o.LD:
        return _packet_load(insn)
    return _memory(insn, cls)


def _alu(insn: Insn, letter: str) -> str:
    code = insn.op & 0xF0
    dst = f"{letter}{insn.dst}"
    if code == o.NEG:
        return f"{dst} = -{dst}"
    if code == o.END:
        order = "bswap" if letter == "r" else "be" if insn.op & o.X else "le"
        return f"r{insn.dst} = {order}{insn.imm} r{insn.dst}"
    source = f"{letter}{insn.src}" if insn.op & o.X else str(insn.imm)
    if code == o.MOV and insn.off:
        source = f"(s{insn.off}){source}"
    signed = "s" if insn.off and code in (o.DIV, o.MOD) else ""
    return f"{dst} {signed}{n.ALU_SIGN[code]} {source}"


def _jump(insn: Insn, letter: str, label: str) -> str:
    if insn.op == o.OP_EXIT:
        return "exit"
    if insn.op == o.OP_CALL:
        return f"call {_callee(insn)}{f' <{label}>' if label else ''}"
    where = f"{insn.branch:+d}{f' <{label}>' if label else ''}"
    if insn.op == o.OP_JA:
        return f"goto {where}"
    if insn.op == o.OP_GOTOL:
        return f"gotol {where}"
    if insn.op == o.OP_MAY_GOTO:
        return f"may_goto {where}"
    other = f"{letter}{insn.src}" if insn.op & o.X else insn.imm
    return f"if {letter}{insn.dst} {n.JMP_SIGN[insn.op & 0xF0]} {other} goto {where}"


def _callee(insn: Insn) -> str:
    ref = insn.ref
    if isinstance(ref, Ref):
        return f"{'kfunc' if insn.src == o.PSEUDO_KFUNC_CALL else 'func'}[{ref.name}]"
    if insn.src == o.PSEUDO_CALL:
        return f"pc{insn.imm:+d}"
    if insn.src == o.PSEUDO_KFUNC_CALL:
        return f"kfunc#{insn.imm}{f' btf {insn.off}' if insn.off else ''}"
    return helper_name(insn.imm) or f"helper#{insn.imm}"


def _wide_immediate(insn: Insn) -> str:
    ref = insn.ref
    if isinstance(ref, MapValueRef):
        return f"map_value[{ref.name}]{ref.offset:+d}"
    if isinstance(ref, BtfIdRef):
        return f"btf[{ref.kind} {ref.name}]"
    if isinstance(ref, Ref):
        return f"{n.PSEUDO_NAME.get(insn.src, 'const')}[{ref.name}]"
    if insn.src == 0:
        return f"{insn.imm:#x}"
    low, high = signed32(insn.imm), insn.imm >> 32 & U32
    return f"{n.PSEUDO_NAME[insn.src]}#{low}{f'+{high}' if high else ''}"


def _packet_load(insn: Insn) -> str:
    index = f"r{insn.src} {'-' if insn.imm < 0 else '+'} {abs(insn.imm)}" if insn.op & 0xE0 == o.IND else str(insn.imm)
    return f"r0 = *({n.SIZE_TYPE[insn.op & 0x18]} *)skb[{index}]"


def _memory(insn: Insn, cls: int) -> str:
    size, mode = insn.op & 0x18, insn.op & 0xE0
    types = n.SIGNED_TYPE if mode == o.MEMSX else n.SIZE_TYPE
    base = insn.src if cls == o.LDX else insn.dst
    if mode == o.ATOMIC and insn.imm == o.LOAD_ACQ:
        base = insn.src
    place = f"({types[size]} *)(r{base} {'-' if insn.off < 0 else '+'} {abs(insn.off)})"
    if mode == o.ATOMIC:
        return _atomic(insn, place, size)
    if cls == o.LDX:
        return f"r{insn.dst} = *{place}"
    return f"*{place} = {insn.imm if cls == o.ST else f'r{insn.src}'}"


def _atomic(insn: Insn, place: str, size: int) -> str:
    op = insn.imm
    if op == o.LOAD_ACQ:
        return f"r{insn.dst} = load_acquire({place})"
    if op == o.STORE_REL:
        return f"store_release({place}, r{insn.src})"
    letter, prefix = ("r", "atomic64") if size == o.DW else ("w", "atomic")
    if op in n.ATOMIC_SIGN:
        return f"lock *{place} {n.ATOMIC_SIGN[op]} {letter}{insn.src}"
    if op == o.CMPXCHG:
        return f"{letter}0 = {prefix}_cmpxchg({place}, {letter}0, {letter}{insn.src})"
    return f"{letter}{insn.src} = {prefix}_{n.ATOMIC_NAME[op]}({place}, {letter}{insn.src})"
