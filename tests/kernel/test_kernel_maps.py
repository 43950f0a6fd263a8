"""Live maps of every family: single elements, whole maps, rings.  Nothing is attached anywhere."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from live_object import NOTHING, program
from probee.errors import MapError
from probee.kernel.maps import batch, percpu
from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.create import create, create_all
from probee.kernel.maps.event import PerfEventArrayMap
from probee.kernel.maps.hash import HashMap
from probee.kernel.maps.map import RDONLY_PROG, Map
from probee.kernel.maps.nested import NestedMap
from probee.kernel.maps.percpu import PerCpuArrayMap, PerCpuHashMap
from probee.kernel.maps.ringbuf import RingMap
from probee.kernel.maps.stack import StackTraceMap
from probee.kernel.programs.load import load
from probee.kernel.syscalls.bpf import EINVAL, ENOTSUPP
from probee.kernel.syscalls.cpu import online_cpus, possible_cpus
from probee.kernel.syscalls.info import MapInfo
from probee.kernel.syscalls.map import EXIST, NOEXIST
from probee.kernel.syscalls.perf import SW_CPU_CLOCK, TYPE_SOFTWARE
from probee.model.spec import MapSpec, MapType, ProgramType

pytestmark = pytest.mark.kernel

HASHES = (MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH)


def key(number: int) -> bytes:
    return struct.pack("=Q", number)


def value(map: Map, number: int) -> bytes:
    return struct.pack("=Q", number) * (map.transfer_size // 8)


def make(type: int, max_entries: int = 1000, value_size: int = 16) -> HashMap:
    made = create(MapSpec("test.map!", type, 8, value_size, max_entries))
    assert isinstance(made, HashMap)
    return made


@pytest.fixture(params=HASHES)
def table(request: pytest.FixtureRequest) -> Iterator[HashMap]:
    with make(request.param) as made:
        yield made


@pytest.fixture
def without_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every batch command answer as kernels do that lack it."""
    answers = iter([-ENOTSUPP, -EINVAL] * 1000)
    monkeypatch.setattr(batch, "map_batch", lambda *_, **__: (next(answers), 0))


def test_lookup_returns_what_update_wrote(table: HashMap) -> None:
    table.update(key(7), value(table, 70))
    assert table.lookup(key(7)) == value(table, 70)


def test_lookup_of_missing_key_returns_none(table: HashMap) -> None:
    assert table.lookup(key(1)) is None


def test_delete_tells_whether_the_key_was_there(table: HashMap) -> None:
    table.update(key(1), value(table, 1))
    assert table.delete(key(1))
    assert not table.delete(key(1))


def test_update_flags_forbid_creating_or_replacing(table: HashMap) -> None:
    with pytest.raises(MapError, match="no such key"):
        table.update(key(1), value(table, 1), EXIST)
    table.update(key(1), value(table, 1), NOEXIST)
    with pytest.raises(MapError, match="exists already"):
        table.update(key(1), value(table, 1), NOEXIST)


def test_keys_and_values_of_the_wrong_size_are_refused(table: HashMap) -> None:
    with pytest.raises(MapError, match="a key has 8 bytes, not 4"):
        table.lookup(b"1234")
    with pytest.raises(MapError, match="a value has"):
        table.update(key(1), b"short")


def test_a_full_table_says_how_many_entries_it_holds() -> None:
    with make(MapType.HASH, 2) as full:
        for number in range(2):
            full.update(key(number), value(full, number))
        with pytest.raises(MapError, match=r"test.map! is full: it holds 2 entries"):
            full.update(key(3), value(full, 3))


def test_read_all_gives_every_entry_once(table: HashMap) -> None:
    for number in range(500):
        table.update(key(number), value(table, number))
    assert sorted(table.read_all()) == sorted((key(n), value(table, n)) for n in range(500))


def test_read_all_without_batch_commands_gives_the_same(table: HashMap, without_batches: None) -> None:
    for number in range(100):
        table.update(key(number), value(table, number))
    assert sorted(table.read_all()) == sorted((key(n), value(table, n)) for n in range(100))


def test_reading_goes_on_when_a_bucket_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = batch.map_batch

    def count_sizes(command: int, fd: int, keys: bytearray, *rest: object, **options: object) -> tuple[int, int]:
        sizes.append(len(keys))
        return real(command, fd, keys, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "map_batch", count_sizes)
    with make(MapType.HASH, 4096) as table:
        for number in range(4096):
            table.update(key(number), value(table, number))
        chunks = list(batch.read_chunks(table.fd, 8, 16, 1))  # begins with room for one entry
        assert sorted(k for keys, _ in chunks for k in batch.split(keys, 8)) == sorted(map(key, range(4096)))
    assert max(sizes) > 8


def test_a_large_table_is_read_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CHUNK_BYTES", 24 * 300)
    with make(MapType.HASH, 3000) as table:
        for number in range(3000):
            table.update(key(number), value(table, number))
        assert len(list(table.read_chunks())) > 5
        assert len(dict(table.read_all())) == 3000


def test_take_all_leaves_the_table_empty(table: HashMap) -> None:
    for number in range(300):
        table.update(key(number), value(table, number))
    assert len(table.take_all()) == 300
    assert table.read_all() == []


def test_take_all_without_batch_commands_leaves_the_table_empty(table: HashMap, without_batches: None) -> None:
    table.update(key(1), value(table, 1))
    assert table.take_all() == [(key(1), value(table, 1))]
    assert table.read_all() == []


def test_clear_deletes_every_entry(table: HashMap) -> None:
    for number in range(300):
        table.update(key(number), value(table, number))
    table.clear()
    assert list(table.keys()) == []


@pytest.mark.parametrize("batches", [True, False])
def test_zero_keeps_the_keys(table: HashMap, *, batches: bool, request: pytest.FixtureRequest) -> None:
    if not batches:
        request.getfixturevalue("without_batches")
    for number in range(300):
        table.update(key(number), value(table, number))
    table.zero()
    assert sorted(table.read_all()) == [(k, bytes(table.transfer_size)) for k in sorted(map(key, range(300)))]


def test_zero_does_not_bring_back_what_is_deleted_meanwhile(table: HashMap, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        table.update(key(number), value(table, number))
    keys = list(table.keys())
    table.delete(key(2))
    monkeypatch.setattr(table, "keys", lambda: iter(keys))
    table.zero()
    assert sorted(table.read_all()) == [(key(n), bytes(table.transfer_size)) for n in (1, 3)]


def test_walking_keys_survives_that_they_are_deleted_meanwhile(table: HashMap) -> None:
    for number in range(200):
        table.update(key(number), value(table, number))
    seen = []
    for found in table.keys():  # noqa: SIM118
        seen.append(found)
        table.delete(found)
    assert sorted(seen) == sorted(map(key, range(200)))


def test_per_cpu_values_are_one_per_possible_cpu() -> None:
    with create(MapSpec("percpu", MapType.PERCPU_HASH, 8, 12, 10)) as table:
        assert isinstance(table, PerCpuHashMap)
        values = [bytes([cpu + 1]) * 12 for cpu in range(possible_cpus())]
        table.update_per_cpu(key(1), values)
        assert table.lookup_per_cpu(key(1)) == values
        assert table.read_per_cpu() == [(key(1), values)]
        assert table.lookup_per_cpu(key(2)) is None


def test_per_cpu_values_are_padded_to_eight_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(percpu, "possible_cpus", lambda: 3)
    spec = MapSpec("percpu", MapType.PERCPU_HASH, 8, 12, 10)
    with make(MapType.HASH) as any_map:
        layout = PerCpuHashMap(spec, any_map.descriptor)
        assert layout.transfer_size == 48
        assert layout.per_cpu(b"a" * 12 + bytes(4) + b"b" * 12 + bytes(4) + b"c" * 12 + bytes(4)) == [
            b"a" * 12, b"b" * 12, b"c" * 12
        ]  # fmt: skip


@pytest.fixture(params=(MapType.ARRAY, MapType.PERCPU_ARRAY))
def array(request: pytest.FixtureRequest) -> Iterator[ArrayMap]:
    with create(MapSpec("array", request.param, 4, 24, 300)) as made:
        assert isinstance(made, ArrayMap)
        yield made


@pytest.mark.parametrize("batches", [True, False])
def test_array_values_come_in_the_order_of_indices(
    array: ArrayMap, *, batches: bool, request: pytest.FixtureRequest
) -> None:
    if not batches:
        request.getfixturevalue("without_batches")
    for index in (0, 7, 299):
        array.set(index, value(array, index))
    values = array.read_values()
    assert len(values) == 300
    assert {i for i, v in enumerate(values) if any(v)} == {7, 299}
    assert values[299] == value(array, 299)
    array.zero()
    assert not any(map(any, array.read_values()))


def test_array_index_beyond_the_end_is_an_index_error(array: ArrayMap) -> None:
    with pytest.raises(IndexError, match="300 elements"):
        array.at(300)


def test_per_cpu_array_reads_each_cpu() -> None:
    with create(MapSpec("loss", MapType.PERCPU_ARRAY, 4, 8, 1)) as array:
        assert isinstance(array, PerCpuArrayMap)
        assert array.read_per_cpu() == [(bytes(4), [bytes(8)] * possible_cpus())]


def test_the_kernel_knows_the_map_by_a_name_it_takes() -> None:
    with make(MapType.HASH) as table:
        info = MapInfo(table.fd)
        assert (info.name, info.type, info.key_size, info.value_size) == ("test.map_", MapType.HASH, 8, 16)


def test_a_frozen_map_refuses_writes_and_is_read_only_for_programs() -> None:
    spec = MapSpec("constants", MapType.ARRAY, 4, 8, 1, flags=RDONLY_PROG, role="constant")
    with create(spec) as array:
        assert isinstance(array, ArrayMap)
        array.set(0, key(5))
        array.freeze()
        with pytest.raises(OSError, match="write to map constants"):
            array.set(0, key(6))
        reads = program("r1 = map_value[constants]+0 ll\nr0 = *(u64 *)(r1 + 0)\nexit", ProgramType.RAW_TRACEPOINT)
        with load(reads, NOTHING, {"constants": array}) as loaded:
            assert loaded.test_run().value == 5


def test_create_all_closes_what_it_made_when_one_fails() -> None:
    good = MapSpec("good", MapType.ARRAY, 4, 8, 1)
    bad = MapSpec("bad", MapType.ARRAY, 3, 8, 1)  # an array's key has 4 bytes
    with pytest.raises(OSError, match="create map bad"):
        create_all((good, bad))


def test_ring_size_becomes_a_power_of_two_of_pages() -> None:
    with create(MapSpec("ring", MapType.RINGBUF, 0, 0, 5000)) as ring:
        assert isinstance(ring, RingMap)
        assert ring.max_entries == 8192
        with ring.open() as memory:
            assert len(memory.data) == 2 * 8192


RESERVE = """
    r1 = map[ring] ll
    r2 = 8
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto full
    r1 = const[stamp] ll
    *(u64 *)(r0 + 0) = r1
    r1 = r0
    r2 = 0
    call ringbuf_submit
    r0 = 1
full:
    exit
"""


@pytest.fixture
def ring() -> Iterator[RingMap]:
    with create(MapSpec("ring", MapType.RINGBUF, 0, 0, 4096)) as made:
        assert isinstance(made, RingMap)
        yield made


def test_a_record_reaches_user_space_through_memory(ring: RingMap) -> None:
    spec = program(RESERVE, ProgramType.RAW_TRACEPOINT)
    with ring.open() as memory, load(spec, NOTHING, {"ring": ring}, {"stamp": 0x1122334455667788}) as writer:
        assert writer.test_run().value == 1
        assert memory.producer_position == 16
        length, _, stamp = struct.unpack_from("=IIQ", memory.data, 0)
        assert (length, stamp) == (8, 0x1122334455667788)


def test_giving_records_back_makes_room_and_records_wrap_in_memory_only(ring: RingMap) -> None:
    spec = program(RESERVE, ProgramType.RAW_TRACEPOINT)
    with ring.open() as memory, load(spec, NOTHING, {"ring": ring}, {"stamp": 9}) as writer:
        written = 0
        while writer.test_run().value:
            written += 1
        assert written == 4096 // 16 - 1 or written == 4096 // 16  # later kernels fill the ring to the last byte
        memory.consumer_position = memory.producer_position
        for _ in range(20):
            assert writer.test_run().value == 1
        at = (memory.producer_position - 16) & memory.mask
        assert struct.unpack_from("=Q", memory.data, at + 8) == (9,)
        assert bytes(memory.data[at : at + 16]) == bytes(memory.data[at + 4096 : at + 4112])


def test_a_ring_has_no_keys(ring: RingMap) -> None:
    with pytest.raises(MapError, match="it has no keys"):
        ring.read_all()


# -- stacks, events, maps of maps


def test_a_stack_is_read_by_its_number() -> None:
    text = """
        r2 = map[stacks] ll
        r3 = 0
        call get_stackid
        exit
    """
    with create(MapSpec("stacks", MapType.STACK_TRACE, 4, 8 * 20, 100, role="stack")) as stacks:
        assert isinstance(stacks, StackTraceMap)
        with load(program(text, ProgramType.RAW_TRACEPOINT), NOTHING, {"stacks": stacks}) as loaded:
            number = loaded.test_run().value
        frames = stacks.frames(number)
        assert frames is not None
        assert 1 <= len(frames) <= 20
        assert all(address >> 63 for address in frames)  # the kernel's half
        assert stacks.frames(-14) is None
        assert stacks.frames((number + 1) % 100) is None


def test_a_perf_event_array_owns_its_events() -> None:
    cpus = online_cpus()
    with create(MapSpec("events", MapType.PERF_EVENT_ARRAY, 4, 4, max(cpus) + 1)) as events:
        assert isinstance(events, PerfEventArrayMap)
        events.open(TYPE_SOFTWARE, SW_CPU_CLOCK, cpus)
        text = """
            r1 = map[events] ll
            w2 = -1
            call perf_event_read
            r6 = r0
            r0 = 1
            if r6 s> 0 goto out
            r0 = 0
        out:
            exit
        """
        with load(program(text, ProgramType.RAW_TRACEPOINT), NOTHING, {"events": events}) as loaded:
            assert loaded.test_run().value == 1


def test_a_map_of_maps_keeps_its_maps_alive() -> None:
    inner_spec = MapSpec("inner", MapType.HASH, 8, 8, 10)
    outer_spec = MapSpec("outer", MapType.HASH_OF_MAPS, 8, 4, 10)
    with create(inner_spec) as inner, NestedMap.create_like(outer_spec, inner) as outer:
        outer.put(key(1), inner)
        assert outer.id_at(key(1)) == MapInfo(inner.fd).id
        assert outer.id_at(key(2)) is None
        with create(MapSpec("other", MapType.HASH, 4, 8, 10)) as other, pytest.raises(OSError, match="write to map outer"):
            outer.put(key(2), other)


def test_sizes_beyond_what_the_kernel_can_be_told_are_refused() -> None:
    with pytest.raises(MapError, match="map @x cannot have 4294967296 entries"):
        create(MapSpec("@x", MapType.HASH, 4, 8, 1 << 32))
    with pytest.raises(MapError, match="a ring of 3221225472 bytes is too large"):
        create(MapSpec("ring", MapType.RINGBUF, 0, 0, 3 << 30))
