"""Random legal IR: typed, terminating, acceptable to the kernel's verifier, and the same for every judge.

A program reads its input from the array map `data` (one value: INPUT bytes of input, then the output), computes, and
stores what it has at the end into the output.  Biased to what is hard for a code generator: i8 and i16, values that live
across calls, loops with phis, stack traffic of all widths and odd offsets.
"""

from __future__ import annotations

import random

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I8, I16, I32, I64, Type, pointer
from probee.compiler.ir.unit import Block, Function, Program, Unit, Value
from probee.model.spec import MapSpec, MapType, ProgramType

INPUT, OUTPUT = 128, 256
DATA_BYTES = INPUT + OUTPUT
TABLE_KEY, TABLE_VALUE = 4, 24
LIVE = 7

_TYPES = (I8, I8, I16, I16, I32, I32, I64, I64)
_BINARY = sorted(op.ARITHMETIC)
_COMPARE = sorted(op.COMPARISONS)
_INTERESTING = (0, 1, 2, 3, 7, 8, 15, 31, 63, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000,
                0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 1 << 63, (1 << 64) - 1)  # fmt: skip


def random_unit(
    seed: int, *, size: int = 30, atomics: bool = True, far: bool = False, program_type: int = ProgramType.RAW_TRACEPOINT
) -> Unit:
    """Return a unit with one program of about `size` statements; `atomics` are those of Linux 5.12.

    `far`: it also reads the map "far" through pointers to kernel memory, which only passes make into plain ones.
    """
    rng = random.Random(seed)
    unit = Unit()
    unit.features = frozenset(("atomic_fetch", "probe_read_kernel"))
    unit.maps["data"] = MapSpec("data", MapType.ARRAY, 4, DATA_BYTES, 1)
    unit.maps["table"] = MapSpec("table", MapType.HASH, TABLE_KEY, TABLE_VALUE, 8)
    if far:
        unit.maps["far"] = MapSpec("far", MapType.ARRAY, 4, INPUT, 1)
    functions = []
    n_subprograms = rng.choice((0, 0, 0, 1, 2))
    entry = Function("main", (pointer("context"),), I64)
    functions.append(entry)
    for number in range(n_subprograms):
        parameters = tuple(rng.choice(_TYPES) for _ in range(rng.randrange(1, 5)))
        functions.append(Function(f"sub{number}", parameters, rng.choice((I64, I64, I32, I16)), kind="subprogram"))
    for function in functions:
        callees = functions[1:] if function is entry else []
        _Generator(rng, function, callees, atomics=atomics, far=far).run(size if function is entry else max(4, size // 4))
    unit.programs.append(Program("main", program_type, functions))
    return unit


def random_input(rng: random.Random) -> bytes:
    words = (rng.choice(_INTERESTING) if rng.random() < 0.5 else rng.getrandbits(64) for _ in range(INPUT // 8))
    return b"".join((word & (1 << 64) - 1).to_bytes(8, "little") for word in words) + bytes(OUTPUT)


class _Generator:
    def __init__(self, rng: random.Random, function: Function, callees: list[Function], *, atomics: bool, far: bool) -> None:
        self.rng = rng
        self.function = function
        self.callees = callees
        self.atomics = atomics
        self.far = far
        self.b = Builder(function)
        self.pool: list[Value] = []
        self.bools: list[Value] = []
        self.depth = 0
        self.loops = 0

    def run(self, size: int) -> None:
        b = self.b
        self.data = b.map_value("data")
        self.buffers = [(b.alloca(n, name=f"buffer{n}"), n) for n in (8, 16, 40)]
        self.variables = [(b.alloca(type.size, type.size, name=f"v{type}"), type) for type in (I8, I16, I32, I64)]
        self.key = b.alloca(TABLE_KEY, 4, name="key")
        self.value = b.alloca(TABLE_VALUE, 8, name="value")
        for slot, n in (*self.buffers, (self.value, TABLE_VALUE)):
            b.zero(slot, n)
        for slot, type in self.variables:
            b.store(slot, b.const(self.number(type), type))
        if self.function.kind == "subprogram":
            self.pool = [b.param(index) for index in range(len(self.function.parameters))]
        for _ in range(LIVE - len(self.pool)):
            self.load_input()
        self.statements(size)
        if self.function.kind == "program":
            self.finish()
        else:
            result = self.pick(self.function.result)
            b.return_(result)

    def finish(self) -> None:
        at = INPUT
        for value in self.pool[-LIVE:]:
            self.b.store(self.data, value, at)
            at += 8
        for value in self.bools[-2:]:
            self.b.store(self.data, self.b.zext(value, I8), at)
            at += 1
        at = -(-at // 8) * 8
        for slot, n in self.buffers:
            self.b.copy(self.data, slot, n, to_offset=at)
            at += n
        for slot, type in self.variables:
            self.b.store(self.data, self.b.load(slot, type), at)
            at += 8
        self.b.return_(self.b.zext(self.b.resize(self.pick(), I8, signed=False), I64))

    # -- picking

    def number(self, type: Type) -> int:
        number = self.rng.choice(_INTERESTING) if self.rng.random() < 0.6 else self.rng.getrandbits(64)
        return number & ((1 << type.bits) - 1)

    def pick(self, type: Type | None = None) -> Value:
        """Return a value of a type, a constant now and then, converted from another where there is none."""
        if type is None:
            return self.rng.choice(self.pool)
        if self.rng.random() < 0.15:
            return self.b.const(self.number(type), type)
        fitting = [value for value in self.pool if value.type is type]
        if fitting and self.rng.random() < 0.8:
            return self.rng.choice(fitting)
        return self.b.resize(self.rng.choice(self.pool), type, signed=self.rng.random() < 0.5)

    def add(self, value: Value) -> None:
        self.pool.append(value)
        if len(self.pool) > LIVE + 3:
            self.pool.pop(self.rng.randrange(len(self.pool) - 1))

    # -- statements

    def statements(self, count: int) -> None:
        kinds = (
            (self.arithmetic, 10), (self.conversion, 3), (self.comparison, 2), (self.load_input, 2), (self.stack_store, 3),
            (self.stack_load, 3), (self.variable_update, 3), (self.block_copy, 1), (self.map_update, 1),
            (self.map_lookup, 2), (self.map_delete, 1), (self.atomic, 2), (self.indexed, 1), (self.branch, 3),
            (self.loop, 1), (self.call, 2), (self.boolean, 1), (self.late_zero, 1),
            (self.temporary, 2), (self.flag, 1), (self.upsert, 1), (self.again, 1), (self.twice, 1),
            (self.fields, 2 * self.far),
        )  # fmt: skip
        choices = [kind for kind, weight in kinds for _ in range(weight)]
        for _ in range(count):
            self.rng.choice(choices)()

    def arithmetic(self) -> None:
        type = self.rng.choice(_TYPES)
        self.add(self.b.binary(self.rng.choice(_BINARY), self.pick(type), self.pick(type)))

    def conversion(self) -> None:
        type = self.rng.choice(_TYPES)
        value = self.b.resize(self.pick(), type, signed=self.rng.random() < 0.5)
        if type is not I8 and self.rng.random() < 0.3:
            value = self.b.bswap(value)
        self.add(value)

    def comparison(self) -> None:
        self.bools.append(self.condition())
        if self.rng.random() < 0.5:
            self.add(self.b.zext(self.bools[-1], self.rng.choice(_TYPES)))

    def boolean(self) -> None:
        if len(self.bools) > 1:
            operation = self.rng.choice((op.AND, op.OR, op.XOR))
            self.bools.append(self.b.binary(operation, self.rng.choice(self.bools), self.rng.choice(self.bools)))

    def condition(self) -> Value:
        if self.bools and self.rng.random() < 0.25:
            return self.rng.choice(self.bools)
        type = self.rng.choice(_TYPES)
        if self.rng.random() < 0.15:
            return self.b.compare(self.rng.choice((op.EQ, op.NE)), self.b.and_(self.pick(type), self.pick(type)), 0)
        return self.b.compare(self.rng.choice(_COMPARE), self.pick(type), self.pick(type))

    def load_input(self) -> None:
        type = self.rng.choice(_TYPES)
        self.add(self.b.load(self.data, type, self.rng.randrange(INPUT - 8)))

    def late_zero(self) -> None:
        """A helper that gives something else every time, masked to nothing: only its clobbers matter."""
        self.add(self.b.and_(self.b.helper(self.rng.choice(("ktime_get_ns", "get_smp_processor_id"))), 0))

    def place(self, type: Type) -> tuple[Value, int]:
        slot, n = self.rng.choice([(slot, n) for slot, n in self.buffers if n >= type.size])
        offset = self.rng.randrange(n - type.size + 1)
        if self.rng.random() < 0.8:
            offset -= offset % type.size
        if offset > 1 and self.rng.random() < 0.3:
            return self.b.offset(slot, 1 if offset % 2 else 2), offset - (1 if offset % 2 else 2)
        return slot, offset

    def stack_store(self) -> None:
        type = self.rng.choice(_TYPES)
        slot, offset = self.place(type)
        self.b.store(slot, self.pick(type), offset)

    def stack_load(self) -> None:
        type = self.rng.choice(_TYPES)
        slot, offset = self.place(type)
        self.add(self.b.load(slot, type, offset))

    def variable_update(self) -> None:
        slot, type = self.rng.choice(self.variables)
        if self.rng.random() < 0.5:
            self.b.store(slot, self.pick(type))
        else:
            self.add(self.b.load(slot, type))

    def block_copy(self) -> None:
        to, n = self.rng.choice(self.buffers)
        size = self.rng.randrange(1, n + 1)
        if self.rng.random() < 0.3:
            self.b.zero(to, size, self.rng.randrange(n - size + 1))
        else:
            self.b.copy(to, self.data, size, to_offset=self.rng.randrange(n - size + 1), from_offset=self.rng.randrange(64))

    def set_key(self) -> None:
        self.b.store(self.key, self.b.and_(self.pick(I32), 3))

    def map_update(self) -> None:
        self.set_key()
        self.b.store(self.value, self.pick(I64), 8 * self.rng.randrange(3))
        flags = self.b.const(self.rng.choice((0, 0, 1)))
        result = self.b.helper("map_update_elem", self.b.map("table"), self.key, self.value, flags)
        self.bools.append(self.b.compare(self.rng.choice((op.EQ, op.NE, op.SLT)), result, 0))
        if self.rng.random() < 0.5:
            self.add(result)

    def map_delete(self) -> None:
        self.set_key()
        self.add(self.b.helper("map_delete_elem", self.b.map("table"), self.key))

    def map_lookup(self) -> None:
        self.set_key()
        found = self.b.helper("map_lookup_elem", self.b.map("table"), self.key, type=pointer("map", nullable=True))
        self.diamond(self.b.check_null(found), lambda: self.use_pointer(self.b.non_null(found)), lambda: None)

    def use_pointer(self, value: Value) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            type = self.rng.choice(_TYPES)
            offset = self.rng.randrange(TABLE_VALUE - type.size + 1)
            if self.rng.random() < 0.5:
                self.add(self.b.load(value, type, offset))
            else:
                self.b.store(value, self.pick(type), offset)

    def temporary(self) -> None:
        """Memory that matters for a few statements only, read back directly or through a computed pointer."""
        type = self.rng.choice(_TYPES)
        slot = self.b.alloca(self.rng.choice((8, 16, 24)), name="temporary")
        self.b.zero(slot, slot.attr.size)
        offset = self.rng.randrange(slot.attr.size // type.size) * type.size
        base = self.b.offset(slot, offset) if self.rng.random() < 0.5 else slot
        self.b.store(base, self.pick(type), 0 if base is not slot else offset)
        if self.depth < 3 and self.rng.random() < 0.5:
            self.depth += 1
            self.statements(self.rng.randrange(3))
            self.depth -= 1
        if slot.attr.size == TABLE_VALUE and self.rng.random() < 0.7:
            self.set_key()
            self.add(self.b.helper("map_update_elem", self.b.map("table"), self.key, slot, self.b.const(0)))
        self.add(self.b.load(base, type, 0 if base is not slot else offset))

    def atomic(self) -> None:
        if not self.atomics:
            return
        type = self.rng.choice((I32, I64))
        offset = 8 * self.rng.randrange(INPUT // 8)
        if self.rng.random() < 0.2:
            self.add(self.b.emit(op.COMPARE_EXCHANGE, type, [self.data, self.pick(type), self.pick(type)], offset))
            return
        fetch = self.rng.random() < 0.5
        operation = self.rng.choice(("add", "or", "and", "xor", "xchg"))
        old = self.b.atomic(operation, self.data, self.pick(type), offset, fetch=fetch)
        if fetch:
            self.add(old)

    def indexed(self) -> None:
        """A byte of the input at a computed index, bounded for the verifier."""
        index = self.b.bound(self.pick(I64), 63)
        self.add(self.b.load(self.b.offset(self.data, index), self.rng.choice((I8, I16, I32, I64)), self.rng.randrange(8)))

    def fields(self) -> None:
        """Some fields of something in kernel memory, with more or less between them."""
        base = self.b.pointer(self.b.address(self.b.map_value("far")), "kernel")
        if self.rng.random() < 0.3:
            base = self.b.offset(base, self.rng.randrange(16))
        for _ in range(self.rng.randrange(1, 5)):
            type = self.rng.choice(_TYPES)
            self.add(self.b.load(base, type, type.size * self.rng.randrange((INPUT - 24) // type.size)))
            if self.rng.random() < 0.2:
                self.statements(1)
        if self.rng.random() < 0.3:
            to, n = self.rng.choice(self.buffers)
            self.b.copy(to, base, self.rng.randrange(1, n + 1), from_offset=self.rng.randrange(64))

    def call(self) -> None:
        if not self.callees:
            self.late_zero()
            return
        callee = self.rng.choice(self.callees)
        args = [self.pick(type) for type in callee.parameters]
        self.add(self.b.call(callee.name, *args, type=callee.result))

    # -- control

    def branch(self) -> None:
        if self.depth > 2:
            return
        arm = lambda: self.statements(self.rng.randrange(0, 4))  # noqa: E731
        self.diamond(self.condition(), arm, arm if self.rng.random() < 0.6 else lambda: None)

    def diamond(self, condition: Value, then, otherwise) -> None:  # type: ignore[no-untyped-def]
        """if … else …, joined by phis of some of what both sides have."""
        self.depth += 1
        b = self.b
        yes, no, join = b.new_block(), b.new_block(), b.new_block()
        b.branch(condition, yes, no)
        pools = []
        before, bools = self.pool[:], self.bools[:]
        for block, fill in ((yes, then), (no, otherwise)):
            self.pool, self.bools = before[:], bools[:]
            b.at(block)
            fill()
            pools.append(self.pool)
            b.jump(join)
        ends = self.ends(join)
        b.at(join)
        self.pool, self.bools = before, bools
        for _ in range(self.rng.randrange(0, 4)):
            self.join(pools, join, ends)
        self.depth -= 1

    def flag(self) -> None:
        """`a || b` and the like: a variable that says where to go, set on several ways."""
        if self.depth > 2:
            return
        b = self.b
        flag = b.alloca(8, name="flag")
        b.store(flag, b.const(self.rng.randrange(2)))

        def set() -> None:
            self.statements(self.rng.randrange(2))
            b.store(flag, b.zext(self.condition(), I64) if self.rng.random() < 0.5 else b.const(self.rng.randrange(2)))

        self.diamond(self.condition(), set, set if self.rng.random() < 0.5 else lambda: None)
        test = b.compare(self.rng.choice((op.NE, op.EQ, op.ULT)), b.load(flag, I64), self.rng.randrange(2))
        self.diamond(test, lambda: self.statements(self.rng.randrange(1, 3)), lambda: self.statements(self.rng.randrange(2)))

    def again(self) -> None:
        """A condition tested inside of one of its own arms, and behind it."""
        if self.depth > 1:
            return
        type = self.rng.choice(_TYPES)
        left, right = self.pick(type), self.pick(type)
        test = lambda: self.b.compare(self.rng.choice(_COMPARE), left, right)  # noqa: E731
        arm = lambda: self.statements(self.rng.randrange(1, 3))  # noqa: E731
        condition = test()
        self.diamond(condition, lambda: self.diamond(test(), arm, arm), arm)
        self.diamond(condition if self.rng.random() < 0.5 else test(), arm, arm)

    def upsert(self) -> None:
        """The value of a key, inserted when it is not there, and checked once more where both ways join."""
        if self.depth > 2:
            return
        b = self.b
        nullable = pointer("map", nullable=True)
        found = b.alloca(8, name="found")

        def look_up() -> Value:
            b.store(found, b.helper("map_lookup_elem", b.map("table"), self.key, type=nullable))
            return b.load(found, nullable)

        def insert() -> None:
            self.add(b.helper("map_update_elem", b.map("table"), self.key, self.value, b.const(1)))
            second = look_up()
            if self.rng.random() < 0.5:
                self.diamond(b.check_null(second), lambda: None, lambda: self.statements(1))

        self.set_key()
        self.diamond(b.check_null(look_up()), lambda: None, insert)
        if self.rng.random() < 0.3:
            self.load_input()
        result = b.load(found, nullable)
        self.diamond(b.check_null(result), lambda: self.use_pointer(b.non_null(result)), lambda: None)

    def twice(self) -> None:
        """A key looked up again, with its own slot, inside of what the first lookup's check leads to."""
        if self.depth > 1:
            return
        b = self.b
        number = b.and_(self.pick(I32), 3)
        type, offset = self.rng.choice(_TYPES), 8 * self.rng.randrange(TABLE_VALUE // 8)

        def look_up() -> Value:
            key = b.alloca(TABLE_KEY, 4, name="key again")
            b.store(key, number)
            return b.helper("map_lookup_elem", b.map("table"), key, type=pointer("map", nullable=True))

        def read(found: Value) -> None:
            self.add(b.load(b.non_null(found), type, offset))

        def inside() -> None:
            read(first)
            if self.rng.random() < 0.5:
                self.statements(1)
            second = look_up()
            self.diamond(b.check_null(second), lambda: read(second), lambda: self.statements(1))

        first = look_up()
        self.diamond(b.check_null(first), inside, lambda: None)

    def ends(self, target: Block) -> list[Block]:
        """Return the blocks that jump to a target, in the order of the function."""
        return [block for block in self.function.blocks if block.values and target in block.successors]

    def join(self, pools: list[list[Value]], join: Block, ends: list[Block]) -> None:
        type = self.rng.choice(_TYPES)
        choices = [[value for value in pool if value.type is type] for pool in pools]
        if all(choices):
            phi = Value(op.PHI, type, [self.rng.choice(values) for values in choices])
            join.values.insert(0, phi)
            join.predecessors = ends[:]
            self.add(phi)

    def loop(self) -> None:
        """A counted loop that carries up to three values, and leaves early now and then."""
        if self.loops > 1 or self.depth > 2:
            return
        self.loops += 1
        self.depth += 1
        b = self.b
        start = [self.rng.choice(self.pool) for _ in range(self.rng.randrange(0, 4))]
        zero = b.const(0, I64)
        before = b.block
        head, body, out = b.new_block(), b.new_block(), b.new_block()
        b.jump(head)
        b.at(head)
        counter = b.emit(op.PHI, I64, [zero])
        phis = [b.emit(op.PHI, value.type, [value]) for value in start]
        b.branch(b.compare(op.ULT, counter, self.rng.randrange(1, 5)), body, out)
        b.at(body)
        saved, bools = self.pool[:], self.bools[:]
        self.pool = (self.pool + phis)[-LIVE - 3 :]
        self.statements(self.rng.randrange(1, 5))
        for phi in phis:
            candidates = [value for value in self.pool if value.type is phi.type] or [phi]
            phi.args.append(self.rng.choice(candidates))
        counter.args.append(b.add(counter, 1))
        latch = b.block
        b.jump(head)
        head.predecessors = [before, latch]
        b.at(out)
        self.pool, self.bools = saved, bools
        for phi in phis:
            self.add(phi)
        self.depth -= 1
        self.loops -= 1
