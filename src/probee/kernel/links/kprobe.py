"""Kernel functions: kprobes and kretprobes, one by one through the kprobe PMU or many at once through one link.

Mirrors perf_kprobe of kernel/events/core.c (config1: the function's name, config2: the offset) and
bpf_kprobe_multi_link_attach of kernel/trace/bpf_trace.c.  Never tracefs kprobe_events, which would outlive the process.
"""

from __future__ import annotations

from probee.errors import AttachError
from probee.kernel.features.feature import has
from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, EBUSY, EINVAL, ENOENT, EOPNOTSUPP, EPERM
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.link import kprobe_multi_link
from probee.kernel.syscalls.perf import perf_event_open, pmu_bit, pmu_type
from probee.model.spec import AttachType, LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    FunctionList = Callable[[], Iterable[tuple[str, str]]]

_ESRCH = 3
_EILSEQ = 84
_EADDRINUSE = 98
_EADDRNOTAVAIL = 99


def attach_kprobe(spec: LinkSpec, program: Program, functions: FunctionList | None = None) -> Link:
    """Attach to a function, a list of functions, or all that match a pattern.

    `functions` gives (name, module) of everything traceable; patterns need it, and messages about misspelled names use it.
    """
    parameters = spec.parameters
    if "address" in parameters:
        return _attach_address(spec, program)
    if "function" in parameters and program.attach_type != AttachType.TRACE_KPROBE_SESSION:
        return _attach_one(spec, program, functions)
    names = _listed(spec, functions)
    if program.attach_type in (AttachType.TRACE_KPROBE_MULTI, AttachType.TRACE_KPROBE_SESSION):
        return _attach_multi(spec, program, names, functions)
    return _attach_each(spec, program, names)


def _listed(spec: LinkSpec, functions: FunctionList | None) -> list[str]:
    """Return the functions that a spec with a list or a pattern means, each once, as the kernel names them."""
    if "function" in spec.parameters:
        return [str(spec.parameters["function"])]
    listed = spec.parameters.get("functions")
    if isinstance(listed, list):
        return list(dict.fromkeys(str(name) for name in listed))
    from probee.probes.match import select_functions

    if functions is None:
        raise AttachError(spec.probe, f"Unable to attach probe: {spec.probe}: a pattern needs the list of functions")
    module, pattern = str(spec.parameters.get("module") or ""), str(spec.parameters["pattern"])
    names = dict.fromkeys(name for name, _ in select_functions(module, pattern, functions()))
    if not names:
        raise AttachError(spec.probe, f"Unable to attach probe: {spec.probe}: no traceable function matches")
    return list(names)


# -- one event per function


def _attach_one(spec: LinkSpec, program: Program, functions: FunctionList | None) -> Link:
    link = Link(spec, program)
    name, module = str(spec.parameters["function"]), str(spec.parameters.get("module") or "")
    offset = spec.parameters.get("offset", 0)
    assert isinstance(offset, int)
    open_it = _open_named if has("kprobe_unique_name") else _open_unique
    result = open_it(link, name, module, offset)
    if result == -ENOENT and module not in ("", "vmlinux"):
        # Names with a module: Linux 6.7 (commit b022f0c7e404 "tracing/kprobes: Return EADDRNOTAVAIL when func matches several
        # symbols" and its follow-up 926fe783c8a6); kernels between it and its fix know only the bare name.
        result = _open(link, name, offset)
    if result == -_EADDRNOTAVAIL:
        result = _attach_namesakes(link, name, module, offset)
    elif not result:
        link.targets = 1
    if result < 0:
        link.close()
        raise _refusal(spec, -result, name, functions)
    return link


def _open_unique(link: Link, name: str, module: str, offset: int) -> int:
    """Attach by name on a kernel that would take the first of several functions without a word."""
    from probee.kernel.links.namesake import addresses_of

    several = len(addresses_of([name], module).get(name, ())) > 1
    return -_EADDRNOTAVAIL if several else _open_named(link, name, module, offset)


def _attach_namesakes(link: Link, name: str, module: str, offset: int) -> int:
    """Attach to each function of a name that several have; return 0, or -errno when none could be."""
    from probee.kernel.links.namesake import addresses_of

    failed = _EADDRNOTAVAIL
    for address in addresses_of([name], module).get(name, ()):
        result = _open(link, "", address + offset)
        if result < 0:
            failed = -result
            link.skipped.append((f"{name} at {address:#x}", _cause(failed, name)))
        else:
            link.targets += 1
    return 0 if link.targets else -failed


def _attach_address(spec: LinkSpec, program: Program) -> Link:
    """Attach to an instruction by its address: config1 is 0 then, and config2 the address."""
    link = Link(spec, program)
    address = spec.parameters["address"]
    assert isinstance(address, int)
    result = _open(link, "", address)
    if result < 0:
        link.close()
        raise attach_error(spec.probe, -result, _cause(-result, f"{address:#x}"))
    link.targets = 1
    return link


def _attach_each(spec: LinkSpec, program: Program, names: list[str]) -> Link:
    link = Link(spec, program)
    first = 0
    for name in names:
        result = _open(link, name, 0)
        if result < 0:
            first = first or -result
            link.skipped.append((name, _cause(-result, name)))
        else:
            link.targets += 1
    if not link.targets:
        link.close()
        raise attach_error(spec.probe, first, f"none of its {len(names)} functions: {_cause(first, names[0])}")
    return link


def _open(link: Link, function: str, offset: int) -> int:
    """Open one kprobe event and attach to it; return 0 or -errno, and own nothing new then.

    Without a function, `offset` is an address.
    """
    type = pmu_type("kprobe")
    if type is None:
        return -EOPNOTSUPP
    name = bytearray(function.encode() + b"\0")
    config = 1 << pmu_bit("kprobe", "retprobe") if link.spec.kind == "kretprobe" else 0
    event = perf_event_open(
        type, config, cpu=online_cpus()[0], config1=address_of(name) if function else 0, config2=offset, period=1
    )  # fmt: skip
    if event < 0:
        return event
    descriptor = link.own(event)
    result = set_program(link, descriptor.fd)
    if result < 0:
        link.descriptors.remove(descriptor)
        descriptor.close()
    return result


def _open_named(link: Link, name: str, module: str, offset: int) -> int:
    return _open(link, name if module in ("", "*", "vmlinux") else f"{module}:{name}", offset)


# -- many functions, one link


def _attach_multi(spec: LinkSpec, program: Program, names: list[str], functions: FunctionList | None) -> Link:
    """Attach all names by one link; names that the kernel does not know are found and left out."""
    link = Link(spec, program)
    names = _attach_shared(link, names, functions)
    if not names:
        return link
    result = _link(link, names)
    if result in (-_ESRCH, -EINVAL, -ENOENT) and len(names) > 1:
        names = _known(link, names, functions)
        result = _link(link, names) if names else result
    if result in (-_ESRCH, -EINVAL, -ENOENT) and len(names) > 1:
        return _attach_halves(link, names)
    if result < 0:
        raise _refusal(spec, -result, names[0] if names else spec.probe, functions)
    link.own_bpf_link(result)
    link.targets = len(names)
    return link


def _attach_shared(link: Link, names: list[str], functions: FunctionList | None) -> list[str]:
    """Attach by address to the functions whose names are not theirs alone; return the other names."""
    if functions is None:
        return names
    from probee.kernel.links.namesake import addresses_of, shared_names

    shared = shared_names(names, functions())
    if not shared:
        return names
    found = addresses_of(shared, str(link.spec.parameters.get("module") or "").replace("*", ""))
    waiting = [[address for name in shared for address in found.get(name, ())]]
    while waiting:
        part = waiting.pop()
        result = _link(link, part) if part else 0
        if result >= 0 and part:
            link.own_bpf_link(result)
            link.targets += len(part)
        elif len(part) > 1:  # what kallsyms calls a function need not be one that can be traced
            waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    return [name for name in names if name not in found] if link.targets else names


def _link(link: Link, functions: Sequence[str] | Sequence[int]) -> int:
    """Attach by names or by addresses, all of them or none.

    A session's program runs at entry and, if it returned 0 there, at return: Linux 6.10 (commit 535a3692ba72).
    """
    on_return = link.spec.kind == "kretprobe"
    return kprobe_multi_link(link.program.fd, functions, on_return=on_return, attach_type=link.program.attach_type)


def _known(link: Link, names: list[str], functions: FunctionList | None) -> list[str]:
    """Return the names that are traceable and note the others as skipped."""
    if functions is None:
        return names
    traceable = {name for name, _ in functions()}
    link.skipped.extend((name, _NOT_TRACEABLE) for name in names if name not in traceable)
    return [name for name in names if name in traceable]


def _attach_halves(link: Link, names: list[str]) -> Link:
    """Attach what can be, by as few links as bisection needs."""
    waiting = [names]
    failed = 0
    while waiting:
        part = waiting.pop()
        result = _link(link, part)
        if result >= 0:
            link.own_bpf_link(result)
            link.targets += len(part)
        elif len(part) == 1:
            failed = -result
            link.skipped.append((part[0], _cause(-result, part[0])))
        else:
            waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
    if not link.targets:
        raise attach_error(link.probe, failed, f"none of its {len(names)} functions: {_cause(failed, names[0])}")
    return link


# -- why not

_NOT_TRACEABLE = "not traceable: it does not exist, is inlined, or is marked notrace"


def _refusal(spec: LinkSpec, errno: int, name: str, functions: FunctionList | None) -> Exception:
    def candidates() -> tuple[str, ...]:
        if errno not in (ENOENT, _ESRCH) or functions is None:
            return ()
        from probee.probes.candidate import closest

        return tuple(f"{spec.kind}:{other}" for other in closest(name, {other for other, _ in functions()}))

    return attach_error(spec.probe, errno, _cause(errno, name), candidates)


def _cause(errno: int, name: str) -> str:
    import os

    return _CAUSES.get(errno, "").format(name=name) or os.strerror(errno)


_CAUSES = {
    EPERM: "not permitted",
    ENOENT: "{name} is " + _NOT_TRACEABLE,
    _ESRCH: "{name} is " + _NOT_TRACEABLE,
    EACCES: "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON",
    EINVAL: "the kernel refuses a probe at {name}: it is on the kprobe blacklist, marked notrace, or not at its start",
    EBUSY: "{name} has another probe that cannot share its place",
    _EADDRINUSE: "the place in {name} is in use by something else that patches the kernel",
    _EADDRNOTAVAIL: "{name} is the name of several functions, and the kernel hides where they are; name the module",
    _EILSEQ: "Possible attachment attempt in the middle of an instruction, try a different offset.",
    EOPNOTSUPP: "this kernel has no kprobes (CONFIG_KPROBE_EVENTS, or CONFIG_FPROBE for many at once); try `probee lab run`",
}
