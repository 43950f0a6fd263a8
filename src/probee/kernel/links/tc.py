"""tc: programs that see packets on their way into or out of a network device, after and before the rest of the kernel.

By BPF link (tcx) since Linux 6.6 (commit e420bed02507 "bpf: Add fd-based tcx multi-prog infra with link support").  Before that
through routing netlink, as a direct-action filter of a clsact queueing discipline: such a filter stays when its process dies,
so its name says whose it is, and who attaches next to the device removes those of processes that are gone.
"""

from __future__ import annotations

import os
from struct import pack, unpack_from

from probee.kernel.links.device import answered, device_of, refusal
from probee.kernel.links.link import Link
from probee.kernel.programs.program import Program
from probee.kernel.syscalls import netlink
from probee.kernel.syscalls.bpf import EEXIST, EINVAL, ENOENT, EOPNOTSUPP
from probee.kernel.syscalls.link import link_create
from probee.kernel.syscalls.netlink import Answer, attribute, attributes, nested
from probee.model.spec import AttachType, LinkSpec

_TCX = {"ingress": AttachType.TCX_INGRESS, "egress": AttachType.TCX_EGRESS}
_PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}  # TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or _EGRESS)
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_ALL_PROTOCOLS = 0x0300  # ETH_P_ALL, in network order
_KIND, _OPTIONS = 1, 2  # TCA_*
_FD, _NAME, _FLAGS = 6, 7, 8  # TCA_BPF_*
_DIRECT_ACTION = 1  # TCA_BPF_FLAG_ACT_DIRECT
_TAG = "probee"


class FilterLink(Link):
    """A filter of clsact: closing removes it, and the queueing discipline if it was made for it and has no other filter."""

    def __init__(self, spec: LinkSpec, program: Program, device: int, direction: str) -> None:
        super().__init__(spec, program)
        self.device = device
        self.direction = direction
        self.place: tuple[int, int] | None = None  # the filter's handle, and its priority and protocol
        self.made_clsact = False

    def close(self, *, until_s: float = float("inf")) -> None:
        place, self.place = self.place, None
        if place is not None:
            _delete(self.device, _PARENTS[self.direction], *place)
        if self.made_clsact and not any(_filters(self.device, parent) for parent in _PARENTS.values()):
            netlink.request(netlink.DELQDISC, _message(self.device, _CLSACT_HANDLE, _CLSACT) + attribute(_KIND, b"clsact\0"))
        self.made_clsact = False
        super().close()


def attach_tc(spec: LinkSpec, program: Program) -> Link:
    """Attach to the spec's "device" in its "direction", behind programs that are there already.

    The program's result: TC_ACT_OK 0, TC_ACT_SHOT 2 …; -1 goes on to the next program.
    """
    device, direction = device_of(spec), str(spec.parameters.get("direction", "ingress"))
    result = link_create(program.fd, device, _TCX[direction], bytes(16))
    if result == -EINVAL:
        return _attach_filter(spec, program, device, direction)
    if result < 0:
        raise refusal(spec, -result, os.strerror(-result))
    link = Link(spec, program)
    link.own_bpf_link(result)
    link.targets = 1
    return link


# -- clsact


def _attach_filter(spec: LinkSpec, program: Program, device: int, direction: str) -> FilterLink:
    """Linux before commit e420bed02507 "bpf: Add fd-based tcx multi-prog infra with link support" (in v6.6)."""
    remove_orphans(device)
    link = FilterLink(spec, program, device, direction)
    answer = netlink.request(
        netlink.NEWQDISC, _message(device, _CLSACT_HANDLE, _CLSACT) + attribute(_KIND, b"clsact\0"),
        flags=netlink.CREATE | netlink.EXCL,
    )  # fmt: skip
    link.made_clsact = not answer.errno
    if answer.errno not in (0, EEXIST):
        raise refusal(spec, answer.errno, answered(answer, _CAUSES))
    name = _own_name(program.name)
    options = nested(
        _OPTIONS, attribute(_FD, pack("=I", program.fd)), attribute(_NAME, name.encode() + b"\0"),
        attribute(_FLAGS, pack("=I", _DIRECT_ACTION)),
    )  # fmt: skip
    answer = netlink.request(
        netlink.NEWTFILTER, _message(device, 0, _PARENTS[direction], _ALL_PROTOCOLS) + attribute(_KIND, b"bpf\0") + options,
        flags=netlink.CREATE | netlink.EXCL,
    )  # fmt: skip
    if answer.errno:
        link.close()
        raise refusal(spec, answer.errno, answered(answer, _CAUSES))
    link.place = next((place for place, found in _filters(device, _PARENTS[direction]) if found == name), None)
    link.targets = 1
    return link


def _message(device: int, handle: int, parent: int, info: int = 0) -> bytes:
    """Return a struct tcmsg."""
    return pack("=BxxxiIII", 0, device, handle, parent, info)


def _filters(device: int, parent: int) -> list[tuple[tuple[int, int], str]]:
    """Return ((handle, priority and protocol), name) of each BPF filter; [] where there is no clsact."""
    found = []
    for message in netlink.dump(netlink.GETTFILTER, _message(device, 0, parent)).messages:
        handle, info = unpack_from("=I4xI", message, 8)
        fields = attributes(message[20:])
        name = attributes(fields.get(_OPTIONS, b"")).get(_NAME)
        if handle and name is not None:
            found.append(((handle, info), name.partition(b"\0")[0].decode(errors="replace")))
    return found


def _delete(device: int, parent: int, handle: int, info: int) -> Answer:
    return netlink.request(netlink.DELTFILTER, _message(device, handle, parent, info) + attribute(_KIND, b"bpf\0"))


# -- whose a filter is


def _own_name(program: str) -> str:
    """Return a name that no other process has now or had before: pids come again, start times do not."""
    pid = os.getpid()
    return f"{_TAG}:{pid}:{_start_time(pid)}:{os.urandom(4).hex()}:{program}"


def _start_time(pid: int) -> str:
    """Return when a process began, as /proc/PID/stat counts; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def remove_orphans(device: int) -> int:
    """Remove our filters of processes that are gone; return how many there were."""
    removed = 0
    for parent in _PARENTS.values():
        for place, name in _filters(device, parent):
            tag, _, rest = name.partition(":")
            pid, _, start = rest.partition(":")
            if tag == _TAG and pid.isdigit() and _start_time(int(pid)) != start.partition(":")[0]:
                removed += not _delete(device, parent, *place).errno
    return removed


_CAUSES = {
    ENOENT: "this kernel has no clsact queueing discipline (CONFIG_NET_SCH_INGRESS) or no BPF filters (CONFIG_NET_CLS_BPF)",
    EOPNOTSUPP: "this kernel has no clsact queueing discipline (CONFIG_NET_SCH_INGRESS) or no BPF filters (CONFIG_NET_CLS_BPF)",
    EINVAL: "the device takes no such filter, or the program is no SCHED_CLS program",
}
