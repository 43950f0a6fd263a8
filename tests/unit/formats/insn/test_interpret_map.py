from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.formats.insn.assemble import assemble
from probee.formats.insn.interpret import (
    ArrayMap,
    Environment,
    HashMap,
    InterpretError,
    Machine,
    MapModel,
    MapOfMaps,
    Memory,
    PerCpuArrayMap,
    PerCpuHashMap,
    PerfEventArray,
    RingBuf,
    StackTraceMap,
    make_map,
)

ENOENT, E2BIG, EEXIST, EINVAL, ENOSPC = -2, -7, -17, -22, -28


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def bound(model: MapModel) -> MapModel:
    model.bind(Memory(), "m", 4)
    return model


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


COUNT = """
    *(u32 *)(r10 - 4) = 7
    r1 = map[m] ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto absent
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    goto end
    absent:
    *(u64 *)(r10 - 16) = 1
    r1 = map[m] ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 0
    call map_update_elem
    end:
    r0 = 0
    exit
"""


@pytest.mark.parametrize("make", [lambda: HashMap(4, 8, 10), lambda: ArrayMap(4, 8, 10)])
def test_program_counts_in_a_map(make: Callable[[], MapModel]) -> None:
    machine = Machine(assemble(COUNT), {"m": make()})
    results = [machine.run() for _ in range(3)]
    assert machine.maps["m"].get(u32(7)) == u64(3)
    assert results[2].helper_calls == {"map_lookup_elem": 1}


def test_hash_refuses_as_its_flags_say() -> None:
    model = bound(HashMap(4, 8, 2))
    assert model.update(u32(1), u64(1), 2) == ENOENT
    assert model.update(u32(1), u64(1), 1) == 0
    assert model.update(u32(1), u64(2), 1) == EEXIST
    assert model.update(u32(1), u64(3), 2) == 0
    assert model.update(u32(1), u64(3), 4) == EINVAL
    assert model.update(u32(2), u64(4)) == 0
    assert model.update(u32(3), u64(5)) == E2BIG
    assert model.items() == {u32(1): u64(3), u32(2): u64(4)}
    assert model.delete(u32(1)) == 0
    assert model.delete(u32(1)) == ENOENT
    assert model.get(u32(1)) is None


def test_lru_hash_makes_room() -> None:
    model = bound(HashMap(4, 8, 2, lru=True))
    assert [model.update(u32(key), u64(key)) for key in range(3)] == [0, 0, 0]
    assert set(model.items()) == {u32(1), u32(2)}


def test_array_has_all_keys_and_no_others() -> None:
    model = bound(ArrayMap(4, 8, 2))
    assert model.items() == {u32(0): u64(0), u32(1): u64(0)}
    assert model.update(u32(1), u64(9)) == 0
    assert model.update(u32(1), u64(9), 1) == EEXIST
    assert model.update(u32(2), u64(9)) == E2BIG
    assert model.delete(u32(1)) == EINVAL
    assert model.get(u32(2)) is None


@pytest.mark.parametrize("make", [lambda: PerCpuHashMap(4, 8, 10), lambda: PerCpuArrayMap(4, 8, 10)])
def test_per_cpu_map_counts_each_cpu_apart(make: Callable[[], MapModel]) -> None:
    environment = Environment()
    machine = Machine(assemble(COUNT), {"m": make()}, environment=environment)
    for cpu in (1, 1, 3):
        environment.cpu = cpu
        machine.run()
    assert machine.maps["m"].values(u32(7)) == [u64(0), u64(2), u64(0), u64(1)]


def test_value_of_another_cpu_is_found_by_its_number() -> None:
    text = """
        *(u32 *)(r10 - 4) = 0
        r1 = map[m] ll
        r2 = r10
        r2 += -4
        r3 = 2
        call map_lookup_percpu_elem
        r0 = *(u64 *)(r0 + 0)
        exit"""
    model = PerCpuArrayMap(4, 8, 1)
    machine = Machine(assemble(text), {"m": model})
    model.update(u32(0), u64(77), cpu=2)
    assert machine.run().r0 == 77
    with pytest.raises(InterpretError, match="NULL"):
        Machine(assemble(text.replace("r3 = 2", "r3 = 4")), {"m": model}).run()


def test_value_runs_out_at_its_end() -> None:
    text = "r1 = map_value[m] ll\nr0 = *(u8 *)(r1 + 12)\nexit"
    with pytest.raises(InterpretError, match="offset 12 of map value of m, which has 12"):
        Machine(assemble(text), {"m": ArrayMap(4, 12, 1)}).run()


def test_element_that_is_replaced_or_deleted_lives_until_the_program_ends() -> None:
    text = """
        *(u32 *)(r10 - 4) = 7
        r1 = map[m] ll
        r2 = r10
        r2 += -4
        call map_lookup_elem
        r6 = r0
        r1 = map[m] ll
        r2 = r10
        r2 += -4
        call map_delete_elem
        r0 = *(u64 *)(r6 + 0)
        exit"""
    model = HashMap(4, 8, 10)
    machine = Machine(assemble(text), {"m": model})
    model.update(u32(7), u64(5))
    address = model.lookup(u32(7))
    assert machine.run().r0 == 5
    with pytest.raises(InterpretError, match="nothing"):
        machine.memory.read(address, 8)


def test_maps_keep_their_contents_from_program_to_program() -> None:
    maps = {"m": HashMap(4, 8, 10)}
    Machine(assemble(COUNT), maps).run()
    Machine(assemble(COUNT), maps).run()
    assert maps["m"].get(u32(7)) == u64(2)
    with pytest.raises(InterpretError, match="another machine's memory"):
        Machine(assemble(COUNT), maps, memory=Memory())


@given(st.lists(st.tuples(st.sampled_from(["update", "delete", "get"]), st.integers(0, 5), st.integers(0, 2))))
def test_hash_behaves_like_a_dict_of_limited_size(steps: list[tuple[str, int, int]]) -> None:
    model, expected = bound(HashMap(4, 8, 3)), dict[bytes, bytes]()
    for number, (what, index, flags) in enumerate(steps):
        key, value = u32(index), u64(number)
        if what == "get":
            assert model.get(key) == expected.get(key)
        elif what == "delete":
            assert (model.delete(key) == 0) == (expected.pop(key, None) is not None)
        else:
            allowed = flags != (1 if key in expected else 2) and (key in expected or len(expected) < 3)
            assert (model.update(key, value, flags) == 0) == allowed
            if allowed:
                expected[key] = value
    assert model.items() == expected


def test_map_in_map_gives_an_inner_map() -> None:
    text = """
        *(u32 *)(r10 - 4) = 1
        r1 = map[outer] ll
        r2 = r10
        r2 += -4
        call map_lookup_elem
        r1 = r0
        *(u32 *)(r10 - 4) = 7
        r2 = r10
        r2 += -4
        call map_lookup_elem
        r0 = *(u64 *)(r0 + 0)
        exit"""
    inner = HashMap(4, 8, 10)
    machine = Machine(assemble(text), {"outer": MapOfMaps(4, {u32(1): inner})})
    inner.update(u32(7), u64(123))
    assert machine.run().r0 == 123


def test_ring_counts_headers_and_rounding() -> None:
    ring = RingBuf(64)
    bound(ring)
    assert ring.output(b"123") == 0  # 8 + 8 bytes
    assert ring.output(bytes(8)) == 0  # 16
    assert ring.output(bytes(17)) == 0  # 32
    assert ring.output(b"") == ENOSPC
    assert ring.n_dropped == 1
    assert ring.query(0) == 64
    assert ring.drain() == [b"123", bytes(8), bytes(17)]
    assert (ring.query(0), ring.query(1), ring.query(2), ring.query(3)) == (0, 64, 64, 64)
    assert ring.output(b"again") == 0


def test_busy_record_holds_up_those_behind_it() -> None:
    ring = RingBuf(4096)
    bound(ring)
    first = ring.reserve(8)
    ring.output(b"second")
    discarded = ring.reserve(8)
    ring.release(discarded, submit=False)
    assert ring.drain() == []
    ring.release(first, submit=True)
    assert ring.drain() == [b"\xa5" * 8, b"second"]


RESERVE = """
    r1 = map[ring] ll
    r2 = 16
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto full
    *(u64 *)(r0 + 0) = 1
    *(u64 *)(r0 + 8) = 2
    r6 = r0
    r1 = r0
    r2 = 0
    call ringbuf_submit
    {after}
    full:
    r0 = 0
    exit
"""


def test_program_fills_and_submits_a_reservation() -> None:
    ring = RingBuf(48)
    machine = Machine(assemble(RESERVE.format(after="")), {"ring": ring})
    for _ in range(3):
        machine.run()
    assert ring.records == [u64(1) + u64(2)] * 2
    assert ring.n_dropped == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RESERVE.format(after="r0 = *(u64 *)(r6 + 0)"), "that is nothing"),
        (RESERVE.format(after="r1 = r6\nr2 = 0\ncall ringbuf_discard"), "no ring buffer reservation"),
        (RESERVE.format(after="").replace("call ringbuf_submit", ""), "never submitted"),
        (RESERVE.format(after="").replace("r1 = r0\n", "r1 = r0\nr1 += 8\n"), "no open reservation"),
    ],
)
def test_misuse_of_a_reservation_is_an_error(text: str, message: str) -> None:
    with pytest.raises(InterpretError, match=message):
        Machine(assemble(text), {"ring": RingBuf(4096)}).run()


def test_perf_event_goes_to_the_current_cpu_only() -> None:
    events = PerfEventArray()
    assert events.output(b"x", 0xFFFFFFFF, 2) == 0
    assert events.output(b"y", 2, 2) == 0
    assert events.output(b"z", 1, 2) == EINVAL
    assert events.records == [(2, b"x"), (2, b"y")]


def test_stack_has_the_same_identity_each_time() -> None:
    stacks = StackTraceMap(4, 1 << 30)
    identity = stacks.store([1, 2, 3, 4, 5, 6], 1)
    assert identity == stacks.store([1, 2, 3, 4, 5, 9], 1)
    assert stacks.stacks[identity] == (2, 3, 4, 5)
    assert stacks.store([1, 2, 3], 0) != identity
    assert stacks.store([1], 1) == -14


def test_colliding_stack_is_refused_unless_it_may_replace() -> None:
    stacks = StackTraceMap(4, 1)
    assert stacks.store([1], 0) == 0
    assert stacks.store([2], 0) == EEXIST
    assert stacks.store([2], 1 << 10) == 0


@pytest.mark.parametrize(
    ("number", "kind"),
    [(1, HashMap), (2, ArrayMap), (5, PerCpuHashMap), (6, PerCpuArrayMap), (9, HashMap), (27, RingBuf), (7, StackTraceMap)],
)
def test_map_is_made_from_the_kernels_number(number: int, kind: type[MapModel]) -> None:
    assert type(make_map(number, 4, 8, 16)) is kind


def test_map_type_without_model_is_refused() -> None:
    with pytest.raises(InterpretError, match="type 99"):
        make_map(99, 4, 4, 4)
