"""Loads and stores of places: plain ones, helpers' reads, bit fields, members and elements.

Which instruction a load becomes follows from the memory that the place's pointer points to; the kernel's and a user's are read
by a helper (the IR's pass `memory` makes it), the context and kernel objects by instructions that the verifier checks.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.bitfield import load_bits, store_bits
from probee.compiler.ir.type import DIRECT, I64, Type, int_type, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.provenance import root
from probee.compiler.lang.c.value import (
    INT,
    NO_FLOATS,
    Operand,
    Place,
    is_aggregate,
    is_float,
    is_integer,
    is_pointer,
    is_signed,
    pointee,
)
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import ArrayType, CType, FunctionType, Member, PointerType, StructType, size_of, strip

# context members that are pointers into the packet: the verifier makes them so when they are loaded, as 32 bits
PACKET_POINTERS = {"data": "packet", "data_end": "packet_end", "data_meta": "packet"}
PACKET_CONTEXTS = frozenset(("xdp_md", "__sk_buff", "sk_msg_md", "sk_reuseport_md"))


def load(low: Lowerer, place: Place, span: int) -> Operand:
    """Return what a place holds; an array's value is the address of its first element."""
    bare = strip(place.type)
    if isinstance(bare, ArrayType):
        return Operand(PointerType(bare.element), address(low, place, span))
    if isinstance(bare, FunctionType):
        raise Unsupported("pointers to functions are not supported: BPF programs cannot call through them", span)
    if is_float(bare):
        raise Unsupported(NO_FLOATS, span)
    if is_aggregate(bare) or not (is_integer(bare) or is_pointer(bare)):
        raise TypeMismatch(f"a value of type '{place.type.spelling()}' cannot be computed with", span)
    if place.packet_header:
        from probee.compiler.lang.c.packet import load_header

        return load_header(low, place)
    if place.bits is not None:
        return _load_bits(low, place, span)
    if low.holds_pointer(place):
        return _load_tracked(low, place, span)
    type = pointer("kernel") if is_pointer(bare) else int_type(bare.size)
    return Operand(place.type, _load(low, place, type, place.offset, span))


def _load_tracked(low: Lowerer, place: Place, span: int) -> Operand:
    """Load a pointer from a local variable."""
    assert place.variable is not None
    space = low.provenance.read(place.variable, place.offset)
    if space == "context":
        return Operand(place.type, low.context)
    value = _load(low, place, low.pointer_type(place.variable, place.offset), place.offset, span)
    mixed = low.provenance.mixed.get((place.variable.key, place.offset))
    if mixed is not None:
        low.mixed[value] = mixed
    target = low.provenance.target(place.variable, place.offset)
    if target is not None:
        low.targets[value] = target
    return Operand(place.type, value)


def _load(low: Lowerer, place: Place, type: Type, offset: int, span: int) -> Value:
    base = reachable(low, place, span)
    space = base.type.space
    if space == "context":
        return _load_context(low, base, type, offset, place)
    if space == "packet_end":
        raise CompileError("the end of the packet cannot be read from", span)
    if space == "trusted":
        return low.b.load_trusted(base, type, offset)
    return low.b.load(base, type, offset)


def _load_context(low: Lowerer, base: Value, type: Type, offset: int, place: Place) -> Value:
    if place.field is not None and place.field[0] in PACKET_CONTEXTS and place.field[1] in PACKET_POINTERS:
        type = pointer(PACKET_POINTERS[place.field[1]])
    return low.b.load_context(base, type, offset)


def reachable(low: Lowerer, place: Place, span: int) -> Value:
    """Return the pointer that a place is reached through: the program takes it for not null."""
    base = place.base
    if not base.type.is_pointer:
        if base.op == op.CONST and base.attr == 0:
            raise CompileError("this pointer is always null", span)
        return low.b.pointer(base, "kernel")
    return low.b.claim_non_null(base)


def store(low: Lowerer, place: Place, operand: Operand, span: int) -> None:
    """Store a scalar, which is of the place's type already."""
    if place.packet_header:
        from probee.compiler.lang.c.packet import store_header

        store_header(low, place, operand)
        return
    base = writable(low, place, span)
    if place.bits is not None:
        _store_bits(low, place, base, operand)
    elif is_pointer(place.type):
        _store_pointer(low, place, base, operand, span)
    elif base.type.space == "context":
        low.b.store_context(base, convert.number(low, operand), place.offset)
    else:
        low.b.store(base, convert.number(low, operand), place.offset)


def _store_pointer(low: Lowerer, place: Place, base: Value, operand: Operand, span: int) -> None:
    value = operand.value
    if not low.holds_pointer(place):
        low.b.store(base, value, place.offset)  # a null is the i64 0
        return
    variable = place.variable
    assert variable is not None
    if value.type.is_pointer:
        space = low.provenance.assign(variable, place.offset, value.type.space, span, low.target_of(value))
    else:  # null: of the memory that the others point to
        space = low.provenance.read(variable, place.offset)
    if space == "context":
        return
    low.tracked.add(low.b.store(base, in_space(low, value, space), place.offset))


def in_space(low: Lowerer, value: Value, space: str) -> Value:
    """Return a pointer, or the number 0, as a pointer into a memory that covers its own."""
    if not value.type.is_pointer:
        return low.b.null(space) if space in ("map", "ringbuf", "stack", "own") else low.b.pointer(value, "kernel")
    if value.type.space == space:
        return value
    return low.b.pointer(low.b.address(value), space, nullable=space == "own" and value.type.nullable)


def writable(low: Lowerer, place: Place, span: int) -> Value:
    """Return the pointer to write through; CompileError where a program cannot write."""
    if place.packet_header:
        raise Unsupported("a whole header cannot be written: bpf_skb_store_bytes() does that", span)
    base = reachable(low, place, span)
    if base.type.space in DIRECT or base.type.space == "context":
        return base
    mixed = low.mixed.get(root(base)[0])
    if mixed is not None:
        hint = "Write in each of the two places."
        raise CompileError(f"this pointer points to {mixed[0]} here and to {mixed[1]} there: it only reads", span, hint=hint)
    what = {"kernel": "kernel memory", "user": "user memory", "trusted": "a kernel object"}.get(base.type.space, "this memory")
    raise CompileError(f"{what} cannot be written by a BPF program; a map's value, the stack and the packet can", span)


def copy(low: Lowerer, to: Place, source: Place, span: int) -> None:
    """Copy a struct, a union or a 128-bit integer."""
    size = size_of(to.type)
    base = writable(low, to, span)
    from_base = reachable(low, source, span)
    if to.variable is not None:
        if source.variable is not None:
            low.provenance.copy(to.variable, to.offset, source.variable, source.offset, size)
        else:
            low.provenance.overwrite(to.variable, to.offset, size)
    if from_base.type.space == "context":
        _copy_context(low, base, to.offset, from_base, source.offset, size)
        return
    if from_base.type.space == "trusted":
        from_base = low.b.pointer(low.b.address(from_base), "kernel")
    copied = low.b.copy(base, from_base, size, to_offset=to.offset, from_offset=source.offset)
    if to.variable is not None and copied is not None:
        low.tracked.add(copied)


def _copy_context(low: Lowerer, to: Value, to_offset: int, context: Value, from_offset: int, size: int) -> None:
    """Copy a part of the context, in pieces that are aligned in it."""
    at = 0
    while at < size:
        piece = next(n for n in (8, 4, 2, 1) if (from_offset + at) % n == 0 and n <= size - at)
        low.b.store(to, low.b.load_context(context, int_type(piece), from_offset + at), to_offset + at)
        at += piece


def address(low: Lowerer, place: Place, span: int) -> Value:
    """Return a place's address.  A bit field has none."""
    if place.bits is not None:
        raise CompileError("a bit field has no address", span)
    if place.packet_header:
        return low.b.add(place.base, place.offset)
    if place.offset == 0:
        return place.base
    if not place.base.type.is_pointer:  # of null: how far into its struct a member is
        return low.b.pointer(low.b.add(low.b.resize(place.base, I64, signed=False), low.b.const(place.offset)), "kernel")
    return low.b.offset(reachable(low, place, span), place.offset)


def unmoved(place: Place) -> Place:
    """Return a place with constant moves of its pointer in its offset, which the verifier wants of the context."""
    while place.base.op == op.OFFSET and place.base.args[1].op == op.CONST:
        by = place.base.args[1].attr
        place.offset += by - (1 << 64) if by >> 63 else by
        place.base = place.base.args[0]
    return place


def behind(low: Lowerer, operand: Operand, span: int) -> Place:
    """Return what a pointer points to."""
    target = pointee(operand.type)
    if target is None:
        raise TypeMismatch(f"this is '{operand.type.spelling()}', not a pointer", span)
    value = operand.value
    bare = strip(target)
    if isinstance(bare, StructType) and low.source.is_packet_header(bare):
        return Place(target, convert.number(low, operand), packet_header=True)
    if not value.type.is_pointer and not (value.op == op.CONST and value.attr == 0):
        value = low.b.pointer(low.b.resize(value, I64, signed=False), "kernel")
    found = low.target_of(value)
    if found is not None and found[0] in low.variables:  # it is the address of a variable: as good as its name
        variable = low.variables[found[0]]
        return Place(target, variable.slot, found[1], variable=variable)
    return unmoved(Place(target, value))


def member(low: Lowerer, place: Place, path: tuple[Member, ...]) -> Place:
    """Return a member of a struct, given the way to it through anonymous ones."""
    bit = sum(step.bit_offset for step in path)
    last = path[-1]
    root = strip(place.type)
    name = root.name if isinstance(root, StructType) else ""
    result = Place(
        last.type, place.base, place.offset + bit // 8,
        variable=place.variable, packet_header=place.packet_header, field=(name, last.name),
    )  # fmt: skip
    if last.bit_size and not (bit % 8 == 0 and last.bit_size == size_of(last.type) * 8):
        result.bits = (bit % 8, last.bit_size)
    return result


def element(low: Lowerer, place: Place, index: Operand, span: int, *, behind: bool = False) -> Place:
    """Return an element of an array that lies at a place; `behind` allows the one behind the last."""
    array = strip(place.type)
    assert isinstance(array, ArrayType)
    size = size_of(array.element)
    if index.value.op == op.CONST:
        offset = _signed(index) * size
        if array.count and not place.packet_header and place.space in DIRECT and not 0 <= offset < max(array.size, 1) + behind:
            raise CompileError(f"index {_signed(index)} is outside the array, which has {array.count} elements", span)
        return Place(array.element, place.base, place.offset + offset, variable=place.variable)
    return Place(array.element, moved(low, movable(low, place, span), index, size))


def movable(low: Lowerer, place: Place, span: int) -> Value:
    """Return a place's address as a pointer that any number moves."""
    base = address(low, place, span)
    if not base.type.is_pointer:
        return low.b.pointer(base, "kernel")
    if base.type.space in ("context", "trusted"):  # which only constants move
        return low.b.pointer(low.b.address(base), "kernel")
    return base


def moved(low: Lowerer, base: Value, index: Operand, size: int) -> Value:
    """Return a pointer moved by `index` times `size` bytes."""
    by = convert.wide(low, index)
    by = by if size == 1 else low.b.mul(by, size)
    if by.op == op.MUL and all(arg.op == op.CONST for arg in by.args):
        by = low.b.const(by.args[0].attr * by.args[1].attr)
    return low.b.offset(low.b.claim_non_null(base), by)


def _signed(index: Operand) -> int:
    number, bits = index.value.attr, index.value.type.bits
    negative = is_signed(index.type) and number >> (bits - 1)
    return int(number - (1 << bits) if negative else number)


# -- bit fields


def _load_bits(low: Lowerer, place: Place, span: int) -> Operand:
    assert place.bits is not None
    first, count = place.bits
    bare = strip(place.type)

    def load_unit(base: Value, type: Type, offset: int) -> Value:
        return _load(low, place, type, offset, span)

    bit = place.offset * 8 + first
    value = load_bits(low.b, place.base, bit, count, signed=is_signed(bare), load=load_unit)
    ctype = INT if count < 32 else place.type  # as an int holds all its values, it is one (ISO C 6.3.1.1)
    return Operand(ctype, low.b.resize(value, int_type(size_of(ctype)), signed=False))


def _store_bits(low: Lowerer, place: Place, base: Value, operand: Operand) -> None:
    assert place.bits is not None
    first, count = place.bits
    value = low.b.resize(convert.number(low, operand), I64, signed=False)
    store_bits(low.b, base, place.offset * 8 + first, count, value)


def store_into(low: Lowerer, type: CType, place: Place, operand: Operand, span: int) -> None:
    """Convert an operand and store it."""
    store(low, place, convert.convert(low, operand, type, span), span)
