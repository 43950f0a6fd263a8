"""A plain evaluator of IR: the oracle that code generation and passes are judged by.

Values are unsigned ints of their type's width, pointers are numbers in a made-up address space, one region of memory per
alloca, map value and buffer.  No attempt at speed, nothing shared with the code under test except the IR itself.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.unit import Block, Function, Value
from probee.model.spec import MapSpec, MapType

U64 = (1 << 64) - 1
REGION_BYTES = 1 << 24


class Stuck(Exception):
    """The program did something that has no meaning: read outside of memory, ran for ever, …"""


class IrMap:
    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self.entries: dict[bytes, int] = {}  # key → address of the value


class IrMachine:
    """Runs one program's functions; `maps` keep their contents between runs."""

    def __init__(self, functions: list[Function], maps: dict[str, MapSpec], constants: dict[str, int] | None = None) -> None:
        self.functions = {function.name: function for function in functions}
        self.entry = functions[0]
        self.maps = {name: IrMap(spec) for name, spec in maps.items()}
        self.handles = {name: (index + 1) << 40 for index, name in enumerate(maps)}
        self.constants = constants or {}
        self.regions: list[bytearray] = [bytearray()]
        self.n_steps = 0
        self.records: list[bytes] = []
        self.helper_calls = 0
        for ir_map in self.maps.values():
            if ir_map.spec.type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
                for index in range(ir_map.spec.max_entries):
                    ir_map.entries[index.to_bytes(4, "little")] = self.allocate(ir_map.spec.value_size)

    # -- memory

    def allocate(self, size: int, fill: int = 0) -> int:
        self.regions.append(bytearray([fill]) * size)
        return (len(self.regions) - 1) * REGION_BYTES

    def _locate(self, address: int, size: int) -> tuple[bytearray, int]:
        index, offset = divmod(address, REGION_BYTES)
        if not 0 < index < len(self.regions) or offset + size > len(self.regions[index]):
            raise Stuck(f"{size} bytes at {address:#x}")
        return self.regions[index], offset

    def read(self, address: int, size: int) -> bytes:
        region, offset = self._locate(address, size)
        return bytes(region[offset : offset + size])

    def write(self, address: int, data: bytes) -> None:
        region, offset = self._locate(address, len(data))
        region[offset : offset + len(data)] = data

    def get(self, name: str, key: bytes) -> bytes | None:
        address = self.maps[name].entries.get(key)
        return self.read(address, self.maps[name].spec.value_size) if address is not None else None

    def set(self, name: str, key: bytes, value: bytes) -> None:
        entries = self.maps[name].entries
        if key not in entries:
            entries[key] = self.allocate(len(value))
        self.write(entries[key], value)

    # -- running

    def run(self, context: bytes = b"", *, max_steps: int = 1_000_000) -> int:
        """Run the entry function on a context; return what it returns."""
        self.n_steps = max_steps
        return self.call(self.entry.name, [self.context(context)])

    def context(self, data: bytes) -> int:
        address = self.allocate(len(data))
        self.write(address, data)
        return address

    def call(self, name: str, arguments: list[int]) -> int:
        function = self.functions[name]
        env: dict[Value, int] = {}
        block, before = function.entry, None
        while True:
            result = self._run_block(block, before, env, arguments)
            if isinstance(result, int):
                return result
            block, before = result, block

    def _run_block(self, block: Block, before: Block | None, env: dict[Value, int], arguments: list[int]) -> Block | int:
        phis = [value for value in block.values if value.op == op.PHI]
        if phis:
            assert before is not None
            index = block.predecessors.index(before)
            env.update(list(zip(phis, [env[phi.args[index]] for phi in phis], strict=True)))
        for value in block.values[len(phis) :]:
            self.n_steps -= 1
            if self.n_steps < 0:
                raise Stuck("too many steps")
            operation = value.op
            if operation == op.JUMP:
                return value.attr
            if operation == op.BRANCH:
                return value.attr[0 if env[value.args[0]] else 1]
            if operation == op.RETURN:
                return env[value.args[0]] if value.args else 0
            args = [env[arg] for arg in value.args]
            result = arguments[value.attr] if operation == op.PARAM else self._evaluate(value, args)
            env[value] = result & ((1 << value.type.bits) - 1)
        raise Stuck("a block without an end")

    def _evaluate(self, value: Value, args: list[int]) -> int:
        operation = value.op
        if operation in _BINARY:
            return _BINARY[operation](args[0], args[1], value.args[0].type.bits)
        rule: Callable[[Value, list[int]], int | None] = getattr(self, f"_{operation}")
        return rule(value, args) or 0

    # -- one method per operation

    def _const(self, value: Value, args: list[int]) -> int:
        return int(value.attr)

    def _map(self, value: Value, args: list[int]) -> int:
        return self.handles[value.attr]

    def _map_value(self, value: Value, args: list[int]) -> int:
        name, offset = value.attr
        return self.maps[name].entries[bytes(4)] + int(offset)

    def _late(self, value: Value, args: list[int]) -> int:
        return self.constants[value.attr]

    def _callback(self, value: Value, args: list[int]) -> int:
        return (list(self.functions).index(value.attr) + 1) << 50

    def _undef(self, value: Value, args: list[int]) -> int:
        return 0xDEAD_BEEF_DEAD_BEEF

    def _zext(self, value: Value, args: list[int]) -> int:
        return args[0]

    def _trunc(self, value: Value, args: list[int]) -> int:
        return args[0]

    def _sext(self, value: Value, args: list[int]) -> int:
        return signed(args[0], value.args[0].type.bits)

    def _bswap(self, value: Value, args: list[int]) -> int:
        size = value.type.bits // 8
        return int.from_bytes(args[0].to_bytes(size, "little"), "big")

    def _offset(self, value: Value, args: list[int]) -> int:
        return args[0] + signed(args[1], 64)

    def _distance(self, value: Value, args: list[int]) -> int:
        return args[0] - args[1]

    def _same(self, value: Value, args: list[int]) -> int:
        return args[0]

    _address = _pointer = _non_null = _same

    def _alloca(self, value: Value, args: list[int]) -> int:
        return self.allocate(value.attr.size, 0xA5)

    def _load(self, value: Value, args: list[int]) -> int:
        address = args[0] + value.attr
        if value.args[0].type.space in ("kernel", "user"):
            try:
                return int.from_bytes(self.read(address, value.type.size), "little")
            except Stuck:
                return 0
        return int.from_bytes(self.read(address, value.type.size), "little")

    _load_context = _load_trusted = _load

    def _unroll(self, value: Value, args: list[int]) -> None:
        pass

    def _store(self, value: Value, args: list[int]) -> None:
        self.write(args[0] + value.attr, args[1].to_bytes(value.args[1].type.size, "little"))

    _store_context = _store

    def _copy(self, value: Value, args: list[int]) -> None:
        to, source, size = value.attr
        self.write(args[0] + to, self.read(args[1] + source, size))

    def _zero(self, value: Value, args: list[int]) -> None:
        offset, size = value.attr
        self.write(args[0] + offset, bytes(size))

    def _atomic(self, value: Value, args: list[int]) -> int:
        operation, offset, _ = value.attr
        bits = value.args[1].type.bits
        old = int.from_bytes(self.read(args[0] + offset, bits // 8), "little")
        new = args[1] if operation == "xchg" else _BINARY[operation](old, args[1], bits)
        self.write(args[0] + offset, (new & ((1 << bits) - 1)).to_bytes(bits // 8, "little"))
        return old

    def _compare_exchange(self, value: Value, args: list[int]) -> int:
        size = value.type.bits // 8
        old = int.from_bytes(self.read(args[0] + value.attr, size), "little")
        if old == args[1]:
            self.write(args[0] + value.attr, args[2].to_bytes(size, "little"))
        return old

    def _check_null(self, value: Value, args: list[int]) -> int:
        return int(args[0] != 0)

    def _check_packet(self, value: Value, args: list[int]) -> int:
        return int(args[0] + value.attr <= args[1])

    def _bound(self, value: Value, args: list[int]) -> int:
        return min(args[0], value.attr)

    def _helper(self, value: Value, args: list[int]) -> int:
        self.helper_calls += 1
        rule: Callable[..., int] = getattr(self, f"helper_{value.attr}")
        return rule(*args)

    def _call(self, value: Value, args: list[int]) -> int:
        return self.call(value.attr, args)

    # -- helpers

    def _map_of(self, handle: int) -> IrMap:
        return next(self.maps[name] for name, number in self.handles.items() if number == handle)

    def helper_map_lookup_elem(self, handle: int, key: int) -> int:
        ir_map = self._map_of(handle)
        return ir_map.entries.get(self.read(key, ir_map.spec.key_size), 0)

    def helper_map_update_elem(self, handle: int, key: int, value: int, flags: int) -> int:
        ir_map = self._map_of(handle)
        name, data = self.read(key, ir_map.spec.key_size), self.read(value, ir_map.spec.value_size)
        if flags == 1 and name in ir_map.entries:
            return -17
        if name not in ir_map.entries:
            if len(ir_map.entries) >= ir_map.spec.max_entries:
                return -7
            ir_map.entries[name] = self.allocate(len(data))
        self.write(ir_map.entries[name], data)
        return 0

    def helper_map_delete_elem(self, handle: int, key: int) -> int:
        ir_map = self._map_of(handle)
        return 0 if ir_map.entries.pop(self.read(key, ir_map.spec.key_size), None) is not None else -2

    def helper_ringbuf_output(self, handle: int, data: int, size: int, flags: int) -> int:
        self.records.append(self.read(data, size))
        return 0

    def helper_probe_read_kernel(self, to: int, size: int, source: int) -> int:
        try:
            self.write(to, self.read(source, size))
        except Stuck:
            self.write(to, bytes(size))
            return -14
        return 0

    def helper_get_smp_processor_id(self) -> int:
        return 3

    def helper_ktime_get_ns(self) -> int:
        return 1_000_000_000

    def helper_loop(self, count: int, function: int, context: int, flags: int) -> int:
        name = list(self.functions)[(function >> 50) - 1]
        for index in range(count):
            if self.call(name, [index, context]):
                return index + 1
        return count


def signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _truncated_division(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _sdiv(left: int, right: int, bits: int) -> int:
    return _truncated_division(signed(left, bits), signed(right, bits)) if right else 0


def _srem(left: int, right: int, bits: int) -> int:
    a, b = signed(left, bits), signed(right, bits)
    return a - b * _truncated_division(a, b) if b else a


_BINARY: dict[str, Callable[[int, int, int], int]] = {
    op.ADD: lambda a, b, n: a + b,
    op.SUB: lambda a, b, n: a - b,
    op.MUL: lambda a, b, n: a * b,
    op.AND: lambda a, b, n: a & b,
    op.OR: lambda a, b, n: a | b,
    op.XOR: lambda a, b, n: a ^ b,
    op.SHL: lambda a, b, n: a << b % n,
    op.LSHR: lambda a, b, n: a >> b % n,
    op.ASHR: lambda a, b, n: signed(a, n) >> b % n,
    op.UDIV: lambda a, b, n: a // b if b else 0,
    op.UREM: lambda a, b, n: a % b if b else a,
    op.SDIV: _sdiv,
    op.SREM: _srem,
    op.EQ: lambda a, b, n: int(a == b),
    op.NE: lambda a, b, n: int(a != b),
    op.ULT: lambda a, b, n: int(a < b),
    op.ULE: lambda a, b, n: int(a <= b),
    op.UGT: lambda a, b, n: int(a > b),
    op.UGE: lambda a, b, n: int(a >= b),
    op.SLT: lambda a, b, n: int(signed(a, n) < signed(b, n)),
    op.SLE: lambda a, b, n: int(signed(a, n) <= signed(b, n)),
    op.SGT: lambda a, b, n: int(signed(a, n) > signed(b, n)),
    op.SGE: lambda a, b, n: int(signed(a, n) >= signed(b, n)),
}
