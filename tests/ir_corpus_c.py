"""IR of what C programs do, each a unit with one program that returns a known number; ir_corpus.py has what a case is.

`KERNEL_ONLY` are those whose helpers and contexts the interpreters do not model.
"""

from __future__ import annotations

from collections.abc import Callable

from ir_corpus import CONTEXT, NULLABLE, Case, Writer
from probee.compiler.ir import op
from probee.compiler.ir.bitfield import load_bits, store_bits
from probee.compiler.ir.content import compare_bytes, fill, is_equal
from probee.compiler.ir.packet import load_packet
from probee.compiler.ir.switch import switch
from probee.compiler.ir.type import I8, I16, I32, I64, VOID, int_type, pointer
from probee.compiler.ir.unit import Unit, Value
from probee.model.spec import MapSpec, MapType, ProgramType

C_CASES: list[Case] = []
KERNEL_ONLY: list[Case] = []
PACKET_POINTER, PACKET_END = pointer("packet"), pointer("packet_end")

Write = Callable[[], tuple[Unit, int]]


def case(needs: str = "", *, kernel_only: bool = False) -> Callable[[Write], Write]:
    def register(write: Write) -> Write:
        (KERNEL_ONLY if kernel_only else C_CASES).append(Case(write, needs))
        return write

    return register


class Total:
    """A sum of what was found, in a variable."""

    def __init__(self, w: Writer) -> None:
        self.w = w
        self.slot = w.alloca(8, name="total")
        w.store(self.slot, w.const(0))

    def add(self, value: Value | int) -> None:
        w = self.w
        value = w.const(value) if isinstance(value, int) else w.resize(value, I64, signed=False)
        w.store(self.slot, w.add(w.load(self.slot, I64), value))

    @property
    def value(self) -> Value:
        return self.w.load(self.slot, I64)


@case()
def switch_of_many_cases() -> tuple[Unit, int]:
    """Eleven cases, signed and far apart, twice: one that is there and one that is not."""
    numbers = [-5, -1, 0, 1, 2, 3, 7, 100, 1000, 0x7FFF_FFFF, -0x8000_0000]
    w = Writer()
    w.given(0, 7, I32)
    w.given(4, 8, I32)
    total = Total(w)
    for at in (0, 4):
        value = w.load(w.map_value("data"), I32, at)
        blocks = [w.new_block() for _ in numbers]
        default, out = w.new_block(), w.new_block()
        switch(w, value, list(zip(numbers, blocks, strict=True)), default)
        for index, block in enumerate([*blocks, default]):
            w.at(block)
            total.add(1 << index)
            w.jump(out)
        w.at(out)
    return w.done(total.value, (1 << 6) + (1 << 11))


@case()
def switch_that_falls_through() -> tuple[Unit, int]:
    w = Writer()
    w.given(0, 2, I8)
    total = Total(w)
    one, two, three, out = (w.new_block() for _ in range(4))
    switch(w, w.load(w.map_value("data"), I8), [(1, one), (2, two), (3, three)], out)
    for block, following, number in ((one, two, 1), (two, three, 10), (three, out, 100)):
        w.at(block)
        total.add(number)
        w.jump(following)
    w.at(out)
    return w.done(total.value, 110)


@case()
def bit_fields() -> tuple[Unit, int]:
    """struct { unsigned a : 3; int b : 7; unsigned long c : 33; } in a map's value, changed one after the other."""
    w = Writer()
    data = w.map_value("data")
    w.given(0, 0xFFFF_FFFF_FFFF_FFFF)
    store_bits(w, data, 0, 3, w.const(5))
    store_bits(w, data, 3, 7, w.const(-9 & (1 << 64) - 1))
    store_bits(w, data, 10, 33, w.const(0x1_2345_6789))
    a = load_bits(w, data, 0, 3, signed=False)
    b = load_bits(w, data, 3, 7, signed=True)
    c = load_bits(w, data, 10, 33, signed=False)
    rest = load_bits(w, data, 43, 21, signed=True)
    w.exit_unless(w.compare(op.EQ, c, 0x1_2345_6789))
    w.exit_unless(w.compare(op.EQ, rest, -1 & (1 << 64) - 1))
    return w.done(w.add(w.mul(a, 100), b), 491)


@case()
def packed_bit_field_across_words() -> tuple[Unit, int]:
    """60 bits from bit 61 on: no aligned word holds them."""
    w = Writer()
    buffer = w.alloca(24, name="packed")
    fill(w, buffer, 0xFF, 24)
    store_bits(w, buffer, 61, 60, w.const(0x0123_4567_89AB_CDE))
    field = load_bits(w, buffer, 61, 60, signed=False)
    w.exit_unless(w.compare(op.EQ, field, 0x0123_4567_89AB_CDE))
    before, behind = load_bits(w, buffer, 0, 61, signed=False), load_bits(w, buffer, 121, 7, signed=False)
    w.exit_unless(w.compare(op.EQ, before, (1 << 61) - 1))
    return w.done(behind, 127)


@case()
def memory_set_and_compared() -> tuple[Unit, int]:
    """memset, memcmp, struct assignment, a 128-bit member."""
    w = Writer()
    data = w.map_value("data")
    for at in range(0, 24, 8):
        w.given(at, 0x4141_4141_4141_4141)
    w.given(20, 0x4140_4141, I32)
    own, other = w.alloca(24, name="own"), w.alloca(24, name="other")
    fill(w, own, ord("A"), 24)
    w.copy(other, data, 24)
    total = Total(w)
    total.add(is_equal(w, own, other, 21))
    total.add(w.shl(w.zext(is_equal(w, own, other, 24), I64), 1))
    order = compare_bytes(w, own, other, 24)
    total.add(w.shl(w.zext(w.compare(op.SGT, order, 0), I64), 2))
    order = compare_bytes(w, other, own, 24)
    total.add(w.shl(w.zext(w.compare(op.SLT, order, 0), I64), 3))
    total.add(w.shl(w.zext(w.compare(op.EQ, compare_bytes(w, own, other, 16), 0), I64), 4))
    w.copy(data, own, 16, to_offset=64)
    w.copy(own, data, 16, from_offset=64)
    total.add(w.shl(w.zext(is_equal(w, own, w.offset(data, 64), 16), I64), 5))
    return w.done(total.value, 0b111101)


@case()
def signed_arithmetic_of_all_widths() -> tuple[Unit, int]:
    w = Writer()
    data = w.map_value("data")
    total = Total(w)
    want = 0
    at = 0
    for size in (1, 2, 4, 8):
        type = int_type(size)
        least = 1 << (8 * size - 1)
        mask = (1 << 8 * size) - 1
        for left, right in ((-100, 7), (100, -7), (-100, -7), (least, mask), (-1, 0)):
            w.given(at, left, type)
            w.given(at + size, right, type)
            a, b = w.load(data, type, at), w.load(data, type, at + size)
            at += 2 * size
            for operation in (op.SDIV, op.SREM):
                total.add(w.and_(w.resize(w.binary(operation, a, b), I64, signed=True), 0xFFFF))
            a_signed, b_signed = _signed(left, size), _signed(right, size)
            quotient = int(abs(a_signed) // abs(b_signed)) * (1 if (a_signed < 0) == (b_signed < 0) else -1) if b_signed else 0
            want += (_signed(quotient, size) & 0xFFFF) + (a_signed - quotient * b_signed & 0xFFFF)
    return w.done(total.value, want)


def _signed(number: int, size: int) -> int:
    number &= (1 << 8 * size) - 1
    return number - (1 << 8 * size) if number >> 8 * size - 1 else number


@case(needs="atomic_fetch")
def atomics() -> tuple[Unit, int]:
    """Every operation on 4 and 8 bytes of a map's value and of the stack, with the old value and without."""
    w = Writer()
    data, own = w.map_value("data"), w.alloca(16, name="own")
    total, want = Total(w), 0
    fill(w, own, 0x11, 16)
    for base, start in ((data, 0), (own, 0x1111_1111_1111_1111)):
        for type in (I32, I64):
            number = start & (1 << type.bits) - 1
            offset = 8 if type is I64 else 0
            for operation, operand in (("add", 5), ("or", 0x70), ("and", 0x7E), ("xor", 0x0F), ("xchg", 9)):
                for fetch in (False, True):
                    old = w.atomic(operation, base, w.const(operand, type), offset, fetch=fetch)
                    if fetch:
                        total.add(w.and_(old, 0xFFF))
                        want += number & 0xFFF
                    number = {"add": number + 5, "or": number | 0x70, "and": number & 0x7E, "xor": number ^ 0x0F, "xchg": 9}[
                        operation
                    ] & ((1 << type.bits) - 1)
            for expected in (9, 3):
                old = w.compare_exchange(base, w.const(expected, type), w.const(77, type), offset)
                total.add(old)
                want += number
                number = 77 if number == expected else number
            total.add(w.load(base, type, offset))
            want += number
    return w.done(total.value, want)


@case()
def atomic_whose_old_value_nobody_wants() -> tuple[Unit, int]:
    """__sync_fetch_and_add as a statement: every kernel has that."""
    w = Writer()
    w.unit.features = frozenset(("probe_read_kernel",))
    data = w.map_value("data")
    w.atomic("add", data, w.const(3), fetch=True)
    w.atomic("add", data, w.const(-1 & (1 << 64) - 1), fetch=True)
    return w.done(w.load(data, I64), 2)


@case()
def subprogram_with_pointers_of_all_kinds() -> tuple[Unit, int]:
    """Five arguments: the frame, a map's value, the context, narrow numbers; a narrow result."""
    w = Writer()
    own = w.alloca(8, name="own")
    w.store(own, w.const(30))
    w.given(8, 4, I64)
    sub = w.other("mix", "subprogram", (pointer("stack"), pointer("map"), CONTEXT, I8, I16), I16)
    record = sub.alloca(8, name="record")
    sub.store(record, sub.const(0))
    sub.load_context(sub.param(2), I64, 0)
    sub.store(sub.param(1), sub.load(sub.param(0), I64), 16)
    sub.store(sub.param(0), sub.load(sub.param(1), I64, 8))
    narrow = sub.add(sub.zext(sub.param(3), I16), sub.param(4))
    sub.return_(narrow)
    result = w.call("mix", own, w.map_value("data"), w.param(0), w.const(250, I8), w.const(0xFFFF, I16), type=I16)
    total = w.add(w.zext(result, I64), w.mul(w.load(own, I64), 1000))
    return w.done(w.add(total, w.mul(w.load(w.map_value("data"), I64, 16), 100_000)), 249 + 4000 + 3_000_000)


@case()
def subprograms_that_call_each_other() -> tuple[Unit, int]:
    """Three deep, one called from two places, one without a result."""
    w = Writer()
    outer = w.other("outer", "subprogram", (I64,))
    outer.return_(outer.add(outer.call("inner", outer.param(0)), outer.call("inner", outer.const(5))))
    inner = w.other("inner", "subprogram", (I64,))
    inner.call("note", inner.param(0), type=VOID)
    inner.return_(inner.mul(inner.param(0), 2))
    note = w.other("note", "subprogram", (I64,), VOID)
    note.store(note.map_value("data"), note.add(note.load(note.map_value("data"), I64), note.param(0)))
    note.return_()
    result = w.call("outer", w.const(7))
    return w.done(w.add(w.mul(result, 100), w.load(w.map_value("data"), I64)), 2412)


@case()
def variable_index_into_the_stack() -> tuple[Unit, int]:
    """u32 a[8] = {0}; a[i & 7] = x; … a[j]: written and read at computed places."""
    w = Writer()
    data = w.map_value("data")
    w.given(0, 21, I32)
    w.given(4, 5, I32)
    array = w.alloca(32, name="array")
    w.zero(array, 32)
    index = w.zext(w.and_(w.load(data, I32), 7), I64)
    w.store(w.offset(array, w.shl(index, 2)), w.const(1234, I32))
    other = w.bound(w.zext(w.load(data, I32, 4), I64), 7)
    return w.done(w.zext(w.load(w.offset(array, w.shl(other, 2)), I32), I64), 1234)


@case()
def variable_index_into_a_map_value() -> tuple[Unit, int]:
    w = Writer()
    w.insert(1, {8 * n: n * n for n in range(8)})
    w.given(0, 6, I32)
    found = w.lookup(1)
    w.exit_unless(w.check_null(found))
    index = w.load(w.map_value("data"), I32)
    w.exit_if(w.compare(op.UGE, index, 8))
    return w.done(w.load(w.offset(w.non_null(found), w.shl(w.zext(index, I64), 3)), I64), 36)


@case()
def loop_without_a_known_bound() -> tuple[Unit, int]:
    """while (n > 1 && i < 64) { n >>= 1; i++; }: the kernel walks it."""
    w = Writer()
    w.given(0, 1 << 40)
    number, turns = w.alloca(8, name="n"), w.alloca(8, name="i")
    w.store(number, w.load(w.map_value("data"), I64))
    w.store(turns, w.const(0))
    head, second, body, out = (w.new_block() for _ in range(4))
    w.jump(head)
    w.at(head)
    w.branch(w.compare(op.UGT, w.load(number, I64), 1), second, out)
    w.at(second)
    w.branch(w.compare(op.ULT, w.load(turns, I64), 64), body, out)
    w.at(body)
    w.store(number, w.lshr(w.load(number, I64), 1))
    w.store(turns, w.add(w.load(turns, I64), 1))
    w.jump(head)
    w.at(out)
    return w.done(w.load(turns, I64), 40)


@case()
def unrolled_because_asked_for() -> tuple[Unit, int]:
    """#pragma unroll over 60 turns with a way out: too many to be unrolled unasked."""
    w = Writer()
    data = w.map_value("data")
    w.given(45, 7, I8)
    found = w.alloca(8, name="found")
    w.store(found, w.const(-1 & (1 << 64) - 1))
    counter = w.alloca(4, name="i")
    w.store(counter, w.const(0, I32))
    head, body, hit, step, out = (w.new_block() for _ in range(5))
    w.jump(head)
    w.at(head)
    w.branch(w.compare(op.SLT, w.load(counter, I32), 60), body, out)
    w.at(body)
    w.unroll(must=True)
    at = w.sext(w.load(counter, I32), I64)
    w.branch(w.compare(op.EQ, w.load(w.offset(data, at), I8), 7), hit, step)
    w.at(hit)
    w.store(found, at)
    w.jump(out)
    w.at(step)
    w.store(counter, w.add(w.load(counter, I32), 1))
    w.jump(head)
    w.at(out)
    return w.done(w.load(found, I64), 45)


@case()
def goto_into_a_loop() -> tuple[Unit, int]:
    """A loop with two entries, which has no header that dominates it."""
    w = Writer()
    w.given(0, 1)
    total = Total(w)
    counter = w.alloca(8, name="i")
    w.store(counter, w.const(0))
    first, second, out = (w.new_block() for _ in range(3))
    w.branch(w.compare(op.EQ, w.load(w.map_value("data"), I64), 1), second, first)
    w.at(first)
    total.add(100)
    w.jump(second)
    w.at(second)
    total.add(1)
    w.store(counter, w.add(w.load(counter, I64), 1))
    w.branch(w.compare(op.ULT, w.load(counter, I64), 5), first, out)
    w.at(out)
    return w.done(total.value, 405)


@case()
def goto_out_of_nested_blocks() -> tuple[Unit, int]:
    """`goto out` from two depths, one over a declaration."""
    w = Writer()
    w.given(0, 3, I8)
    total = Total(w)
    out = w.new_block()

    def inner() -> None:
        total.add(10)
        w.if_(w.compare(op.EQ, w.load(w.map_value("data"), I8, 1), 0), lambda: w.jump(out))
        total.add(1000)

    w.if_(w.compare(op.EQ, w.load(w.map_value("data"), I8), 3), inner)
    total.add(100)
    w.jump(out)
    w.at(out)
    return w.done(total.value, 10)


@case()
def helper_by_its_number() -> tuple[Unit, int]:
    w = Writer()
    return w.done(w.lshr(w.helper("#5"), 63), 0)


@case()
def packet_bounds_as_a_program_writes_them() -> tuple[Unit, int]:
    """if (data + 34 > end) return; … a header of variable length, checked again: comparisons of pointers, no check_packet."""
    w = Writer(ProgramType.XDP)
    context = w.param(0)
    start, end = w.load_context(context, PACKET_POINTER, 0), w.load_context(context, PACKET_END, 4)
    w.exit_if(w.compare(op.UGT, w.offset(start, 34), end))
    w.exit_unless(w.compare(op.EQ, w.load(start, I16, 12), w.const(8, I16)))
    length = w.shl(w.zext(w.and_(w.load(start, I8, 14), w.const(15, I8)), I64), 2)
    transport = w.offset(w.offset(start, 14), length)
    w.exit_if(w.compare(op.UGT, w.offset(transport, 20), end))
    port = w.zext(w.bswap(w.load(transport, I16, 2)), I64)
    w.exit_if(w.compare(op.UGT, w.offset(transport, 20), end))  # once more, as inlined functions do
    return w.done(w.add(port, w.zext(w.load(transport, I8, 19), I64)), 443)


@case()
def options_of_a_packet_in_a_loop() -> tuple[Unit, int]:
    """p += 2 in a loop that looks at the packet's end in each turn."""
    w = Writer(ProgramType.XDP)
    start, end = w.load_context(w.param(0), PACKET_POINTER, 0), w.load_context(w.param(0), PACKET_END, 4)
    place, total = w.alloca(8, name="p"), Total(w)
    w.store(place, start)

    def body(i: Value) -> None:
        here = w.load(place, PACKET_POINTER)
        inside, out = w.new_block(), w.new_block()
        w.branch(w.compare(op.UGT, w.offset(here, 2), end), out, inside)
        w.at(out)
        w.return_(w.const(98))
        w.at(inside)
        total.add(w.load(here, I16))
        w.store(place, w.offset(here, 2))

    w.count(12, body)
    return w.done(total.value, 8 + 0x46)


@case()
def pointer_checked_against_null_and_claimed() -> tuple[Unit, int]:
    """v = lookup(); if (!v) return; f(v); … *v += 1; if (v) …: the program's own checks, each use takes it for proved."""
    w = Writer()
    w.insert(3, {0: 5, 8: 6})
    variable = w.alloca(8, name="v")
    w.store(variable, w.lookup(3))
    w.exit_if(w.compare(op.EQ, w.load(variable, NULLABLE), w.null("map")))

    def claimed() -> Value:
        return w.claim_non_null(w.load(variable, NULLABLE))

    w.store(claimed(), w.add(w.load(claimed(), I64), 1))
    w.helper("ktime_get_ns")
    total = Total(w)
    w.if_(w.check_null(w.load(variable, NULLABLE)), lambda: total.add(w.load(claimed(), I64)))
    w.if_(
        w.compare(op.NE, w.load(variable, NULLABLE), w.null("map")),
        lambda: total.add(w.load(w.offset(claimed(), 8), I64)),
        lambda: total.add(1000),
    )
    return w.done(total.value, 12)


@case()
def pointer_of_one_of_two_lookups() -> tuple[Unit, int]:
    """v = lookup(a); if (!v) { v = lookup(b); if (!v) return; } use *v: a phi of proved and unproved pointers."""
    w = Writer()
    w.insert(8, {0: 31})
    variable = w.alloca(8, name="v")
    w.store(variable, w.lookup(7))

    def second() -> None:
        w.store(variable, w.lookup(8))
        w.exit_unless(w.check_null(w.load(variable, NULLABLE)))

    w.if_(w.compare(op.EQ, w.load(variable, NULLABLE), w.null("map")), second)
    return w.done(w.load(w.claim_non_null(w.load(variable, NULLABLE)), I64), 31)


# -- what only the kernel can judge


@case(kernel_only=True)
def tail_call_into_nothing() -> tuple[Unit, int]:
    """An empty program array: the call fails and the program goes on."""
    w = Writer()
    w.unit.maps["programs"] = MapSpec("programs", MapType.PROG_ARRAY, 4, 4, 4)
    w.helper("tail_call", w.param(0), w.map("programs"), w.const(2), type=VOID)
    return w.done(17, 17)


@case(kernel_only=True)
def socket_filter_reads_with_network_order() -> tuple[Unit, int]:
    w = Writer(ProgramType.SOCKET_FILTER)
    total = Total(w)
    total.add(load_packet(w, w.param(0), w.const(0), I16))
    total.add(load_packet(w, w.param(0), w.const(9), I8))
    length = w.load_context(w.param(0), I32, 0)
    w.store_context(w.param(0), length, 48)  # cb[0]
    w.exit_unless(w.compare(op.EQ, w.load_context(w.param(0), I32, 48), length))
    return w.done(total.value, 0x4600)


@case(kernel_only=True)
def traffic_class_writes_its_context() -> tuple[Unit, int]:
    """A tc program: direct access to the packet, a mark, a field that the kernel checks."""
    w = Writer(ProgramType.SCHED_CLS)
    context = w.param(0)
    start, end = w.load_context(context, PACKET_POINTER, 76), w.load_context(context, PACKET_END, 80)
    w.exit_unless(w.check_packet(start, end, 34))
    protocol = w.bswap(w.load(start, I16, 12))
    w.store_context(context, w.const(77, I32), 8)  # mark
    w.store(start, w.const(3, I8), 33)
    mark = w.load_context(context, I32, 8)
    return w.done(w.add(w.zext(protocol, I64), w.zext(mark, I64)), 0x800 + 77)


@case(kernel_only=True)
def packet_rewritten() -> tuple[Unit, int]:
    """XDP: swap two halves of the packet's head in place, the length from the packet's own ends."""
    w = Writer(ProgramType.XDP)
    context = w.param(0)
    start, end = w.load_context(context, PACKET_POINTER, 0), w.load_context(context, PACKET_END, 4)
    w.exit_unless(w.check_packet(start, end, 14))
    kept = w.alloca(8, name="mac")
    w.copy(kept, start, 6)
    w.copy(start, start, 6, from_offset=6)
    w.copy(start, kept, 6, to_offset=6)
    w.store(start, w.const(0x55, I8), 11)
    length = w.emit(op.DISTANCE, I64, [w.emit(op.OFFSET, PACKET_POINTER, [start, w.const(14)]), start])
    return w.done(w.add(w.zext(w.load(start, I8, 11), I64), length), 0x55 + 14)


@case(kernel_only=True)
def map_in_a_map() -> tuple[Unit, int]:
    """A lookup in an array of maps that has none in it: what would be found is a map to look up in."""
    w = Writer()
    w.unit.maps["inner"] = MapSpec("inner", MapType.HASH, 8, 8, 4)
    w.unit.maps["outer"] = MapSpec("outer", MapType.ARRAY_OF_MAPS, 4, 4, 2, inner="inner")
    found = w.helper("map_lookup_elem", w.map("outer"), w.key(1, I32), type=pointer("map", nullable=True))
    w.exit_unless(w.check_null(found), 21)
    inner = w.non_null(found)
    w.helper("map_update_elem", inner, w.key(5), w.key(6), w.const(0))
    value = w.helper("map_lookup_elem", inner, w.key(5), type=pointer("map", nullable=True))
    w.exit_unless(w.check_null(value), 22)
    return w.done(w.load(w.non_null(value), I64), 21)
