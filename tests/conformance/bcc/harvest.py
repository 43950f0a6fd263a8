"""Collects the C texts that bcc's Python programs hand to BPF(): each program runs with a stand-in for the package `bcc`.

    python tests/conformance/bcc/harvest.py --source BCC --target FILE OUT [PROGRAM ...]

BCC is a checkout of bcc (its tools run, its text is not copied anywhere but to OUT), FILE what `probee target dump` wrote.
Questions about the kernel (kernel_struct_has_field, tracepoint_exists, ...) are answered by the target, and once more with
"yes" and with "no" throughout.  Every program runs with no arguments, with those of bcc's smoke tests, and with each of its
own options alone.  OUT gets one JSON file per distinct text: program, arguments, mode, text, cflags, usdt (function → probe).

Nothing is loaded or traced.  Not for import by tests: it replaces modules and runs programs in forked children.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import io
import json
import os
import re
import runpy
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

from probee.formats.target import FileTarget
from probee.model.ctype import StructType
from probee.model.target import Target

MODES = ("target", "yes", "no")
LIMIT_S = 10
_VALUES = {
    "pid": "1234", "tid": "1234", "uid": "1000", "interval": "1", "count": "1", "outputs": "1", "duration": "1", "name": "x",
    "port": "80", "localport": "80", "remoteport": "80", "comm": "bash", "milliseconds": "10", "min_ms": "10", "errno": "2",
}  # fmt: skip
# Programs that need something to do anything.
ARGUMENTS: dict[str, list[list[str]]] = {
    "argdist": [
        ["-H", "p::do_sys_openat2(int dfd):int:dfd"], ["-C", "t:syscalls:sys_enter_openat()"],
        ["-C", "p:c:malloc(size_t size):size_t:size"],
    ],
    "trace": [
        ["do_sys_openat2"], ['do_sys_openat2 "%s", arg2@user'], ["r::do_sys_openat2 (retval < 0)"],
        ["t:syscalls:sys_enter_openat"], ['c:open (arg2 == 42) "%s %d", arg1, arg2'],
    ],
    "funccount": [["vfs_*"], ["t:sched:sched_switch"], ["c:mal*"]],
    "funclatency": [["vfs_read"], ["-m", "vfs_read"], ["-F", "vfs_r*"], ["c:malloc"]],
    "funcslower": [["vfs_read"], ["-m", "10", "vfs_read"], ["-a", "2", "vfs_read"], ["-U", "-K", "vfs_read"]],
    "funcinterval": [["vfs_read"], ["t:vmscan:mm_vmscan_direct_reclaim_begin"]],
    "stackcount": [["vfs_read"], ["t:sched:sched_switch"], ["-P", "c:malloc"]],
    "inject": [["kmalloc", "-v", "do_sys_openat2()"], ["bio", "submit_bio_noacct()", "-v"]],
    "tcpsubnet": [["127.0.0.1/8,10.0.0.0/8"]],
    "netqtop": [["-n", "lo"]],
    "dirtop": [["-d", "/tmp"]],
    "memleak": [["-p", str(os.getpid())], ["-a"], []],
    "deadlock": [[str(os.getpid())]],
    "ttysnoop": [["/dev/null"]],
    "kvmexit": [["-p", str(os.getpid())], []],
    "virtiostat": [[], ["-D"]],
    "biolatpcts": [["/dev/null"]],
    "dbslower": [["mysql"], ["mysql", "-x", "/bin/sh"], ["postgres", "-p", str(os.getpid())]],
    "dbstat": [["mysql"], ["postgres", "-p", str(os.getpid())]],
    "mysqld_qslower": [[str(os.getpid())], [str(os.getpid()), "10"]],
    "lib/ucalls": [["-l", "python", str(os.getpid())], ["-S", str(os.getpid())], ["-l", "java", "-L", str(os.getpid())]],
    "lib/uflow": [["-l", "python", str(os.getpid())], ["-l", "java", "-M", "x", "-C", "y", str(os.getpid())]],
    "lib/ugc": [["-l", "python", str(os.getpid())], ["-l", "java", str(os.getpid())]],
    "lib/uobjnew": [["-l", "c", str(os.getpid())], ["-l", "java", str(os.getpid())], ["-l", "ruby", str(os.getpid())]],
    "lib/ustat": [["-l", "python", "1"], []],
    "lib/uthreads": [["-l", "java", str(os.getpid())], ["-l", "c", str(os.getpid())]],
    "ex/xdp_drop_count": [["lo"], ["-S", "lo"]],
    "ex/xdp_macswap_count": [["lo"]],
    "ex/xdp_redirect_cpu": [["lo", "1"]],
    "ex/xdp_redirect_map": [["lo", "lo"]],
    "ex/latency": [["-p", str(os.getpid()), "-v", "1", "-f", "0", "-s"]],
    "ex/lat_avg": [["-p", str(os.getpid()), "-i", "1", "-c", "1", "-f", "0", "-s"]],
    "ex/lat_dist": [["-p", str(os.getpid()), "-i", "1", "-f", "0", "-s"]],
    "ex/mysqld_query": [[str(os.getpid())]],
    "ex/nodejs_http_server": [[str(os.getpid())]],
    "ex/strlen_snoop": [[str(os.getpid())]],
    "ex/stacksnoop": [["ext4_sync_fs"]],
    "ex/mallocstacks": [[str(os.getpid())]],
    "ex/net_monitor": [["lo"]],
    "ex/dns_matching": [["-i", "lo"]],
}  # fmt: skip


class Anything:
    """An object that has every attribute, can be called, and is empty."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __call__(self, *args: Any, **keywords: Any) -> Anything:
        return Anything()

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __iter__(self) -> Any:
        return iter(())

    def __getitem__(self, key: object) -> Anything:
        return Anything()

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __delitem__(self, key: object) -> None:
        pass

    def __len__(self) -> int:
        return 0

    def __contains__(self, key: object) -> bool:
        return False

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return other == self.value

    def __lt__(self, other: Any) -> bool:
        return bool(self.value < other)

    def __gt__(self, other: Any) -> bool:
        return bool(self.value > other)

    def __add__(self, other: Any) -> Any:
        return other

    def __hash__(self) -> int:
        return 0


class Recorder:
    """What the stand-in for BPF reports to."""

    def __init__(self, target: Target, mode: str, folder: Path) -> None:
        self.target = target
        self.mode = mode
        self.folder = folder
        self.program = ""
        self.arguments: list[str] = []
        self.texts = 0

    def add(self, text: str | bytes, cflags: list[str], usdt: dict[str, str]) -> None:
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        flags = [flag.decode() if isinstance(flag, bytes) else str(flag) for flag in cflags]
        name = hashlib.sha1((self.program + text + repr(flags)).encode()).hexdigest()[:16]
        record = {
            "program": self.program, "arguments": self.arguments, "mode": self.mode, "text": text, "cflags": flags,
            "usdt": usdt,
        }  # fmt: skip
        path = self.folder / f"{self.program.replace('/', '.')}-{name}.json"
        if not path.exists():
            path.write_text(json.dumps(record))
        self.texts += 1

    def answer(self, known: Any) -> bool:
        return self.mode == "yes" or (self.mode == "target" and bool(known()))


def fake_bpf(recorder: Recorder) -> type:
    """Return the class that stands in for bcc.BPF."""
    target = recorder.target

    class Meta(type):
        def __getattr__(cls, name: str) -> Any:
            if name.isupper():
                return 1
            return lambda *args, **keywords: Anything()

    class FakeBPF(metaclass=Meta):
        def __init__(
            self, src_file: Any = b"", hdr_file: Any = b"", text: Any = None, debug: int = 0, cflags: Any = (),
            usdt_contexts: Any = (), **keywords: Any,
        ) -> None:  # fmt: skip
            if text is None:
                name = src_file.decode() if isinstance(src_file, bytes) else src_file
                here = Path(sys.argv[0]).parent
                path = next((p for p in (Path(name), here / name) if p.exists()), None)
                text = path.read_text() if path is not None else None
            usdt = {function: probe for context in usdt_contexts for function, probe in context.enabled.items()}
            if text is not None:
                recorder.add(text, list(cflags or ()), usdt)
            self.polls = 0

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if "poll" in name or "consume" in name or name in ("trace_print", "trace_fields", "trace_readline"):
                raise KeyboardInterrupt
            if name.startswith("num_open") or name == "module":
                return lambda *args: 1
            return lambda *args, **keywords: Anything()

        def __getitem__(self, name: object) -> Anything:
            return Anything()

        def get_syscall_fnname(self, name: Any) -> Any:
            prefix: Any = target.syscall_prefix
            return prefix.encode() + name if isinstance(name, bytes) else prefix + name

        def get_syscall_prefix(self) -> bytes:
            return target.syscall_prefix.encode()

        @staticmethod
        def kernel_struct_has_field(struct: Any, field: Any) -> int:
            def known() -> bool:
                found = target.type_named("struct", _text(struct))
                return isinstance(found, StructType) and bool(found.find(_text(field)))

            return int(recorder.answer(known))

        @staticmethod
        def tracepoint_exists(category: Any, event: Any) -> bool:
            return recorder.answer(lambda: target.tracepoint(_text(category), _text(event)))

        @staticmethod
        def get_kprobe_functions(pattern: Any) -> set[bytes]:
            compiled = re.compile(_text(pattern))
            if recorder.mode == "no":
                return set()
            found = {name.encode() for name, _ in target.traceable_functions() if compiled.fullmatch(name)}
            plain = re.fullmatch(r"\^?(\w+)\$?", _text(pattern))
            if recorder.mode == "yes" and not found and plain:
                found = {plain[1].encode()}
            return found

        @staticmethod
        def ksymname(name: Any) -> int:
            return 0xFFFFFFFF81000000 if recorder.answer(lambda: target.has_symbol(_text(name))) else -1

        @staticmethod
        def support_kfunc() -> bool:
            return recorder.answer(lambda: True)

        support_lsm = support_raw_tracepoint = support_fmod_ret = support_raw_tracepoint_in_module = support_kfunc

        @staticmethod
        def get_user_functions_and_addresses(name: Any, pattern: Any) -> list[tuple[bytes, int]]:
            return [(b"malloc", 4096)]

        @staticmethod
        def get_user_functions(name: Any, pattern: Any) -> set[bytes]:
            return {b"malloc"}

        @staticmethod
        def get_tracepoints(pattern: Any) -> list[bytes]:
            return [name.encode() for name in target.tracepoints() if re.match(_text(pattern), name)][:20]

        @staticmethod
        def find_library(name: Any) -> bytes:
            return b"/lib/x86_64-linux-gnu/libc.so.6"

        @staticmethod
        def find_exe(name: Any) -> bytes:
            return b"/bin/sh"

        @staticmethod
        def monotonic_time() -> int:
            return time.monotonic_ns()

        @staticmethod
        def get_probe_limit() -> int:
            return 1000

        @staticmethod
        def generate_auto_includes(words: Any) -> str:
            return ""

        @staticmethod
        def sym(*args: Any, **keywords: Any) -> bytes:
            return b"x"

        ksym = sym

    return FakeBPF


class FakeUSDT:
    """Stands in for bcc.USDT: every probe is there and has six arguments of 64 bits."""

    def __init__(self, pid: Any = None, path: Any = None) -> None:
        self.pid, self.path = pid, path
        self.enabled: dict[str, str] = {}

    def enable_probe(self, probe: Any, fn_name: Any) -> None:
        self.enabled[_text(fn_name)] = _text(probe)

    enable_probe_or_bail = enable_probe

    def get_text(self) -> str:
        return ""

    def get_probe_arg_ctype(self, probe: Any, index: int) -> str:
        return "uint64_t"

    def enumerate_probes(self) -> list[Any]:
        return [Anything()]

    enumerate_active_probes = enumerate_probes

    def get_context(self) -> Anything:
        return Anything()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def install(recorder: Recorder, bcc: Path) -> None:
    """Put the stand-ins where `import bcc` finds them; bcc's modules that need no library come from the checkout."""
    package = types.ModuleType("bcc")
    package.__path__ = [str(bcc / "src/python/bcc")]
    fake = fake_bpf(recorder)
    names: dict[str, Any] = {
        "BPF": fake, "USDT": FakeUSDT, "PerfType": Anything(), "PerfHWConfig": Anything(), "PerfSWConfig": Anything(),
        "BPFAttachType": Anything(), "BPFProgType": Anything(), "SymbolCache": Anything(), "PerfEventSampleFormat": Anything(),
        "_get_num_open_probes": lambda: 0, "DEBUG_PREPROCESSOR": 4, "DEBUG_BPF": 2,
    }  # fmt: skip
    for name, value in names.items():
        setattr(package, name, value)
    sys.modules["bcc"] = package
    for name in ("libbcc", "table", "perf", "usdt", "disassembler"):
        module = types.ModuleType(f"bcc.{name}")
        module.__getattr__ = _fallback  # type: ignore[method-assign]
        module.USDT = FakeUSDT  # type: ignore[attr-defined]
        module.USDTException = type("USDTException", (Exception,), {})  # type: ignore[attr-defined]
        sys.modules[f"bcc.{name}"] = module
        setattr(package, name, module)
    utils = importlib.import_module("bcc.utils")
    package.USDTException = type("USDTException", (Exception,), {})  # type: ignore[attr-defined]
    package.__getattr__ = lambda name: getattr(utils, name) if hasattr(utils, name) else _fallback(name)  # type: ignore[method-assign]
    version = types.ModuleType("bcc.version")
    version.__version__ = "0.37.0"  # type: ignore[attr-defined]
    sys.modules["bcc.version"] = version
    for name in OPTIONAL:
        if importlib.util.find_spec(name.split(".")[0]) is None:
            module = types.ModuleType(name)
            module.__path__ = []
            module.__getattr__ = _fallback  # type: ignore[method-assign]
            sys.modules[name] = module


# What some programs import beside bcc, and what stands in for it where it is not installed.
OPTIONAL = (
    "elftools", "elftools.elf", "elftools.elf.elffile", "netaddr", "dnslib", "requests", "flask", "netifaces", "kafka",
    "cachetools", "pyroute2",
)  # fmt: skip


def _fallback(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything(1)


def run_one(recorder: Recorder, path: Path, arguments: list[str], bcc: Path) -> str:
    """Run a program in a child; returns what it wrote to stdout and stderr, cut."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        signal.alarm(LIMIT_S)
        status = _in_child(recorder, path, arguments, bcc)
        sys.stdout.flush()
        os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        output = pipe.read(100_000).decode(errors="replace")
    os.waitpid(child, 0)
    return output


def _in_child(recorder: Recorder, path: Path, arguments: list[str], bcc: Path) -> int:
    install(recorder, bcc)
    _tame(recorder)
    sys.argv = [str(path), *arguments]
    os.chdir(path.parent)
    sys.path.insert(0, str(path.parent))
    sys.stdin = io.StringIO("")
    try:
        runpy.run_path(str(path), run_name="__main__")
    except KeyboardInterrupt:
        return 0
    except SystemExit:
        return 0
    except BaseException as error:
        print(f"!! {type(error).__name__}: {error}")
        return 1
    return 0


def _tame(recorder: Recorder) -> None:
    """Replace what would wait, print for ever or look at this machine's kernel."""
    import platform
    import threading

    def interrupt(*args: Any, **keywords: Any) -> None:
        raise KeyboardInterrupt

    time.sleep = interrupt  # type: ignore[assignment]
    signal.pause = interrupt  # type: ignore[assignment]
    threading.Event.wait = interrupt  # type: ignore[method-assign]
    _fake_files(recorder)
    curses = types.ModuleType("curses")
    curses.wrapper = lambda function, *args: function(Anything(), *args)  # type: ignore[attr-defined]
    curses.__getattr__ = _fallback  # type: ignore[method-assign]
    sys.modules["curses"] = curses
    release = recorder.target.release if recorder.mode != "no" else "5.10.0"
    platform.release = lambda: release  # type: ignore[assignment]
    machine = os.uname()
    os.uname = lambda: os.uname_result((machine[0], machine[1], release, machine[3], machine[4]))  # type: ignore[assignment]


def _fake_files(recorder: Recorder) -> None:
    """Let the files by which programs find out what a kernel has say what the mode wants."""
    import builtins

    real_open, real_exists = builtins.open, os.path.exists

    def open_fake(file: Any, *args: Any, **keywords: Any) -> Any:
        if file in ("/proc/kallsyms", b"/proc/kallsyms"):
            known = [name for name in SYMBOLS if recorder.answer(lambda name=name: recorder.target.has_symbol(name))]
            return io.StringIO("".join(f"ffffffff81000000 T {name}\n" for name in known))
        return real_open(file, *args, **keywords)

    def exists(path: Any) -> bool:
        text = _text(path)
        return (recorder.mode == "yes" and ("/events/" in text or text.startswith("/sys/"))) or real_exists(path)

    builtins.open = open_fake
    os.path.exists = exists


# What programs look for in /proc/kallsyms.
SYMBOLS = (
    "btrfs_file_operations", "ext4_file_operations", "vm_stat", "vm_zone_stat", "vm_node_stat", "nfs_file_operations",
    "f2fs_file_operations", "xfs_file_operations",
)  # fmt: skip


def variants(program: str, help: str, smoke: dict[str, list[list[str]]]) -> list[list[str]]:
    """Return the argument lists that a program runs with."""
    base = ARGUMENTS.get(program, [[]])
    found = [*base, *smoke.get(program, [])]
    first = base[0]
    for match in re.finditer(r"^ {1,4}(-\w|--[\w-]+)(?: ([A-Z_]+|\{[\w,]+\}))?(?:, (--?[\w-]+)(?: \S+)?)? ", help, re.M):
        option, value, long = match[1], match[2], match[3] or match[1]
        if option in ("-h", "--ebpf", "--help"):
            continue
        extra = [option]
        if value:
            name = long.lstrip("-").replace("-", "_")
            extra.append(value[1:-1].split(",")[0] if value[0] == "{" else _VALUES.get(name, "10"))
        if [*extra, *first] not in found:
            found.append([*extra, *first])
    return found


def smoke_arguments(bcc: Path) -> dict[str, list[list[str]]]:
    """Return the arguments that bcc's own smoke tests give to each tool."""
    import shlex

    found: dict[str, list[list[str]]] = {}
    text = (bcc / "tests/python/test_tools_smoke.py").read_text()
    for match in re.finditer(r'run_with_(?:int|duration)\(\s*"([^"]+)"', text):
        words = shlex.split(match[1].replace("%s", "x").replace("%d", str(os.getpid())))
        found.setdefault(words[0].removesuffix(".py"), []).append(words[1:])
    return found


def programs(bcc: Path, wanted: list[str]) -> list[tuple[str, Path]]:
    """Return (name, path) of the tools, of tools/lib and of the examples."""
    found = [(path.stem, path) for path in sorted((bcc / "tools").glob("*.py"))]
    found += [(f"lib/{path.stem}", path) for path in sorted((bcc / "tools/lib").glob("*.py"))]
    found += [(f"ex/{path.stem}", path) for path in sorted((bcc / "examples").rglob("*.py"))]
    return [(name, path) for name, path in found if not wanted or name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--source", type=Path, required=True, help="a checkout of bcc")
    parser.add_argument("--target", required=True, help="a file written by `probee target dump`")
    parser.add_argument("--brief", action="store_true", help="no options tried alone")
    parser.add_argument("out", type=Path)
    parser.add_argument("program", nargs="*")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    target = FileTarget(options.target)
    smoke = smoke_arguments(options.source)
    silent = []
    for name, path in programs(options.source, options.program):
        before = len(list(options.out.glob(f"{name.replace('/', '.')}-*.json")))
        problem = ""
        for mode in MODES:
            recorder = Recorder(target, mode, options.out)
            recorder.program = name
            help = run_one(recorder, path, ["-h"], options.source) if mode == "target" and not options.brief else ""
            for arguments in variants(name, help, smoke):
                recorder.arguments = arguments
                output = run_one(recorder, path, arguments, options.source)
                problem = problem or next((line for line in output.split("\n") if line.startswith("!! ")), "")
        count = len(list(options.out.glob(f"{name.replace('/', '.')}-*.json"))) - before
        print(f"{name}: {count} texts {problem}", flush=True)
        if not count:
            silent.append(name)
    print(f"no text from: {', '.join(silent) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
