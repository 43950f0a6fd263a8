"""USDT probes of a process or a file: what there is, and which functions are attached to which of them.

The compiler reads the arguments of enabled probes; get_text() is empty, since no C has to be generated for that.  Semaphores
are counted by the kernel while a probe is attached.
"""

from __future__ import annotations

import os
import sys

from probee.bcc.utils import as_bytes, as_text
from probee.errors import FormatError, ProbeeError
from probee.model.usdt import CONSTANT, MEMORY, UsdtPlace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from probee.bcc.userprobe import UserProbes
    from probee.formats.elf.usdt import UsdtProbe as Note
    from probee.model.usdt import UsdtArgument


class USDTException(Exception):
    """A probe that cannot be found or enabled."""


class USDTProbeArgument:
    """How to get at an argument; attributes that do not apply are not there."""

    def __init__(self, argument: UsdtArgument) -> None:
        self.signed = argument.signed
        self.size = argument.size
        self.valid = 0
        if argument.kind == CONSTANT:
            self.constant = argument.value
            self.valid |= 0x1
        if argument.kind == MEMORY:
            self.deref_offset = argument.value
            self.valid |= 0x2
        if argument.register:
            self.base_register_name = argument.register.encode()
            self.valid |= 0x8
        if argument.index:
            self.index_register_name = argument.index.encode()
            self.scale = argument.scale
            self.valid |= 0x10 | (0x20 if argument.scale != 1 else 0)

    def _where(self) -> str:
        if self.valid & 0x1:
            return str(self.constant)
        register = self.base_register_name.decode() if self.valid & 0x8 else ""
        if not self.valid & 0x2:
            return register
        index = f" + {self.index_register_name.decode()}" if self.valid & 0x10 else ""
        scale = f" * {self.scale}" if self.valid & 0x20 else ""
        return f"*({register} {'-' if self.deref_offset < 0 else '+'} {abs(self.deref_offset)}{index}{scale})"

    def __str__(self) -> str:
        return f"{self.size} {'signed  ' if self.signed else 'unsigned'} bytes @ {self._where()}"


class USDTProbeLocation:
    """One place of a probe; `address` is the linker's."""

    def __init__(self, probe: USDTProbe, index: int, path: str, note: Note) -> None:
        self.probe = probe
        self.index = index
        self.address = note.address
        self.bin_path = os.fsencode(path)
        self._note = note

    @property
    def num_arguments(self) -> int:
        return len(self._arguments())

    def _arguments(self) -> Sequence[UsdtArgument]:
        try:
            return self._note.arguments
        except FormatError:
            return ()

    def get_argument(self, index: int) -> USDTProbeArgument:
        """Return how to get at an argument here."""
        arguments = self._arguments()
        if not 0 <= index < len(arguments):
            raise USDTException(f"error retrieving probe argument {index} location {self.index}")
        return USDTProbeArgument(arguments[index])

    def __str__(self) -> str:
        return f"{as_text(self.bin_path)} 0x{self.address:x}"


class USDTProbe:
    """A probe with all its places, which may be in several files; `bin_path` and `semaphore` are the first place's."""

    def __init__(self, notes: list[tuple[str, Note]]) -> None:
        path, first = notes[0]
        self.provider = first.provider.encode()
        self.name = first.name.encode()
        self.bin_path = os.fsencode(path)
        self.semaphore = first.semaphore
        self.num_locations = len(notes)
        self.function = ""  # what it is attached to when the program is loaded
        self._notes = notes

    @property
    def num_arguments(self) -> int:
        return self.get_location(0).num_arguments

    @property
    def places(self) -> list[tuple[str, UsdtPlace]]:
        """The places, (file, place), as the compiler and the kernel want them."""
        return [(path, _place(note)) for path, note in self._notes if note.offset is not None]

    def short_name(self) -> str:
        return f"{self.provider.decode()}:{self.name.decode()}"

    def get_location(self, index: int) -> USDTProbeLocation:
        """Return one of the probe's places."""
        if not 0 <= index < self.num_locations:
            raise USDTException(f"error retrieving probe location {index}")
        return USDTProbeLocation(self, index, *self._notes[index])

    def __str__(self) -> str:
        return f"{self.short_name()} [sema 0x{self.semaphore:x}]"


def _place(note: Note) -> UsdtPlace:
    read: Callable[[], Any] = lambda: note.arguments  # noqa: E731  read when the compiler asks
    return UsdtPlace(note.provider, note.name, note.offset or 0, note.semaphore_offset or 0, note.argument_text, read)


class USDT:
    """The probes of the file `path`, of process `pid`, or of a file as the process sees it."""

    def __init__(self, pid: int | None = None, path: str | bytes | None = None) -> None:
        self.pid = pid if pid and pid != -1 else -1
        self.path = as_text(path)
        if self.pid == -1 and not path:
            raise USDTException("either a pid or a binary path must be specified")
        grouped: dict[tuple[str, str], list[tuple[str, Note]]] = {}
        for file in self._files():
            for note in _notes_of(file):
                grouped.setdefault((note.provider, note.name), []).append((file, note))
        self._probes = [USDTProbe(notes) for notes in grouped.values()]

    def _files(self) -> list[str]:
        from probee.bcc.listing import find_file
        from probee.kernel.symbols.binary import mapped_files

        if self.path:
            file = find_file(self.path, self.pid)
            if not file:
                raise USDTException(f"USDT failed to instrument path {self.path}")
            return [file]
        if not os.path.exists(f"/proc/{self.pid}"):
            raise USDTException(f"USDT failed to instrument PID {self.pid}")
        return mapped_files(self.pid)

    def enable_probe(self, probe: str | bytes, fn_name: str | bytes) -> None:
        """Attach a function to a probe, "name" or "provider:name", when the program is loaded."""
        found = self._find(probe)
        if found is None or found.function not in ("", as_text(fn_name)):
            raise USDTException(_NOT_ENABLED % as_text(probe))
        found.function = as_text(fn_name)

    def enable_probe_or_bail(self, probe: str | bytes, fn_name: str | bytes) -> None:
        """Do what enable_probe does, or say why not and exit."""
        try:
            self.enable_probe(probe, fn_name)
        except USDTException as error:
            print(error, file=sys.stderr)
            sys.exit(1)

    def _find(self, probe: str | bytes) -> USDTProbe | None:
        provider, colon, name = as_bytes(probe).rpartition(b":")
        wanted = (known for known in self._probes if known.name == name and (not colon or known.provider == provider))
        return next(wanted, None)

    def get_context(self) -> USDT:
        """Return what stands for these probes where bcc has a handle."""
        return self

    def get_text(self) -> str:
        """Return no text: arguments are read by the compiler."""
        return ""

    def get_probe_arg_ctype(self, probe_name: str | bytes, arg_index: int) -> str:
        """Return the type of an argument, "uint64_t": the largest that it has at any place."""
        probe = self._find(probe_name)
        if probe is None:
            raise USDTException(_NOT_ENABLED % as_text(probe_name))
        found = [probe.get_location(number).get_argument(arg_index) for number in range(probe.num_locations)]
        widest = max(found, key=lambda argument: argument.size)
        return f"{'' if widest.signed else 'u'}int{8 * widest.size}_t"

    def enumerate_probes(self) -> list[USDTProbe]:
        """Return all probes."""
        return self._probes

    def enumerate_active_probes(self) -> list[tuple[bytes, bytes, int, int]]:
        """Return (path, function, address, pid) of each place of the probes that are enabled."""
        return [
            (probe.get_location(number).bin_path, probe.function.encode(), probe.get_location(number).address, self.pid)
            for probe in self._probes
            if probe.function
            for number in range(probe.num_locations)
        ]

    # -- for BPF()

    def enabled_places(self) -> dict[str, list[UsdtPlace]]:
        """Return the places that each function is attached to."""
        return {function: [place for _, place in places] for function, places in self._enabled().items()}

    def identity(self) -> str:
        """Return what tells these probes from those of other files, and of the same files when they change."""
        from probee.kernel.executable import identity

        enabled = [(function, path) for function, places in self._enabled().items() for path, _ in places]
        probes = [f"{probe.function}={probe.short_name()}" for probe in self._probes if probe.function]
        return ";".join([*probes, *(f"{function}@{path}={identity(path)}" for function, path in dict.fromkeys(enabled))])

    def attach_uprobes(self, bpf: UserProbes, attach_usdt_ignore_pid: bool = False) -> None:
        """Attach the functions of the probes that are enabled."""
        pid = -1 if attach_usdt_ignore_pid else self.pid
        for function, places in self._enabled().items():
            for (path, place), program in zip(places, bpf.usdt_programs(function, len(places)), strict=True):
                bpf.attach_place("usdt", os.fsencode(path), place.offset, program, pid, semaphore=place.semaphore)

    def _enabled(self) -> dict[str, list[tuple[str, UsdtPlace]]]:
        """Return (path, place) of each place that a function is attached to."""
        found: dict[str, list[tuple[str, UsdtPlace]]] = {}
        for probe in self._probes:
            if probe.function:
                found.setdefault(probe.function, []).extend(probe.places)
        return found


def _notes_of(path: str) -> list[Note]:
    from probee.formats.elf.usdt import usdt_probes
    from probee.kernel.symbols.binary import open_elf

    try:
        return usdt_probes(open_elf(path))
    except ProbeeError:
        return []


_NOT_ENABLED = """Failed to enable USDT probe '%s':
the specified pid might not contain the given language's runtime,
or the runtime was not built with the required USDT probes. Look
for a configure flag similar to --with-dtrace or --enable-dtrace.
To check which probes are present in the process, use the tplist tool.
"""
