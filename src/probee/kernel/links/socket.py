"""Socket filters: a packet socket on a network device that receives what its program lets pass.

Mirrors packet(7) and SO_ATTACH_BPF of socket(7).  The program returns how many bytes of a packet to keep, 0 to drop it: from
this socket, not from the network.  Closing the socket is detaching.
"""

from __future__ import annotations

import os
from struct import pack

from probee.kernel.links.device import device_of, refusal
from probee.kernel.links.link import Link
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EINVAL
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_SO_ATTACH_BPF = 50
_ALL_PROTOCOLS = 3  # ETH_P_ALL


class SocketLink(Link):
    """A filtered packet socket."""

    @property
    def fd(self) -> int:
        """The socket's descriptor, non-blocking: readable when a packet has passed the filter."""
        return self.descriptors[0].fd


def attach_socket(spec: LinkSpec, program: Program) -> SocketLink:
    """Open a packet socket on the spec's "device" ("" for all) with the program as its filter."""
    from _socket import AF_PACKET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, htons, socket

    device = str(spec.parameters.get("device", ""))
    if device:
        device_of(spec)
    link = SocketLink(spec, program)
    try:
        made = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0 if device else htons(_ALL_PROTOCOLS))
        _filter(link, made, device)
    except OSError as error:
        link.close()
        raise refusal(spec, error.errno or 0, _cause(error)) from None
    link.targets = 1
    return link


def _filter(link: SocketLink, made: socket, device: str) -> None:
    """First the filter, then the device and the protocols: nothing arrives unfiltered."""
    from _socket import SOL_SOCKET

    try:
        made.setsockopt(SOL_SOCKET, _SO_ATTACH_BPF, pack("=i", link.program.fd))
        if device:
            made.bind((device, _ALL_PROTOCOLS))
        else:
            _drain(made)
    finally:
        link.own(made.detach(), "packet socket")


def _drain(made: socket) -> None:
    """Throw away what arrived before the filter: a socket for all devices cannot be made without its protocols."""
    while True:
        try:
            made.recv(1)
        except BlockingIOError:
            return


def _cause(error: OSError) -> str:
    if error.errno == EINVAL:
        return "the program is no socket filter"
    return os.strerror(error.errno or 0)
