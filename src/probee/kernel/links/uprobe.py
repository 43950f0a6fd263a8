"""User-space functions: uprobes, uretprobes and USDT, one by one through the uprobe PMU or many at once through one link.

Mirrors perf_uprobe of kernel/events/core.c: config1 is the file's path, config2 the offset in the file, the upper half of
config the offset of a USDT semaphore that the kernel counts up while the probe is attached; and bpf_uprobe_multi_link_attach
of kernel/trace/bpf_trace.c.
Parameters of the spec: see LinkSpec.  Functions are looked for in the file's symbols now: it may have changed since compiling.
"""

from __future__ import annotations

from probee.errors import AttachError, FormatError
from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, EINVAL, ENOENT, EOPNOTSUPP
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.link import uprobe_multi_link
from probee.kernel.syscalls.perf import perf_event_open, pmu_bit, pmu_type
from probee.model.spec import AttachType, LinkSpec

_ESRCH = 3
_EIO = 5
_EILSEQ = 84
_REFERENCE_SHIFT = 32  # PERF_UPROBE_REF_CTR_OFFSET_SHIFT, Linux 4.20 (commit a6ca88b241d5)


def attach_uprobe(spec: LinkSpec, program: Program, *, pid: int = 0) -> Link:
    """Attach to one place in a file or to several, for one process (`pid`, or the spec's) or all.

    Of several, those that cannot be probed are left out and named in the link's `skipped`.
    """
    link = Link(spec, program)
    places = _places(link)
    pid = _number(spec, "pid") or pid
    if program.attach_type == AttachType.TRACE_UPROBE_MULTI:
        _attach_together(link, places, pid)
    else:
        _attach_each(link, places, pid)
    return link


def _places(link: Link) -> list[tuple[int, int]]:
    """Return (offset, semaphore) of each place, once."""
    spec = link.spec
    if any(name in spec.parameters for name in ("function", "functions", "address", "addresses")):
        return [(offset, 0) for offset in _resolved(link)]
    if "offsets" not in spec.parameters:
        return [(_number(spec, "offset"), _number(spec, "semaphore"))]
    offsets = _numbers(spec, "offsets")
    semaphores = _numbers(spec, "semaphores") if "semaphores" in spec.parameters else [0] * len(offsets)
    return list(dict.fromkeys(zip(offsets, semaphores, strict=True)))


def _resolved(link: Link) -> list[int]:
    """Return where in the file the functions, or the address, of a spec are."""
    from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES
    from probee.kernel.symbols.module import open_module

    parameters, path = link.spec.parameters, str(link.spec.parameters["path"])
    _check_build(link, path)
    if "addresses" in parameters:
        return [_offset_of(path, address) for address in _numbers(link.spec, "addresses")]
    if "address" in parameters:
        return [_offset_of(path, _number(link.spec, "address"))]
    given = parameters.get("debug_directories")
    more = map(str, given) if isinstance(given, list) else ()
    module = open_module(path, directories=(*more, *DEBUG_DIRECTORIES))
    file = module.file
    listed = parameters.get("functions")
    names = [str(name) for name in listed] if isinstance(listed, list) else [str(parameters["function"])]
    inside = _number(link.spec, "offset")
    found: dict[int, None] = {}
    known = module.find_many(names)
    for name in names:
        symbols = known.get(name, [])
        offsets = {file.file_offset(symbol.address) for symbol in symbols if symbol.is_function} - {None}
        found.update(dict.fromkeys(offset + inside for offset in offsets if offset is not None))
        if not offsets:
            link.skipped.append((name, f"{path} has no such function"))
    if not found:
        raise AttachError(link.probe, f"Could not resolve symbol: {path}:{names[0]}")
    return list(found)


def _check_build(link: Link, path: str) -> None:
    """Raise AttachError if a file is not the one whose addresses, arguments or types were compiled in."""
    wanted = str(link.spec.parameters.get("build_id", ""))
    if not wanted:
        return
    from probee.kernel.symbols.binary import open_elf

    if open_elf(path).build_id != wanted:
        raise AttachError(link.probe, f"{path} is not the build that this was compiled for: compile it again")


def _offset_of(path: str, address: int) -> int:
    """Return where in the file an address is; in a file that is no ELF file, or not loaded there, addresses are offsets."""
    from probee.kernel.symbols.binary import open_elf

    try:
        offset = open_elf(path).file_offset(address)
    except FormatError:
        offset = None
    return address if offset is None else offset


def _attach_together(link: Link, places: list[tuple[int, int]], pid: int) -> None:
    """Attach all by one link; if the kernel refuses a place, by as few as halving needs."""
    waiting, failed = [places], 0
    while waiting:
        part = waiting.pop()
        result = uprobe_multi_link(
            link.program.fd, _file(link.spec), [offset for offset, _ in part],
            semaphores=[counter for _, counter in part], pid=pid,
            on_return=link.spec.kind == "uretprobe",
        )  # fmt: skip
        if result >= 0:
            link.own_bpf_link(result)
            link.targets += len(part)
        elif len(part) == 1 or -result in (ENOENT, _ESRCH, EACCES, 1):  # what no half could do better
            failed = -result
            link.skipped.extend((f"{offset:#x}", _cause(link.spec, failed)) for offset, _ in part)
        else:
            waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    _require_one(link, failed)


def _attach_each(link: Link, places: list[tuple[int, int]], pid: int) -> None:
    """Attach by one perf event for each place."""
    type = pmu_type("uprobe")
    if type is None:
        raise attach_error(link.probe, EOPNOTSUPP, _cause(link.spec, EOPNOTSUPP))
    failed = 0
    for offset, semaphore in places:
        result = _open(link, type, offset, semaphore, pid)
        if result < 0:
            failed = -result
            link.skipped.append((f"{offset:#x}", _cause(link.spec, failed)))
        else:
            link.targets += 1
    _require_one(link, failed)


def _open(link: Link, type: int, offset: int, semaphore: int, pid: int) -> int:
    """Attach to one place; return 0 or -errno."""
    name = bytearray(_file(link.spec).encode(errors="surrogateescape") + b"\0")
    config = semaphore << _REFERENCE_SHIFT
    if link.spec.kind == "uretprobe":
        config |= 1 << pmu_bit("uprobe", "retprobe")
    event = perf_event_open(
        type, config, pid=pid or -1, cpu=-1 if pid else online_cpus()[0], config1=address_of(name), config2=offset, period=1
    )
    return event if event < 0 else set_program(link, link.own(event).fd)


def _file(spec: LinkSpec) -> str:
    """Return the path that the kernel knows: of a file in an archive, the archive's."""
    from probee.kernel.symbols.binary import split_member

    return split_member(str(spec.parameters["path"]))[0]


def _require_one(link: Link, errno: int) -> None:
    if not link.targets:
        link.close()
        raise attach_error(link.probe, errno, _cause(link.spec, errno))


def _number(spec: LinkSpec, name: str) -> int:
    value = spec.parameters.get(name, 0)
    assert isinstance(value, int)
    return value


def _numbers(spec: LinkSpec, name: str) -> list[int]:
    values = spec.parameters[name]
    assert isinstance(values, list)
    return [int(value) for value in values]


def _cause(spec: LinkSpec, errno: int) -> str:
    import os

    return _CAUSES.get(errno, "").format(path=spec.parameters["path"]) or os.strerror(errno)


_CAUSES = {
    ENOENT: "there is no file {path}",
    _ESRCH: "there is no such process",
    _EIO: "{path} is no file that code runs from",
    EACCES: "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON",
    EINVAL: "{path} is no file that code runs from, or has no instruction at that offset",
    _EILSEQ: "Could not add uprobe into middle of instruction, or one that the kernel cannot step over, in {path}",
    EOPNOTSUPP: "this kernel has no uprobes (CONFIG_UPROBE_EVENTS), or not at such an instruction",
}
