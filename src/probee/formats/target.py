"""Targets that are not the running kernel: `FileTarget` (a dump) and `BtfTarget` (a bare BTF blob); their base.

`BtfBackedTarget` answers whatever BTF can answer, and records what was asked; kernel/target.py's live Target is a
subclass too.  A read is recorded once per source (`btf:vmlinux` with the blob's digest), not once per type; an absent
thing is recorded as well, since its coming into being changes the answer.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

from probee.errors import BtfError, FormatError, ProbeeError
from probee.formats.btf.blob import Buffer
from probee.formats.btf.index import TypeIndex
from probee.formats.btf.reader import Btf
from probee.formats.target_image import ImageReader, TargetImage, digest, encode_image
from probee.formats.tracepoint import parse_format
from probee.model.ctype import CType, FunctionType
from probee.model.target import KernelFunction, Target, TracepointFormat

VMLINUX = "vmlinux"


class BtfBackedTarget(Target):
    """The BTF half of a Target.  A subclass gives the blobs: `load_btf`, `btf_digest` and `btf_modules`."""

    def __init__(self, arch: str, release: str, *, has_btf: bool) -> None:
        self.arch = arch
        self.release = release
        self.has_btf = has_btf
        self.reads = {}
        self._btf: dict[str, Btf | None] = {}

    # -- what a subclass gives

    def load_btf(self, module: str) -> Btf | None:
        """Return the BTF of "vmlinux" or of a module (with `self.btf("vmlinux")` as its base), None without any.

        Called once per module.
        """
        raise NotImplementedError

    def btf_digest(self, module: str) -> str:
        """Return what identifies that BTF: a build id or a digest of the blob."""
        raise NotImplementedError

    def btf_modules(self) -> Iterable[str]:
        """Return the names of the modules that have BTF, sorted, without vmlinux."""
        return ()

    # -- recording

    def record(self, question: str, answer: str) -> None:
        """Note that the compiler asked; the first answer stays."""
        self.reads.setdefault(question, answer)

    def record_format(self, category: str, name: str, text: str | None) -> TracepointFormat | None:
        """Note that the compiler asked for a tracepoint, and parse its format."""
        self.record(f"tracepoint:{category}:{name}", digest(text) if text is not None else "")
        return parse_format(category, text) if text is not None else None

    # -- BTF

    def btf(self, module: str = VMLINUX) -> Btf | None:
        """Return a module's BTF, and note that it was looked into."""
        if module not in self._btf:
            found = self._btf[module] = self.load_btf(module)
            self.record(f"btf:{module}", self.btf_digest(module) if found is not None else "")
        return self._btf[module]

    def type_named(self, kind: str, name: str) -> CType | None:
        """Return a type of vmlinux, else of a module that a function was found in before."""
        for btf in self._opened():
            for id in btf.find(kind, name, own=True):
                return btf.type(id)
        return None

    def type_in_modules(self, kind: str, name: str) -> CType | None:
        for module in self.modules_naming(name):
            btf = self.btf(module)
            for id in btf.find(kind, name, own=True) if btf is not None else ():
                return btf.type(id)  # type: ignore[union-attr]
        return None

    def modules_naming(self, name: str) -> Iterable[str]:
        """Return the modules in whose BTF a name may be."""
        return self.btf_modules()

    def _opened(self) -> list[Btf]:
        self.btf()
        return [btf for btf in self._btf.values() if btf is not None]

    def enumerator(self, name: str) -> tuple[int, CType] | None:
        for btf in self._opened():
            found = btf.enumerator(name)
            if found is not None:
                return found
        return None

    def function(self, name: str, module: str = "") -> KernelFunction | None:
        for where in (module,) if module else self.modules_with(name):
            btf = self.btf(where)
            signature = btf.function(name, own=True) if btf is not None else None
            if signature is not None:
                return KernelFunction(name, where, signature)
        return None

    def modules_with(self, function: str) -> Iterable[str]:
        """Yield where a function may be, in the order to look.  A subclass that has kallsyms knows better."""
        yield VMLINUX
        yield from self._recorded_modules()

    def _recorded_modules(self) -> list[str]:
        modules = list(self.btf_modules())
        self.record("btf-modules", digest("\n".join(modules)))
        return modules

    def raw_tracepoint(self, name: str) -> FunctionType | None:
        btf = self.btf()
        found = btf.raw_tracepoint(name) if btf is not None else None
        if found is None and btf is not None:
            modules = (self.btf(module) for module in self._recorded_modules())
            found = next((f for m in modules if m is not None and (f := m.raw_tracepoint(name)) is not None), None)
        return found

    def raw_tracepoints(self) -> Iterable[tuple[str, str]]:
        found = []
        for module in (VMLINUX, *self._recorded_modules()):
            btf = self.btf(module)
            found += [(module, name) for name in btf.raw_tracepoints()] if btf is not None else []
        return sorted(found)

    def variable(self, name: str) -> CType | None:
        btf = self.btf()
        return btf.variable(name) if btf is not None and btf.is_percpu(name) else None


class BtfTarget(BtfBackedTarget):
    """A kernel of which only the BTF is known (`--btf FILE`).

    Functions that BTF lists count as traceable; no feature counts as present, so that code fits the oldest kernel.
    """

    def __init__(self, path: str, *, arch: str = "x86_64") -> None:
        super().__init__(arch, "", has_btf=True)
        self.path = path
        try:
            with open(path, "rb") as file:
                self._data = file.read()
        except OSError as error:
            raise _unreadable(path, error) from None

    def load_btf(self, module: str) -> Btf | None:
        if module != VMLINUX:
            return None
        try:
            return Btf(self._data)
        except BtfError as error:
            raise BtfError(f"{self.path} cannot be used as a kernel's types: {error}") from None

    def btf_digest(self, module: str) -> str:
        return digest(self._data)

    def tracepoint(self, category: str, name: str) -> TracepointFormat | None:
        raise self._unknown("tracepoint formats exist only in tracefs")

    def tracepoints(self) -> Iterable[str]:
        raise self._unknown("tracepoint names exist only in tracefs")

    def has_symbol(self, name: str) -> bool:
        raise self._unknown("kernel symbols exist only in kallsyms")

    def _unknown(self, reason: str) -> ProbeeError:
        return ProbeeError(
            f"{self.path} is only BTF: {reason}; write a target file on the other machine with"
            " `probee target dump FILE` and use --target FILE"
        )

    def traceable_functions(self) -> Iterable[tuple[str, str]]:
        btf = self.btf()
        return sorted((name, "") for name in btf.functions()) if btf is not None else ()

    def has_feature(self, name: str) -> bool:
        return False

    def kconfig(self, name: str) -> str:
        return ""


class FileTarget(BtfBackedTarget):
    """A kernel that `probee target dump` recorded (`--target FILE`); sections are read when they are asked for."""

    def __init__(self, source: str | Buffer) -> None:
        """Open a path, or the bytes of a target file."""
        self._image = ImageReader(_mapped(source) if isinstance(source, str) else source)
        super().__init__(self._image.arch, self._image.release, has_btf=VMLINUX in self._image.btf)
        self._texts: dict[str, bytes] = {}
        self._functions: list[tuple[str, str]] | None = None

    def _text(self, name: str) -> bytes:
        if name not in self._texts:
            self._texts[name] = self._image.text(name)
        return self._texts[name]

    def _rows(self, name: str) -> list[list[str]]:
        text = self._text(name).decode("utf-8", "replace")
        return [line.split("\t") for line in text.split("\n") if line]

    # -- BTF

    def load_btf(self, module: str) -> Btf | None:
        key = self._image.btf.get(module)
        if key is None:
            return None
        index = TypeIndex.load(self._image.blob(f"index/{module}"), key.encode())
        return Btf(self._image.blob(f"btf/{module}"), None if module == VMLINUX else self.btf(), index=index)

    def btf_digest(self, module: str) -> str:
        return self._image.btf[module]

    def btf_modules(self) -> Iterable[str]:
        return sorted(self._image.btf.keys() - {VMLINUX})

    # -- tracefs

    def tracepoint(self, category: str, name: str) -> TracepointFormat | None:
        table = self._text("tracepoints")
        wanted = f"\n{category}:{name}\t".encode()
        at = table.find(wanted)
        if at < 0:
            return self.record_format(category, name, None)
        start, _, length = table[at + len(wanted) : table.find(b"\n", at + 1)].partition(b"\t")
        if not (start.isdigit() and length.isdigit()):
            raise FormatError("the target file's list of tracepoints is damaged: dump it again")
        text = self._text("formats")[int(start) : int(start) + int(length)]
        return self.record_format(category, name, text.decode("utf-8", "replace"))

    def tracepoints(self) -> Iterable[str]:
        self.record("tracepoints", digest(self._text("tracepoints")))
        return [row[0] for row in self._rows("tracepoints")]

    # -- symbols

    def traceable_functions(self) -> Iterable[tuple[str, str]]:
        if self._functions is None:
            self.record("functions", digest(self._text("functions")))
            self._functions = [(row[0], row[-1] if len(row) > 1 else "") for row in self._rows("functions")]
        return self._functions

    def has_symbol(self, name: str) -> bool:
        found = f"\n{name}\n".encode() in self._text("symbols")
        self.record(f"symbol:{name}", str(int(found)))
        return found

    # -- facts

    def has_feature(self, name: str) -> bool:
        found = self._image.features.get(name, False)
        self.record(f"feature:{name}", str(int(found)))
        return found

    def kconfig(self, name: str) -> str:
        value = self._image.kconfig.get(name, "")
        self.record(f"kconfig:{name}", value)
        return value


def write_target(path: str, image: TargetImage) -> None:
    """Write a target file."""
    with open(path, "wb") as file:
        file.write(encode_image(image))


def _mapped(path: str) -> Buffer:
    try:
        with open(path, "rb") as file:
            try:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (ValueError, OSError):  # an empty file, a pipe
                return file.read()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: OSError) -> FormatError:
    return FormatError(f"failed to open file '{path}': {error.strerror}")
