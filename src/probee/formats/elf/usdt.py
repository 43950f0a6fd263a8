"""USDT probes of an ELF file: the notes that <sys/sdt.h> leaves in .note.stapsdt.

A note of type 3 and name "stapsdt" holds three addresses (the probe's, that of .stapsdt.base when the file was linked, the
semaphore's or 0) and three strings (provider, name, arguments).  A file that was prelinked has moved since: what
.stapsdt.base has moved by is added.  The arguments are text that argument.py reads.
"""

from __future__ import annotations

from struct import unpack_from

from probee.formats.elf.read import EXECUTABLE, STAPSDT, ElfFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from probee.model.usdt import UsdtArgument as Argument


class UsdtProbe:
    """One place of a probe; a name that occurs several times in a file (inlined, or written twice) has one for each.

    `address` and `semaphore` are as the linker gave them, the semaphore 0 for a probe without one.  `offset` and
    `semaphore_offset` are what the kernel wants: places in the file; None when the file does not hold that address.
    """

    __slots__ = (
        "_fixed", "_machine", "_resolve", "address", "argument_text", "name", "offset", "provider", "semaphore",
        "semaphore_offset",
    )  # fmt: skip

    def __init__(self, file: ElfFile, provider: str, name: str, address: int, semaphore: int, argument_text: str) -> None:
        self.provider = provider
        self.name = name
        self.address = address
        self.semaphore = semaphore
        self.argument_text = argument_text
        self.offset = file.file_offset(address)
        self.semaphore_offset = file.file_offset(semaphore) if semaphore else 0
        self._machine = file.machine
        self._fixed = file.type == EXECUTABLE
        self._resolve: Callable[[str], int | None] = _resolver(file)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The arguments in order; FormatError when one is in a notation that nobody knows."""
        from probee.formats.elf.argument import parse_arguments

        return parse_arguments(
            self.argument_text, self._machine, address=self.address, fixed=self._fixed, resolve=self._resolve
        )

    def __repr__(self) -> str:
        return f"UsdtProbe({self.provider}:{self.name} at {self.address:#x}, {self.argument_text!r})"


def usdt_probes(file: ElfFile) -> list[UsdtProbe]:
    """Return the probes of a file in the order of their notes; none for a file without the section."""
    section = file.section(".note.stapsdt")
    if section is None:
        return []
    found = []
    base = file.section(".stapsdt.base")
    for name, type, content in file.notes(file.contents(section), section.align):
        if type == STAPSDT and name == b"stapsdt":
            found.append(_probe(file, content, base.address if base is not None else 0))
    return found


def _probe(file: ElfFile, content: memoryview, base: int) -> UsdtProbe:
    size = 8 if file.wide else 4
    strings = bytes(content[3 * size :]).split(b"\0")
    if len(content) < 3 * size or len(strings) < 4:
        raise file.broken("has a USDT probe whose note is cut off")
    address, linked_base, semaphore = unpack_from(file.order + ("3Q" if file.wide else "3I"), content)
    moved = base - linked_base if base and linked_base else 0
    mask = (1 << 8 * size) - 1
    provider, name, arguments = (text.decode("utf-8", "surrogateescape") for text in strings[:3])
    return UsdtProbe(file, provider, name, address + moved & mask, semaphore + moved & mask if semaphore else 0, arguments)


def _resolver(file: ElfFile) -> Callable[[str], int | None]:
    def resolve(name: str) -> int | None:
        found = file.find(name)
        return found[0].address if found else None

    return resolve
