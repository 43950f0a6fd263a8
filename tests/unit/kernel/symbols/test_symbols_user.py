"""Users' addresses to Frames, with a /proc made for the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from proc_tree import ProcTree, line

from elf_image import TEXT_OFFSET, ElfImage
from probee.formats.elf.read import EXECUTABLE, SHARED
from probee.kernel.symbols import user
from probee.kernel.symbols.user import NONE, PER_PID, PER_PROGRAM, UserResolver
from probee.model.value import Frame

START = ElfImage().text_address
BASE = 0x7F0000001000


@pytest.fixture(autouse=True)
def nothing_is_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user, "_TRUST_S", 0)


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


def program(path: Path, *names: str, build_id: bytes = b"") -> Path:
    """Write a program with functions of 16 bytes each from the start of its text."""
    image = ElfImage()
    image.symbols([(name, START + 16 * number, 16, 2, 1) for number, name in enumerate(names)])
    if build_id:
        image.build_id(build_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.build())
    return path


def resolver(tree: ProcTree, cache: str = PER_PID, **more: bool) -> UserResolver:
    return UserResolver(cache, proc=str(tree.path), debug_directories=(), **more)


def text(frame: Frame) -> str:
    return f"{frame.symbol}+{frame.offset}@{os.path.basename(frame.module)}"


def test_an_address_becomes_a_function_and_an_offset(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "main", "work")))
    symbols = resolver(tree)
    assert text(symbols.frame(5, BASE + 20)) == "work+4@app" and symbols.frame(5, BASE + 20).address == BASE + 20
    assert [text(frame) for frame in symbols.frames(5, [BASE, BASE + 17, 0, BASE])] == ["main+0@app", "work+1@app"]


def test_what_is_not_known_is_an_address(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "main")) + line(BASE * 2, "[heap]") + line(BASE * 3, tmp_path / "gone"))
    symbols = resolver(tree)
    found = [symbols.frame(*place) for place in ((5, 1), (5, BASE + 0x800), (5, BASE * 2), (5, BASE * 3), (99, BASE))]
    assert [frame.symbol for frame in found] == [""] * 5
    assert [frame.address for frame in found] == [1, BASE + 0x800, BASE * 2, BASE * 3, BASE]
    assert found[1].module == str(tmp_path / "app")  # the file is known, the function is not


def test_names_of_cpp_are_as_written_unless_that_is_not_wanted(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "_RNvC1a3run")))
    assert resolver(tree).frame(5, BASE).symbol == "a::run"
    assert resolver(tree, demangles=False).frame(5, BASE).symbol == "_RNvC1a3run"


def test_a_process_that_has_exited_is_remembered(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "main")))
    symbols = resolver(tree)
    assert symbols.remember(5) and not symbols.remember(6)
    tree.exit(5)
    assert text(symbols.frame(5, BASE + 1)) == "main+1@app"


def test_another_process_with_the_same_pid_is_another(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "old", "before")), exe="/old")
    symbols = resolver(tree)
    assert symbols.frame(5, BASE).symbol == "before"
    tree.add(5, line(BASE, program(tmp_path / "new", "after")), exe="/new", start=200)
    assert symbols.frame(5, BASE).symbol == "after"


def test_after_exec_addresses_from_before_are_still_known(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "old", "before")), exe="/old")
    symbols = resolver(tree)
    symbols.remember(5)
    tree.add(5, line(BASE * 2, program(tmp_path / "new", "after")), exe="/new")
    assert symbols.frame(5, BASE * 2).symbol == "after" and symbols.frame(5, BASE).symbol == "before"


def test_a_library_loaded_later_is_found(tree: ProcTree, tmp_path: Path) -> None:
    first = line(BASE, program(tmp_path / "app", "main"))
    tree.add(5, first)
    symbols = resolver(tree)
    symbols.remember(5)
    tree.set_maps(5, first + line(BASE * 2, program(tmp_path / "plugin.so", "start")))
    assert text(symbols.frame(5, BASE * 2)) == "start+0@plugin.so"


def test_a_file_that_was_replaced_gives_no_wrong_names(tree: ProcTree, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "right")
    tree.add(5, line(BASE, path))
    program(tmp_path / "other", "wrong").rename(path)
    assert resolver(tree).frame(5, BASE).symbol == ""


def test_a_deleted_file_is_kept_through_proc(tree: ProcTree, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "main")
    tree.add(5, line(BASE, path, suffix=" (deleted)"))
    links = tree.path / "5" / "map_files"
    links.mkdir()
    path.rename(tmp_path / "somewhere")
    (links / f"{BASE:x}-{BASE + 0x1000:x}").symlink_to(tmp_path / "somewhere")
    symbols = resolver(tree)
    symbols.remember(5)
    (tmp_path / "somewhere").unlink()
    tree.exit(5)
    assert text(symbols.frame(5, BASE)) == "main+0@app"


def test_files_of_a_container_are_opened_at_first_sight(tree: ProcTree, tmp_path: Path) -> None:
    container = tmp_path / "container"
    inside = line(BASE, program(container / "bin/app", "main")).replace(str(container), "")
    tree.add(5, inside, root=str(container), mounts="mnt:[7]")
    symbols = resolver(tree)
    symbols.remember(5)
    tree.exit(5)
    frame = symbols.frame(5, BASE)
    assert (frame.symbol, frame.module) == ("main", "/bin/app")


def test_compiled_code_is_found_in_the_map_of_its_process(tree: ProcTree, tmp_path: Path) -> None:
    container = tmp_path / "container"
    (container / "tmp").mkdir(parents=True)
    tree.add(5, f"{BASE:x}-{BASE + 4096:x} rwxp 00000000 00:00 0\n", root=str(container))
    (container / "tmp/perf-7.map").write_text(f"{BASE:x} 40 jit:loop\n")  # 7 is the pid it has for itself
    symbols = resolver(tree)
    assert text(symbols.frame(5, BASE + 3)) == "jit:loop+3@perf-7.map"
    with (container / "tmp/perf-7.map").open("a") as file:
        file.write(f"{BASE:x} 40 jit:other\n{BASE + 64:x} 40 jit:more\n")
    assert symbols.frame(5, BASE + 65).symbol == "jit:more" and symbols.frame(5, BASE + 3).symbol == "jit:other"
    tree.exit(5)
    assert symbols.frame(5, BASE + 65).symbol == "jit:more"


def test_by_program_a_process_seen_too_late_borrows(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "main")), exe="/bin/app")
    symbols = resolver(tree, PER_PROGRAM)
    symbols.remember(5)
    assert symbols.frame(6, BASE, program="/bin/app").symbol == "main"
    assert symbols.frame(6, BASE, program="/bin/other").symbol == ""
    assert resolver(tree).frame(6, BASE, program="/bin/app").symbol == ""
    tree.add(7, line(BASE * 2, program(tmp_path / "app", "main")), exe="/bin/app")  # one that is there has its own addresses
    assert symbols.frame(7, BASE * 2).symbol == "main" and symbols.frame(7, BASE).symbol == ""


def test_a_probed_programs_processes_are_remembered_before_they_fire(tree: ProcTree, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "main")
    tree.add(5, line(BASE, path), exe=str(path))
    tree.add(6, line(BASE, path), exe="/nothing")
    symbols = resolver(tree)
    assert symbols.remember_program(str(path)) == 1
    tree.exit(5)
    tree.exit(6)
    assert symbols.frame(5, BASE).symbol == "main" and symbols.frame(6, BASE).symbol == ""
    assert symbols.remember_program(str(tmp_path / "missing")) == 0 and resolver(tree, NONE).remember_program(str(path)) == 0


def fixed(path: Path, name: str, *, type: int = EXECUTABLE, base: int = 0x400000) -> Path:
    image = ElfImage(type=type, base=base)
    image.symbols([(name, image.text_address, 16, 2, 1)])
    image.interpreter()
    path.write_bytes(image.build())
    return path


def test_a_program_that_cannot_be_moved_needs_no_process(tree: ProcTree, tmp_path: Path) -> None:
    symbols = resolver(tree)
    symbols.remember_program(str(fixed(tmp_path / "one", "main")))
    frame = symbols.frame(99, START + 3)
    assert (frame.symbol, frame.offset, frame.module) == ("main", 3, str(tmp_path / "one"))
    assert symbols.frame(99, START + 0x800).symbol == ""
    symbols.remember_program(str(fixed(tmp_path / "two", "other")))
    assert symbols.frame(99, START + 3).symbol == ""  # which of the two was it?
    assert symbols.frame(99, START + 3, program=str(tmp_path / "two")).symbol == "other"


@pytest.mark.parametrize(("cache", "name"), [(PER_PID, ""), (PER_PROGRAM, "main")])
def test_without_randomisation_programs_lie_where_they_always_do(tree: ProcTree, tmp_path: Path, cache: str, name: str) -> None:
    symbols = resolver(tree, cache)
    symbols.remember_program(str(fixed(tmp_path / "pie", "main", type=SHARED, base=0)))
    assert symbols.frame(99, 0x555555554000 + TEXT_OFFSET).symbol == name


def test_without_a_cache_nothing_is_remembered(tree: ProcTree, tmp_path: Path) -> None:
    tree.add(5, line(BASE, program(tmp_path / "app", "main")))
    symbols = resolver(tree, NONE)
    assert symbols.frame(5, BASE).symbol == "main" and not symbols.remember(5)
    tree.exit(5)
    assert symbols.frame(5, BASE).symbol == ""


def test_a_place_is_a_build_id_and_an_offset_in_the_file(tree: ProcTree, tmp_path: Path) -> None:
    known, unknown = program(tmp_path / "app", "main", build_id=b"\xab\xcd"), program(tmp_path / "b", "x")
    tree.add(5, line(BASE, known) + line(BASE * 2, unknown))
    symbols = resolver(tree)
    assert symbols.place(5, BASE + 4) == ("abcd", TEXT_OFFSET + 4)
    assert symbols.place(5, BASE * 2) is None and symbols.place(5, 4) is None and symbols.place(6, 4) is None


def test_one_file_is_opened_once_for_all_processes(tree: ProcTree, tmp_path: Path) -> None:
    path = program(tmp_path / "app", "main")
    symbols = resolver(tree)
    for pid in range(5, 15):
        tree.add(pid, line(BASE + pid * 4096, path))
        assert symbols.frame(pid, BASE + pid * 4096).symbol == "main"
    assert len(symbols._modules) == 1
    symbols.close()
    assert not symbols._modules


def test_a_broken_file_is_no_trouble(tree: ProcTree, tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(program(tmp_path / "whole", "main").read_bytes()[:5000])
    (tmp_path / "text").write_text("hello")
    tree.add(5, line(BASE, tmp_path / "app") + line(BASE * 2, tmp_path / "text"))
    symbols = resolver(tree)
    assert symbols.frame(5, BASE).symbol == "" and symbols.frame(5, BASE * 2).symbol == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_this_process_and_the_kernels_code_in_it() -> None:
    import ctypes

    from probee.kernel.symbols.maps import read_maps

    symbols = UserResolver(debug_directories=())
    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address is not None
    frame = symbols.frame(os.getpid(), address)
    assert frame.symbol.lstrip("_") == "getppid" and frame.offset == 0 and os.path.exists(frame.module)
    vdso = next((each for each in read_maps(os.getpid()) or [] if each.path == "[vdso]"), None)
    if vdso is not None:
        found = {symbols.frame(os.getpid(), at).symbol for at in range(vdso.start, vdso.end, 16)}
        assert any("clock_gettime" in name for name in found)
