"""Tables of bcc's face over live maps: ctypes in and out, one by one and all at once."""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterator
from typing import Any

import pytest

from bcc_object import Made
from probee.bcc.error import BccError
from probee.bcc.program import BPF
from probee.kernel.features.feature import has
from probee.kernel.syscalls.cpu import possible_cpus
from probee.model.spec import MapType

pytestmark = pytest.mark.kernel


@pytest.fixture
def made() -> Made:
    return Made()


class Opened:
    """Faces that are cleaned up with the test."""

    def __init__(self) -> None:
        self._all: list[BPF] = []

    def __call__(self, made: Made) -> BPF:
        self._all.append(made.bpf())
        return self._all[-1]

    def close(self) -> None:
        for face in self._all:
            face.cleanup()


@pytest.fixture
def opened() -> Iterator[Opened]:
    faces = Opened()
    yield faces
    faces.close()


def numbers(made: Made, opened: Opened, type: int = MapType.HASH, **options: Any) -> Any:
    made.numbers("counts", type, **options)
    return opened(made)["counts"]


def test_an_entry_comes_back_as_it_was_written(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    table[table.Key(3)] = table.Leaf(1 << 40)
    assert table[table.Key(3)].value == 1 << 40
    assert isinstance(table[table.Key(3)], ct.c_ulonglong)
    assert table.Key(3) in table
    assert table.Key(4) not in table


def test_a_missing_key_is_a_key_error(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    with pytest.raises(KeyError):
        table[table.Key(3)]
    with pytest.raises(KeyError):
        del table[table.Key(3)]


def test_a_full_table_says_so_in_bcc_s_words(made: Made, opened: Opened) -> None:
    table = numbers(made, opened, entries=1)
    table[table.Key(1)] = table.Leaf(1)
    with pytest.raises(BccError, match="Could not update table: Argument list too long"):
        table[table.Key(2)] = table.Leaf(1)


def test_a_table_that_is_not_there_is_a_key_error(made: Made, opened: Opened) -> None:
    face = opened(made)
    with pytest.raises(KeyError):
        face["nothing"]


def test_all_entries_as_list_keys_values_and_length(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    for number in range(5):
        table[table.Key(number)] = table.Leaf(number * number)
    assert sorted((key.value, leaf.value) for key, leaf in table.items()) == [(n, n * n) for n in range(5)]
    assert sorted(key.value for key in iter(table.keys())) == sorted(key.value for key in table) == list(range(5))
    assert sorted(leaf.value for leaf in table.values()) == [0, 1, 4, 9, 16]
    assert len(table) == 5


def test_clearing_and_zeroing(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    table[table.Key(1)] = table.Leaf(7)
    table.zero()
    assert table[table.Key(1)].value == 0
    table.clear()
    assert len(table) == 0


def test_keys_can_be_walked_by_hand(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    table[table.Key(1)] = table.Leaf(7)
    first = table.next(None)
    assert first.value == 1
    with pytest.raises(StopIteration):
        table.next(first)


def test_struct_keys_and_leaves(made: Made, opened: Opened) -> None:
    key = made.btf.struct("key_t", 16, [("pid", made.u32, 0, 0), ("when", made.u64, 64, 0)])
    leaf = made.btf.struct("leaf_t", 16, [("name", made.btf.array(made.char, 8), 0, 0), ("count", made.u64, 64, 0)])
    made.table("t", MapType.HASH, key=key, leaf=leaf, sizes=(16, 16))
    table = opened(made)["t"]
    table[table.Key(7, b"", 9)] = table.Leaf(b"bash", 3)
    found_key, found = table.items()[0]
    assert (found_key.pid, found_key.when, found.name, found.count) == (7, 9, b"bash", 3)


def test_a_program_s_own_classes(made: Made, opened: Opened) -> None:
    class Pair(ct.Structure):
        _fields_ = (("low", ct.c_uint), ("high", ct.c_uint))

    made.numbers("counts")
    table = opened(made).get_table("counts", leaftype=Pair)
    table[table.Key(1)] = Pair(1, 2)
    assert table[table.Key(1)].high == 2


# -- batches


def test_batches_write_read_and_delete(made: Made, opened: Opened) -> None:
    table = numbers(made, opened, entries=100)
    keys = (table.Key * 100)(*range(100))
    table.items_update_batch(keys, (table.Leaf * 100)(*range(100, 200)))
    assert sorted(leaf.value - key.value for key, leaf in table.items_lookup_batch()) == [100] * 100
    table.items_delete_batch((table.Key * 50)(*range(50)))
    assert len(table) == 50
    assert len(list(table.items_lookup_and_delete_batch())) == 50
    assert len(table) == 0


def test_batches_check_what_they_are_given(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    with pytest.raises(ValueError, match="keys array length != values array length"):
        table.items_update_batch((table.Key * 2)(), (table.Leaf * 1)())
    with pytest.raises(ValueError, match="length is wrong"):
        table.items_delete_batch((table.Key * 17)())
    with pytest.raises(TypeError):
        table.items_delete_batch([1])


def test_deleting_what_is_not_there_is_told_by_the_batch(made: Made, opened: Opened) -> None:
    table = numbers(made, opened)
    with pytest.raises(BccError, match="BPF_MAP_DELETE_BATCH has failed: No such file or directory"):
        table.items_delete_batch((table.Key * 1)(5))


# -- arrays


def test_an_array_takes_numbers_also_from_its_end(made: Made, opened: Opened) -> None:
    table = numbers(made, opened, MapType.ARRAY, entries=4)
    table[1] = table.Leaf(5)
    assert table[-3].value == table[table.Key(1)].value == 5
    assert [leaf.value for leaf in table.values()] == [0, 5, 0, 0]
    assert len(table) == 4
    with pytest.raises(IndexError):
        table[4]
    del table[1]
    assert table[1].value == 0


# -- per CPU


def test_values_of_all_cpus_and_what_they_make_together(made: Made, opened: Opened) -> None:
    table = numbers(made, opened, MapType.PERCPU_ARRAY)
    cpus = possible_cpus()
    table[0] = table.Leaf(*range(1, cpus + 1))
    assert list(table[0]) == list(range(1, cpus + 1))
    total = cpus * (cpus + 1) // 2
    assert (table.sum(0).value, table.max(0).value, table.average(0)) == (total, cpus, total / cpus)


def test_ints_of_all_cpus_are_narrow_again_when_they_are_read(made: Made, opened: Opened) -> None:
    table = numbers(made, opened, MapType.PERCPU_HASH, leaf=4)
    table[table.Key(1)] = table.Leaf(7)
    assert table[table.Key(1)]._type_ is ct.c_uint
    assert table.sum(table.Key(1)).value == 7
    assert [next(iter(leaf)) for _, leaf in table.items()] == [7]


def test_a_reducer_puts_values_together(made: Made, opened: Opened) -> None:
    made.numbers("counts", MapType.PERCPU_HASH)
    table = opened(made).get_table("counts", reducer=lambda a, b: a + b)
    table[table.Key(1)] = table.Leaf(*[3] * possible_cpus())
    assert table[table.Key(1)] == 3 * possible_cpus()


def test_leaves_that_do_not_fill_words_are_refused(made: Made, opened: Opened) -> None:
    leaf = made.btf.struct("leaf_t", 12, [("a", made.btf.array(made.u32, 3), 0, 0)])
    made.table("t", MapType.PERCPU_HASH, key=made.u32, leaf=leaf, sizes=(4, 12))
    with pytest.raises(IndexError, match="Leaf must be aligned to 8 bytes"):
        opened(made)["t"]


# -- queues and stacks, stacks of programs


@pytest.mark.parametrize(("type", "order"), [(MapType.QUEUE, [1, 2]), (MapType.STACK, [2, 1])])
def test_a_queue_and_a_stack(made: Made, opened: Opened, type: int, order: list[int]) -> None:
    made.table("q", type, key=0, leaf=made.u64, sizes=(0, 8), entries=2)
    table = opened(made)["q"]
    table.push(ct.c_ulonglong(1))
    table.push(ct.c_ulonglong(2))
    with pytest.raises(BccError, match="Could not push to table: Argument list too long"):
        table.push(ct.c_ulonglong(3))
    assert table.peek().value == order[0]
    assert [leaf.value for leaf in table.values()] == order
    with pytest.raises(KeyError):
        table.pop()


def test_a_stack_that_is_not_there_is_a_key_error(made: Made, opened: Opened) -> None:
    leaf = made.btf.struct("bpf_stacktrace", 127 * 8, [("ip", made.btf.array(made.u64, 127), 0, 0)])
    made.table("stacks", MapType.STACK_TRACE, key=made.u32, leaf=leaf, sizes=(4, 127 * 8), entries=64)
    table = opened(made)["stacks"]
    with pytest.raises(KeyError):
        table.walk(5)


# -- tables that are shared


def test_a_public_table_is_another_object_s_extern_one(made: Made, opened: Opened) -> None:
    made.numbers("shared", role="public")
    first = opened(made)["shared"]
    other = Made()
    other.numbers("shared", role="extern")
    second = opened(other)["shared"]
    first[first.Key(1)] = first.Leaf(5)
    assert second[second.Key(1)].value == 5


def test_an_extern_table_that_nobody_made_is_an_error(made: Made) -> None:
    made.numbers("first")
    made.numbers("missing", role="extern")
    made.numbers("last", role="public")
    with pytest.raises(BccError, match="no public table is called missing"):
        made.bpf()
    other = Made()
    other.numbers("last", role="extern")
    with pytest.raises(BccError, match="no public table is called last"):
        other.bpf()


def test_tables_are_numbered_as_they_stand_in_the_object(made: Made, opened: Opened) -> None:
    made.numbers("shared", role="public")
    opened(made)
    other = Made()
    for name, role in (("first", "user"), ("shared", "extern"), ("last", "user")):
        other.numbers(name, role=role)
    face = opened(other)
    assert [face[name].map_id for name in ("first", "shared", "last")] == [0, 1, 2]


def test_large_tables_are_read_whole(made: Made, opened: Opened) -> None:
    if not has("hash_batch"):
        pytest.skip("one by one this takes too long")
    count = 100_000
    table = numbers(made, opened, entries=count)
    table.items_update_batch((table.Key * count)(*range(count)), (table.Leaf * count)(*range(count)))
    found = table.items()
    assert len({key.value for key, _ in found}) == count
    assert all(key.value == leaf.value for key, leaf in found)
