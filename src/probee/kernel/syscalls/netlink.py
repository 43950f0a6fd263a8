"""Routing netlink: requests about network devices and what is attached to them, and the kernel's answers.

Mirrors struct nlmsghdr, nlattr and nlmsgerr of include/uapi/linux/netlink.h: messages of a header, a fixed part and attributes,
each padded to 4 bytes.  What the fixed parts and attributes mean is known to who asks (kernel/links).
"""

from __future__ import annotations

import os
from struct import pack, unpack_from

from probee.kernel.syscalls.fd import Descriptor

NEWLINK, GETLINK, SETLINK = 16, 18, 19  # RTM_*
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWTFILTER, DELTFILTER, GETTFILTER = 44, 45, 46
CREATE, EXCL = 0x400, 0x200  # NLM_F_*

_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3  # NLMSG_*
_AF_NETLINK, _ROUTE = 16, 0
_SOL_NETLINK, _EXT_ACK = 270, 11  # Linux 4.12 (commit 2d4bc93368f5 "netlink: extended ACK reporting")
_CAPPED, _ACK_TLVS = 0x100, 0x200  # NLM_F_CAPPED, NLM_F_ACK_TLVS
_MESSAGE = 1  # NLMSGERR_ATTR_MSG
_NESTED = 1 << 15
_LARGEST = 1 << 17  # of one reading; the kernel fills 32 KB at most


class Answer:
    """What the kernel said: `errno` (0: done) with its own words if it has any, and its messages without their headers."""

    __slots__ = ("errno", "messages", "text")

    def __init__(self) -> None:
        self.errno = 0
        self.text = ""
        self.messages: list[bytes] = []


def request(type: int, body: bytes, *, flags: int = 0) -> Answer:
    """Make one request and wait for its end."""
    return _ask(type, body, flags | _REQUEST | _ACK)


def dump(type: int, body: bytes) -> Answer:
    """Ask for all there is of something."""
    return _ask(type, body, _REQUEST | _DUMP)


def _ask(type: int, body: bytes, flags: int) -> Answer:
    with _open() as socket:
        os.write(socket.fd, pack("=IHHII", 16 + len(body), type, flags, 1, 0) + body)
        answer = Answer()
        while not _read(os.read(socket.fd, _LARGEST), answer):
            pass
        return answer


def _open() -> Descriptor:
    from _socket import SOCK_CLOEXEC, SOCK_RAW, socket  # of `socket` the C half, which imports in a twentieth of the time

    made = socket(_AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _ROUTE)
    made.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
    return Descriptor(made.detach(), "netlink socket")


def _read(data: bytes, answer: Answer) -> bool:
    """Take the messages of one reading; True after the last."""
    at = 0
    while at + 16 <= len(data):
        length, type, flags = unpack_from("=IHH", data, at)
        body = data[at + 16 : at + length]
        if type in (_ERROR, _DONE):
            answer.errno = -unpack_from("=i", body)[0] if len(body) >= 4 else 0
            answer.text = _words(body, flags, head=16 if type == _ERROR else 0)
            return True
        answer.messages.append(body)
        at += length + 3 & ~3
    return False


def _words(body: bytes, flags: int, *, head: int) -> str:
    """Return what the kernel says besides the number; after an error comes the request, all of it or only its header."""
    if not flags & _ACK_TLVS:
        return ""
    request = head if flags & _CAPPED or not head else unpack_from("=I", body, 4)[0]
    text = attributes(body[4 + (request + 3 & ~3) :]).get(_MESSAGE, b"")
    return text.partition(b"\0")[0].decode(errors="replace")


# -- attributes


def attribute(type: int, payload: bytes) -> bytes:
    """Return an attribute, padded."""
    length = 4 + len(payload)
    return pack("=HH", length, type) + payload + bytes(-length & 3)


def nested(type: int, *parts: bytes) -> bytes:
    """Return an attribute of attributes."""
    return attribute(type | _NESTED, b"".join(parts))


def attributes(data: bytes) -> dict[int, bytes]:
    """Return attributes by type; of several of one type the last."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, type = unpack_from("=HH", data, at)
        if length < 4:
            break
        found[type & 0x3FFF] = data[at + 4 : at + length]
        at += length + 3 & ~3
    return found


# -- devices


def device_index(name: str) -> int:
    """Return a network device's number in this network namespace, 0 if there is none of that name."""
    from _socket import if_nametoindex

    try:
        return if_nametoindex(name)
    except OSError:
        return 0


def device_names() -> list[str]:
    """Return the network devices of this network namespace."""
    from _socket import if_nameindex

    return [name for _, name in if_nameindex()]
