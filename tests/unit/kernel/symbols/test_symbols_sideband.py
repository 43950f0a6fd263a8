"""What the kernel tells of processes: its records, and the names that they give to processes that are gone."""

from __future__ import annotations

import os
from pathlib import Path
from struct import pack

import pytest
from proc_tree import ProcTree, line

from elf_image import ElfImage
from probee.kernel.symbols import user
from probee.kernel.symbols.maps import Mapping
from probee.kernel.symbols.sideband import COMM, EXIT, FORK, MMAP2, Report, parse_record
from probee.kernel.symbols.user import UserResolver

START = ElfImage().text_address
BASE = 0x7F0000001000
EXECUTED, WITH_BUILD_ID = 1 << 13, 1 << 14


def record(kind: int, payload: bytes, *, misc: int = 0, time_ns: int = 77) -> Report | None:
    size = 8 + len(payload) + 8
    return parse_record(kind, misc, pack("=IHH", kind, misc, size) + payload + pack("=Q", time_ns))


def mapped(path: bytes, file: bytes, *, protection: int = 5, misc: int = 0) -> Report | None:
    name = path + bytes(8 - len(path) % 8)
    payload = pack("=IIQQQ", 5, 6, 0x1000, 0x2000, 0x3000) + file + pack("=II", protection, 2) + name
    return record(MMAP2, payload, misc=misc)


INODE = pack("=IIQQ", 254, 1, 99, 0)


def test_a_mapping_names_its_process_its_place_and_its_file() -> None:
    report = mapped(b"/bin/a b", INODE)
    assert report is not None and report.mapping is not None
    assert (report.kind, report.pid, report.time_ns) == (MMAP2, 5, 77)
    found = report.mapping
    assert (found.start, found.end, found.offset, found.path) == (0x1000, 0x3000, 0x3000, "/bin/a b")
    assert (found.device, found.inode, found.build_id, found.is_file) == ((254, 1), 99, "", True)


def test_a_build_id_stands_in_the_inodes_place() -> None:
    report = mapped(b"/bin/a", bytes((4, 0, 0, 0)) + b"\xab\xcd\xef\x01" + bytes(16), misc=WITH_BUILD_ID)
    assert report is not None and report.mapping is not None
    assert (report.mapping.build_id, report.mapping.inode, report.mapping.is_file) == ("abcdef01", 0, True)


def test_memory_without_a_file_and_deleted_files_are_told_apart() -> None:
    nothing, deleted = mapped(b"//anon", bytes(24)), mapped(b"/tmp/x (deleted)", INODE)
    assert nothing is not None and nothing.mapping is not None and not nothing.mapping.is_file
    assert deleted is not None and deleted.mapping is not None
    assert (deleted.mapping.path, deleted.mapping.deleted) == ("/tmp/x", True)
    assert mapped(b"/bin/a", INODE, protection=1) is None  # no code


def test_only_processes_are_reported_and_only_names_that_exec_gave() -> None:
    fork, thread = pack("=IIIIQ", 8, 5, 8, 5, 1), pack("=IIIIQ", 5, 5, 9, 5, 1)
    born = record(FORK, fork)
    assert born is not None and (born.pid, born.parent) == (8, 5)
    assert record(FORK, thread) is None and record(EXIT, pack("=IIIIQ", 5, 1, 9, 5, 1)) is None
    gone = record(EXIT, pack("=IIIIQ", 5, 1, 5, 1, 1))
    assert gone is not None and gone.pid == 5
    named = pack("=II", 5, 5) + b"app\0\0\0\0\0"
    assert record(COMM, named) is None
    executed = record(COMM, named, misc=EXECUTED)
    assert executed is not None and executed.pid == 5


class Told:
    """A side band whose reports the test makes."""

    lost = 3

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def read(self) -> list[Report]:
        found, self.reports = self.reports, []
        return found

    def map(self, pid: int, start: int, path: Path | str, *, time_ns: int = 0) -> None:
        mapping = Mapping(start, start + 0x1000, 0x1000, str(path))
        if os.path.exists(path):
            found = os.stat(path)
            mapping.device, mapping.inode = (os.major(found.st_dev), os.minor(found.st_dev)), found.st_ino
        self.reports.append(Report(MMAP2, time_ns, pid, mapping=mapping))

    def tell(self, kind: int, pid: int, *, parent: int = 0, time_ns: int = 0) -> None:
        self.reports.append(Report(kind, time_ns, pid, parent=parent))

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def everything_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "_TRUST_S", 0)
    monkeypatch.setattr(user, "_HEARD_S", -1)


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def symbols(tree: ProcTree, told: Told) -> UserResolver:
    resolver = UserResolver(proc=str(tree.path), debug_directories=())
    resolver._sideband = told  # type: ignore[assignment]
    return resolver


def program(path: Path, *names: str) -> Path:
    """Write a program with functions of 16 bytes each from the start of its text."""
    image = ElfImage()
    image.symbols([(name, START + 16 * number, 16, 2, 1) for number, name in enumerate(names)])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.build())
    return path


def test_a_process_that_nobody_has_seen_has_names(symbols: UserResolver, told: Told, tmp_path: Path) -> None:
    told.tell(FORK, 5, parent=4)
    told.tell(COMM, 5)
    told.map(5, BASE, program(tmp_path / "app", "main", "work"))
    told.tell(EXIT, 5)
    assert [symbols.frame(5, BASE + at).symbol for at in (0, 17, 0x900)] == ["main", "work", ""]
    assert symbols.frame(6, BASE).symbol == "" and symbols.unheard == 3


def test_a_forked_process_has_its_parents_code(
    symbols: UserResolver, told: Told, tree: ProcTree, tmp_path: Path
) -> None:  # fmt: skip
    told.map(4, BASE, program(tmp_path / "app", "main"))
    told.tell(FORK, 5, parent=4)
    tree.add(7, line(BASE, program(tmp_path / "old", "before")))
    told.tell(FORK, 8, parent=7)  # of one that was there before anybody listened
    assert symbols.frame(5, BASE).symbol == "main" and symbols.frame(8, BASE).symbol == "before"


def test_exec_takes_the_place_of_what_was_seen_in_proc(
    symbols: UserResolver, told: Told, tree: ProcTree, tmp_path: Path
) -> None:  # fmt: skip
    tree.add(5, line(BASE, program(tmp_path / "old", "before")) + line(BASE * 3, program(tmp_path / "lib", "call")))
    symbols.remember(5)
    told.tell(COMM, 5, time_ns=1 << 62)
    told.map(5, BASE, program(tmp_path / "new", "after"))
    tree.exit(5)
    assert symbols.frame(5, BASE).symbol == "after"  # at an address that both programs use
    assert symbols.frame(5, BASE * 3).symbol == "call"


def test_what_was_seen_after_exec_counts(symbols: UserResolver, told: Told, tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "new", "after")))
    symbols.remember(5)
    told.tell(COMM, 5, time_ns=1)
    assert symbols.frame(5, BASE).symbol == "after"


def test_a_pid_that_is_used_again_has_nothing_of_who_had_it(symbols: UserResolver, told: Told, tmp_path: Path) -> None:
    told.map(5, BASE, program(tmp_path / "app", "main"))
    told.tell(EXIT, 5)
    told.map(5, BASE * 2, program(tmp_path / "other", "start"))
    assert symbols.frame(5, BASE * 2).symbol == "start" and symbols.frame(5, BASE).symbol == ""


def test_a_file_is_kept_when_it_is_first_mapped(symbols: UserResolver, told: Told, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "main")
    told.map(5, BASE, path)
    told.map(6, BASE * 2, path)
    symbols.hear()
    path.unlink()
    assert symbols.frame(5, BASE).symbol == "main" and symbols.frame(6, BASE * 2).symbol == "main"


def test_another_file_in_its_place_gives_no_wrong_names(symbols: UserResolver, told: Told, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "right")
    told.map(5, BASE, path)
    program(tmp_path / "other", "wrong").rename(path)
    assert symbols.frame(5, BASE).symbol == ""


def test_what_a_process_has_been_is_not_kept_without_end(symbols: UserResolver, told: Told, tmp_path: Path) -> None:
    for number in range(100):
        told.tell(COMM, 5)
        told.map(5, BASE * (number + 1), program(tmp_path / f"app{number}", f"main{number}"))
    symbols.hear()
    names = [symbols.frame(5, BASE * (number + 1)).symbol for number in range(100)]
    assert names[99] == "main99" and names[95] == "main95" and names[0] == ""
