"""Reading ELF files made for the test, whole and broken ones, and this machine's own."""

from __future__ import annotations

import lzma
import mmap
import os
import sys
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elf_image import TEXT_OFFSET, ElfImage
from probee.errors import FormatError
from probee.formats.elf.read import EXECUTABLE, SHARED, ElfFile
from probee.formats.elf.usdt import usdt_probes

LAYOUTS = [(True, "<"), (True, ">"), (False, "<"), (False, ">")]


def full_image(wide: bool = True, order: str = "<") -> bytes:
    """Return a file with everything that is read anywhere."""
    image = ElfImage(wide=wide, order=order)
    start = image.text_address
    image.symbols([("main", start, 16, 2, 1), ("helper", start + 16, 0, 2, 0), ("table", start + 64, 8, 1, 1)])
    image.symbols([("exported", start, 16, 2, 1), ("main", start, 16, 2, 2)], dynamic=True)
    image.build_id(bytes(range(20)))
    image.interpreter()
    image.debug_link("x.debug", 0x12345678)
    image.section(".stapsdt.base", 1, b"\0", flags=2, address=0x500000)
    image.usdt("app", "hit", start + 4, "-4@%edi 8@-16(%rbp)", base=0x500000, semaphore=start + 64)
    image.section(".gnu_debugdata", 1, lzma.compress(ElfImage().build(), preset=0))
    return image.build()


@pytest.mark.parametrize(("wide", "order"), LAYOUTS)
def test_header_and_sections_of_every_layout(wide: bool, order: str) -> None:
    file = ElfFile(full_image(wide, order))
    assert (file.type, file.machine, file.entry, file.architecture) == (SHARED, 62, 0x401000, "x86_64")
    assert [section.name for section in file.sections[:3]] == ["", ".text", ".strtab"]
    text = file.section(".text")
    assert text is not None and bytes(file.contents(text)) == b"\xc3" * 0x1000
    assert file.build_id == bytes(range(20)).hex()
    assert file.interpreter == "/lib/ld.so" and file.is_pie
    assert file.debug_link == ("x.debug", 0x12345678)


def test_build_id_is_found_without_sections() -> None:
    image = ElfImage()
    image.build_id(b"\xab\xcd", segment=True)
    data = bytearray(image.build())
    data[40:48] = bytes(8)  # e_shoff
    data[60:64] = bytes(4)  # e_shnum, e_shstrndx
    file = ElfFile(bytes(data))
    assert file.build_id == "abcd" and file.sections == [] and file.symtab is None


def test_an_executable_at_a_fixed_address_is_no_pie() -> None:
    image = ElfImage(type=EXECUTABLE)
    image.interpreter()
    assert not ElfFile(image.build()).is_pie


@pytest.mark.parametrize(("wide", "order"), LAYOUTS)
def test_soname_is_read_from_the_dynamic_table(wide: bool, order: str) -> None:
    image = ElfImage(wide=wide, order=order)
    strings = image.section(".dynstr", 3, b"\0libsmall.so.1\0", flags=2, offset=0x3000)
    assert strings
    entries = [(5, image.base + 0x3000), (14, 1), (0x6FFFFFFB, 0x08000000), (0, 0), (14, 999)]
    image.section(".dynamic", 6, b"".join(pack(order + ("qQ" if wide else "iI"), *entry) for entry in entries), flags=2)
    image.extra_segments.append((2, 4, ".dynamic"))
    file = ElfFile(image.build())
    assert file.soname == "libsmall.so.1"
    assert file.is_pie  # by DT_FLAGS_1, without an interpreter: a static PIE


def test_addresses_and_file_offsets_are_translated_both_ways() -> None:
    image = ElfImage()
    image.segments = [
        (1, 4, 0, 0x400000, 0x1000, 0x1000),
        (1, 5, 0x1000, 0x7001000, 0x800, 0x800),
        (1, 6, 0x1800, 0x9000800, 0x100, 0x900),
    ]
    file = ElfFile(image.build())
    assert file.file_offset(0x7001010) == 0x1010 and file.address(0x1010) == 0x7001010
    assert file.file_offset(0x90008FF) == 0x18FF and file.address(0x18FF) == 0x90008FF
    assert file.file_offset(0x9000900) is None  # .bss: in memory only
    assert file.file_offset(0x5000000) is None and file.address(0x1900) is None


def test_of_two_segments_with_one_byte_of_the_file_code_goes_first() -> None:
    image = ElfImage()
    image.segments = [(1, 4, 0, 0x400000, 0x2000, 0x2000), (1, 5, 0x1000, 0x601000, 0x800, 0x800)]
    file = ElfFile(image.build())
    assert file.address(TEXT_OFFSET) == 0x601000 and file.address(0) == 0x400000


def test_more_sections_than_the_header_can_count() -> None:
    data = bytearray(full_image())
    at = int.from_bytes(data[40:48], "little")
    count, names = int.from_bytes(data[60:62], "little"), int.from_bytes(data[62:64], "little")
    data[60:64] = pack("<HH", 0, 0xFFFF)
    data[at + 32 : at + 40] = pack("<Q", count)
    data[at + 40 : at + 44] = pack("<I", names)
    assert ElfFile(bytes(data)).section(".text") is not None


def test_symbols_within_compressed_debug_data() -> None:
    inner = ElfImage()
    inner.symbols([("hidden", inner.text_address, 4, 2, 0)])
    image = ElfImage()
    image.section(".gnu_debugdata", 1, lzma.compress(inner.build()))
    mini = ElfFile(image.build()).mini_debug()
    assert mini is not None and mini.find("hidden")[0].address == inner.text_address


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no ELF file"),
        (b"#!/bin/sh\necho\n" * 20, "is no ELF file"),
        (b"\x7fELF\x02\x01\x01", "ends within its header"),
        (b"\x7fELF\x07\x01\x01" + bytes(60), "unknown ELF header"),
        (full_image()[:70], "is cut off"),
        (full_image()[:0x1800], "is cut off: its table of sections lies behind its end"),
    ],
)
def test_what_is_no_whole_elf_file_is_an_error_that_says_so(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=f"^prog .*{message}"):
        ElfFile(data, "prog")


def test_a_section_behind_the_end_is_an_error_when_it_is_asked_for() -> None:
    image = ElfImage()
    image.section(".far", 1, b"", offset=0x3000, size=1 << 40)
    file = ElfFile(image.build(), "prog")
    section = file.section(".far")
    assert section is not None
    with pytest.raises(FormatError, match=r"prog is cut off: section \.far"):
        file.contents(section)


def everything(data: bytes) -> None:
    """Ask a file for all that can be asked for."""
    file = ElfFile(data)
    for ask in (
        lambda: file.build_id, lambda: file.soname, lambda: file.interpreter, lambda: file.is_pie, lambda: file.debug_link,
        file.mini_debug, lambda: [file.contents(section) for section in file.sections],
        lambda: [probe.arguments for probe in usdt_probes(file)], file.function_names,
        lambda: [file.find(name) for name in ("main", "exported", "hel", "")],
        lambda: [list(table.functions()) for table in file.tables()],
        lambda: [table.at(address) for table in file.tables() for address in (0, 0x401004, 0x401020, (1 << 64) - 1)],
        lambda: (file.file_offset(0x401000), file.address(0x1000)),
    ):  # fmt: skip
        try:
            ask()
        except FormatError:
            continue


IMAGES = [full_image(wide, order) for wide, order in LAYOUTS]
INTERESTING = [
    at for start in (*range(64), *range(64, 300), *range(0x1FF0, len(IMAGES[0]))) for at in (start,)
]  # all but the filling


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(IMAGES),
    st.lists(st.tuples(st.sampled_from(INTERESTING), st.integers(0, 255) | st.sampled_from([0, 1, 128, 255])), max_size=12),
    st.integers(0, 1 << 16) | st.none(),
)
@example(IMAGES[0], [], 100)
def test_whatever_the_bytes_are_the_only_error_is_format_error(
    image: bytes, changes: list[tuple[int, int]], size: int | None
) -> None:
    data = bytearray(image)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    with suppress(FormatError):
        everything(bytes(data if size is None else data[:size]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_behind_the_magic_are_no_trouble(data: bytes) -> None:
    with suppress(FormatError):
        everything(b"\x7fELF\x02\x01\x01" + data)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are ELF files on Linux")
def test_this_interpreter_is_read_through_a_map() -> None:
    with open(os.path.realpath(sys.executable), "rb") as program:
        file = ElfFile(mmap.mmap(program.fileno(), 0, access=mmap.ACCESS_READ), sys.executable)
    assert file.type in (EXECUTABLE, SHARED) and file.interpreter
    found = file.find("main") or file.find("Py_BytesMain") or file.find("Py_Main")
    assert found and found[0].is_function
    offset = file.file_offset(found[0].address)
    assert offset is None or file.address(offset) == found[0].address
