"""Names for numbers: stacks, users, cgroups, times."""

from __future__ import annotations

import os
from struct import pack

from probee.model.spec import Action, MapSpec, MapType
from probee.model.text import stack_text
from probee.model.value import Frame, ValueType
from probee.runtime.cgroup import CgroupPaths, cgroup_mounts
from probee.runtime.resolve import Resolver


class StackMap:
    """A STACK_TRACE map of some depth with one stack, number 5."""

    key_size = 4

    def __init__(self, raw: bytes, depth: int, mode: str = "") -> None:
        size = depth * (32 if mode else 8)
        self.spec = MapSpec(f"stack_{mode}{depth}", MapType.STACK_TRACE, 4, size, 16, role="stack")
        self._raw = raw.ljust(size, b"\0")

    def lookup(self, key: bytes) -> bytes | None:
        return self._raw if key == pack("<I", 5) else None


class Symbols:
    def kernel(self, address):
        return Frame(address, "f", address - 0x1000) if address < 0x2000 else Frame(address)

    def user(self, pid, address):
        return Frame(address, f"u{pid}", 1, "/bin/x")

    def user_stack(self, pid, addresses):
        return tuple([self.user(pid, address) for address in addresses])


def a_stack(count: int, mode: str = "bpftrace") -> ValueType:
    return ValueType("kstack", 8, mode=mode, count=count)


def test_a_stack_is_found_in_the_map_of_its_depth():
    other, wanted = StackMap(pack("<2Q", 0x1001, 0x1002), 2), StackMap(pack("<2Q", 0x1010, 0x3000), 3)
    resolver = Resolver(stacks=[other, wanted], symbols=Symbols())
    assert stack_text(resolver.kstack(a_stack(3), 5)) == "\n        f+16\n        0x3000\n"


def test_the_high_half_of_a_stacks_number_is_its_length():
    resolver = Resolver(stacks=[StackMap(pack("<Q", 0x1010), 2)], symbols=Symbols())
    assert stack_text(resolver.kstack(a_stack(2), 1 << 32 | 5)) == "\n        f+16\n"
    assert resolver.kstack(a_stack(2), 0xFFFF_FFF2) is None


def test_a_stack_that_was_not_taken_is_none():
    resolver = Resolver(stacks=[StackMap(b"", 2)], symbols=Symbols())
    assert resolver.kstack(a_stack(2), -14) is None
    assert resolver.kstack(a_stack(2), 6) is None
    assert resolver.kstack(a_stack(99), 5) is None


def test_user_stacks_are_resolved_with_their_process():
    resolver = Resolver(stacks=[StackMap(pack("<Q", 0x40), 2)], symbols=Symbols())
    found = resolver.ustack(ValueType("ustack", 16, mode="perf", count=2), 5, 77)
    assert stack_text(found) == "\n\t40 u77+1 (/bin/x)\n"


def test_build_ids_end_at_the_first_empty_entry():
    raw = pack("<i20sQ", 1, b"\xab" * 20, 0x10) + pack("<i20sQ", 2, b"", 0x7F00)
    plain = StackMap(pack("<Q", 0x40), 12)  # of the same size
    resolver = Resolver(stacks=[plain, StackMap(raw, 3, "ids_")])
    found = resolver.ustack(ValueType("ustack", 16, mode="build_id", count=3), 5, 1)
    assert [(frame.symbol, frame.offset, frame.address) for frame in found.frames] == [("ab" * 20, 0x10, 0), ("", 0, 0x7F00)]


def test_symbols_are_names_without_offset_or_addresses():
    resolver = Resolver(symbols=Symbols())
    assert (resolver.ksym(0x1004), resolver.ksym(0x5000), resolver.usym(0x40, 7)) == ("f", "0x5000", "u7")


def test_users_are_names_or_numbers():
    resolver = Resolver()
    assert resolver.username(0) == "root"
    assert resolver.username(4_000_000_123) == "4000000123"


def test_a_timestamp_uses_the_format_of_its_action():
    resolver = Resolver(actions=[Action("exit"), Action("strftime", "%Y")])
    assert resolver.timestamp(60 * 86_400 * 1_000_000_000, 2, 1) == "1970"


def test_cgroups_are_paths_by_inode(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    paths = CgroupPaths([("unified", str(tmp_path)), ("memory", str(tmp_path))])
    assert paths.path(inner.stat().st_ino) == "unified:/a/b,memory:/a/b"
    assert paths.path(inner.stat().st_ino, "mem*") == "memory:/a/b"
    assert paths.path(tmp_path.stat().st_ino, "unified") == "unified:/"
    assert paths.path(1 << 60) == ""


def test_a_cgroup_that_comes_later_is_found(tmp_path):
    paths = CgroupPaths([("unified", str(tmp_path))])
    assert paths.path(tmp_path.stat().st_ino) == "unified:/"
    os.mkdir(tmp_path / "new")
    assert paths.path((tmp_path / "new").stat().st_ino) == "unified:/new"


def test_mounts_are_read_unified_first(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "30 1 0:20 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "31 1 0:21 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
        "32 1 0:22 / /proc rw - proc proc rw\n"
    )
    assert cgroup_mounts(str(table)) == [("unified", "/sys/fs/cgroup/unified"), ("memory", "/sys/fs/cgroup/memory")]
