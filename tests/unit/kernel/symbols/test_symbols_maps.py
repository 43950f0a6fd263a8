"""/proc/PID/maps and what else is read of a process."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from proc_tree import ProcTree

from probee.kernel.symbols.maps import (
    AddressSpace,
    Mapping,
    executable,
    parse_maps,
    pid_inside,
    read_maps,
    root,
    start_time,
)  # fmt: skip

TEXT = b"""\
55d000000000-55d000001000 r--p 00000000 fe:01 123                        /usr/bin/a b
55d000001000-55d000004000 r-xp 00001000 fe:01 123                        /usr/bin/a b
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7f0000001000-7f0000002000 r-xp 00000000 00:00 0                          [vdso]
7f0000002000-7f0000003000 r-xp 00002000 fe:01 77                         /tmp/gone.so (deleted)
7f0000003000-7f0000004000 rwxp 00000000 00:00 0
7f0000004000-7f0000005000 r--s 00000000 fe:01 9                          /tmp/new\\012line
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_every_line_is_a_mapping() -> None:
    found = parse_maps(TEXT)
    assert [(m.path, m.executable, m.is_file) for m in found] == [
        ("/usr/bin/a b", False, True), ("/usr/bin/a b", True, True), ("", False, False), ("[vdso]", True, False),
        ("/tmp/gone.so", True, True), ("", True, False), ("/tmp/new\nline", False, True), ("[vsyscall]", True, False),
    ]  # fmt: skip
    assert (found[1].start, found[1].end, found[1].offset) == (0x55D000001000, 0x55D000004000, 0x1000)
    assert (found[1].device, found[1].inode) == ((0xFE, 1), 123)
    assert [m.path for m in found if m.deleted] == ["/tmp/gone.so"]


def test_code_alone_can_be_asked_for() -> None:
    found = parse_maps(TEXT, executable_only=True)
    assert [m.path for m in found] == ["/usr/bin/a b", "[vdso]", "/tmp/gone.so", "", "[vsyscall]"]
    assert all(m.executable for m in found)


def test_an_address_is_in_one_mapping_or_none() -> None:
    space = AddressSpace(parse_maps(TEXT))
    found = space.find(0x55D000001000)
    assert found is not None and found.offset == 0x1000
    assert space.find(0x55D000004000) is None and space.find(0) is None
    last = space.find(0xFFFFFFFFFF600000)
    assert last is not None and last.path == "[vsyscall]"


@given(st.binary(max_size=200))
def test_other_text_gives_no_mapping_and_no_error(text: bytes) -> None:
    assert all(m.end >= 0 for m in parse_maps(text))


def test_this_process_is_read_from_proc() -> None:
    mappings = read_maps(os.getpid())
    assert mappings and any(m.executable and m.is_file for m in mappings)
    assert start_time(os.getpid()) > 0 and os.path.exists(executable(os.getpid()))
    assert root(os.getpid()) == "" and pid_inside(os.getpid()) > 0


def test_a_process_that_is_not_there_is_nothing(tmp_path: Path) -> None:
    proc = str(tmp_path)
    assert read_maps(5, proc=proc) is None and start_time(5, proc) == 0
    assert executable(5, proc) == "" and root(5, proc) == "" and pid_inside(5, proc) == 5


def test_a_command_with_brackets_and_blanks_in_its_name_has_a_start_time(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path)
    tree.add(42, start=987)
    assert start_time(42, str(tmp_path)) == 987 and pid_inside(42, str(tmp_path)) == 7


def test_other_mounts_or_another_root_are_reached_through_proc(tmp_path: Path) -> None:
    tree, other = ProcTree(tmp_path), tmp_path / "container"
    other.mkdir()
    tree.add(1)
    tree.add(2, mounts="mnt:[2]")
    tree.add(3, root=str(other))
    found = [root(pid, str(tmp_path)) for pid in (1, 2, 3)]
    assert found == ["", f"{tmp_path}/2/root", f"{tmp_path}/3/root"]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=12))
def test_what_is_mapped_later_takes_the_place_of_what_was_there(pieces: list[tuple[int, int]]) -> None:
    space, model = AddressSpace(()), {}
    for number, (start, length) in enumerate(pieces):
        space.add(Mapping(start, start + length, 1000 * number, f"/{number}"))
        model.update({address: (f"/{number}", 1000 * number + address - start) for address in range(start, start + length)})
    found = {}
    for address in range(60):
        mapping = space.find(address)
        if mapping is not None:
            found[address] = (mapping.path, mapping.offset + address - mapping.start)
    assert found == model
