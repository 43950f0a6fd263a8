"""Finding and opening programs and libraries."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from proc_tree import ProcTree, line

from elf_image import ElfImage
from probee.errors import FormatError, KernelError, PermissionMissing
from probee.kernel.symbols import binary
from probee.kernel.symbols.binary import find_binary, find_executable, find_library, mapped_files, open_elf, split_member


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, with bin/app, bin/apple, bin/text, other/app, lib/libsmall.so.3; bin and other are PATH."""
    for name in ("bin/app", "bin/apple", "bin/text", "lib/libsmall.so.3", "other/app"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(ElfImage().build())
        path.chmod(0o755 if "text" not in name else 0o644)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{tmp_path}/other:{tmp_path}/missing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_opened_by_its_path(programs: Path) -> None:
    assert open_elf(str(programs / "bin/app")).name == f"{programs}/bin/app"
    assert open_elf(str(programs / "bin/app"), "app").name == "app"


def test_what_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("echo hello\n" * 20)
    for name, kind, message in (
        ("missing", KernelError, "cannot be opened: No such file"), ("empty", FormatError, "is empty"),
        ("pipe", FormatError, "is no regular file"), ("text", FormatError, "is no ELF file"),
        ("", FormatError, "is no regular file"),
    ):  # fmt: skip
        with pytest.raises(kind, match=f"{name}.* {message}"):
            open_elf(str(tmp_path / name))

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(binary.os, "open", refuse)
    with pytest.raises(PermissionMissing, match="text cannot be opened: Permission denied"):
        open_elf(str(tmp_path / "text"))


def test_a_name_is_looked_for_on_path_in_order(programs: Path) -> None:
    assert find_executable("app") == [f"{programs}/bin/app", f"{programs}/other/app"]
    assert find_binary("app") == find_executable("app")
    assert find_binary("nothing") == [] and find_binary("text") == []


def test_a_path_is_taken_as_it_is(programs: Path) -> None:
    assert find_binary(f"{programs}/bin/apple") == [f"{programs}/bin/apple"]
    assert find_binary("./bin/apple") == [f"{programs}/bin/apple"]
    assert find_binary("./bin/text") == [] and find_binary("./lib/libsmall.so.3") != []


def test_one_file_under_two_names_on_path_is_one(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (programs / "link").symlink_to(programs / "bin")
    monkeypatch.setenv("PATH", f"{programs}/bin:{programs}/link")
    assert find_executable("app") == [f"{programs}/bin/app"]


def test_a_wildcard_stands_for_files(programs: Path) -> None:
    assert find_binary(f"{programs}/bin/app*") == [f"{programs}/bin/app", f"{programs}/bin/apple"]
    assert find_binary("appl*") == [f"{programs}/bin/apple"]
    assert find_binary("[a]pp*") == []  # only * is special


@pytest.mark.parametrize("name", ["small", "libsmall", "libsmall.so", "libsmall.so.3"])
def test_a_library_is_found_by_any_of_its_names(programs: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(binary, "LDCACHE", str(programs / "missing"))
    monkeypatch.setattr(binary, "_LIBRARY_DIRECTORIES", (f"{programs}/nowhere", f"{programs}/lib"))
    assert find_library(name) == f"{programs}/lib/libsmall.so.3"
    assert find_library("libsmal") == "" and find_library("bin") == ""


def test_a_cache_of_a_linker_that_is_not_known_is_no_trouble(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (programs / "cache").write_bytes(b"another linker's")
    monkeypatch.setattr(binary, "LDCACHE", str(programs / "cache"))
    monkeypatch.setattr(binary, "_LIBRARY_DIRECTORIES", (f"{programs}/lib",))
    assert find_binary("libsmall") == [f"{programs}/lib/libsmall.so.3"]


def test_a_file_stored_in_an_archive_has_offsets_of_the_archive(tmp_path: Path) -> None:
    image = ElfImage()
    image.symbols([("main", image.text_address, 4, 2, 1)])
    data = image.build()
    with ZipFile(tmp_path / "a.zip", "w", ZIP_STORED) as archive:
        archive.writestr("readme", "text")
        archive.writestr("lib/app", data)
        archive.writestr("packed", data, ZIP_DEFLATED)
    path = f"{tmp_path}/a.zip!/lib/app"
    assert find_binary(path) == [path] and find_binary(f"{tmp_path}/b.zip!/lib/app") == []
    file = open_elf(path)
    offset = file.file_offset(file.find("main")[0].address)
    assert offset is not None and file.address(offset) == image.text_address and file.base > 0
    assert (tmp_path / "a.zip").read_bytes()[offset] == 0xC3
    assert split_member(path) == (f"{tmp_path}/a.zip", "lib/app") and split_member("/bin/sh") == ("/bin/sh", "")
    for member, message in (("packed", "is compressed"), ("nothing", "no such member"), ("readme", "is no ELF file")):
        with pytest.raises(FormatError, match=f"a.zip!/{member}.* {message}"):
            open_elf(f"{tmp_path}/a.zip!/{member}")
    (tmp_path / "c.zip").write_text("no archive")
    with pytest.raises(FormatError, match="archive cannot be read"):
        open_elf(f"{tmp_path}/c.zip!/app")


def test_a_process_has_its_own_libraries_and_files(programs: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    tree = ProcTree(proc)
    library = programs / "lib/libsmall.so.3"
    tree.add(5, line(0x1000, library) + line(0x9000, "[vdso]") + line(0x5000, programs / "bin/app", suffix=" (deleted)"))
    tree.add(6, mounts="mnt:[2]", root=str(programs))
    assert find_library("libsmall", 5, proc=str(proc)) == str(library)
    assert mapped_files(5, proc=str(proc)) == [str(library)] == find_binary("*", proc=str(proc))
    assert find_binary("/bin/app", 6, proc=str(proc)) == [f"{proc}/6/root/bin/app"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_this_processs_files_are_found() -> None:
    files = mapped_files(os.getpid())
    assert os.path.realpath(sys.executable) in files
    assert all(open_elf(path).machine for path in files)
