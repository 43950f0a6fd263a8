"""IR of idioms that the kernel's verifier is particular about, each a unit with one program that returns a known number.

Written the way front ends write: mutable variables are allocas.  `NEEDS` names the kernel feature that one needs.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I8, I16, I32, I64, MAP, VOID, Type, pointer
from probee.compiler.ir.unit import Function, Program, Unit, Value
from probee.model.spec import MapSpec, MapType, ProgramType

NULLABLE = pointer("map", nullable=True)
RESERVED = pointer("ringbuf", nullable=True)
CONTEXT = pointer("context")
DATA_BYTES = 256
FEATURES = frozenset(("atomic_fetch", "probe_read_kernel"))


class Case:
    """How to build a unit and what its program returns; `data` is the input in the map of that name, once built."""

    def __init__(self, write: Callable[[], tuple[Unit, int]], needs: str = "") -> None:
        self.name = write.__name__
        self.needs = needs
        self.data = bytes(DATA_BYTES)
        self._write = write

    def build(self) -> tuple[Unit, int]:
        """Return a fresh unit and the number that its program returns."""
        Writer.data = bytearray(DATA_BYTES)
        unit, want = self._write()
        self.data = bytes(Writer.data)
        return unit, want


CASES: list[Case] = []


def case(needs: str = "") -> Callable[[Callable[[], tuple[Unit, int]]], Callable[[], tuple[Unit, int]]]:
    def register(build: Callable[[], tuple[Unit, int]]) -> Callable[[], tuple[Unit, int]]:
        CASES.append(Case(build, needs))
        return build

    return register


class Writer(Builder):
    """A builder with the shapes that front ends use, and the unit that it writes into."""

    data = bytearray(DATA_BYTES)

    def __init__(self, type: int = ProgramType.RAW_TRACEPOINT) -> None:
        super().__init__(Function("main", (CONTEXT,), I64))
        self.unit = Unit()
        self.unit.features = FEATURES
        self.unit.maps["data"] = MapSpec("data", MapType.ARRAY, 4, DATA_BYTES, 1)
        self.unit.maps["table"] = MapSpec("table", MapType.HASH, 8, 64, 16)
        self.unit.maps["ring"] = MapSpec("ring", MapType.RINGBUF, 0, 0, 4096)
        self.program = Program("main", type, [self.function])
        self.unit.programs.append(self.program)

    def given(self, offset: int, number: int, type: Type = I64) -> None:
        """Say what the program will find in its input."""
        Writer.data[offset : offset + type.size] = (number & (1 << type.bits) - 1).to_bytes(type.size, "little")

    def done(self, result: Value | int, want: int) -> tuple[Unit, int]:
        self.return_(self.const(result) if isinstance(result, int) else result)
        return self.unit, want

    def if_(self, condition: Value, then: Callable[[], object], otherwise: Callable[[], object] | None = None) -> None:
        yes, no, join = self.new_block(), self.new_block(), self.new_block()
        self.branch(condition, yes, no)
        for block, fill in ((yes, then), (no, otherwise)):
            self.at(block)
            if fill is not None:
                fill()
            if not self.terminated:
                self.jump(join)
        self.at(join)

    def exit_if(self, condition: Value, result: int = 99) -> None:
        self.if_(condition, lambda: self.return_(self.const(result)))

    def exit_unless(self, condition: Value, result: int = 99) -> None:
        yes, no = self.new_block(), self.new_block()
        self.branch(condition, yes, no)
        self.at(no)
        self.return_(self.const(result))
        self.at(yes)

    def count(self, n: Value | int, body: Callable[[Value], object]) -> None:
        """for (i = 0; i < n; i++) body(i)"""
        counter = self.alloca(8, name="i")
        self.store(counter, self.const(0))
        head, inside, out = self.new_block(), self.new_block(), self.new_block()
        self.jump(head)
        self.at(head)
        self.branch(self.compare(op.ULT, self.load(counter, I64), n), inside, out)
        self.at(inside)
        body(self.load(counter, I64))
        self.store(counter, self.add(self.load(counter, I64), 1))
        self.jump(head)
        self.at(out)

    def key(self, number: int | Value, type: Type = I64) -> Value:
        slot = self.alloca(8, name="key")
        self.store(slot, self.const(number, type) if isinstance(number, int) else number)
        return slot

    def insert(self, key: int, words: dict[int, int]) -> None:
        """table[key] = 64 bytes of zero but for words at offsets."""
        value = self.alloca(64, name="value")
        self.zero(value, 64)
        for offset, number in words.items():
            self.store(value, self.const(number), offset)
        self.helper("map_update_elem", self.map("table"), self.key(key), value, self.const(0))

    def lookup(self, key: int | Value) -> Value:
        return self.helper("map_lookup_elem", self.map("table"), self.key(key), type=NULLABLE)

    def other(self, name: str, kind: str, parameters: tuple[Type, ...], result: Type = I64) -> Builder:
        function = Function(name, parameters, result, kind=kind)
        self.program.functions.append(function)
        return Builder(function)


@case()
def hello() -> tuple[Unit, int]:
    w = Writer()
    record = w.alloca(24, name="record")
    w.store(record, w.const(7))
    w.store(record, w.const(1, I32), 8)
    w.store(record, w.const(2, I32), 12)
    w.store(record, w.const(0x1234_5678_9ABC), 16)
    return w.done(w.helper("ringbuf_output", w.map("ring"), record, w.const(24), w.const(0)), 0)


@case()
def count_by_key() -> tuple[Unit, int]:
    w = Writer()
    w.insert(5, {0: 40})
    found = w.lookup(5)
    w.exit_unless(w.check_null(found))
    value = w.non_null(found)
    w.atomic("add", value, w.const(2))
    return w.done(w.load(value, I64), 42)


@case()
def bounded_size() -> tuple[Unit, int]:
    """A size from memory, bounded, used after another call has come between."""
    w = Writer()
    data = w.map_value("data")
    w.given(8, 1000, I64)
    size = w.load(data, I64, 8)
    buffer = w.alloca(64, name="buffer")
    w.zero(buffer, 64)
    w.helper("ktime_get_ns")
    bounded = w.bound(size, 64)
    w.helper("ringbuf_output", w.map("ring"), buffer, bounded, w.const(0))
    return w.done(bounded, 64)


@case()
def checked_size_across_calls() -> tuple[Unit, int]:
    """A size checked by the program itself; more values than registers live across the calls until it is used."""
    w = Writer()
    data = w.map_value("data")
    w.given(8, 24, I64)
    size = w.load(data, I64, 8)
    kept = [w.load(data, I64, 16 + 8 * n) for n in range(6)]
    w.exit_if(w.compare(op.UGT, size, 64))
    w.exit_if(w.compare(op.ULT, size, 1))
    buffer = w.alloca(64, name="buffer")
    w.zero(buffer, 64)
    for _ in range(3):
        kept.append(w.lshr(w.helper("ktime_get_ns"), 63))
    w.helper("ringbuf_output", w.map("ring"), buffer, size, w.const(0))
    total = size
    for value in kept:
        total = w.add(total, value)
    return w.done(total, 24)


@case()
def bounds_survive_a_spill() -> tuple[Unit, int]:
    """A checked index that must go to memory, since everything else is needed sooner."""
    w = Writer()
    data = w.map_value("data")
    w.given(8, 17)
    w.given(100 + 17, 55, I8)
    index = w.load(data, I64, 8)
    kept = [w.load(data, I64, 16 + 8 * n) for n in range(5)]
    found = w.lookup(1)
    w.exit_if(w.compare(op.UGT, index, 100))
    for _ in range(2):
        for n in range(5):
            kept[n] = w.add(kept[n], w.lshr(w.helper("ktime_get_ns"), 63))
    total = w.zext(w.load(w.offset(data, index), I8, 100), I64)
    for value in kept:
        total = w.add(total, value)
    w.exit_if(w.check_null(found))
    return w.done(total, 55)


@case()
def narrow_index() -> tuple[Unit, int]:
    """A u16 made by arithmetic, compared and used as an index: both must see one register."""
    w = Writer()
    data = w.map_value("data")
    w.given(33, 77, I8)
    w.given(2, 20, I16)
    index = w.add(w.load(data, I16, 2), w.const(13, I16))
    w.exit_unless(w.compare(op.ULT, index, w.const(200, I16)))
    return w.done(w.zext(w.load(w.offset(data, w.zext(index, I64)), I8), I64), 77)


@case()
def signed_index() -> tuple[Unit, int]:
    """An int checked on both sides, then widened with its sign."""
    w = Writer()
    data = w.map_value("data")
    w.given(40, 9, I8)
    w.given(4, 40, I32)
    index = w.load(data, I32, 4)
    w.exit_if(w.compare(op.SLT, index, w.const(0, I32)))
    w.exit_if(w.compare(op.SGT, index, w.const(200, I32)))
    return w.done(w.zext(w.load(w.offset(data, w.sext(index, I64)), I8), I64), 9)


@case()
def index_computed_again_behind_its_check() -> tuple[Unit, int]:
    """A product used before the check of its operand, and once more behind it as an index: the first one has no bounds."""
    w = Writer()
    data = w.map_value("data")
    w.given(8, 17)
    w.given(34, 55, I8)
    x = w.load(data, I64, 8)
    w.store(data, w.shl(x, 1), 64)
    w.exit_if(w.compare(op.UGT, x, 20))
    return w.done(w.zext(w.load(w.offset(data, w.shl(x, 1)), I8), I64), 55)


@case()
def index_checked_after_it_was_widened() -> tuple[Unit, int]:
    """The bounds must be on the number that is added, not on what it was widened from."""
    w = Writer()
    data = w.map_value("data")
    w.given(40, 9, I8)
    w.given(4, 40, I32)
    index = w.sext(w.load(data, I32, 4), I64)
    w.helper("ktime_get_ns")
    w.exit_if(w.compare(op.SLT, index, 0))
    w.exit_if(w.compare(op.SGT, index, 200))
    return w.done(w.zext(w.load(w.offset(data, index), I8), I64), 9)


@case()
def index_from_a_number_that_was_checked() -> tuple[Unit, int]:
    """Folding the two sums into one would go past the number that has the bounds."""
    w = Writer()
    data = w.map_value("data")
    w.given(8, 20)
    w.given(80, 66, I8)
    middle = w.mul(w.load(data, I64, 8), 2)
    w.exit_if(w.compare(op.UGT, middle, 50))
    return w.done(w.zext(w.load(w.offset(data, w.mul(middle, 2)), I8), I64), 66)


@case()
def masked_index() -> tuple[Unit, int]:
    w = Writer()
    data = w.map_value("data")
    w.given(0, 0xFF07, I64)
    w.given(7 * 8, 5, I64)
    index = w.and_(w.load(data, I64, 0), 15)
    return w.done(w.load(w.offset(data, w.shl(index, 3)), I64), 5)


@case()
def seven_lookups_alive() -> tuple[Unit, int]:
    """Null checks of values that went through memory before and after being checked."""
    w = Writer()
    for key in range(7):
        w.insert(key, {8: key + 1})
    found = [w.lookup(key) for key in range(7)]
    values = []
    for value in found:
        w.exit_unless(w.check_null(value))
        values.append(w.non_null(value))
    w.helper("ktime_get_ns")
    total = w.const(0)
    for value in values:
        total = w.add(total, w.load(value, I64, 8))
    return w.done(total, 28)


@case()
def pointer_in_a_variable() -> tuple[Unit, int]:
    """A map value's address kept in a variable across a call, and checked after it came back."""
    w = Writer()
    w.insert(1, {0: 30})
    variable = w.alloca(8, name="p")
    w.store(variable, w.lookup(1))
    w.helper("ktime_get_ns")
    again = w.load(variable, NULLABLE)
    w.exit_unless(w.check_null(again))
    w.store(variable, w.non_null(again))
    w.helper("ktime_get_ns")
    return w.done(w.load(w.load(variable, pointer("map")), I64), 30)


@case()
def ring_reservation() -> tuple[Unit, int]:
    """Reserve, fill, and submit or discard on every path."""
    w = Writer()
    record = w.helper("ringbuf_reserve", w.map("ring"), w.const(32), w.const(0), type=RESERVED)
    w.exit_unless(w.check_null(record))
    place = w.non_null(record)
    w.store(place, w.const(3))
    w.zero(place, 24, 8)
    w.store(place, w.helper("ktime_get_ns"), 8)

    def discard() -> None:
        w.helper("ringbuf_discard", place, w.const(0), type=VOID)
        w.return_(w.const(98))

    w.if_(w.compare(op.EQ, w.load(w.map_value("data"), I64, 64), 1), discard)
    w.store(place, w.const(5, I8), 31)
    w.helper("ringbuf_submit", place, w.const(0), type=VOID)
    return w.done(12, 12)


@case()
def loop_over_an_array() -> tuple[Unit, int]:
    w = Writer()
    data = w.map_value("data")
    total = w.alloca(8, name="total")
    w.store(total, w.const(0))
    w.count(16, lambda i: w.store(w.offset(data, w.shl(i, 3)), i))
    w.count(16, lambda i: w.store(total, w.add(w.load(total, I64), w.load(w.offset(data, w.shl(i, 3)), I64))))
    return w.done(w.load(total, I64), 120)


@case()
def loop_with_calls() -> tuple[Unit, int]:
    """A loop with lookups inside, six values alive around it."""
    w = Writer()
    data = w.map_value("data")
    for key in range(4):
        w.insert(key, {0: key * 10})
    kept = [w.load(data, I64, 8 * n) for n in range(6)]
    total = w.alloca(8, name="total")
    w.store(total, w.const(0))

    def body(i: Value) -> None:
        found = w.lookup(i)
        w.if_(
            w.check_null(found),
            lambda: w.store(total, w.add(w.load(total, I64), w.load(w.non_null(found), I64))),
            lambda: w.store(total, w.add(w.load(total, I64), 1)),
        )

    w.count(6, body)
    result = w.load(total, I64)
    for value in kept:
        result = w.add(result, value)
    return w.done(result, 62)


@case()
def string_compare() -> tuple[Unit, int]:
    """Byte by byte with an early way out."""
    w = Writer()
    left, right = w.alloca(16, name="left"), w.alloca(16, name="right")
    for slot, at, last in ((left, 0, 1), (right, 16, 2)):
        w.given(at, 0x6162_6364_6566_6768)
        w.given(at + 8, last)
        w.copy(slot, w.map_value("data"), 16, from_offset=at)
    result = w.alloca(8, name="result")
    w.store(result, w.const(0))
    for n in range(16):
        a, b = w.load(left, I8, n), w.load(right, I8, n)
        w.if_(w.compare(op.NE, a, b), lambda n=n: w.store(result, w.or_(w.load(result, I64), w.const(1 << n))))
    return w.done(w.load(result, I64), 1 << 8)


@case()
def log2_histogram() -> tuple[Unit, int]:
    """The branchy binary logarithm that histograms use, and the bucket it leads to."""
    w = Writer()
    data = w.map_value("data")
    w.given(0, 5000, I64)
    number, log = w.alloca(8, name="number"), w.alloca(8, name="log")
    w.store(number, w.load(data, I64))
    w.store(log, w.const(0))
    for shift in (32, 16, 8, 4, 2, 1):

        def add(shift: int = shift) -> None:
            w.store(log, w.or_(w.load(log, I64), w.const(shift)))
            w.store(number, w.lshr(w.load(number, I64), shift))

        w.if_(w.compare(op.UGE, w.load(number, I64), w.const(1 << shift)), add)
    bucket = w.bound(w.load(log, I64), 31)
    slot = w.offset(data, w.shl(bucket, 3))
    w.exit_if(w.compare(op.UGT, bucket, 23))
    w.atomic("add", slot, w.const(1), 64)
    return w.done(w.load(log, I64), 12)


@case()
def kernel_pointer_walk() -> tuple[Unit, int]:
    """Loads from kernel memory; every probe read of a wild address gives zero."""
    w = Writer()
    task = w.pointer(w.const(0x10), "kernel")
    parent = w.load(task, pointer("kernel"), 16)
    return w.done(w.add(w.zext(w.load(parent, I32, 8), I64), 6), 6)


@case()
def division_by_a_variable() -> tuple[Unit, int]:
    w = Writer()
    data = w.map_value("data")
    w.given(0, -100)
    w.given(8, 7, I64)
    a, b = w.load(data, I64), w.load(data, I64, 8)
    quotient = w.binary(op.SDIV, a, b)
    remainder = w.binary(op.SREM, a, b)
    by_zero = w.binary(op.UDIV, b, w.load(data, I64, 16))
    return w.done(w.add(w.sub(w.mul(quotient, -14 & (1 << 64) - 1), remainder), by_zero), 198)


@case()
def subprogram_with_a_buffer() -> tuple[Unit, int]:
    """A static function that writes through a pointer into its caller's frame."""
    w = Writer()
    buffer = w.alloca(16, name="buffer")
    w.store(buffer, w.const(0))
    w.store(buffer, w.const(0), 8)
    sub = w.other("fill", "subprogram", (pointer("stack"), I32, I64))
    sub.store(sub.param(0), sub.add(sub.param(2), sub.zext(sub.param(1), I64)), 8)
    sub.return_(sub.helper("ktime_get_ns"))
    w.call("fill", buffer, w.const(40, I32), w.const(2))
    return w.done(w.load(buffer, I64, 8), 42)


@case(needs="bpf_loop")
def loop_callback() -> tuple[Unit, int]:
    """bpf_loop with captured variables by address."""
    w = Writer()
    total = w.alloca(8, name="total")
    w.store(total, w.const(1))
    captured = w.alloca(16, name="captured")
    w.store(captured, total)
    w.store(captured, w.const(3), 8)
    body = w.other("body", "callback", (I64, pointer("stack")))
    index, context = body.param(0), body.param(1)
    place = body.load(context, pointer("stack"))
    step = body.load(context, I64, 8)
    body.store(place, body.add(body.load(place, I64), body.add(body.mul(index, 0), step)))
    body.return_(body.const(0))
    w.helper("loop", w.const(10), w.callback("body"), captured, w.const(0))
    return w.done(w.load(total, I64), 31)


@case(needs="for_each_map_elem")
def for_each_callback() -> tuple[Unit, int]:
    w = Writer()
    for key in range(3):
        w.insert(key, {0: key + 5})
    total = w.alloca(8, name="total")
    w.store(total, w.const(0))
    body = w.other("each", "callback", (MAP, pointer("map"), pointer("map"), pointer("stack")))
    body.store(body.param(3), body.add(body.load(body.param(3), I64), body.load(body.param(2), I64)))
    body.return_(body.const(0))
    w.helper("for_each_map_elem", w.map("table"), w.callback("each"), total, w.const(0))
    return w.done(w.load(total, I64), 18)


@case()
def packet_parse() -> tuple[Unit, int]:
    """Ethernet, IPv4 with a variable header length, a port; XDP on a packet of the test's."""
    w = Writer(ProgramType.XDP)
    context = w.param(0)
    data = w.load_context(context, pointer("packet"), 0)
    end = w.load_context(context, pointer("packet_end"), 4)
    w.exit_unless(w.emit(op.CHECK_PACKET, w.compare(op.EQ, w.const(0), 0).type, [data, end], 34))
    w.exit_unless(w.compare(op.EQ, w.bswap(w.load(data, I16, 12)), w.const(0x800, I16)))
    length = w.shl(w.and_(w.zext(w.load(data, I8, 14), I64), 15), 2)
    transport = w.offset(w.offset(data, 14), length)
    w.exit_unless(w.emit(op.CHECK_PACKET, w.compare(op.EQ, w.const(0), 0).type, [transport, end], 8))
    return w.done(w.zext(w.bswap(w.load(transport, I16, 2)), I64), 443)


PACKET = bytes(12) + b"\x08\x00" + b"\x46" + bytes(23) + b"\x30\x39\x01\xbb" + bytes(30)


@case()
def pressure_across_calls() -> tuple[Unit, int]:
    """Ten values alive across five calls."""
    w = Writer()
    data = w.map_value("data")
    for n in range(10):
        w.given(8 * n, n + 1)
    kept = [w.load(data, I64, 8 * n) for n in range(10)]
    for _ in range(5):
        kept.append(w.lshr(w.helper("ktime_get_ns"), 63))
        kept[0] = w.add(kept[0], kept[-1])
    total = w.const(0)
    for value in kept:
        total = w.add(total, value)
    return w.done(total, 55)


@case()
def many_temporaries() -> tuple[Unit, int]:
    """Twelve buffers of 64 bytes that are never needed together: they share one place in the frame."""
    w = Writer()
    for n in range(12):
        buffer = w.alloca(64, name=f"buffer{n}")
        w.zero(buffer, 64)
        w.store(buffer, w.const(n))
        w.helper("ringbuf_output", w.map("ring"), buffer, w.const(64), w.const(0))
    return w.done(4, 4)


