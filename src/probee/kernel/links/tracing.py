"""Programs that were loaded for one target, by its BTF id: fentry, fexit, fmod_ret, LSM hooks, typed raw tracepoints.

The program knows where it belongs, so attaching names nothing: bpf_tracing_prog_attach of kernel/bpf/syscall.c.
Linux 5.5 (commit fec56f5890d9 "bpf: Introduce BPF trampoline").
"""

from __future__ import annotations

from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EBUSY, EINVAL, EOPNOTSUPP
from probee.kernel.syscalls.link import raw_tracepoint_open
from probee.model.spec import LinkSpec

_E2BIG = 7
_ENOTSUPP = 524


class TracingLink(Link):
    """The link does not count what the program missed: the program does."""

    def missed(self) -> int | None:
        """Return how often the function was called inside of the program, None where the kernel does not count."""
        from probee.kernel.syscalls.info import ProgramInfo

        return ProgramInfo(self.program.fd).recursion_misses


def attach_tracing(spec: LinkSpec, program: Program) -> Link:
    """Attach a program to the target that it was loaded for."""
    if spec.kind == "lsm" and not _lsm_runs_programs():
        raise attach_error(spec.probe, EOPNOTSUPP, _NO_LSM)
    result = raw_tracepoint_open(program.fd, "")
    if result < 0:
        raise attach_error(spec.probe, -result, _cause(-result))
    link = TracingLink(spec, program)
    link.own_bpf_link(result)
    link.targets = 1
    return link


def _lsm_runs_programs() -> bool:
    """Whether hooks run programs: the kernel takes them even if the LSM that does is not among those it booted with."""
    try:
        with open("/sys/kernel/security/lsm", encoding="utf-8") as file:
            return "bpf" in file.read().strip().split(",")
    except OSError:
        return True  # nobody tells


_NO_LSM = "the LSM `bpf` is not active, so the program would never run: add bpf to the kernel's lsm= parameter"


def _cause(errno: int) -> str:
    import os

    return _CAUSES.get(errno) or os.strerror(errno)


_CAUSES = {
    _E2BIG: "the function has as many programs attached as the kernel takes (38)",
    EBUSY: "the function is being patched by something else; try a kprobe",
    EINVAL: "the program was not loaded for this probe's target",
    EOPNOTSUPP: "the kernel cannot attach there; try a kprobe",
    _ENOTSUPP: "this kernel has no trampolines on this machine; try a kprobe",
}
