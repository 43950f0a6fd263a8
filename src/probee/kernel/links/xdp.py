"""XDP: programs that see a network device's packets before the kernel does.

By BPF link, so that whatever ends the process detaches: dev_xdp_attach of net/core/dev.c.  Linux 5.9 (commit aa8d3a716b59
"bpf, xdp: Add bpf_link-based XDP attachment API"); before that, and to remove what others attached, by routing netlink
(IFLA_XDP of include/uapi/linux/if_link.h), which leaves a program attached until somebody removes it.
"""

from __future__ import annotations

from struct import pack, unpack

from probee.kernel.links.device import answered, device_of, refusal
from probee.kernel.links.link import Link
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EBUSY, EEXIST, EINVAL, EOPNOTSUPP
from probee.kernel.syscalls.link import link_create, link_update
from probee.kernel.syscalls.netlink import GETLINK, SETLINK, Answer, attribute, attributes, device_index, nested, request
from probee.model.spec import AttachType, LinkSpec

UPDATE_IF_NOEXIST, SKB_MODE, DRV_MODE, HW_MODE, REPLACE = 1, 2, 4, 8, 16  # XDP_FLAGS_*
MODES = SKB_MODE | DRV_MODE | HW_MODE
_IFLA_XDP = 43
_FD, _ATTACHED, _FLAGS, _PROG_ID = 1, 2, 3, 4  # IFLA_XDP_*
_BY_MODE = {5: "drv", 6: "skb", 7: "hw"}  # IFLA_XDP_DRV_PROG_ID …
_NO_PROGRAM = -1


class XdpLink(Link):
    """One program on one device; `by_netlink` where the kernel has no XDP links, and closing asks netlink to detach."""

    def __init__(self, spec: LinkSpec, program: Program, device: int, flags: int) -> None:
        super().__init__(spec, program)
        self.device = device
        self.flags = flags
        self.by_netlink = False

    def replace(self, program: Program) -> None:
        """Let another program take the place of this one, without a packet that neither sees."""
        if self.by_netlink:
            answer = _set(self.device, program.fd, self.flags & MODES)
            errno, cause = answer.errno, answered(answer, _CAUSES)
        else:
            errno = -link_update(self.bpf_links[0].fd, program.fd)
            cause = _cause(errno)
        if errno:
            raise refusal(self.spec, errno, cause)
        self.program = program

    def close(self, *, until_s: float = float("inf")) -> None:
        super().close()
        if self.by_netlink:
            self.by_netlink = False
            _set(self.device, _NO_PROGRAM, self.flags & MODES)


def attach_xdp(spec: LinkSpec, program: Program) -> XdpLink:
    """Attach to a device; a program that netlink attached there before gives way, unless the flags forbid it.

    Parameters of the spec: {"device": name, "flags": XDP_FLAGS_*, 0 for the kernel's choice of mode}.
    """
    flags = int(str(spec.parameters.get("flags", 0)))
    link = XdpLink(spec, program, device_of(spec), flags)
    result = _create(link)
    if result == -EBUSY and not flags & UPDATE_IF_NOEXIST and not _set(link.device, _NO_PROGRAM, flags & MODES).errno:
        result = _create(link)
    if result >= 0:
        link.own_bpf_link(result)
    else:
        _attach_by_netlink(link, -result)
    link.targets = 1
    return link


def _create(link: XdpLink) -> int:
    return link_create(link.program.fd, link.device, AttachType.XDP, flags=link.flags & MODES)


def _attach_by_netlink(link: XdpLink, errno: int) -> None:
    """Attach without a link where the kernel knows none (-EINVAL), else raise why it refused the link.

    Linux before commit aa8d3a716b59 "bpf, xdp: Add bpf_link-based XDP attachment API" (in v5.9).
    """
    if errno != EINVAL:
        raise refusal(link.spec, errno, _cause(errno))
    answer = _set(link.device, link.program.fd, link.flags)
    if answer.errno:
        raise refusal(link.spec, answer.errno, answered(answer, _CAUSES))
    link.by_netlink = True


def detach_xdp(device: str, flags: int = 0) -> None:
    """Remove whatever netlink attached to a device (in the mode that `flags` say); what a link holds stays (EBUSY).

    Nothing attached is no error.
    """
    spec = LinkSpec("xdp", "", f"xdp:{device}", {"device": device})
    answer = _set(device_of(spec), _NO_PROGRAM, flags)
    if answer.errno:
        raise refusal(spec, answer.errno, answered(answer, _CAUSES), verb="detach")


def attached_xdp(device: str) -> dict[str, int]:
    """Return the ids of the programs on a device by mode: "drv", "skb" (generic), "hw"; {} when there is none."""
    answer = request(GETLINK, pack("=BxHiII", 0, 0, device_index(device), 0, 0))
    if answer.errno or not answer.messages:
        return {}
    found = attributes(attributes(answer.messages[0][16:]).get(_IFLA_XDP, b""))
    return {mode: int(unpack("=I", found[type])[0]) for type, mode in _BY_MODE.items() if type in found}


def _set(device: int, fd: int, flags: int) -> Answer:
    """Attach a program by netlink, or with fd -1 detach what there is."""
    parts = [attribute(_FD, pack("=i", fd))]
    if flags:
        parts.append(attribute(_FLAGS, pack("=I", flags)))
    return request(SETLINK, pack("=BxHiII", 0, 0, device, 0, 0) + nested(_IFLA_XDP, *parts))


def _cause(errno: int) -> str:
    import os

    return _CAUSES.get(errno) or os.strerror(errno)


_CAUSES = {
    EBUSY: "the device has an XDP program already; `ip link` shows it, `ip link set DEVICE xdp off` removes it",
    EEXIST: "the device has an XDP program in another mode already: a driver's and the generic one exclude each other",
    EINVAL: "the device or its driver does not take the program; try generic mode",
    EOPNOTSUPP: "the device's driver has no XDP in this mode; try generic mode",
}
