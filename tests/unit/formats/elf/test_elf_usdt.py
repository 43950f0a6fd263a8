"""USDT probes in files made for the test, and in the packaged Python where there is one."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest

from elf_image import TEXT_OFFSET, ElfImage
from probee.errors import FormatError
from probee.formats.elf.read import EXECUTABLE, ElfFile
from probee.formats.elf.usdt import UsdtProbe, usdt_probes

LAYOUTS = [(True, "<"), (True, ">"), (False, "<"), (False, ">")]


def probes(image: ElfImage) -> list[UsdtProbe]:
    return usdt_probes(ElfFile(image.build(), "prog"))


@pytest.mark.parametrize(("wide", "order"), LAYOUTS)
def test_a_probe_has_its_place_and_its_semaphore_in_the_file(wide: bool, order: str) -> None:
    image = ElfImage(wide=wide, order=order)
    start = image.text_address
    image.usdt("app", "begin", start + 4, "-4@%edi 8@%rsi", semaphore=start + 0x100)
    image.usdt("app", "end", start + 8)
    first, second = probes(image)
    assert (first.provider, first.name, first.address, first.offset) == ("app", "begin", start + 4, TEXT_OFFSET + 4)
    assert (first.semaphore, first.semaphore_offset) == (start + 0x100, TEXT_OFFSET + 0x100)
    described = [(argument.register, argument.size, argument.signed) for argument in first.arguments]
    assert described == [("di", 4, True), ("si", 8, False)]
    assert (second.semaphore, second.semaphore_offset, second.arguments) == (0, 0, ())


def test_a_probe_that_occurs_twice_has_two_places() -> None:
    image = ElfImage()
    for at in (4, 8):
        image.usdt("app", "hit", image.text_address + at)
    assert [probe.offset for probe in probes(image)] == [TEXT_OFFSET + 4, TEXT_OFFSET + 8]


@pytest.mark.parametrize("moved", [0x1000, -0x1000])
def test_what_was_prelinked_has_moved_since_the_note_was_written(moved: int) -> None:
    image = ElfImage()
    start = image.text_address
    image.section(".stapsdt.base", 1, b"\0", flags=2, address=0x600000)
    image.usdt("app", "hit", start - moved + 4, base=0x600000 - moved, semaphore=start - moved + 0x40)
    (probe,) = probes(image)
    assert (probe.offset, probe.semaphore_offset) == (TEXT_OFFSET + 4, TEXT_OFFSET + 0x40)


def test_a_probe_outside_of_the_file_has_no_offset() -> None:
    image = ElfImage()
    image.usdt("app", "hit", 0x99999999, semaphore=0x88888888)
    (probe,) = probes(image)
    assert probe.offset is None and probe.semaphore_offset is None


def test_a_variable_is_found_from_the_program_counter() -> None:
    image = ElfImage()
    start = image.text_address
    image.symbols([("counter", start + 0x800, 8, 1, 1)])
    image.usdt("app", "hit", start + 4, "8@counter(%rip) -4@counter+4(%rip)")
    first, second = probes(image)[0].arguments
    assert (first.kind, first.register, first.value) == ("memory", "ip", 0x800 - 4)
    assert (second.register, second.value, second.signed) == ("ip", 0x800, True)


def test_addresses_are_constants_where_a_program_cannot_be_moved() -> None:
    image = ElfImage(type=EXECUTABLE)
    image.symbols([("table", image.text_address + 0x10, 8, 1, 1)])
    image.usdt("app", "hit", image.text_address, "8@$table 4@table(,%rax,4)")
    first, second = probes(image)[0].arguments
    assert (first.kind, first.value) == ("constant", image.text_address + 0x10)
    assert (second.value, second.register, second.index, second.scale) == (image.text_address + 0x10, "", "ax", 4)


def test_an_argument_that_cannot_be_read_does_not_hide_the_probe() -> None:
    image = ElfImage()
    image.usdt("app", "hit", image.text_address, "8@%rdi 4@%fs:12")
    (probe,) = probes(image)
    assert probe.name == "hit"
    with pytest.raises(FormatError, match=r"USDT argument 1 is '4@%fs:12': a segment register"):
        _ = probe.arguments


def test_a_file_without_probes_has_none() -> None:
    assert probes(ElfImage()) == []


@pytest.mark.parametrize("content", [b"", bytes(23), pack("<3Q", 1, 2, 3) + b"app\0hit\0"])
def test_a_note_that_is_cut_off_is_an_error(content: bytes) -> None:
    image = ElfImage()
    image.note(".note.stapsdt", b"stapsdt", 3, content)
    with pytest.raises(FormatError, match="prog has a USDT probe whose note is cut off"):
        probes(image)


def test_notes_of_others_are_left_alone() -> None:
    image = ElfImage()
    image.note(".note.stapsdt", b"stapsdt", 99, b"?")
    image.note(".note.stapsdt", b"other", 3, b"?")
    assert probes(image) == []


@pytest.mark.skipif(not Path("/usr/bin/python3.11").exists(), reason="Debian's python3.11 is not installed")
def test_debians_python_has_its_probes() -> None:
    found = {probe.name: probe for probe in usdt_probes(ElfFile(Path("/usr/bin/python3.11").read_bytes()))}
    assert {"function__entry", "function__return", "gc__start", "gc__done", "import__find__load__start"} <= set(found)
    entry = found["function__entry"]
    assert entry.provider == "python" and entry.offset and entry.semaphore_offset and len(entry.arguments) == 3
