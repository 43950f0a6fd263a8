"""Iterators: programs that run once for each task, file, map … when somebody reads them.

Parameters of the spec: {"pid": only this process, 0 for all; "pin": a path in a BPF file system, "" for none}.  A pinned
iterator outlives the process: whoever reads the file runs the program.
"""

from __future__ import annotations

import os
from struct import pack

from probee.errors import AttachError
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import E2BIG, EEXIST, EINVAL, ENOENT, EPERM, failure
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.link import iter_create, iter_link, pin
from probee.model.spec import LinkSpec

_PIECE = 1 << 16
_EBADF = 9
_DESCENDANTS_PRE = 2  # BPF_CGROUP_ITER_DESCENDANTS_PRE
_OF_TASKS = "task"  # how the names of iterators begin that can be restricted to a process


def attach_iter(spec: LinkSpec, program: Program, *, pid: int = 0) -> Link:
    """Make the link of an iterator, and pin it if the spec says so.  Nothing runs until it is read (`read_iter`).

    `pid` is for iterators of tasks whose spec has none.
    """
    own = spec.parameters.get("pid", 0)
    assert isinstance(own, int)
    pid = own or (pid if str(spec.parameters.get("name", "")).startswith(_OF_TASKS) else 0)
    result = iter_link(program.fd, _link_info(str(spec.parameters.get("name", "")), pid))
    if result < 0:
        raise attach_error(spec.probe, -result, _CAUSES.get(-result) or os.strerror(-result))
    link = Link(spec, program)
    link.own_bpf_link(result)
    link.targets = 1
    path = pin_path(spec)
    if path:
        _pin(link, result, path)
    return link


def _link_info(name: str, pid: int) -> bytes:
    """Return the union bpf_iter_link_info that says what to walk over, b"" for everything."""
    if name == "cgroup":  # {order, cgroup_fd, cgroup_id}: all, parents first.  Linux 6.1 (commit d4ccaf58a847)
        return pack("=IIQ", _DESCENDANTS_PRE, 0, 0)
    return pack("=IIII", 0, pid, 0, 0) if pid else b""  # {tid, pid, pid_fd}.  Linux 6.1 (commit f0d74c4da1f0)


def pin_path(spec: LinkSpec) -> str:
    """Return where an iterator is pinned: a name alone is one in the BPF file system; "" if it is not."""
    path = str(spec.parameters.get("pin") or "")
    return os.path.join("/sys/fs/bpf", path) if path else ""


def _pin(link: Link, fd: int, path: str) -> None:
    result = pin(fd, path)
    if result < 0:
        link.close()
        cause = _PIN_CAUSES.get(-result, "").format(path=path) or os.strerror(-result)
        raise AttachError(link.probe, f"Unable to attach probe: {link.probe}: {cause}")


def read_iter(link: Link) -> bytes:
    """Walk once: run the program for each thing there is; returns what it wrote (bpf_seq_write), not its other output."""
    pieces = []
    with open_iter(link) as iterator:
        while (piece := read_piece(iterator.fd)) != b"":
            pieces.append(piece or b"")
    return b"".join(pieces)


def open_iter(link: Link) -> Descriptor:
    """Open an iterator: a walk that has not begun."""
    result = iter_create(link.bpf_links[0].fd)
    if result < 0:
        raise failure(-result, f"open an iterator of {link.probe}")
    return Descriptor(result, f"iterator of {link.probe}")


def read_piece(fd: int) -> bytes | None:
    """Walk on; return what the programs wrote, b"" at the end.

    None: they wrote nothing for a million things, after which the kernel has us ask again.
    Linux commit e679654a704e "bpf: Fix a rcu_sched stall issue with bpf task/task_file iterator" (in v5.10).
    """
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return None


_RESTRICTED = "the program was not loaded for an iterator, or this kernel cannot restrict it to a process"
_CAUSES = {
    E2BIG: _RESTRICTED,
    _EBADF: "this one walks over the contents of one map or socket, and there is no way to say which",
    EINVAL: _RESTRICTED,
}
_PIN_CAUSES = {
    EEXIST: "{path} exists: remove it first",
    EINVAL: "{path} is not in a BPF file system; try /sys/fs/bpf/NAME",
    ENOENT: "there is no directory for {path}; BPF file systems are usually at /sys/fs/bpf",
    EPERM: "{path} is not in a BPF file system; try /sys/fs/bpf/NAME",
}
