"""Separate debug files, and the order in which a module's symbols are looked for."""

from __future__ import annotations

import lzma
from pathlib import Path
from zlib import crc32

import pytest

from elf_image import TEXT_OFFSET, ElfImage
from probee.formats.elf.read import ElfFile
from probee.kernel.symbols.debugfile import crc, find_debug_file
from probee.kernel.symbols.module import Module

ID = bytes(range(20))
START = ElfImage().text_address


def debug_file(path: Path, name: str, *, build_id: bytes = b"") -> bytes:
    image = ElfImage()
    image.symbols([(name, START, 16, 2, 0)])
    if build_id:
        image.build_id(build_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image.build())
    return path.read_bytes()


def program(*, build_id: bytes = b"", link: tuple[str, int] | None = None, dynamic: bool = False, mini: str = "") -> ElfFile:
    image = ElfImage()
    if build_id:
        image.build_id(build_id)
    if link:
        image.debug_link(*link)
    if dynamic:
        image.symbols([("exported", START, 16, 2, 1), ("other", START + 32, 16, 2, 1)], dynamic=True)
    if mini:
        inner = ElfImage()
        inner.symbols([(mini, START + 16, 16, 2, 0)])
        image.section(".gnu_debugdata", 1, lzma.compress(inner.build()))
    return ElfFile(image.build())


def found_name(file: ElfFile, folder: Path, *, prefix: str = "") -> str | None:
    path = "/opt/app" if prefix else f"{folder}/app"
    found = find_debug_file(file, path, directories=(f"{folder}/debug", "/d"), prefix=prefix)
    return found.function_names()[0] if found is not None else None


def test_by_build_id(tmp_path: Path) -> None:
    path = tmp_path / f"debug/.build-id/00/{ID[1:].hex()}.debug"
    debug_file(path, "by_id", build_id=ID)
    assert found_name(program(build_id=ID), tmp_path) == "by_id"
    debug_file(path, "by_id", build_id=bytes(20))
    assert found_name(program(build_id=ID), tmp_path) is None  # another build's


@pytest.mark.parametrize("place", ["", ".debug/", "debug{folder}/"])
def test_by_link(tmp_path: Path, place: str) -> None:
    path = tmp_path / place.format(folder=tmp_path) / "app.debug"
    data = debug_file(path, "by_link")
    assert found_name(program(link=("app.debug", crc32(data))), tmp_path) == "by_link"
    assert found_name(program(link=("app.debug", crc32(data) ^ 1)), tmp_path) is None


@pytest.mark.parametrize("place", [".debug/app.debug", "app.debug", "debug/app.debug", "debug/app", "debug{folder}/app.debug"])
def test_by_the_programs_name_when_the_build_id_is_right(tmp_path: Path, place: str) -> None:
    path = tmp_path / place.format(folder=tmp_path)
    debug_file(path, "by_name", build_id=ID)
    assert found_name(program(build_id=ID), tmp_path) == "by_name"
    assert found_name(program(build_id=bytes(20)), tmp_path) is None and found_name(program(), tmp_path) is None


def test_build_ids_spare_the_checksum(tmp_path: Path) -> None:
    debug_file(tmp_path / "app.debug", "by_link", build_id=ID)
    assert found_name(program(link=("app.debug", 0), build_id=ID), tmp_path) == "by_link"


def test_a_link_cannot_lead_out_of_its_directories(tmp_path: Path) -> None:
    data = debug_file(tmp_path / "secret", "x")
    (tmp_path / "in").mkdir()
    file = program(link=("../secret", crc32(data)))
    assert find_debug_file(file, f"{tmp_path}/in/app", directories=()) is None


def test_in_the_root_of_another_mount_namespace(tmp_path: Path) -> None:
    path = tmp_path / f"root/d/.build-id/00/{ID[1:].hex()}.debug"
    debug_file(path, "inside", build_id=ID)
    assert found_name(program(build_id=ID), tmp_path, prefix=f"{tmp_path}/root") == "inside"


def test_what_is_no_elf_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "app.debug").write_text("hello")
    assert found_name(program(link=("app.debug", 5)), tmp_path) is None


def test_the_checksum_is_that_of_all_bytes(tmp_path: Path) -> None:
    data = debug_file(tmp_path / "x", "y") + bytes(3 << 20)
    assert crc(ElfFile(data)) == crc32(data)


def test_a_module_asks_its_debug_file_before_its_dynamic_symbols(tmp_path: Path) -> None:
    data = debug_file(tmp_path / "app.debug", "local_name")
    module = Module(program(link=("app.debug", crc32(data)), dynamic=True), f"{tmp_path}/app", directories=())
    assert module.resolve(TEXT_OFFSET + 3) == ("local_name", 3)
    assert module.resolve(TEXT_OFFSET + 33) == ("other", 1)
    assert module.resolve(TEXT_OFFSET + 64) is None and module.resolve(1 << 40) is None
    assert module.function_names() == ["local_name", "exported", "other"]
    assert [symbol.address for symbol in module.find("exported")] == [START] and module.find("nothing") == []


def test_a_stripped_module_has_what_it_carries_itself() -> None:
    module = Module(program(dynamic=True, mini="static"), "/app", directories=())
    assert module.resolve(TEXT_OFFSET + 17) == ("static", 1) and module.resolve(TEXT_OFFSET) == ("exported", 0)


def test_broken_debug_data_does_not_hide_the_dynamic_symbols() -> None:
    image = ElfImage()
    image.symbols([("exported", START, 16, 2, 1)], dynamic=True)
    image.section(".gnu_debugdata", 1, b"no xz")
    assert Module(ElfFile(image.build()), "/app", directories=()).resolve(TEXT_OFFSET) == ("exported", 0)


def test_versions_are_no_part_of_a_name() -> None:
    image = ElfImage()
    image.symbols([("copy@@V2", START, 16, 2, 1)])
    module = Module(ElfFile(image.build()), "/app", directories=())
    assert module.resolve(TEXT_OFFSET) == ("copy", 0) and module.function_names() == ["copy"]
