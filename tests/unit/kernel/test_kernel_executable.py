"""Programs and libraries as a Target shows them; when they count as changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elf_image import ElfImage
from probee.errors import FormatError
from probee.kernel.executable import Executable, find_executables, identities, identity


def program(path: Path) -> Path:
    image = ElfImage()
    image.symbols([("work", image.text_address, 16, 2, 1), ("play", image.text_address + 32, 0, 2, 1)])
    image.usdt("app", "start", image.text_address, "-4@%edi")
    path.write_bytes(image.build())
    path.chmod(0o755)
    return path


def test_an_executable_tells_its_functions_their_sizes_and_where_code_is(tmp_path: Path) -> None:
    file = Executable(str(program(tmp_path / "one")))
    assert list(file.function_names()) == ["play", "work"]
    assert [file.function_size(name) for name in ("work", "play", "rest")] == [16, 0, None]
    address = ElfImage().text_address
    assert [file.has_code_at(at) for at in (address, address + 15, address + 16)] == [True, True, False]
    assert [(place.provider, place.name, place.specification) for place in file.usdt_probes()] == [("app", "start", "-4@%edi")]


def test_without_debug_information_a_function_has_no_signature(tmp_path: Path) -> None:
    file = Executable(str(program(tmp_path / "one")))
    assert file.signature("work") is None
    assert file.signature("nothing") is None


@pytest.mark.parametrize("given", ["beside", "./beside", "ABSOLUTE", "elsewhere"])
def test_directories_of_debug_files_are_beside_the_program_or_where_we_are(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    (folder / "beside").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    stripped, debug = ElfImage(), ElfImage()
    for image in (stripped, debug):
        image.build_id(bytes(range(20)))
    debug.symbols([("hidden", debug.text_address, 16, 2, 0)])
    (folder / "tool").write_bytes(stripped.build())
    place = tmp_path / "elsewhere" if given == "elsewhere" else folder / "beside"
    (place / "tool.debug").write_bytes(debug.build())
    directory = given.replace("ABSOLUTE", str(place))
    assert list(Executable(str(folder / "tool")).function_names()) == []
    assert list(Executable(str(folder / "tool"), directories=[directory]).function_names()) == ["hidden"]


def test_a_name_in_the_source_is_the_symbol_unless_that_is_mangled(tmp_path: Path) -> None:
    file = Executable(str(program(tmp_path / "one")))
    assert file.source_name("work") == "work"
    assert file.source_name("_RNvC1a4main") == "a::main"
    cpp = file.source_name("_ZN2ns1fEi")
    if cpp != "_ZN2ns1fEi":  # there is a C++ library to ask
        assert cpp == "ns::f(int)"
        assert file.source_name("_ZN2ns1fEi", parameters=False) == "ns::f"


def test_a_text_file_has_no_functions(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FormatError, match="is no ELF file"):
        Executable(str(tmp_path / "text")).function_names()


def test_no_name_is_the_program_of_the_process(tmp_path: Path) -> None:
    assert find_executables("", 0) == []
    (found,) = find_executables("", os.getpid())
    assert os.path.samefile(found.path, "/proc/self/exe")
    assert find_executables("", 1 << 22) == []  # no such process


def test_a_path_behind_the_process_in_proc_is_as_we_see_it(tmp_path: Path) -> None:
    path = program(tmp_path / "one")
    seen = f"/proc/{os.getpid()}/root{path}"
    assert [found.path for found in find_executables(seen, os.getpid())] == [seen]


def test_a_file_that_was_written_anew_is_another(tmp_path: Path) -> None:
    path = program(tmp_path / "one")
    before = identities(str(path), 0)
    assert before == f"{path}={identity(str(path))}"
    assert identities(str(path), 0) == before
    path.write_bytes(path.read_bytes() + b"\0")
    assert identities(str(path), 0) != before
    path.unlink()
    assert identities(str(path), 0) == ""
    assert identity(str(path)) == ""
