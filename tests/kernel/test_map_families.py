"""Maps beyond tables and arrays: queues, tries, maps of handles, maps of maps, local storage, pinned maps, batches."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_object import NOTHING, program
from probee.errors import KernelError, MapError
from probee.kernel.maps import batch
from probee.kernel.maps.create import create, create_all
from probee.kernel.maps.handle import HandleMap
from probee.kernel.maps.hash import HashMap
from probee.kernel.maps.nested import NestedMap
from probee.kernel.maps.pin import pin_map
from probee.kernel.maps.queue import QueueMap
from probee.kernel.maps.storage import StorageMap
from probee.kernel.maps.trie import TrieMap
from probee.kernel.programs.load import load
from probee.kernel.syscalls.bpf import EINVAL, ENOENT
from probee.kernel.syscalls.btf import btf_load
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import AttachType, MapSpec, MapType, ProgramType

pytestmark = pytest.mark.kernel


def number(value: int) -> bytes:
    return struct.pack("=I", value)


# -- the numbers of the model


@pytest.mark.parametrize(
    ("numbers", "prefix"), [(MapType, "BPF_MAP_TYPE_"), (ProgramType, "BPF_PROG_TYPE_"), (AttachType, "BPF_")]
)
def test_the_models_numbers_are_the_kernels(numbers: type, prefix: str) -> None:
    from probee.formats.btf.reader import Btf

    path = Path("/sys/kernel/btf/vmlinux")
    if not path.exists():
        pytest.skip("this kernel has no BTF to compare with")
    btf = Btf(path.read_bytes())
    own = {name: value for name, value in vars(numbers).items() if name.isupper() and isinstance(value, int)}
    kernels = {name: found[0] for name in own if (found := btf.enumerator(f"{prefix}{name}"))}
    assert len(kernels) >= 25
    assert {name: own[name] for name in kernels} == kernels


# -- queues and stacks


@pytest.mark.parametrize(("type", "first"), [(MapType.QUEUE, 1), (MapType.STACK, 3)])
def test_values_come_in_the_order_of_a_queue_or_a_stack(type: int, first: int) -> None:
    with create(MapSpec("values", type, 0, 4, 3)) as values:
        assert isinstance(values, QueueMap)
        for value in (1, 2, 3):
            values.push(number(value))
        with pytest.raises(MapError, match="map values is full: it holds 3 entries"):
            values.push(number(4))
        assert values.peek() == values.pop() == number(first)
        assert len(values.take_values()) == 2
        assert values.pop() is None
        assert values.peek() is None
        with pytest.raises(MapError, match="has no keys"):
            values.keys()


def test_a_full_queue_makes_room_when_it_is_told_to() -> None:
    from probee.kernel.syscalls.map import EXIST

    with create(MapSpec("values", MapType.QUEUE, 0, 4, 2)) as values:
        assert isinstance(values, QueueMap)
        for value in (1, 2, 3):
            values.push(number(value), EXIST)
        assert values.take_values() == [number(2), number(3)]
        values.push(number(4))
        values.clear()
        assert values.pop() is None


# -- tries


def test_a_trie_finds_the_longest_prefix() -> None:
    with create(MapSpec("networks", MapType.LPM_TRIE, 8, 4, 10)) as networks:
        assert isinstance(networks, TrieMap)
        networks.update(networks.prefix(bytes((10, 0, 0, 0)), 8), number(8))
        networks.update(networks.prefix(bytes((10, 1, 0, 0)), 16), number(16))
        assert networks.lookup(networks.prefix(bytes((10, 1, 2, 3)))) == number(16)
        assert networks.lookup(networks.prefix(bytes((10, 9, 2, 3)))) == number(8)
        assert networks.lookup(networks.prefix(bytes((11, 9, 2, 3)))) is None
        assert {struct.unpack("=I", key[:4])[0] for key, _ in networks.read_all()} == {8, 16}
        assert networks.delete(networks.prefix(bytes((10, 1, 0, 0)), 16))
        assert networks.read_all() == [(networks.prefix(bytes((10, 0, 0, 0)), 8), number(8))]


# -- programs, sockets, cgroups in maps


def test_a_program_array_takes_programs_and_tells_which_it_has() -> None:
    with create(MapSpec("programs", MapType.PROG_ARRAY, 4, 4, 5)) as programs:
        assert isinstance(programs, HandleMap)
        with load(program("r0 = 7\nexit", ProgramType.SOCKET_FILTER), NOTHING, {}) as one:
            programs.put_at(3, one.fd)
            assert programs.read_all() == [(number(3), number(one.info().id))]
            assert call_through(programs, 3) == 7
        assert programs.delete(number(3))
        assert not programs.delete(number(3))
        assert call_through(programs, 3) == 1
        with pytest.raises(KernelError):
            programs.put_at(3, 0)


def call_through(programs: HandleMap, index: int) -> int:
    """Run a program that calls another through the map; its own result is 1."""
    text = f"r2 = map[programs] ll\nr3 = {index}\ncall tail_call\nr0 = 1\nexit"
    with load(program(text, ProgramType.SOCKET_FILTER), NOTHING, {"programs": programs}) as caller:
        return caller.test_run(data=bytes(64)).value


def test_a_map_of_sockets_tells_their_cookies() -> None:
    with (
        create(MapSpec("sockets", MapType.SOCKHASH, 4, 8, 5)) as sockets,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as near,
    ):
        assert isinstance(sockets, HandleMap)
        sockets.put(b"near", near.fileno())
        so_cookie = 57
        cookie = near.getsockopt(socket.SOL_SOCKET, so_cookie, 8)
        assert sockets.read_all() == [(b"near", cookie)]
        assert sockets.delete(b"near")
        assert sockets.read_all() == []


def test_a_map_of_devices_tells_their_numbers() -> None:
    with create(MapSpec("devices", MapType.DEVMAP, 4, 4, 5)) as devices:
        loopback = socket.if_nametoindex("lo")
        devices.update(number(2), number(loopback))
        assert devices.read_all() == [(number(2), number(loopback))]


def test_a_map_of_cpus_takes_a_queues_length() -> None:
    with create(MapSpec("cpus", MapType.CPUMAP, 4, 4, 1)) as cpus:
        cpus.update(number(0), number(64))
        assert cpus.lookup(number(0)) == number(64)


# -- maps of maps


def test_maps_of_maps_are_made_after_what_they_look_like() -> None:
    outer = MapSpec("outer", MapType.HASH_OF_MAPS, 4, 4, 4, inner="template")
    maps = create_all((outer, MapSpec("template", MapType.ARRAY, 4, 8, 1)))
    with maps["outer"] as outer_map, maps["template"] as template:
        assert isinstance(outer_map, NestedMap)
        outer_map.put(number(1), template)
        assert outer_map.id_at(number(1))
        assert list(outer_map.keys()) == [number(1)]
        with create(MapSpec("other", MapType.ARRAY, 4, 16, 1)) as other, pytest.raises(KernelError):
            outer_map.put(number(2), other)


def test_a_map_of_maps_without_a_template_is_refused() -> None:
    with pytest.raises(MapError, match="map outer holds maps, but nothing says what they look like"):
        create_all((MapSpec("outer", MapType.ARRAY_OF_MAPS, 4, 4, 4, inner="nothing"),))


# -- local storage


@pytest.fixture
def int_types() -> Iterator[int]:
    """Return the descriptor of type information whose type 1 is a signed int, type 2 an unsigned 64-bit number."""
    strings = b"\0int\0u64\0"
    types = struct.pack("=IIII", 1, 1 << 24, 4, 1 << 24 | 32) + struct.pack("=IIII", 5, 1 << 24, 8, 64)
    blob = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings
    with Descriptor(btf_load(blob), "types") as descriptor:
        yield descriptor.fd


def test_local_storage_belongs_to_a_socket(int_types: int) -> None:
    spec = MapSpec("of_sockets", MapType.SK_STORAGE, 4, 8, 0)
    with socket.socket() as one, socket.socket() as other:
        maps = create_all((spec,), btf_fd=int_types, types={"key of_sockets": 1, "leaf of_sockets": 2})
        with maps["of_sockets"] as storage:
            assert isinstance(storage, StorageMap)
            storage.update(number(one.fileno()), struct.pack("=Q", 42))
            assert storage.lookup(number(one.fileno())) == struct.pack("=Q", 42)
            assert storage.lookup(number(other.fileno())) is None
            with pytest.raises(MapError, match="cannot be walked"):
                storage.keys()


def test_local_storage_belongs_to_a_task(int_types: int) -> None:
    spec = MapSpec("of_tasks", MapType.TASK_STORAGE, 4, 8, 0)
    try:
        storage = create(spec, btf=(int_types, 1, 2))
    except KernelError as error:
        pytest.skip(f"this kernel has no storage of tasks: {error}")
    with storage, subprocess.Popen(["sleep", "30"]) as child:
        pidfd = os.pidfd_open(child.pid)
        try:
            storage.update(number(pidfd), struct.pack("=Q", 42))
            assert storage.lookup(number(pidfd)) == struct.pack("=Q", 42)
        finally:
            os.close(pidfd)
            child.kill()


# -- pinned maps


@pytest.fixture
def pinned(tmp_path: Path) -> Iterator[Path]:
    """Return a path in a BPF file system of the test's own."""
    root = tmp_path / "bpf"
    root.mkdir()
    done = subprocess.run(["mount", "-t", "bpf", "bpf", str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a BPF file system cannot be mounted here: {done.stderr}")
    yield root / "kept"
    subprocess.run(["umount", str(root)], check=True)


def test_a_pinned_map_is_made_once_and_found_again(pinned: Path) -> None:
    spec = MapSpec("kept", MapType.HASH, 4, 4, 8, pin=str(pinned))
    with create(spec) as first:
        first.update(number(1), number(10))
    with create(spec) as second:
        assert isinstance(second, HashMap)
        assert second.read_all() == [(number(1), number(10))]


def test_a_pinned_map_of_another_kind_is_refused(pinned: Path) -> None:
    with create(MapSpec("kept", MapType.HASH, 4, 4, 8)) as live:
        pin_map(live, str(pinned))
        with pytest.raises(MapError, match="exists: remove it first"):
            pin_map(live, str(pinned))
    with pytest.raises(MapError, match="is another than kept: its value size is 4, not 8; remove the file"):
        create(MapSpec("kept", MapType.HASH, 4, 8, 8, pin=str(pinned)))


def test_a_path_outside_of_a_bpf_file_system_is_refused(pinned: Path, tmp_path: Path) -> None:
    with pytest.raises(MapError, match="is not in a BPF file system"):
        create(MapSpec("kept", MapType.HASH, 4, 4, 8, pin=str(tmp_path / "kept")))
    with pytest.raises(MapError, match="there is no directory"):
        create(MapSpec("kept", MapType.HASH, 4, 4, 8, pin=str(pinned / "no/such")))


# -- many entries at once


@pytest.fixture(params=["batches", "singly"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[HashMap]:
    if request.param == "singly":
        monkeypatch.setattr(batch, "map_batch", lambda *_, **__: (-EINVAL, 0))
    with create(MapSpec("table", MapType.HASH, 4, 8, 100)) as made:
        assert isinstance(made, HashMap)
        yield made


def test_chosen_keys_are_written_and_deleted_together(table: HashMap) -> None:
    keys = b"".join(number(key) for key in range(50))
    table.update_many(keys, b"".join(struct.pack("=Q", key * 2) for key in range(50)))
    assert sorted(table.read_all()) == sorted((number(key), struct.pack("=Q", key * 2)) for key in range(50))
    table.delete_many(keys[: 4 * 49])
    assert table.read_all() == [(number(49), struct.pack("=Q", 98))]


def test_deleting_a_key_that_is_not_there_is_an_error(table: HashMap) -> None:
    table.update_many(number(1), struct.pack("=Q", 1))
    with pytest.raises(KernelError) as caught:
        table.delete_many(number(1) + number(2))
    assert caught.value.errno == ENOENT
    assert table.read_all() == []
