"""What `probee doctor` looks at: this user, this kernel, this machine and the lab, one small function per matter.

Every answer comes from trying (a feature probe, a mount, a file that can be read), not from a version or a configuration.
Nothing is changed, and nothing of anybody else's is attached to: fentry is tried on a function that only test runs call.
"""

from __future__ import annotations

import os

from probee.errors import PermissionMissing, ProbeeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK, LIMITED, MISSING = "ok", "limited", "missing"
_MACHINES_PIDS = 0xEFFFFFFC  # PROC_PID_INIT_INO: the pid namespace that the machine booted with


class Finding:
    """What was found: `state` is OK, LIMITED or MISSING; `remedy` is what to do about it, "" where there is nothing to do."""

    __slots__ = ("detail", "name", "remedy", "state", "topic")

    def __init__(self, topic: str, name: str, state: str, detail: str, remedy: str = "") -> None:
        self.topic = topic
        self.name = name
        self.state = state
        self.detail = detail
        self.remedy = remedy


def findings() -> Iterator[Finding]:
    """Yield everything, topic by topic, as it is found."""
    for topic, checks in TOPICS:
        for name, check in checks:
            try:
                state, detail, remedy = check()
            except PermissionMissing:
                state, detail, remedy = MISSING, _UNASKED, ""
            except Exception as error:  # whatever a strange machine does, the others go on
                state, detail, remedy = MISSING, str(error).partition("\n")[0], ""
            yield Finding(topic, name, state, detail, remedy)


Answer = tuple[str, str, str]
_UNASKED = "cannot be asked without CAP_BPF and CAP_PERFMON"


# -- the user


def _capabilities() -> Answer:
    from probee.kernel.syscalls.capability import NEEDED, has_capability, sudo_command

    missing = [name for name in NEEDED if not has_capability(name)]
    if not missing:
        return OK, "root" if os.geteuid() == 0 else "without being root", ""
    return MISSING, f"no {' and no '.join(missing)}: no program can be loaded", sudo_command()


def _bpf_call() -> Answer:
    from probee.kernel.features.feature import has

    if has("ringbuf"):
        return OK, "programs and maps can be made", ""
    return LIMITED, "no ring buffer: events go through per-CPU buffers", "a kernel of 5.8 or later has it"


def _symbols() -> Answer:
    from probee.kernel.symbols.kallsyms import Kallsyms

    if Kallsyms().shows_addresses():
        return OK, "/proc/kallsyms shows addresses", ""
    remedy = "be root, or have CAP_SYSLOG with: sysctl kernel.kptr_restrict=1"
    return LIMITED, "the kernel hides its symbols' addresses: no ksym, kstack, kaddr", remedy


def _perf() -> Answer:
    from probee.kernel.syscalls.capability import has_capability, sysctl

    level = sysctl("perf_event_paranoid")
    if has_capability("CAP_PERFMON"):
        return OK, f"allowed (kernel.perf_event_paranoid is {level or 'unknown'})", ""
    return MISSING, f"kernel.perf_event_paranoid is {level or 'unknown'}", "be root, or: setcap cap_perfmon,cap_bpf+ep PYTHON"


def _lockdown() -> Answer:
    from probee.kernel.syscalls.capability import lockdown

    level = lockdown()
    if level == "confidentiality":
        remedy = "boot without lockdown=confidentiality, or without Secure Boot; or use `probee lab run`"
        return MISSING, "the kernel is locked down: no memory can be read", remedy
    if level == "integrity":
        return LIMITED, "lockdown=integrity: no probe_write_user, no override", ""
    return OK, "none", ""


def _container() -> Answer:
    marks = [name for path, name in (("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")) if os.path.exists(path)]
    try:
        with open("/proc/1/environ", "rb") as file:
            marks += [part[10:].decode() for part in file.read().split(b"\0") if part.startswith(b"container=")]
    except OSError:
        pass
    groups = _read("/proc/1/cgroup").splitlines()
    own = os.stat("/proc/self/ns/pid").st_ino == _MACHINES_PIDS and all(g.endswith((":/", ":/init.scope")) for g in groups)
    if own or not marks:  # such a file may lie about without a container
        return OK, "none", ""
    remedy = "run the container with --privileged --pid=host, and mount /sys/kernel/tracing into it"
    return LIMITED, f"{marks[0]}: probes see the whole machine, and pids are the host's", remedy


def _pid_namespace() -> Answer:
    if os.stat("/proc/self/ns/pid").st_ino == _MACHINES_PIDS:
        return OK, "the machine's own", ""
    return LIMITED, "not the machine's own: pid and tid are those of this namespace, as far as it has them", ""


# -- the kernel


def _btf() -> Answer:
    path = "/sys/kernel/btf/vmlinux"
    if os.access(path, os.R_OK):
        return OK, f"{os.path.getsize(path) >> 10} KB of types, {len(os.listdir('/sys/kernel/btf')) - 1} modules", ""
    remedy = "a kernel with CONFIG_DEBUG_INFO_BTF, or structs in the script, or `probee lab run`"
    return MISSING, f"no {path}: no kernel types, no fentry", remedy


def _tracefs() -> Answer:
    from probee.kernel.syscalls.tracefs import tracefs_root

    root = tracefs_root()
    if root is not None:
        return OK, root, ""
    if os.path.isdir("/sys/kernel/tracing") and os.geteuid():
        return MISSING, "tracefs may not be read by this user: no tracepoints", "be root"
    return MISSING, "tracefs is not mounted: no tracepoints", "mount -t tracefs tracefs /sys/kernel/tracing"


def _kprobes() -> Answer:
    from probee.kernel.features.feature import has
    from probee.kernel.symbols.kallsyms import Kallsyms
    from probee.kernel.syscalls.tracefs import tracefs_root
    from probee.kernel.traceable import traceable_lines

    if not has("kprobe"):
        return MISSING, "this kernel has no kprobes (CONFIG_KPROBE_EVENTS)", "try fentry, or `probee lab run`"
    functions = len(traceable_lines(tracefs_root(), Kallsyms()))
    return OK, f"{functions:,} functions", ""


def _many_kprobes() -> Answer:
    return _feature("kprobe_multi", "many functions by one link", "one event for each function: slower to attach many")


def _sessions() -> Answer:
    return _feature("kprobe_session", "entry and return by one program", "entry and return by two programs")


def _uprobes() -> Answer:
    from probee.kernel.features.feature import has

    if has("uprobe"):
        return OK, "user functions and USDT", ""
    return MISSING, "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)", "try `probee lab run`"


def _many_uprobes() -> Answer:
    return _feature("uprobe_multi", "many places of a file by one link", "one event for each place: slower to attach many")


def _fentry() -> Answer:
    from probee.formats.insn.assemble import assemble
    from probee.formats.insn.encode import encode
    from probee.kernel.links.attach import attach
    from probee.kernel.programs.btf_id import BtfFinder
    from probee.kernel.programs.load import load
    from probee.kernel.syscalls.capability import has_capability
    from probee.kernel.target import LiveTarget
    from probee.model.spec import AttachType, LinkSpec, ObjectSpec, ProgramSpec, ProgramType

    code = encode(assemble("r0 = 0\nexit"))
    target = "bpf_fentry_test1"  # a function of the kernel's own that only test runs call
    spec = ProgramSpec("probee", ProgramType.TRACING, code, attach_type=AttachType.TRACE_FENTRY, attach_target=target)
    try:
        with (
            BtfFinder(LiveTarget()) as finder,
            load(spec, ObjectSpec(programs=(), maps=(), links=()), {}, {}, find_btf=finder) as program,
            attach(LinkSpec("fentry", "probee", f"fentry:{target}", {}), program),
        ):
            return OK, "functions with typed arguments", ""
    except PermissionMissing:
        allowed = has_capability("CAP_BPF") and has_capability("CAP_PERFMON")
        return MISSING, "the kernel refuses such programs" if allowed else _UNASKED, "try kprobes" if allowed else ""
    except ProbeeError as error:
        return MISSING, str(error).partition("\n")[0], "try kprobes"


def _counters() -> Answer:
    from probee.kernel.syscalls.fd import Descriptor
    from probee.kernel.syscalls.perf import TYPE_HARDWARE, perf_event_open

    result = perf_event_open(TYPE_HARDWARE, 0, cpu=-1, pid=0, disabled=True)
    if result < 0:
        return MISSING, "no hardware counters here (virtual machines often have none)", "use software: or profile: probes"
    Descriptor(result, "a counter of our own").close()
    return OK, "hardware: probes count cycles, cache misses …", ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _feature(name: str, good: str, bad: str) -> Answer:
    from probee.kernel.features.feature import has
    from probee.kernel.features.table import FEATURES

    return (OK, good, "") if has(name) else (LIMITED, bad, f"Linux {FEATURES[name][2]} has it, if so configured")


def _override() -> Answer:
    from probee.kernel.features.feature import has

    if has("override_return"):
        return OK, "override() works, on functions that allow it", ""
    return MISSING, "no override(): CONFIG_BPF_KPROBE_OVERRIDE is off", "a kernel with CONFIG_FUNCTION_ERROR_INJECTION"


def _compiler() -> Answer:
    if _read("/proc/sys/net/core/bpf_jit_enable") == "0":
        return LIMITED, "the kernel interprets programs", "sysctl net.core.bpf_jit_enable=1"
    return OK, "the kernel compiles programs", ""


# -- what is around


def _cache() -> Answer:
    from probee.kernel.cachedir import cache_directory

    path = cache_directory()
    if path is None:
        return LIMITED, "no directory that only you may write to: every start compiles anew", "set XDG_CACHE_HOME"
    return OK, path, ""


def _emulator() -> Answer:
    from probee.lab.requirement import missing

    lacking = [wanted for wanted in missing() if wanted.needed]
    if lacking:
        return MISSING, "; ".join(wanted.reason for wanted in lacking), "probee lab setup"
    return OK, "QEMU and what it needs", ""


def _kernels() -> Answer:
    from probee.lab.kernel import cached_kernels

    found = [kernel.version for kernel in cached_kernels()]
    return (OK, ", ".join(found), "") if found else (MISSING, "none in the cache", "probee lab kernels --get 6.12")


def _bcc() -> Answer:
    """Which bcc a program of this Python gets, and which others are behind it."""
    from probee.cli.bccname import installed

    found = installed()
    if not found:
        return OK, "nobody has the name: `probee bcc PROGRAM.py` runs programs of bcc", "pip install 'probee[bcc]' takes it"
    (path, implementation), *others = found
    behind = "".join([f"; behind it: {other} ({whose})" for other, whose in others])
    remedy = "" if implementation == "probee" else "`probee bcc PROGRAM.py` runs a program with probee's"
    state = OK if implementation == "probee" else LIMITED
    return state, f"{path} ({implementation}){behind}", remedy


TOPICS: tuple[tuple[str, tuple[tuple[str, Callable[[], Answer]], ...]], ...] = (
    ("You", (
        ("capabilities", _capabilities), ("bpf(2)", _bpf_call), ("kernel symbols", _symbols), ("perf events", _perf),
        ("lockdown", _lockdown), ("container", _container), ("pid namespace", _pid_namespace),
    )),
    ("The kernel", (
        ("types (BTF)", _btf), ("tracefs", _tracefs), ("compiler (JIT)", _compiler), ("kprobes", _kprobes),
        ("many kprobes", _many_kprobes), ("kprobe sessions", _sessions), ("uprobes", _uprobes), ("many uprobes", _many_uprobes),
        ("fentry, fexit", _fentry), ("hardware counters", _counters), ("error injection", _override),
    )),
    ("Around it", (("cache", _cache), ("lab", _emulator), ("lab's kernels", _kernels), ("import bcc", _bcc))),
)  # fmt: skip
