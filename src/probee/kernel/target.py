"""The running kernel as a Target: `LiveTarget`.

Everything is read when it is asked for: BTF of /sys/kernel/btf through a copy in the cache directory (sysfs cannot be
mapped before Linux 6.16, and an index takes 100 ms to build), tracefs, kallsyms, the configuration.  What is missing is
named where it is needed, with what to do.  What a Target is, model/target.py says; how BTF answers, formats/target.py.
"""

from __future__ import annotations

import os
from itertools import pairwise
from struct import pack

from probee.errors import ProbeeError
from probee.formats.btf.reader import Btf
from probee.formats.target import VMLINUX, BtfBackedTarget, write_target
from probee.formats.target_image import TargetImage, digest
from probee.kernel import traceable
from probee.kernel.answer import loaded_modules
from probee.kernel.btfcache import build_id, load_vmlinux
from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.syscalls.tracefs import tracefs_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from probee.formats.btf.blob import Buffer
    from probee.model.target import Binary, TracepointFormat

BTF_DIRECTORY = "/sys/kernel/btf"


class LiveTarget(BtfBackedTarget):
    """The kernel that runs here; with a `pid`, programs and libraries as that process sees them.

    Their separate debug files are looked for in `debug_directories`, too.
    """

    def __init__(self, *, pid: int = 0, debug_directories: Sequence[str] = ()) -> None:
        self.pid = pid
        self.debug_directories = debug_directories
        system = os.uname()
        super().__init__(system.machine, system.release, has_btf=os.path.exists(f"{BTF_DIRECTORY}/{VMLINUX}"))
        self.kallsyms = Kallsyms()
        self._functions: list[tuple[str, str]] | None = None
        self._repeated: list[tuple[str, str]] = []
        self._kconfig: dict[str, str] | None = None

    # -- BTF

    def load_btf(self, module: str) -> Btf | None:
        if not self.has_btf:
            return None
        if module == VMLINUX:
            return load_vmlinux(f"{BTF_DIRECTORY}/{VMLINUX}")
        data = _read(f"{BTF_DIRECTORY}/{module}") if _is_file_name(module) else None
        return Btf(data, self.btf()) if data else None

    def btf_digest(self, module: str) -> str:
        found = build_id(module)
        return found or digest(_read(f"{BTF_DIRECTORY}/{module}") or b"")

    def btf_modules(self) -> Iterable[str]:
        self.record("modules", loaded_modules())
        return sorted(name for name in _list(BTF_DIRECTORY) if name != VMLINUX)

    def modules_naming(self, name: str) -> Iterable[str]:
        words = [b"\0" + name.encode() + b"\0"]
        vmlinux = self.btf()
        place = vmlinux.string_place(name) if vmlinux is not None else None
        if place:
            words.append(pack("=I", place))  # a module does not repeat a string of vmlinux's
        found = []
        for module in self.btf_modules():
            data = _read(f"{BTF_DIRECTORY}/{module}") or b""
            if any(word in data for word in words):
                found.append(module)
        self.record(f"modules-naming:{name}", ",".join(found))
        return found

    def modules_with(self, function: str) -> Iterable[str]:
        yield VMLINUX
        if self.btf_modules():
            self.record("modules", loaded_modules())
            with_symbol = [module for module in self.kallsyms.modules_with(function) if module]
            self.record(f"modules-with:{function}", ",".join(with_symbol))
            yield from with_symbol

    # -- tracefs

    def tracepoint(self, category: str, name: str) -> TracepointFormat | None:
        root = self._tracefs()
        text = None
        if _is_file_name(category) and _is_file_name(name):
            text = _read(f"{root}/events/{category}/{name}/format")
        return self.record_format(category, name, None if text is None else text.decode("utf-8", "replace"))

    def tracepoints(self) -> Iterable[str]:
        """Return what available_events lists (ftrace's own records, as ftrace:function, are not tracepoints)."""
        text = _read(f"{self._tracefs()}/available_events") or b""
        self.record("tracepoints", digest(text))
        return sorted(text.decode("utf-8", "replace").split())

    def _tracefs(self) -> str:
        root = tracefs_root()
        if root is None:
            raise _no_tracefs()
        return root

    # -- symbols

    def traceable_functions(self) -> Iterable[tuple[str, str]]:
        if self._functions is None:
            every = traceable.all_traceable_lines(tracefs_root(), self.kallsyms)
            lines = list(dict.fromkeys(every))
            if len(every) > len(lines):
                self._repeated = traceable.split_lines([line for line, following in pairwise(every) if line == following])
            self._functions = traceable.split_lines(lines)
            self.record("functions", digest("\n".join(lines)))
        return self._functions

    def every_function(self) -> Iterable[tuple[str, str]]:
        """Return the traceable functions, those that share their name and module as often as there are of them."""
        yield from self.traceable_functions()
        yield from self._repeated

    def has_symbol(self, name: str) -> bool:
        found = self.kallsyms.has(name)
        self.record(f"symbol:{name}", str(int(found)))
        return found

    def binaries(self, name: str, *, any_file: bool = False) -> Iterable[Binary]:
        from probee.kernel.executable import find_executables, identities
        from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES

        self.record(f"binary:{self.pid}:{name}", identities(name, self.pid))
        directories = (*self.debug_directories, *DEBUG_DIRECTORIES)
        return find_executables(name, self.pid, any_file=any_file, directories=directories, record=self.record)

    def bpf_functions(self) -> Iterable[tuple[int, str]]:
        from probee.kernel.programs.loaded import loaded_functions

        found = loaded_functions()
        self.record("bpf-functions", digest(repr(found)))
        return found

    def raw_tracepoints(self) -> Iterable[tuple[str, str]]:
        if self.has_btf:
            return super().raw_tracepoints()
        prefix = "__traceiter_"  # one function per tracepoint: Linux commit d25e37d89dd2 (in v5.10)
        symbols = self.kallsyms.symbols()
        found = {(module or VMLINUX, name[len(prefix) :]) for name, _, module in symbols if name.startswith(prefix)}
        return sorted(found)

    # -- facts

    def has_feature(self, name: str) -> bool:
        from probee.kernel.features.feature import has

        found = self._may_call(*name[6:].split("@")) if "@" in name else has(name)
        self.record(f"feature:{name}", str(int(found)))
        return found

    def _may_call(self, function: str, type: str) -> bool:
        """Answer "kfunc:NAME@TYPE", whether programs of that type may call a kernel function of vmlinux."""
        from probee.kernel.features.attempt import may_call

        btf = self.btf() if self.has_btf else None
        found = btf.find("func", function) if btf is not None else []
        return bool(found) and may_call(found[0], int(type))

    def kconfig(self, name: str) -> str:
        value = self.configuration().get(name, "")
        self.record(f"kconfig:{name}", value)
        return value

    def configuration(self) -> dict[str, str]:
        """Return all options of the kernel's configuration without CONFIG_; empty when no file tells."""
        if self._kconfig is None:
            self._kconfig = _parse_config(_config_text(self.release))
        return self._kconfig

    # -- a copy

    def dump(self, path: str) -> None:
        """Write everything that this Target knows to a file, for `--target FILE`."""
        write_target(path, self.image())

    def image(self) -> TargetImage:
        """Return everything that this Target knows, in memory.  What this machine cannot tell is left empty."""
        from probee.kernel.features.feature import probe_all

        return TargetImage(
            self.arch,
            self.release,
            btf=self._blobs(),
            formats=self._formats(),
            functions=list(self.traceable_functions()),
            symbols=list(self.kallsyms.names()),
            kconfig=self.configuration(),
            features=probe_all(),
        )

    def _blobs(self) -> dict[str, Buffer]:
        if not self.has_btf:
            return {}
        blobs = {name: _read(f"{BTF_DIRECTORY}/{name}") for name in (VMLINUX, *self.btf_modules())}
        return {name: blob for name, blob in blobs.items() if blob}

    def _formats(self) -> dict[str, str]:
        root = tracefs_root()
        if root is None:
            return {}
        texts = {name: _read(f"{root}/events/{name.replace(':', '/')}/format") for name in self.tracepoints()}
        return {name: text.decode("utf-8", "replace") for name, text in texts.items() if text}


def _no_tracefs() -> ProbeeError:
    if os.geteuid():
        import errno

        from probee.kernel.syscalls.capability import root_only

        return root_only(errno.EACCES, "open(/sys/kernel/tracing)", "tracepoints are in tracefs, which only root may read")
    return ProbeeError("tracepoints are in tracefs, which is not mounted: mount -t tracefs tracefs /sys/kernel/tracing")


def _is_file_name(text: str) -> bool:
    return "/" not in text and text not in ("", ".", "..")


def _read(path: str) -> bytes | None:
    """Return a file's bytes, None when there is no such file; PermissionMissing when it may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except PermissionError as error:
        from probee.kernel.syscalls.capability import root_only

        raise root_only(error.errno or 0, f"open({path})", f"{path} may not be read by this user") from None
    except OSError:
        return None


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _config_text(release: str) -> bytes:
    packed = _read("/proc/config.gz")
    if packed:
        import zlib

        return zlib.decompress(packed, 31)
    for path in (f"/boot/config-{release}", f"/lib/modules/{release}/config", f"/usr/lib/kernel/config-{release}"):
        text = _read(path)
        if text:
            return text
    return b""


def _parse_config(text: bytes) -> dict[str, str]:
    found = {}
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line[len("CONFIG_") :].partition("=")
            found[name] = value.strip('"')
    return found
