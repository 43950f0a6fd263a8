"""Symbols by name and by address."""

from __future__ import annotations

import mmap
from pathlib import Path
from struct import pack
from time import process_time

import pytest

from elf_image import ElfImage
from probee.errors import FormatError
from probee.formats.elf.read import ElfFile
from probee.formats.elf.symbol import FUNC, GLOBAL, IFUNC, LOCAL, NOTYPE, OBJECT, WEAK, SymbolTable

START = ElfImage().text_address
LAYOUTS = [(True, "<"), (True, ">"), (False, "<"), (False, ">")]


def table(rows: list[tuple], **more: object) -> SymbolTable:
    image = ElfImage(**more)  # type: ignore[arg-type]
    image.symbols(rows)
    found = ElfFile(image.build()).symtab
    assert found is not None
    return found


def name_at(symbols: SymbolTable, address: int) -> str | None:
    found = symbols.at(address)
    return found.name if found is not None else None


@pytest.mark.parametrize(("wide", "order"), LAYOUTS)
def test_a_symbol_is_found_by_name_and_by_address_in_every_layout(wide: bool, order: str) -> None:
    symbols = table([("first", START, 16, FUNC, GLOBAL), ("value", START + 32, 8, OBJECT, LOCAL)], wide=wide, order=order)
    (first,) = symbols.find("first")
    assert (first.name, first.address, first.size, first.type, first.binding) == ("first", START, 16, FUNC, GLOBAL)
    assert first.is_function and not symbols.find("value")[0].is_function
    assert name_at(symbols, START + 15) == "first" and name_at(symbols, START + 35) == "value"
    assert symbols.find("firs") == [] and symbols.find("") == [] and len(symbols) == 3
    assert symbols.function_names() == ["first"]


def test_linkers_let_names_share_their_ends() -> None:
    image = ElfImage()
    image.symbols([("pread", START, 4, FUNC, GLOBAL), ("read", START + 4, 4, FUNC, GLOBAL)], strings=b"\0pread\0")
    file = ElfFile(image.build())
    assert [symbol.address for symbol in file.find("read")] == [START + 4]
    assert file.function_names() == ["pread", "read"]


def test_a_name_that_ends_many_others_is_still_found() -> None:
    rows = [(f"a{number}_open", START + number, 1, FUNC, GLOBAL) for number in range(50)]
    assert [symbol.address for symbol in table([*rows, ("_open", START + 99, 1, FUNC, GLOBAL)]).find("_open")] == [START + 99]


def test_undefined_symbols_are_not_here() -> None:
    symbols = table([("printf", 0, 0, FUNC, GLOBAL, 0), ("main", START, 4, FUNC, GLOBAL)])
    assert symbols.find("printf") == [] and symbols.function_names() == ["main"]
    assert [symbol.name for symbol in symbols.functions()] == ["main"]


def test_functions_come_before_variables_of_the_same_name() -> None:
    symbols = table([("x", START + 8, 4, OBJECT, GLOBAL), ("x", START, 4, FUNC, LOCAL), ("x", START + 4, 4, FUNC, GLOBAL)])
    assert [symbol.address - START for symbol in symbols.find("x")] == [4, 0, 8]


def test_a_version_in_a_name_need_not_be_known() -> None:
    symbols = table([("copy@V1", START, 4, FUNC, GLOBAL), ("copy@@V2", START + 4, 4, FUNC, GLOBAL)])
    assert [symbol.address - START for symbol in symbols.find("copy")] == [4, 0]
    assert [symbol.address - START for symbol in symbols.find("copy@V1")] == [0]


def test_of_several_versions_the_default_one_is_first() -> None:
    image = ElfImage()
    image.symbols([("copy", START, 4, FUNC, GLOBAL), ("copy", START + 4, 4, FUNC, GLOBAL)], dynamic=True)
    image.section(".gnu.version", 0x6FFFFFFF, pack("<3H", 0, 0x8002, 3))
    assert [symbol.address - START for symbol in ElfFile(image.build()).find("copy")] == [4, 0]


@pytest.mark.parametrize(
    ("address", "name"),
    [(-1, None), (0, "outer"), (16, "inner"), (23, "inner"), (24, "outer"), (31, "outer"), (32, None), (48, "next")],
)
def test_the_innermost_function_holds_an_address(address: int, name: str | None) -> None:
    rows = [("outer", START, 32, FUNC, GLOBAL), ("inner", START + 16, 8, FUNC, LOCAL), ("next", START + 48, 4, FUNC, GLOBAL)]
    symbols = table(rows)
    assert name_at(symbols, START + address) == name


def test_a_function_of_unknown_size_ends_at_the_next_symbol_or_with_its_section() -> None:
    rows = [("asm", START + 8, 0, FUNC, GLOBAL), ("sized", START + 32, 8, FUNC, GLOBAL), ("last", START + 64, 0, NOTYPE, LOCAL)]
    symbols = table(rows)
    assert name_at(symbols, START + 31) == "asm" and name_at(symbols, START + 32) == "sized"
    assert name_at(symbols, START + 0xFFF) == "last" and name_at(symbols, START + 0x1000) is None


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([("hidden", LOCAL), ("shown", GLOBAL)], "shown"),
        ([("__write", GLOBAL), ("write", WEAK), ("__libc_write", GLOBAL)], "write"),
        ([("weak", WEAK), ("strong", GLOBAL)], "strong"),
        ([("$x", LOCAL), ("real", LOCAL)], "real"),
        ([("_ZN1aC2Ev", WEAK), ("plain", LOCAL)], "_ZN1aC2Ev"),
    ],
)
def test_of_several_names_for_one_place_the_one_that_people_know(rows: list[tuple[str, int]], name: str) -> None:
    for order in (rows, rows[::-1]):
        assert name_at(table([(each, START, 8, FUNC, binding) for each, binding in order]), START + 1) == name


@pytest.mark.parametrize(("wide", "order"), LAYOUTS)
def test_many_names_are_found_as_each_alone_would_be(wide: bool, order: str) -> None:
    image = ElfImage(wide=wide, order=order)
    rows = [("one", START, 4, FUNC, LOCAL), ("one", START + 4, 4, FUNC, GLOBAL), ("two@@V2", START + 8, 4, FUNC, GLOBAL)]
    image.symbols(rows)
    image.symbols([("one", START + 4, 4, FUNC, GLOBAL), ("three", START + 12, 4, OBJECT, GLOBAL)], dynamic=True)
    file = ElfFile(image.build())
    names = ["one", "two", "three", "four", ""]
    found = {name: [symbol.address for symbol in symbols] for name, symbols in file.find_many(names).items()}
    assert found == {name: [symbol.address for symbol in file.find(name)] for name in names[:3]}
    assert found == {"one": [START + 4, START], "two": [START + 8], "three": [START + 12]}


def test_versions_are_no_part_of_a_functions_name() -> None:
    symbols = table([("copy@V1", START, 4, FUNC, GLOBAL), ("copy@@V2", START + 4, 4, FUNC, GLOBAL)])
    assert symbols.function_names() == ["copy"]


def test_indirect_functions_are_functions() -> None:
    assert table([("memcpy", START, 8, IFUNC, GLOBAL)]).function_names() == ["memcpy"]


def test_names_that_are_not_ascii_survive() -> None:
    symbols = table([("größe", START, 4, FUNC, GLOBAL), ("z", START + 4, 4, FUNC, GLOBAL)])
    assert symbols.function_names() == ["größe", "z"] and symbols.find("größe")[0].address == START


def test_long_names_are_whole() -> None:
    long = "_Z" + "x" * 5000
    assert name_at(table([(long, START, 4, FUNC, GLOBAL)]), START) == long


def test_a_table_with_rows_of_another_size_is_an_error() -> None:
    image = ElfImage()
    number = image.symbols([("main", START, 4, FUNC, GLOBAL)])
    image.parts[number]["entry_size"] = 16
    with pytest.raises(FormatError, match="symbols of 16 bytes"):
        _ = ElfFile(image.build()).symtab


def libc() -> str | None:
    places = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"]
    return next((place for place in places if Path(place).exists()), None)


@pytest.mark.skipif(libc() is None, reason="no glibc in a usual place")
def test_one_name_in_the_c_library_costs_less_than_ten_milliseconds() -> None:
    path, costs = libc(), []
    assert path is not None
    for _ in range(3):
        started = process_time()
        with open(path, "rb") as library:
            file = ElfFile(mmap.mmap(library.fileno(), 0, access=mmap.ACCESS_READ), path)
        (found, *_) = file.find("malloc")
        costs.append(process_time() - started)
        assert found.is_function and found.size and file.soname == "libc.so.6"
    assert min(costs) < 0.010
    assert {"malloc", "free", "printf"} <= set(file.function_names())
    assert file.dynsym is not None
    nearby = file.dynsym.at(found.address + 1)
    assert nearby is not None and nearby.address == found.address
