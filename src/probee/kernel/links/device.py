"""Network devices, as what programs are attached to: their numbers, and the words for a device that is not there."""

from __future__ import annotations

from probee.errors import AttachError, KernelError
from probee.kernel.syscalls.netlink import Answer, device_index, device_names
from probee.model.spec import LinkSpec

_ENODEV = 19
_EPERM = 1
NEEDED = ("CAP_BPF", "CAP_NET_ADMIN")


def device_of(spec: LinkSpec) -> int:
    """Return the number of the device that a spec names; AttachError with devices of nearly that name if there is none."""
    name = str(spec.parameters["device"])
    index = device_index(name)
    if not index:
        raise AttachError(
            spec.probe, f"Unable to attach probe: {spec.probe}: there is no network device {name} here", lambda: _near(name),
            errno=_ENODEV,
        )  # fmt: skip
    return index


def _near(name: str) -> tuple[str, ...]:
    from probee.probes.candidate import closest

    return tuple(closest(name, device_names()))


def refusal(spec: LinkSpec, errno: int, cause: str, *, verb: str = "attach") -> AttachError | KernelError:
    """Return the error for a device that does not take (or give up) a program; that takes CAP_NET_ADMIN."""
    if errno == _EPERM:
        from probee.kernel.syscalls.capability import permission_missing

        return permission_missing(errno, f"{verb} {spec.probe}", NEEDED)
    return AttachError(spec.probe, f"Unable to {verb} probe: {spec.probe}: {cause}", errno=errno)


def answered(answer: Answer, words: dict[int, str]) -> str:
    """Return why netlink refused: the kernel's own words, else ours, else the errno's."""
    import os

    return answer.text or words.get(answer.errno) or os.strerror(answer.errno)
