"""Selection of pointer arithmetic and of direct memory access.

Constant offsets are folded into every load and store, even when the sum has other uses: the base pointer stays as it is,
which the verifier wants of the context.  The verifier insists on natural alignment in the stack only, so accesses there
are split where the offset is known to be odd (alignment.py tells of pointers that a variable moves).
"""

from __future__ import annotations

from probee.compiler.codegen.alignment import alignment
from probee.compiler.codegen.machine import MOV64
from probee.compiler.codegen.selector import Place, Selector, signed64
from probee.compiler.ir import op
from probee.compiler.ir.unit import Value
from probee.errors import CompileError
from probee.formats.insn import opcode as o

SIZE = o.SIZE_OF_BYTES
_ALIGNED = ("stack", "own")
_ATOMIC = {"add": o.ADD, "or": o.OR, "and": o.AND, "xor": o.XOR, "xchg": o.XCHG}


def offset(s: Selector, value: Value) -> None:
    """p + i; a sum with a constant goes away again (dead code) where every use has folded it in."""
    base, by = value.args
    if s.is_made(value):
        return
    dst = s.define(value)
    s.into(dst, base)
    number = signed64(by.attr) if by.op == op.CONST else None
    if number is None or not -(1 << 31) <= number < 1 << 31:
        s.put(o.ALU64 | o.ADD | o.X, dst, s.reg(by))
        return
    field = s.source.fields.get(value)
    if number or field:
        s.put(o.ALU64 | o.ADD | o.K, dst, imm=number).field = field


def distance(s: Selector, value: Value) -> None:
    dst = s.define(value)
    s.into(dst, value.args[0])
    s.put(o.ALU64 | o.SUB | o.X, dst, s.reg(value.args[1]))


def load(s: Selector, value: Value) -> None:
    """Load, load_context, load_trusted: all are plain loads, clean by nature."""
    place = s.place(value.args[0], value.attr)
    in_context = value.op == op.LOAD_CONTEXT and value.type.space in ("packet", "packet_end")
    size = 4 if in_context else value.type.size  # struct xdp_md and struct __sk_buff give packet pointers as u32
    dst = s.define(value)
    piece = _piece(value.args[0], place, size)
    if piece < size:
        _load_pieces(s, dst, place, size, piece)
        return
    insn = s.put(o.LDX | o.MEM | SIZE[size], dst, place.base, place.off, slot=place.slot)
    insn.field = s.source.fields.get(value) or place.field


def _piece(pointer: Value, place: Place, size: int) -> int:
    """Return how many bytes of `size` may be accessed at a time."""
    if pointer.type.space not in _ALIGNED:
        return size
    at = place.off if place.slot is not None else place.off | alignment(pointer)
    return min(at & -at, size) if at % size else size


def _load_pieces(s: Selector, dst: int, place: Place, size: int, piece: int) -> None:
    """Put an unaligned number in the stack together, lowest bytes first."""
    base = place.base
    if base == dst:  # which the first piece would overwrite
        base = s.new()
        s.put(MOV64, base, dst)
    s.put(o.LDX | o.MEM | SIZE[piece], dst, base, place.off, slot=place.slot)
    for done in range(piece, size, piece):
        part = s.new()
        s.put(o.LDX | o.MEM | SIZE[piece], part, base, place.off + done, slot=place.slot)
        s.put(o.ALU64 | o.LSH | o.K, part, imm=done * 8)
        s.put(o.ALU64 | o.OR | o.X, dst, part)


def store(s: Selector, value: Value) -> None:
    base, what = value.args
    size = what.type.size
    place = s.place(base, value.attr)
    piece = _piece(base, place, size)
    if piece < size:
        _store_pieces(s, place, what, piece)
        return
    imm = s.immediate(s.root(what), wide=size == 8)
    if imm is not None:
        s.put(o.ST | o.MEM | SIZE[size], place.base, 0, place.off, imm, slot=place.slot)
    else:
        s.put(o.STX | o.MEM | SIZE[size], place.base, s.reg(what), place.off, slot=place.slot)


def store_context(s: Selector, value: Value) -> None:
    """Write to the context; the verifier wants no immediate store there (`BPF_ST stores into R1 ctx is not allowed`)."""
    base, what = value.args
    place = s.place(base, value.attr)
    s.put(o.STX | o.MEM | SIZE[what.type.size], place.base, s.reg(what), place.off)


def _store_pieces(s: Selector, place: Place, what: Value, piece: int) -> None:
    """Store to an unaligned offset in the stack, lowest bytes first."""
    rest = s.new()
    s.into(rest, what)
    for done in range(0, what.type.size, piece):
        s.put(o.STX | o.MEM | SIZE[piece], place.base, rest, place.off + done, slot=place.slot)
        if done + piece < what.type.size:
            s.put(o.ALU64 | o.RSH | o.K, rest, imm=piece * 8)


def copy(s: Selector, value: Value) -> None:
    """Copy `size` bytes, the largest pieces that both sides' alignment allows."""
    to_offset, from_offset, size = value.attr
    to = s.place(value.args[0], to_offset)
    source = s.place(value.args[1], from_offset)
    done = 0
    for piece in pieces(size, _in_stack(value.args[0], to), _in_stack(value.args[1], source)):
        part = s.new()
        s.put(o.LDX | o.MEM | SIZE[piece], part, source.base, source.off + done, slot=source.slot)
        s.put(o.STX | o.MEM | SIZE[piece], to.base, part, to.off + done, slot=to.slot)
        done += piece


def zero(s: Selector, value: Value) -> None:
    offset, size = value.attr
    place = s.place(value.args[0], offset)
    done = 0
    for piece in pieces(size, _in_stack(value.args[0], place)):
        s.put(o.ST | o.MEM | SIZE[piece], place.base, 0, place.off + done, 0, slot=place.slot)
        done += piece


def _in_stack(pointer: Value, place: Place) -> tuple[int, int] | None:
    """Return (offset, what it is counted from is a multiple of) in the stack; None in memory where any alignment goes."""
    if pointer.type.space not in _ALIGNED:
        return None
    return place.off, 8 if place.slot is not None else alignment(pointer)


def pieces(size: int, *sides: tuple[int, int] | None) -> list[int]:
    """Return the sizes of the accesses that cover `size` bytes on all sides at once.

    A side is (offset, what the pointer is a multiple of), None where any alignment goes.
    """
    known = [side for side in sides if side is not None]
    result = []
    done = 0
    while done < size:
        piece = min(8, *(most for _, most in known)) if known else 8
        while piece > size - done or any((offset + done) % piece for offset, _ in known):
            piece >>= 1
        result.append(piece)
        done += piece
    return result


def atomic(s: Selector, value: Value) -> None:
    """Atomic read-modify-write; without fetch only `add` exists before Linux 5.12 (commit 981f94c3e921).

    An old value that nobody looks at is not fetched.
    """
    base, operand = value.args
    operation, offset, fetch = value.attr
    fetch = fetch and value in s.uses
    if (fetch or operation != "add") and "atomic_fetch" not in s.features:
        raise CompileError(f"an atomic {operation} needs Linux 5.12", value.span, hint="use a plain load and store")
    place = s.place(base, offset)
    code = _ATOMIC[operation] | (o.FETCH if fetch else 0)
    if code & o.FETCH:
        register = s.define(value) if fetch else s.new()
        s.into(register, operand)
    else:
        register = s.reg(operand)
    s.put(o.STX | o.ATOMIC | SIZE[operand.type.size], place.base, register, place.off, code, slot=place.slot)


def compare_exchange(s: Selector, value: Value) -> None:
    """The expected value goes in through r0, the old one comes out through r0."""
    if "atomic_fetch" not in s.features:
        raise CompileError("compare and exchange needs Linux 5.12", value.span)
    base, expected, new = value.args
    place = s.place(base, value.attr)
    register = s.reg(new)
    s.into(0, expected)
    s.put(o.STX | o.ATOMIC | SIZE[new.type.size], place.base, register, place.off, o.CMPXCHG, slot=place.slot)
    s.put(MOV64, s.define(value), 0)
