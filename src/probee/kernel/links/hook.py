"""Hooks of cgroups and of maps of sockets: what the processes of a cgroup do with sockets, and what sockets send and receive.

By BPF link (Linux 5.7, commit af6eea57437a "bpf: Implement bpf_link-based cgroup BPF program attachment"; for maps of sockets
Linux 6.10, commit 699c23f02c65 "bpf: Add bpf_link support for sk_msg and sk_skb progs"), else by BPF_PROG_ATTACH, which closing
undoes.  On a map of sockets that ends at the latest with the map, and so with the processes that have it.
"""

from __future__ import annotations

import os

from probee.errors import AttachError
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EBADF, EBUSY, EEXIST, EINVAL, EOPNOTSUPP, EPERM
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.link import link_create, program_attach, program_detach
from probee.model.spec import AttachType, LinkSpec

_NEEDED = ("CAP_BPF", "CAP_NET_ADMIN")


class HookLink(Link):
    """A program on a cgroup or on a map; without a BPF link it keeps what it needs to detach."""

    def __init__(self, spec: LinkSpec, program: Program, attach_type: int) -> None:
        super().__init__(spec, program)
        self.attach_type = attach_type
        self._kept: Descriptor | None = None

    def keep(self, fd: int) -> None:
        """Remember a copy of the target for the end: nobody else's descriptor may be needed for it."""
        self._kept = Descriptor(os.dup(fd), f"target of {self.probe}")

    def close(self, *, until_s: float = float("inf")) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            with kept:
                program_detach(self.program.fd, kept.fd, self.attach_type)
        super().close()


def attach_cgroup(spec: LinkSpec, program: Program) -> Link:
    """Attach to the cgroup whose directory the spec's "path" is, for the processes in it and below it."""
    path = str(spec.parameters["path"])
    try:
        directory = Descriptor(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"cgroup {path}")
    except OSError as error:
        raise attach_error(spec.probe, error.errno or 0, f"{path} is no directory of a cgroup: {error.strerror}") from None
    with directory:
        return attach_hook(program, directory.fd, program.attach_type, spec=spec)


def attach_hook(
    program: Program, fd: int, attach_type: int, flags: int = 0, *, spec: LinkSpec | None = None
) -> HookLink:  # fmt: skip
    """Attach to the cgroup or the map of sockets behind a descriptor, which may be closed afterwards.

    A program loaded for another attach type is refused.  `flags` (BPF_F_ALLOW_*) count where there are no links: on cgroups,
    links always allow others beside them.
    """
    spec = spec or LinkSpec("cgroup", program.name, f"hook:{program.name}", {"attach_type": attach_type})
    if attach_type not in AttachType.OF_CGROUPS | AttachType.OF_SOCKET_MAPS:
        raise AttachError(
            spec.probe, f"Unable to attach probe: {spec.probe}: nothing of cgroups or sockets has attach type {attach_type}",
            errno=EINVAL,
        )  # fmt: skip
    link = HookLink(spec, program, attach_type)
    result = link_create(program.fd, fd, attach_type)
    if result >= 0:
        link.own_bpf_link(result)
    elif result in (-EINVAL, -EOPNOTSUPP):
        result = program_attach(program.fd, fd, attach_type, flags)
        if result >= 0:
            link.keep(fd)
    if result < 0:
        raise _refusal(spec, -result, attach_type)
    link.targets = 1
    return link


def _refusal(spec: LinkSpec, errno: int, attach_type: int) -> Exception:
    if errno == EPERM:
        from probee.kernel.syscalls.capability import has_capability, permission_missing

        if not all(has_capability(name) for name in _NEEDED):
            return permission_missing(errno, f"attach {spec.probe}", _NEEDED)
        cause = "a program is attached there that allows no other beside it (it was attached without BPF_F_ALLOW_MULTI)"
        return AttachError(spec.probe, f"Unable to attach probe: {spec.probe}: {cause}", errno=errno)
    what = "cgroup (version 2)" if attach_type in AttachType.OF_CGROUPS else "map of sockets"
    causes = {
        EBADF: f"the target is no {what}",
        EBUSY: f"another program has the {what}'s place already",
        EEXIST: f"another program has the {what}'s place already",
        EINVAL: f"the target is no {what}, or the program was loaded for another attach type",
        EOPNOTSUPP: "this kernel has no such hook",
    }
    return attach_error(spec.probe, errno, causes.get(errno) or os.strerror(errno))
