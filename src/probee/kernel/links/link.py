"""Link: a program attached somewhere, until it is closed.

Owns every descriptor that keeps it attached (perf events, BPF links); the kernel detaches when they close, also when the
process dies.  How each kind attaches is in the files beside this one.
"""

from __future__ import annotations

from time import monotonic

from probee.errors import AttachError, KernelError
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import failure
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Link:
    """A live link.

    `targets` is how many places it is attached to; `skipped` the (name, reason) of places that a pattern or list named
    and that could not be attached, while others were.
    """

    def __init__(self, spec: LinkSpec, program: Program) -> None:
        self.spec = spec
        self.probe = spec.probe
        self.program = program
        self.descriptors: list[Descriptor] = []  # closed in reverse order
        self.bpf_links: list[Descriptor] = []  # those of them that are BPF links
        self.targets = 0
        self.skipped: list[tuple[str, str]] = []

    def own(self, fd: int, what: str = "perf event") -> Descriptor:
        """Take ownership of a descriptor for as long as the link lives."""
        descriptor = Descriptor(fd, f"{what} of {self.probe}")
        self.descriptors.append(descriptor)
        return descriptor

    def own_bpf_link(self, fd: int) -> None:
        """Take ownership of a BPF link's descriptor."""
        self.bpf_links.append(self.own(fd, "link"))

    def missed(self) -> int | None:
        """Return how many hits did not run the program, None where the kernel does not count them."""
        from probee.kernel.syscalls.info import LinkInfo

        counts = [LinkInfo(link.fd).missed for link in self.bpf_links if not link.closed]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None

    def close(self) -> None:
        """Detach; closing twice is nothing."""
        while self.descriptors:
            self.descriptors.pop().close()

    def close_until(self, until_s: float) -> None:
        """Detach, or begin to: what is not done by this time of the monotonic clock is left for close()."""
        while len(self.descriptors) > 2 and monotonic() < until_s:  # an event and the BPF link on it
            self.descriptors.pop().close()
        if monotonic() < until_s:
            self.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Link {self.probe}, {self.targets} targets{'' if self.descriptors else ', closed'}>"


def attach_error(
    probe: str, errno: int, cause: str, candidates: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
) -> AttachError | KernelError:
    """Return the error for a probe that cannot be attached; EPERM is about the process and not about the probe."""
    if errno == 1:
        return failure(errno, f"attach {probe}")
    return AttachError(probe, f"Unable to attach probe: {probe}: {cause}", candidates, errno=errno)
