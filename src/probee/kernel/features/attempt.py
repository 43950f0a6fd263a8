"""The attempts: load a tiny program, create a small map, ask one question, look at what the kernel says.

One function per kind of feature in table.py.  Nothing is attached, except to a dummy event of this process and where a name
that should be refused is not; all is closed again at once.
"""

from __future__ import annotations

from struct import pack

from probee.kernel.features import instruction as code
from probee.kernel.syscalls import info, link, perf
from probee.kernel.syscalls.bpf import EBADF, EPERM, Command, bpf, failure
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_batch, map_create
from probee.kernel.syscalls.program import F_SLEEPABLE, LoadAttribute, program_load, program_test_run
from probee.model.spec import AttachType, MapType, ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ESRCH = 3
_ENODEV = 19
_EADDRNOTAVAIL = 99


def attempt(kind: str, argument: object) -> bool:
    """Return whether the kernel does what an entry of the table asks."""
    return _KINDS[kind](argument)


def _load(
    instructions: bytes, type: int = ProgramType.KPROBE, attach_type: int = 0, flags: int = 0, log: bytearray | None = None,
    attach_btf_id: int = 0,
) -> int:  # fmt: skip
    options = LoadAttribute(attach_type=attach_type, flags=flags, attach_btf_id=attach_btf_id)
    result = program_load(type, instructions, options, log=log)
    if result == -EPERM:
        raise failure(EPERM, "ask the kernel for its features")
    return result


def _program(type: int = ProgramType.KPROBE, attach_type: int = 0) -> Descriptor:
    """Load a program that does nothing; raises when even that fails."""
    result = _load(code.RETURN_ZERO, type, attach_type)
    if result < 0:
        raise failure(-result, "load an empty program")
    return Descriptor(result, "feature probe")


def _loads(instructions: bytes) -> bool:
    result = _load(instructions)
    if result >= 0:
        Descriptor(result, "feature probe").close()
    return result >= 0


# -- helpers


def _helper(argument: object) -> bool:
    """A call without proper arguments: a kernel that has the helper complains about those, not about the helper."""
    number, mode = argument if isinstance(argument, tuple) else (argument, "")
    if mode == "typed":
        target = _typed_target()
        return bool(target) and has_helper(int(number), ProgramType.TRACING, attach_btf_id=target)
    type = ProgramType.SOCKET_FILTER if mode == "socket" else ProgramType.KPROBE
    return has_helper(int(number), type, sleepable=mode == "sleepable")


def has_helper(number: int, type: int, *, sleepable: bool = False, attach_btf_id: int = 0) -> bool:
    """Return whether programs of a type may call a helper; those of type TRACING need a raw tracepoint's BTF id."""
    log = bytearray(4096)
    flags, attach_type = F_SLEEPABLE if sleepable else 0, AttachType.TRACE_RAW_TP if attach_btf_id else 0
    result = _load(code.call_helper(number), type, attach_type, flags, log, attach_btf_id)
    if result >= 0:
        Descriptor(result, "feature probe").close()
        return True
    text = log.partition(b"\0")[0]
    if sleepable and (not text or b"can be sleepable" in text):
        return False
    return not any(words in text for words in _NO_HELPER)


def _typed_target() -> int:
    """Return the BTF id of a raw tracepoint that every kernel has, 0 without BTF."""
    from probee.errors import BtfError
    from probee.formats.btf.reader import Btf

    try:
        with open("/sys/kernel/btf/vmlinux", "rb") as file:
            found = Btf(file.read()).find("typedef", "btf_trace_sched_switch")
    except (OSError, BtfError):
        return 0
    return found[0] if found else 0


# Of kernel/bpf/verifier.c: check_helper_call, in 5.x and from 6.10 on.
_NO_HELPER = (b"invalid func ", b"unknown func ", b"program of this type cannot use helper ")


def may_call(type_id: int, type: int) -> bool:
    """Return whether programs of a type may call the kernel function that has this number in vmlinux's BTF."""
    log = bytearray(4096)
    attach_type = AttachType.TRACE_RAW_TP if type == ProgramType.TRACING else 0
    result = _load(code.call_kernel_function(type_id), type, attach_type, log=log)
    if result >= 0:
        Descriptor(result, "feature probe").close()
        return True
    text = log.partition(b"\0")[0]
    return bool(text) and b"is not allowed" not in text


# -- instructions


def _instruction(argument: object) -> bool:
    return _loads(code.SAMPLES[str(argument)])


# -- maps

_BATCHES = {"hash": MapType.HASH, "array": MapType.ARRAY, "percpu_array": MapType.PERCPU_ARRAY}


def _map(argument: object) -> bool:
    name = str(argument)
    if name == "ringbuf":
        return _creates(MapType.RINGBUF, 0, 0, 1 << 16)
    fd = map_create(_BATCHES[name.removesuffix("_batch")], 4, 8, 2, name="probe")
    with Descriptor(fd, "feature probe"):
        values = bytearray(8 * 4096)  # two keys on as many CPUs as there may be
        error, _ = map_batch(
            Command.MAP_LOOKUP_BATCH, fd, bytearray(8), values, 2, position=bytearray(8), first=True
        )  # fmt: skip
    return error in (0, -2)


def _creates(type: int, key_size: int, value_size: int, max_entries: int) -> bool:
    from probee.errors import KernelError, PermissionMissing

    try:
        fd = map_create(type, key_size, value_size, max_entries, name="probe")
    except PermissionMissing:
        raise
    except KernelError:
        return False
    Descriptor(fd, "feature probe").close()
    return True


# -- links: each attempt is wrong in a way that only a kernel which knows the kind of link notices


def _link(argument: object) -> bool:
    return _LINKS[str(argument)]()


def _perf_link() -> bool:
    with _program(ProgramType.TRACEPOINT) as program:
        return link.link_create(program.fd, 0xFFFFFFFF, link.PERF_EVENT) == -EBADF


def _kprobe_multi(attach_type: int) -> bool:
    """A function that does not exist: -ESRCH.  Without CONFIG_FPROBE -EOPNOTSUPP, before 5.18 -EINVAL."""
    result = _load(code.RETURN_ZERO, attach_type=attach_type)
    if result < 0:
        return False
    with Descriptor(result, "feature probe") as program:
        return link.kprobe_multi_link(program.fd, ["probee_no_such_function"], attach_type=attach_type) == -_ESRCH


def _kprobe_unique_name() -> bool:
    """A name that every kernel has many functions of: -EADDRNOTAVAIL.  Others put a kprobe, which is closed, on the first."""
    from probee.kernel.syscalls.libc import address_of

    type = perf.pmu_type("kprobe")
    if type is None:
        return False
    name = bytearray(b"type_show\0")
    result = perf.perf_event_open(type, 0, cpu=0, config1=address_of(name), period=1, disabled=True)
    if result >= 0:
        Descriptor(result, "feature probe").close()
    return result == -_EADDRNOTAVAIL


def _uprobe_multi() -> bool:
    """A directory instead of a binary: -EBADF.  Linux commit 89ae89f53d20 "bpf: Add multi uprobe link" (in v6.6)."""
    from probee.kernel.syscalls.libc import address_of

    path, offset = bytearray(b"/\0"), bytearray(8)
    result = _load(code.RETURN_ZERO, attach_type=link.UPROBE_MULTI)
    if result < 0:
        return False
    with Descriptor(result, "feature probe") as program:
        rest = pack("=QQQQIII", address_of(path), address_of(offset), 0, 0, 1, 0, 0)
        return link.link_create(program.fd, 0, link.UPROBE_MULTI, rest) == -EBADF


def _nowhere(type: int, attach_type: int) -> bool:
    """A descriptor that is not open: who knows the kind of link looks for it; -EINVAL from the others."""
    with _program(type, attach_type) as program:
        return link.link_create(program.fd, 0xFFFFFFFF, attach_type) == -EBADF


def _tcx_link() -> bool:
    """No device has number 0."""
    with _program(ProgramType.SCHED_CLS) as program:
        return link.link_create(program.fd, 0, AttachType.TCX_INGRESS, bytes(16)) == -_ENODEV


_LINKS: dict[str, Callable[[], bool]] = {
    "cgroup_link": lambda: _nowhere(ProgramType.CGROUP_SOCK, AttachType.CGROUP_INET_SOCK_CREATE),
    "perf_link": _perf_link,
    "sockmap_link": lambda: _nowhere(ProgramType.SK_MSG, AttachType.SK_MSG_VERDICT),
    "tcx_link": _tcx_link,
    "kprobe_multi": lambda: _kprobe_multi(AttachType.TRACE_KPROBE_MULTI),
    "kprobe_session": lambda: _kprobe_multi(link.KPROBE_SESSION),
    "kprobe_unique_name": _kprobe_unique_name,
    "uprobe_multi": _uprobe_multi,
}


# -- what the kernel tells


def _info(argument: object) -> bool:
    if argument == "bpf_stats":
        result = bpf(Command.ENABLE_STATS, bytearray(4))
        if result >= 0:
            Descriptor(result, "feature probe").close()
        return result >= 0
    if argument == "prog_recursion_misses":
        with _program() as program:
            return info.ProgramInfo(program.fd).recursion_misses is not None
    return _link_missed_count()


def _link_missed_count() -> bool:
    """Any link tells how long its structure is; the shortest-lived one is on a dummy event of this process."""
    event = perf.perf_event_open(perf.TYPE_SOFTWARE, perf.SW_DUMMY, cpu=-1, pid=0, period=1)
    if event < 0:
        return False
    with Descriptor(event, "feature probe"), _program(ProgramType.PERF_EVENT) as program:
        result = link.perf_link(program.fd, event)
        if result < 0:
            return False
        with Descriptor(result, "feature probe"):
            return info.object_info(result, bytearray(64)) >= info.LINK_INFO_WITH_MISSED


def _run(_: object) -> bool:
    from probee.errors import KernelError

    with _program(ProgramType.RAW_TRACEPOINT) as program:
        try:
            program_test_run(program.fd)
        except KernelError:
            return False
    return True


# -- type information and files


def _btf(argument: object) -> bool:
    from probee.kernel.features import type_information

    return type_information.SAMPLES[str(argument)]()


def _file(argument: object) -> bool:
    from os.path import exists

    if argument == "tracefs":
        from probee.kernel.syscalls.tracefs import tracefs_root

        return tracefs_root() is not None
    return exists(str(argument))


def kernel_function(name: str) -> bool:
    """Return whether vmlinux's BTF has the name: kernel functions that programs may call are listed nowhere else."""
    try:
        with open("/sys/kernel/btf/vmlinux", "rb") as file:
            return b"\0" + name.encode() + b"\0" in file.read()
    except OSError:
        return False


_KINDS: dict[str, Callable[[object], bool]] = {
    "helper": _helper,
    "instruction": _instruction,
    "map": _map,
    "link": _link,
    "info": _info,
    "run": _run,
    "btf": _btf,
    "file": _file,
}
