"""The interpreter against the running kernel: random programs, and chosen ones for each helper, must do the same in both.

The kernel runs them as socket filters or XDP programs by BPF_PROG_TEST_RUN: nothing is attached anywhere.
"""

from __future__ import annotations

import ctypes
import os
import random
import struct
from collections.abc import Iterator

import pytest

from probee.formats.insn import insn as i
from probee.formats.insn import opcode as o
from probee.formats.insn.assemble import assemble
from probee.formats.insn.disassemble import disassemble
from probee.formats.insn.encode import encode
from probee.formats.insn.interpret import ArrayMap, HashMap, Machine, MapModel, PerCpuArrayMap, PerCpuHashMap, RingBuf
from probee.formats.insn.ref import FuncRef, MapRef, MapValueRef

pytestmark = pytest.mark.kernel

SOCKET_FILTER, XDP = 1, 6
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD, PROG_TEST_RUN, BTF_LOAD, MAP_FREEZE = 0, 1, 2, 5, 10, 18, 22
RDONLY_PROG = 1 << 7
_SYSCALL = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 0)
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result = int(_libc.syscall(_SYSCALL, command, buffer, len(attr)))
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"bpf({command}): {os.strerror(errno)}")
    return result if command != PROG_TEST_RUN else struct.unpack_from("<I", buffer.raw, 4)[0]


def address(data: object) -> int:
    return ctypes.addressof(data)  # type: ignore[arg-type]


class Kernel:
    """Just enough of bpf(2); closes every descriptor that it opened."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def create(self, map_type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0) -> int:
        self._fds.append(bpf(MAP_CREATE, struct.pack("<5I", map_type, key_size, value_size, max_entries, flags)))
        return self._fds[-1]

    def element(self, command: int, fd: int, key: bytes, value: bytes) -> bytes:
        key_buffer = ctypes.create_string_buffer(key, len(key))
        value_buffer = ctypes.create_string_buffer(value, len(value))
        bpf(command, struct.pack("<IIQQQ", fd, 0, address(key_buffer), address(value_buffer), 0))
        return value_buffer.raw

    def btf(self, n_functions: int) -> int:
        """Load the least type information that allows callbacks: `n_functions` functions `int f(void)`."""
        strings = b"\0int\0" + b"".join(b"f%d\0" % number for number in range(n_functions))
        types = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32) + struct.pack("<III", 0, 13 << 24, 1)
        at = 5
        for number in range(n_functions):
            types += struct.pack("<III", at, 12 << 24, 2)
            at += len(b"f%d\0" % number)
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
        data = ctypes.create_string_buffer(header + types + strings, 24 + len(types) + len(strings))
        self._fds.append(bpf(BTF_LOAD, struct.pack("<QQIIII", address(data), 0, len(data), 0, 0, 0)))
        return self._fds[-1]

    def run(self, program: list[i.Insn], starts: list[int], kind: int = SOCKET_FILTER, data: bytes = bytes(64)) -> int:
        """Load a program whose functions begin at `starts`, run it once and return its 32-bit result."""
        code = encode(program)
        insns = ctypes.create_string_buffer(code, len(code))
        log = ctypes.create_string_buffer(1 << 16)
        license_name = ctypes.create_string_buffer(b"GPL")
        info_bytes = b"".join(struct.pack("<II", start, 3 + number) for number, start in enumerate(starts))
        info = ctypes.create_string_buffer(info_bytes, len(info_bytes))
        btf = self.btf(len(starts)) if len(starts) > 1 else 0
        attr = struct.pack(
            "<IIQQIIQII16s", kind, len(code) // 8, address(insns), address(license_name), 1, len(log), address(log), 0, 0, b""
        )
        attr += struct.pack("<IIIIQI", 0, 0, btf, 8 if btf else 0, address(info) if btf else 0, len(starts) if btf else 0)
        try:
            fd = bpf(PROG_LOAD, attr + bytes(4))
        except OSError as error:
            text = log.value.decode(errors="replace")[-3000:]
            raise AssertionError(f"{error}\n{disassemble(program)}\n{text}") from None
        self._fds.append(fd)
        packet = ctypes.create_string_buffer(data, len(data))
        return bpf(PROG_TEST_RUN, struct.pack("<IIIIQQII", fd, 0, len(data), 0, address(packet), 0, 1, 0) + bytes(32))


@pytest.fixture(scope="module")
def permitted() -> None:
    """Skip, with the kernel's reason, where bpf(2) is not allowed."""
    if not _SYSCALL:
        pytest.skip(f"no number of bpf(2) known for {os.uname().machine}")
    try:
        os.close(bpf(MAP_CREATE, struct.pack("<5I", 2, 4, 8, 1, 0)))
    except OSError as error:
        pytest.skip(f"bpf(2) cannot make a map here: {error}")


@pytest.fixture
def kernel(permitted: None) -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


def link(main: list[i.Insn], functions: dict[str, list[i.Insn]], maps: dict[str, int]) -> tuple[list[i.Insn], list[int]]:
    """Return one program with numbers in place of references, and the slots where its functions begin."""
    program, starts = list(main), [0]
    names = {}
    for name, insns in functions.items():
        names[name] = i.slot_offsets(program)[-1]
        starts.append(names[name])
        program += insns
    linked = []
    for insn, slot in zip(program, i.slot_offsets(program), strict=False):
        imm = insn.imm
        if isinstance(insn.ref, (MapRef, MapValueRef)):
            imm |= maps[insn.ref.name]
        elif isinstance(insn.ref, FuncRef):
            imm = (names[insn.ref.name] - slot - 1) & (i.U32 if insn.op == o.OP_LD_IMM64 else -1)
        linked.append(i.Insn(insn.op, insn.dst, insn.src, insn.off, imm))
    return linked, starts


# 1. Random programs.  r9 points to a map value: inputs, outputs, and an area for loads, stores and atomics.

EDGES = [0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
EDGES += [1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2, (1 << 64) - (1 << 31)]
ALU = [o.ADD, o.SUB, o.MUL, o.DIV, o.OR, o.AND, o.LSH, o.RSH, o.MOD, o.XOR, o.MOV, o.ARSH]
COMPARE = [o.JEQ, o.JGT, o.JGE, o.JSET, o.JNE, o.JSGT, o.JSGE, o.JLT, o.JLE, o.JSLT, o.JSLE]
ATOMIC = [o.ADD, o.OR, o.AND, o.XOR, o.ADD | 1, o.OR | 1, o.AND | 1, o.XOR | 1, o.XCHG, o.CMPXCHG]
N_REGISTERS, VALUE_BYTES, AREA, OUT = 9, 512, 256, 128


def number(rng: random.Random) -> int:
    return rng.choice(EDGES) if rng.random() < 0.6 else rng.getrandbits(rng.choice([8, 16, 32, 64]))


def random_alu(rng: random.Random) -> i.Insn:
    op, dst, src = rng.choice(ALU), rng.randrange(N_REGISTERS), rng.randrange(N_REGISTERS)
    wide = rng.random() < 0.5
    signed = op in (o.DIV, o.MOD) and rng.random() < 0.5
    if rng.random() < 0.6:
        if op == o.MOV and rng.random() < 0.7:
            bits = rng.choice([8, 16, 32] if wide else [8, 16])
            return (i.movsx64 if wide else i.movsx32)(dst, src, bits)
        return (i.alu64_reg if wide else i.alu32_reg)(op, dst, src, signed=signed)
    imm = i.signed32(number(rng))
    if op in (o.LSH, o.RSH, o.ARSH):
        imm &= 63 if wide else 31  # the verifier refuses more in an immediate
    elif op in (o.DIV, o.MOD) and imm == 0:
        imm = 3  # and division by a constant zero
    return (i.alu64_imm if wide else i.alu32_imm)(op, dst, imm, signed=signed)


def random_unary(rng: random.Random) -> i.Insn:
    dst, bits = rng.randrange(N_REGISTERS), rng.choice([16, 32, 64])
    kind = rng.randrange(5)
    if kind < 2:
        return (i.neg64, i.neg32)[kind](dst)
    return i.bswap(dst, bits) if kind == 2 else i.endian(dst, bits, to_be=kind == 3)


def random_memory(rng: random.Random) -> i.Insn:
    dst, src, size = rng.randrange(N_REGISTERS), rng.randrange(N_REGISTERS), rng.choice([1, 2, 4, 8])
    base, off = rng.choice([(9, AREA + rng.randrange(8) * 8), (10, -8 * rng.randrange(1, 9))])
    off += rng.randrange(8 // size) * size
    kind = rng.randrange(5)
    if kind == 0:
        return i.ldx(size, dst, base, off)
    if kind == 1 and size < 8:
        return i.ldsx(size, dst, base, off)
    if kind == 2:
        return i.stx(size, base, src, off)
    if kind == 3:
        return i.st_imm(size, base, off, i.signed32(number(rng)))
    return i.atomic(max(size, 4), rng.choice(ATOMIC), base, src, off & ~7)


def version(insn: i.Insn) -> int:
    """Return 4 for an instruction of version 4, 3 for the atomics that came with Linux 5.12, else 2."""
    cls = insn.op & 7
    if insn.op & 0xE7 == o.STX | o.ATOMIC:
        return 2 if insn.imm == o.ADD else 3
    signed = cls in (o.ALU, o.ALU64) and insn.off != 0
    extending = cls == o.LDX and insn.op & 0xE0 == o.MEMSX
    return 4 if signed or extending or insn.op == o.ALU64 | o.END else 2


def newest_version(kernel: Kernel) -> int:
    """Return which of them the kernel takes."""
    for best, insn in ((4, i.bswap(0, 16)), (3, i.atomic(8, o.XCHG, 10, 0, -8))):
        try:
            kernel.run([i.mov64_imm(0, 0), i.st_imm(8, 10, -8, 0), insn, i.exit_()], [0])
        except AssertionError:
            continue
        return best
    return 2


def random_body(rng: random.Random, length: int, best: int) -> list[i.Insn]:
    """Return instructions of versions up to `best` whose jumps go forward, none beyond the end."""
    body: list[i.Insn] = []
    while len(body) < length:
        kind, room = rng.random(), length - len(body) - 1
        if kind < 0.12 and room:
            off, dst, op = rng.randrange(min(room, 6)), rng.randrange(N_REGISTERS), rng.choice(COMPARE)
            wide = rng.random() < 0.5
            if rng.random() < 0.5:
                body.append((i.jmp_reg if wide else i.jmp32_reg)(op, dst, rng.randrange(N_REGISTERS), off))
            else:
                body.append((i.jmp_imm if wide else i.jmp32_imm)(op, dst, i.signed32(number(rng)), off))
            continue
        insn = (random_memory if kind < 0.35 else random_unary if kind < 0.5 else random_alu)(rng)
        if version(insn) <= best:
            body.append(insn)
    return body


def random_program(rng: random.Random, best: int) -> list[i.Insn]:
    program = [i.ld_map_value(9, "data")]
    program += [i.stx(8, 10, 9, -72)] + [i.st_imm(8, 10, -8 * slot, slot) for slot in range(1, 9)]
    program += [i.ldx(8, register, 9, 8 * register) for register in range(N_REGISTERS)]
    program += random_body(rng, rng.randrange(5, 60), best)
    program += [i.stx(8, 9, register, OUT + 8 * register) for register in range(N_REGISTERS)]
    return [*program, i.mov64_reg(0, 0), i.exit_()]


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_leave_the_same_registers_and_memory(kernel: Kernel, seed: int) -> None:
    rng = random.Random(seed)
    fd = kernel.create(2, 4, VALUE_BYTES, 1)
    best = newest_version(kernel)
    for _ in range(50):
        program = random_program(rng, best)
        before = b"".join(struct.pack("<Q", number(rng)) for _ in range(VALUE_BYTES // 8))
        model = ArrayMap(4, VALUE_BYTES, 1)
        machine = Machine(program, {"data": model})
        model.update(bytes(4), before)
        result = machine.run()
        kernel.element(MAP_UPDATE, fd, bytes(4), before)
        linked, starts = link(program, {}, {"data": fd})
        returned = kernel.run(linked, starts)
        after = kernel.element(MAP_LOOKUP, fd, bytes(4), bytes(VALUE_BYTES))
        assert model.get(bytes(4)) == after, disassemble(program)
        assert result.r0 & i.U32 == returned, disassemble(program)


# 2. Chosen programs: each writes its results into the value of map `out`, which must come out the same.

PUT = """
    *(u64 *)(r10 - 8) = {key}
    *(u64 *)(r10 - 16) = {value}
    r1 = map[{map}] ll
    r2 = r10
    r2 += -8
    r3 = r10
    r3 += -16
    r4 = {flags}
    call map_update_elem
    *(u64 *)(r9 + {at}) = r0
"""
GET = """
    *(u64 *)(r10 - 8) = {key}
    r1 = map[{map}] ll
    r2 = r10
    r2 += -8
    call map_lookup_elem
    if r0 == 0 goto absent{at}
    r0 = *(u64 *)(r0 + 0)
    absent{at}:
    *(u64 *)(r9 + {at}) = r0
"""
DELETE = """
    *(u64 *)(r10 - 8) = {key}
    r1 = map[{map}] ll
    r2 = r10
    r2 += -8
    call map_delete_elem
    *(u64 *)(r9 + {at}) = r0
"""


def map_traffic(name: str, keys: list[int]) -> str:
    """Return code that stores, reads and deletes with every flag."""
    steps = [(PUT, key, flags) for key in keys for flags in (2, 0, 1, 3, 4)]
    steps += [(GET, key, 0) for key in keys] + [(DELETE, key, 0) for key in (keys[0], keys[0], keys[-1])]
    steps += [(GET, key, 0) for key in keys]
    return "".join(
        template.format(map=name, key=key, flags=flags, value=1000 + at, at=8 * at)
        for at, (template, key, flags) in enumerate(steps)
    )


CALLBACKS = {
    "add": "r3 = *(u64 *)(r2 + 0)\nr3 += r1\n*(u64 *)(r2 + 0) = r3\nr0 = 0\nif r1 < 6 goto +1\nr0 = 1\nexit",
    "visit": """
        r5 = *(u64 *)(r2 + 0)
        r0 = *(u64 *)(r3 + 0)
        r5 *= r0
        r0 = *(u64 *)(r4 + 0)
        r0 += r5
        *(u64 *)(r4 + 0) = r0
        r0 = 0
        exit""",
}
LOOP = """
    *(u64 *)(r10 - 24) = 5
    r1 = {count}
    r2 = func[add] ll
    r3 = r10
    r3 += -24
    r4 = {flags}
    call loop
    w0 = w0        ; inlined by the verifier, an error number has its upper half clear
    *(u64 *)(r9 + {at}) = r0
    r1 = *(u64 *)(r10 - 24)
    *(u64 *)(r9 + {at} + 8) = r1
"""
FOR_EACH = """
    *(u64 *)(r10 - 24) = 0
    r1 = map[hash] ll
    r2 = func[visit] ll
    r3 = r10
    r3 += -24
    r4 = 0
    call for_each_map_elem
    *(u64 *)(r9 + 400) = r0
    r1 = *(u64 *)(r10 - 24)
    *(u64 *)(r9 + 408) = r1
"""


def loop(count: int, flags: int, at: int) -> str:
    return LOOP.format(count=count, flags=flags, at=at).replace(f"{at} + 8", str(at + 8))


RESERVE = """
    r1 = map[ring] ll
    r2 = {size}
    r3 = 0
    call ringbuf_reserve
    r6 = 1
    if r0 == 0 goto full{at}
    r1 = r0
    r2 = 0
    call ringbuf_{how}
    r6 = 2
    full{at}:
    *(u64 *)(r9 + {at}) = r6
"""
QUERY = """
    r1 = map[ring] ll
    r2 = {what}
    call ringbuf_query
    *(u64 *)(r9 + {at}) = r0
"""
READ = """
    *(u64 *)(r10 - 16) = -1
    *(u64 *)(r10 - 8) = -1
    r1 = r10
    r1 += -16
    r2 = {size}
    r3 = {source}
    {offset}
    call {helper}
    *(u64 *)(r9 + {at}) = r0
    r1 = *(u64 *)(r10 - 16)
    *(u64 *)(r9 + {next}) = r1
"""


def reads() -> str:
    """Return code that probes the last bytes of `out`, which hold text, and NULL."""
    cases = [("probe_read_kernel", 8, "r9", 464), ("probe_read_kernel", 3, "r9", 464), ("probe_read_kernel", 8, "0", 0)]
    cases += [("probe_read_kernel_str", size, "r9", 464) for size in (1, 4, 6, 7, 16)]
    cases += [("probe_read_kernel_str", 8, "0", 0), ("probe_read_user", 8, "0", 8), ("probe_read_user_str", 8, "0", 8)]
    return "*(u64 *)(r9 + 464) = 0x6c6c6568\n*(u8 *)(r9 + 468) = 111\n" + "".join(
        READ.format(helper=helper, size=size, source=source, offset=f"r3 += {offset}", at=16 * at, next=16 * at + 8)
        for at, (helper, size, source, offset) in enumerate(cases)
    )


PROGRAMS = {
    "hash": map_traffic("hash", [3, 4, 5]),
    "array": map_traffic("array", [0, 3, 4]),
    "percpu_hash": map_traffic("percpu_hash", [3, 4, 5]),
    "percpu_array": map_traffic("percpu_array", [0, 3, 4]),
    "loop": loop(0, 0, 0) + loop(3, 0, 16) + loop(50, 0, 32) + loop(3, 1, 48) + loop((1 << 23) + 1, 0, 64),
    "for_each": PUT.format(map="hash", key=2, value=30, flags=0, at=0)
    + PUT.format(map="hash", key=5, value=70, flags=0, at=8)
    + FOR_EACH,
    "ring": "".join(
        RESERVE.format(size=size, how=how, at=8 * at)
        for at, (size, how) in enumerate([(1000, "submit"), (1, "discard"), (3000, "submit"), (48, "submit"), (8, "submit")])
    )
    + "".join(QUERY.format(what=what, at=64 + 8 * what) for what in range(5)),
    "reads": reads(),
}


def models() -> dict[str, MapModel]:
    return {
        "out": ArrayMap(4, VALUE_BYTES, 1),
        "hash": HashMap(8, 8, 2),
        "array": ArrayMap(4, 8, 4),
        "percpu_hash": PerCpuHashMap(8, 8, 2),
        "percpu_array": PerCpuArrayMap(4, 8, 4),
        "ring": RingBuf(4096),
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_maps_and_helpers_answer_the_same(kernel: Kernel, name: str) -> None:
    main = assemble(f"r9 = map_value[out] ll\n{PROGRAMS[name]}\nr0 = 0\nexit")
    functions = {key: assemble(text) for key, text in CALLBACKS.items() if any(FuncRef(key) == x.ref for x in main)}
    maps = models()
    Machine(main, maps, functions=functions).run()
    types = {"out": 2, "hash": 1, "array": 2, "percpu_hash": 5, "percpu_array": 6, "ring": 27}
    fds = {key: kernel.create(types[key], m.key_size, m.value_size, m.max_entries) for key, m in maps.items()}
    linked, starts = link(main, functions, fds)
    kernel.run(linked, starts)
    words = struct.Struct(f"<{VALUE_BYTES // 8}q")
    expected = words.unpack(kernel.element(MAP_LOOKUP, fds["out"], bytes(4), bytes(VALUE_BYTES)))
    assert words.unpack(maps["out"].get(bytes(4)) or b"") == expected


TEXT = b"%d|%5u|%-6lx|%08llX|%c|%s|%%|%i|%lld|%s\0abcdef\0abcdxy\0abc\0"
FIRST, SECOND, SHORT = (TEXT.index(word) for word in (b"abcdef", b"abcdxy", b"abc\0"))
STRNCMP = """
    r1 = r9
    r1 += {first}
    r2 = {size}
    r3 = map_value[text]+{second} ll
    call strncmp
    *(u64 *)(r9 + {at}) = r0
"""
SNPRINTF = """
    r1 = r9
    r1 += {at}
    r2 = {size}
    r3 = map_value[text] ll
    r4 = r9
    r4 += 128
    r5 = 72
    call snprintf
    *(u64 *)(r9 + {result}) = r0
"""


def test_text_helpers_answer_the_same(kernel: Kernel) -> None:
    """The format and the second string of a comparison must be in a frozen map; the first lies at 224 and 232 of `out`."""
    cases = [(224, SECOND, 7), (224, SECOND, 4), (224, FIRST, 7), (224, SHORT, 7), (232, FIRST, 7), (232, SHORT, 4)]
    text = "".join(
        STRNCMP.format(first=first, second=second, size=size, at=8 * at) for at, (first, second, size) in enumerate(cases)
    )
    text += SNPRINTF.format(size=128, at=256, result=64) + SNPRINTF.format(size=20, at=384, result=72)
    pointers = (
        f"r1 = map_value[text]+{FIRST} ll\n*(u64 *)(r9 + 168) = r1\nr1 = map_value[text]+{SHORT} ll\n*(u64 *)(r9 + 192) = r1\n"
    )
    program = assemble(f"r9 = map_value[out] ll\n{pointers}{text}r0 = 0\nexit")
    arguments = [(1 << 32) - 5, 42, 0xABC, 0xFEED, ord("c"), 0, (1 << 64) - 7, (1 << 64) - 8, 0]
    before = bytearray(VALUE_BYTES)
    struct.pack_into("<9Q", before, 128, *arguments)
    before[224:240] = b"abcdef\0\0abc\0\0\0\0\0"
    maps = {"out": ArrayMap(4, VALUE_BYTES, 1), "text": ArrayMap(4, len(TEXT), 1)}
    machine = Machine(program, maps)
    fds = {"out": kernel.create(2, 4, VALUE_BYTES, 1), "text": kernel.create(2, 4, len(TEXT), 1, RDONLY_PROG)}
    for name, value in (("out", bytes(before)), ("text", TEXT)):
        maps[name].update(bytes(4), value)
        kernel.element(MAP_UPDATE, fds[name], bytes(4), value)
    bpf(MAP_FREEZE, struct.pack("<I", fds["text"]))
    machine.run()
    kernel.run(*link(program, {}, fds))
    got, expected = maps["out"].get(bytes(4)) or b"", kernel.element(MAP_LOOKUP, fds["out"], bytes(4), bytes(VALUE_BYTES))
    assert got[256:] == expected[256:]
    assert struct.unpack("<10q", got[:80]) == struct.unpack("<10q", expected[:80])


def test_packet_program_reads_the_same_packet(kernel: Kernel) -> None:
    program = assemble(
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        r0 = 1
        if r4 > r3 goto end
        r0 = *(u16 *)(r2 + 12)
        r0 = be16 r0
        r3 -= r2
        r0 <<= 8
        r0 |= r3
        end:
        exit
        """
    )
    packet = bytes(12) + b"\x08\x06" + bytes(50)
    assert Machine(program).run(bytes(24), packet=packet).r0 == kernel.run(program, [0], XDP, packet) == 0x80640
