"""The forms that a line of BPF assembly may have, each with the function that makes its instruction.

A form is a regular expression and a builder; the builder gets the groups and returns an instruction and the label it
jumps to ("" if none, "?name" if the offset stands beside it).  KeyError or ValueError says that the line is of no form.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.formats.insn import insn as i
from probee.formats.insn import notation as n
from probee.formats.insn import opcode as o
from probee.formats.insn.ref import ConstRef, FuncRef, MapRef
from probee.model.helper import helper_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALU_CODE = {sign: code for code, sign in n.ALU_SIGN.items()} | {"s/=": o.DIV, "s%=": o.MOD}
_JMP_CODE = {sign: code for code, sign in n.JMP_SIGN.items()}
_SIZE = {name: code for table in (n.SIZE_TYPE, n.SIGNED_TYPE) for code, name in table.items()}
_ATOMIC_CODE = {name: code for code, name in n.ATOMIC_NAME.items()}
_ATOMIC_PLAIN = {sign: code for code, sign in n.ATOMIC_SIGN.items()}
_PSEUDO = {name: code for code, name in n.PSEUDO_NAME.items()}
_JUMP = {"goto": o.OP_JA, "gotol": o.OP_GOTOL, "may_goto": o.OP_MAY_GOTO}

_NUMBER = r"([+-]?(?:0x[0-9a-fA-F]+|\d+))"
_REGISTER = r"([rw])(10|\d)"
_PLACE = r"\(([us]\d+) \*\)\(r(10|\d) ([+-]) (0x[0-9a-fA-F]+|\d+)\)"
_TARGET = r"(?:([+-]\d+)(?: <(\w+)>)?|(\w+))"
_Parsed = tuple[i.Insn, str]


def _int(text: str) -> int:
    return int(text, 0) if "x" in text else int(text)


def _alu_class(letter: str) -> int:
    return o.ALU64 if letter == "r" else o.ALU


def _exit() -> _Parsed:
    return i.exit_(), ""


def _alu_reg(letter: str, dst: str, sign: str, extend: str | None, letter2: str, src: str) -> _Parsed:
    code = _ALU_CODE[sign]
    if letter2 != letter or (extend and code != o.MOV):
        raise ValueError
    off = int(extend) if extend else int(sign in ("s/=", "s%="))
    return i.Insn(_alu_class(letter) | o.X | code, int(dst), int(src), off), ""


def _alu_imm(letter: str, dst: str, sign: str, imm: str) -> _Parsed:
    value = _int(imm) if letter == "r" else i.signed32(_int(imm))
    return i.Insn(_alu_class(letter) | o.K | _ALU_CODE[sign], int(dst), 0, int(sign in ("s/=", "s%=")), value), ""


def _neg(letter: str, dst: str, letter2: str, src: str) -> _Parsed:
    if (letter, dst) != (letter2, src):
        raise ValueError
    return i.Insn(_alu_class(letter) | o.NEG, int(dst)), ""


def _endian(dst: str, order: str, bits: str, src: str) -> _Parsed:
    if dst != src:
        raise ValueError
    op = {"le": o.ALU | o.TO_LE, "be": o.ALU | o.TO_BE, "bswap": o.ALU64}[order]
    return i.Insn(op | o.END, int(dst), imm=int(bits)), ""


def _offset(sign: str, digits: str) -> int:
    return -_int(digits) if sign == "-" else _int(digits)


def _load(dst: str, size: str, base: str, sign: str, off: str) -> _Parsed:
    mode = o.MEMSX if size[0] == "s" else o.MEM
    return i.Insn(o.LDX | mode | _SIZE[size], int(dst), int(base), _offset(sign, off)), ""


def _store(size: str, base: str, sign: str, off: str, src: str) -> _Parsed:
    return i.Insn(o.STX | o.MEM | _SIZE[size], int(base), int(src), _offset(sign, off)), ""


def _store_imm(size: str, base: str, sign: str, off: str, imm: str) -> _Parsed:
    return i.Insn(o.ST | o.MEM | _SIZE[size], int(base), 0, _offset(sign, off), _int(imm)), ""


def _atomic(size: str, base: str, sign: str, off: str, src: str, code: int) -> _Parsed:
    return i.Insn(o.STX | o.ATOMIC | _SIZE[size], int(base), int(src), _offset(sign, off), code), ""


def _lock(size: str, base: str, sign: str, off: str, op: str, letter: str, src: str) -> _Parsed:
    if letter != ("r" if size == "u64" else "w"):
        raise ValueError
    return _atomic(size, base, sign, off, src, _ATOMIC_PLAIN[op])


def _fetch64(dst: str, name: str, size: str, base: str, sign: str, off: str, src: str) -> _Parsed:
    if dst != ("0" if name == "cmpxchg" else src) or size != "u64":
        raise ValueError
    return _atomic(size, base, sign, off, src, _ATOMIC_CODE[name])


def _fetch32(dst: str, name: str, size: str, base: str, sign: str, off: str, src: str) -> _Parsed:
    if dst != ("0" if name == "cmpxchg" else src) or size != "u32":
        raise ValueError
    return _atomic(size, base, sign, off, src, _ATOMIC_CODE[name])


def _load_acquire(dst: str, size: str, base: str, sign: str, off: str) -> _Parsed:
    return i.Insn(o.STX | o.ATOMIC | _SIZE[size], int(dst), int(base), _offset(sign, off), o.LOAD_ACQ), ""


def _store_release(size: str, base: str, sign: str, off: str, src: str) -> _Parsed:
    return _atomic(size, base, sign, off, src, o.STORE_REL)


def _packet_abs(size: str, imm: str) -> _Parsed:
    return i.Insn(o.LD | o.ABS | _SIZE[size], imm=_int(imm)), ""


def _packet_ind(size: str, src: str, sign: str, imm: str) -> _Parsed:
    return i.Insn(o.LD | o.IND | _SIZE[size], src=int(src), imm=_offset(sign, imm)), ""


def _place_label(off: str | None, shown: str | None, label: str | None) -> tuple[int, str]:
    return int(off or 0), label or (f"?{shown}" if shown else "")


def _goto(kind: str, off: str | None, shown: str | None, label: str | None) -> _Parsed:
    offset, target = _place_label(off, shown, label)
    insn = i.Insn(_JUMP[kind])
    if kind == "gotol":
        insn.imm = offset
    else:
        insn.off = offset
    return insn, target


def _branch(letter: str, dst: str, sign: str, other: str, off: str | None, shown: str | None, label: str | None) -> _Parsed:
    offset, target = _place_label(off, shown, label)
    op = (o.JMP if letter == "r" else o.JMP32) | _JMP_CODE[sign]
    if other[0] in "rw":
        if other[0] != letter:
            raise ValueError
        return i.Insn(op | o.X, int(dst), int(other[1:]), offset), target
    return i.Insn(op | o.K, int(dst), 0, offset, _int(other) if letter == "r" else i.signed32(_int(other))), target


def _wide(dst: str, imm: str) -> _Parsed:
    return i.ld_imm64(int(dst), _int(imm)), ""


def _wide_pseudo(dst: str, kind: str, low: str, high: str | None) -> _Parsed:
    value = int(low) & i.U32 | int(high or 0) << 32
    return i.Insn(o.OP_LD_IMM64, int(dst), _PSEUDO[kind], imm=value), ""


def _wide_ref(dst: str, kind: str, name: str, offset: str | None) -> _Parsed:
    if kind == "map_value":
        return i.ld_map_value(int(dst), name, int(offset or 0)), ""
    if kind == "btf":
        btf_kind, _, symbol = name.partition(" ")
        return i.ld_btf_id(int(dst), symbol, btf_kind), ""
    ref = {"map": MapRef, "const": ConstRef, "func": FuncRef, "map_idx": MapRef}[kind](name)
    return i.Insn(o.OP_LD_IMM64, int(dst), _PSEUDO.get(kind, 0), ref=ref), ""


def _call_ref(kind: str, name: str) -> _Parsed:
    return (i.call_func(name) if kind == "func" else i.call_kfunc(name)), ""


def _call_pc(off: str) -> _Parsed:
    return i.Insn(o.OP_CALL, src=o.PSEUDO_CALL, imm=int(off)), ""


def _call_number(kind: str, number: str, btf: str | None) -> _Parsed:
    src = o.PSEUDO_KFUNC_CALL if kind == "kfunc" else 0
    return i.Insn(o.OP_CALL, src=src, off=int(btf or 0), imm=int(number)), ""


def _call_helper(name: str) -> _Parsed:
    number = helper_id(name)
    if number is None:
        raise KeyError(name)
    return i.call(number), ""


FORMS: list[tuple[str, Callable[..., Any]]] = [
    (r"exit", _exit),
    (rf"{_REGISTER} (=|[-+*/|&%^]=|s[/%]=|<<=|s?>>=) (?:\(s(\d+)\))?{_REGISTER}", _alu_reg),
    (rf"{_REGISTER} (=|[-+*/|&%^]=|s[/%]=|<<=|s?>>=) {_NUMBER}", _alu_imm),
    (rf"{_REGISTER} = -{_REGISTER}", _neg),
    (r"r(10|\d) = (le|be|bswap)(\d+) r(10|\d)", _endian),
    (rf"r(10|\d) = \*{_PLACE}", _load),
    (rf"\*{_PLACE} = r(10|\d)", _store),
    (rf"\*{_PLACE} = {_NUMBER}", _store_imm),
    (rf"lock \*{_PLACE} ([-+|&^]=) {_REGISTER}", _lock),
    (rf"r(10|\d) = atomic64_(fetch_\w+|xchg|cmpxchg)\({_PLACE}, (?:r0, )?r(10|\d)\)", _fetch64),
    (rf"w(10|\d) = atomic_(fetch_\w+|xchg|cmpxchg)\({_PLACE}, (?:w0, )?w(10|\d)\)", _fetch32),
    (rf"r(10|\d) = load_acquire\({_PLACE}\)", _load_acquire),
    (rf"store_release\({_PLACE}, r(10|\d)\)", _store_release),
    (rf"r0 = \*\((u\d+) \*\)skb\[{_NUMBER}\]", _packet_abs),
    (r"r0 = \*\((u\d+) \*\)skb\[r(10|\d) ([+-]) (0x[0-9a-fA-F]+|\d+)\]", _packet_ind),
    (rf"(goto|gotol|may_goto) {_TARGET}", _goto),
    (rf"if {_REGISTER} (==|!=|&|s?>=?|s?<=?) (r10|r\d|w10|w\d|[+-]?\w+) goto {_TARGET}", _branch),
    (rf"r(10|\d) = {_NUMBER} ll", _wide),
    (r"r(10|\d) = (map_value|map_idx_value|map_idx|map|btf|func)#(-?\d+)(?:\+(\d+))?(?: <\w+>)? ll", _wide_pseudo),
    (r"r(10|\d) = (map_value|map_idx|map|btf|func|const)\[([^\]]+)\]([+-]\d+)? ll", _wide_ref),
    (r"call (func|kfunc)\[([^\]]+)\]", _call_ref),
    (r"call pc([+-]\d+)(?: <\w+>)?", _call_pc),
    (r"call (helper|kfunc)#(-?\d+)(?: btf (-?\d+))?", _call_number),
    (r"call (\w+)", _call_helper),
]
