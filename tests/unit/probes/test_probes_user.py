"""Probes of programs: which functions and USDT probes an attach point means, and how they are listed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from elf_image import ElfImage
from probee.errors import CompileError, FormatError, UnknownName
from probee.formats.target import FileTarget
from probee.kernel.executable import find_executables
from probee.kernel.symbols.demangle import demangle
from probee.probes.list import list_probe, list_probes
from probee.probes.match import expand
from probee.probes.parse import parse
from probee.probes.record import Field, record
from probee.probes.user import several_found

CPP = ("_ZN2ns1fEi", "_ZN2ns1fEic", "_ZN2ns1fEi.cold", "_Z4freev", "_ZN12_GLOBAL__N_16hiddenEv", "main", "free_c",
       "_Z2twIiET_S0_", "_Z2twIlET_S0_", "_ZNK1NplERKS_", "_ZNK1NcviEv")  # fmt: skip


def program(path: Path, names: tuple[str, ...] = (), usdt: tuple[tuple[str, str, int, str], ...] = ()) -> str:
    image = ElfImage()
    rows = [(name, image.text_address + 16 * number, 16, 2, 1) for number, name in enumerate(names)]
    if rows:
        image.symbols(rows)
    for provider, name, offset, arguments in usdt:
        image.usdt(provider, name, image.text_address + offset, arguments)
    path.write_bytes(image.build())
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def here(target: FileTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileTarget:
    """A target that knows programs: ./one, ./two and ./cxx of a directory of their own, and a script that is none."""
    monkeypatch.setattr(target, "binaries", lambda name: find_executables(name, 0))
    monkeypatch.chdir(tmp_path)
    usdt = (("app", "start", 0, "-4@%edi 8@%rsi"), ("app", "start", 32, "-4@$5 8@%rsi"), ("lib", "stop", 64, "4f@%xmm0"))
    program(tmp_path / "one", ("main", "work", "work_more"), usdt)
    program(tmp_path / "two", ("work",))
    program(tmp_path / "cxx", CPP)
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    return target


LISTED: list[tuple[str, list[str]]] = [
    ("uprobe:./one:*", ["uprobe:./one:main", "uprobe:./one:work", "uprobe:./one:work_more"]),
    ("u:./one:work*", ["uprobe:./one:work", "uprobe:./one:work_more"]),
    ("uretprobe:./one:work", ["uretprobe:./one:work"]),
    ("uprobe:./one", ["uprobe:./one:main", "uprobe:./one:work", "uprobe:./one:work_more"]),
    ("uprobe:./*:work", ["uprobe:./one:work", "uprobe:./two:work"]),
    ("uprobe:./t*o:*", ["uprobe:./two:work"]),
    ("uprobe:./one:nothing*", []),
    ("usdt:./one:*", ["usdt:./one:app:start", "usdt:./one:lib:stop"]),
    ("usdt:./one:st*p", ["usdt:./one:lib:stop"]),
    ("usdt:./one:app:*", ["usdt:./one:app:start"]),
    ("usdt:./*:*:stop", ["usdt:./one:lib:stop"]),
    ("usdt:./two:*", []),
    ("*:./one:*", [
        "uprobe:./one:main", "uprobe:./one:work", "uprobe:./one:work_more", "usdt:./one:app:start", "usdt:./one:lib:stop"]),
    ("usd*:./one:*", ["usdt:./one:app:start", "usdt:./one:lib:stop"]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "lines"), LISTED)
def test_a_pattern_lists_what_programs_have(pattern: str, lines: list[str], here: FileTarget) -> None:
    assert list(list_probes(pattern, here)) == lines


def test_a_verbose_usdt_probe_shows_its_arguments_at_all_its_places(here: FileTarget) -> None:
    assert list(list_probes("usdt:./one:*", here, verbose=True)) == [
        "usdt:./one:app:start", "    int32 arg0    (%edi or $5)", "    uint64 arg1    (%rsi)",
        "usdt:./one:lib:stop", "    float arg0    (%xmm0)",
    ]  # fmt: skip


def test_with_a_process_the_kernel_and_its_programs_are_listed(here: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def mapped(name: str) -> object:
        asked.append(name)
        return find_executables("./one", 0)

    monkeypatch.setattr(here, "binaries", mapped)
    lines = list(list_probes("", here, process=True))
    path = os.path.realpath("one")
    assert f"uprobe:{path}:work" in lines
    assert f"usdt:{path}:app:start" in lines
    assert any(line.startswith("kprobe:") for line in lines)
    assert list(list_probes("uprobe:*", here, process=True)) == [line for line in lines if line.startswith("uprobe:")]
    assert list(list_probes("*work_more", here, process=True)) == [f"uprobe:{path}:work_more"]
    assert set(asked) == {"*"}


def test_a_missing_program_or_a_text_file_is_an_error_and_a_near_name_is_told(here: FileTarget) -> None:
    with pytest.raises(UnknownName, match=r"uprobe target file '\./three' does not exist or is not executable"):
        list(list_probes("uprobe:./three:*", here))
    with pytest.raises(FormatError, match="is no ELF file"):
        list(list_probes("usdt:./script:*", here))
    notes: list[str] = []
    assert list(list_probes("uprobe:./one:wrok", here, note=notes.append)) == []
    assert notes == ["nothing matches 'uprobe:./one:wrok'. Did you mean: uprobe:./one:work?"]


def expanded(text: list[str], target: FileTarget) -> list[str]:
    (probe,) = parse(text)
    return [found.function for found in expand(probe, target)]


needs_cpp = pytest.mark.skipif(demangle("_Z4freev") != "free()", reason="no C++ library here that demangles")


@needs_cpp
@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("ns::f", ["_ZN2ns1fEi", "_ZN2ns1fEic"]),
        ("ns::f(int)", ["_ZN2ns1fEi"]),
        ("ns::f(int,char)", ["_ZN2ns1fEic"]),
        ("ns::*", ["_ZN2ns1fEi", "_ZN2ns1fEic"]),
        ("free", ["_Z4freev"]),
        ("(anonymous namespace)::hidden", ["_ZN12_GLOBAL__N_16hiddenEv"]),
        ("tw<int>", ["_Z2twIiET_S0_"]),
        ("long tw<long>(long)", ["_Z2twIlET_S0_"]),
        ("tw<*", ["_Z2twIiET_S0_", "_Z2twIlET_S0_"]),
        ("N::operator+", ["_ZNK1NplERKS_"]),
        ("N::operator int", ["_ZNK1NcviEv"]),
        ("main", ["main"]),
        ("_ZN2ns1fEi", ["_ZN2ns1fEi"]),
    ],
)
def test_functions_of_cpp_go_by_the_names_in_their_source(name: str, symbols: list[str], here: FileTarget) -> None:
    assert expanded(["uprobe", "./cxx", "cpp", name], here) == symbols
    assert expanded(["uprobe", "./cxx", name], here) == symbols


@needs_cpp
def test_a_name_may_be_a_symbol_and_an_overload_in_cpp(here: FileTarget, tmp_path: Path) -> None:
    program(tmp_path / "both", ("free", "_Z4freev"))
    assert expanded(["uprobe", "./both", "cpp", "free"], here) == ["_Z4freev", "free"]
    assert expanded(["uprobe", "./both", "free"], here) == ["free"]


def test_a_pattern_without_the_language_means_symbols(here: FileTarget) -> None:
    assert expanded(["uprobe", "./cxx", "*free*"], here) == ["_Z4freev", "free_c"]
    assert expanded(["uprobe", "./cxx", "f*"], here) == ["free_c"]


@needs_cpp
def test_functions_of_cpp_are_listed_so_that_they_can_be_attached(here: FileTarget) -> None:
    expected = ['uprobe:./cxx:cpp:"ns::f(int)"', 'uprobe:./cxx:cpp:"ns::f(int, char)"']
    assert list(list_probes("uprobe:./cxx:cpp:ns::*", here)) == expected
    assert list(list_probes(",".join(expected), here)) == expected
    assert list(list_probes("uprobe:./cxx:ns::f", here)) == ["uprobe:./cxx:_ZN2ns1fEi", "uprobe:./cxx:_ZN2ns1fEic"]
    (probe,) = parse(["uprobe", "./cxx", "cpp", "ns::f"])
    lines = [line for found in expand(probe, here) for line in list_probe(found, here)]
    assert lines == expected


def test_the_probes_of_a_script_are_listed_as_they_are(here: FileTarget) -> None:
    lines: list[str] = []
    for text in (["uprobe", "./one", "work*"], ["usdt", "./one", "start"], ["uprobe", "./one", "4198400"]):
        (probe,) = parse(text)
        lines += [line for found in expand(probe, here) for line in list_probe(found, here)]
    assert lines == ["uprobe:./one:work", "uprobe:./one:work_more", "usdt:./one:app:start", "uprobe:./one:4198400"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["uprobe", "", "f"], "uprobe should have a target"),
        (["uretprobe", "f"], "uretprobe should have a target"),
        (["usdt", "", "f"], "usdt probe must specify at least path or pid to probe."),
    ],
)
def test_without_a_process_a_target_is_needed(text: list[str], message: str, here: FileTarget) -> None:
    (probe,) = parse(text)
    with pytest.raises(CompileError) as caught:
        expand(probe, here)
    assert caught.value.message.startswith(message)
    assert "-p PID" in caught.value.hint


def test_a_name_found_several_times_on_path_means_the_first_and_says_so(
    here: FileTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    for directory in directories:
        directory.mkdir()
        program(directory / "tool", ("work",))
    monkeypatch.setenv("PATH", ":".join(map(str, directories)))
    (probe,) = parse(["uprobe", "tool", "work"])
    assert [found.file for found in expand(probe, here)] == [f"{directories[0]}/tool"]
    expected = f"attaching to uprobe target file '{directories[0]}/tool' but matched 2 binaries"
    assert several_found(probe, here) == expected
    for clear in (["uprobe", f"{directories[0]}/tool", "work"], ["uprobe", "to*l", "work"], ["uprobe", "nothing", "work"]):
        assert several_found(parse(clear)[0], here) == ""


def test_the_record_of_a_usdt_probe_is_its_arguments(here: FileTarget) -> None:
    (probe,) = expand(parse(["usdt", "./one", "start"])[0], here)
    rows = [(f.name, f.type, f.offset, f.size, f.signed, f.where) for f in record(probe, here)]
    assert rows == [
        ("arg0", "int32", None, 4, True, "arg0 (%edi or $5)"), ("arg1", "uint64", None, 8, False, "arg1 (%rsi)"),
    ]  # fmt: skip


def test_the_record_of_a_function_is_what_debug_information_says(here: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    (probe,) = expand(parse(["uprobe", "./one", "work"])[0], here)
    with pytest.raises(UnknownName, match=r"No debug information describes uprobe:\./one:work\."):
        record(probe, here)
    (kernel,) = parse(["kprobe", "vfs_open"])
    found = here.function("vfs_open")
    assert found is not None
    monkeypatch.setattr(type(probe.binary), "signatures", lambda binary, name: [found.type])
    (name, *_, where), *others = [vars_of(field) for field in record(probe, here)]
    assert (name, where) == ("path", "args.path: arg0 (di)") and len(others) == 1
    assert [vars_of(field)[:-1] for field in record(probe, here)] == [vars_of(field)[:-1] for field in record(kernel, here)]


def vars_of(field: Field) -> tuple[object, ...]:
    return tuple(getattr(field, name) for name in Field.__slots__)
