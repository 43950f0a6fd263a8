"""The interpreter's maps and helpers against the running kernel's.

Each program writes what it was answered into the value of map `out`, which must come out the same in both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from probee.formats.insn.assemble import assemble
from probee.formats.insn.interpret import (
    ArrayMap,
    HashMap,
    Machine,
    MapModel,
    PerCpuArrayMap,
    PerCpuHashMap,
    RingBuf,
)
from probee.formats.insn.ref import FuncRef
from small_bpf import MAP_FREEZE, MAP_LOOKUP, MAP_UPDATE, RDONLY_PROG, Kernel, bpf, kernel_or_skip, link

pytestmark = pytest.mark.kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    yield from kernel_or_skip()


VALUE_BYTES = 512
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
