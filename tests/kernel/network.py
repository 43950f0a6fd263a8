"""A network of two devices in a namespace of its own, and frames to send through it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

CLONE_NEWNET = 0x40000000
NEAR, FAR = "probee0", "probee1"
DROPPED, PASSED = 0x88B5, 0x88B6  # the two EtherTypes for local experiments, IEEE 802

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts, into a new network namespace with a veth pair whose ends are NEAR and FAR."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here to make a veth pair with (Debian: iproute2)")
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(CLONE_NEWNET):
            pytest.skip(f"no network namespace of one's own here: {os.strerror(ctypes.get_errno())}")
        try:
            ip(f"link add {NEAR} type veth peer name {FAR}")
            for device in ("lo", NEAR, FAR):
                quiet(device)
                ip(f"link set {device} up")
            yield
        finally:
            assert _libc.setns(outside, CLONE_NEWNET) == 0
    finally:
        os.close(outside)


def ip(arguments: str) -> str:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def quiet(device: str) -> None:
    """Let the kernel send nothing by itself: no neighbour discovery."""
    path = f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6"
    if os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write("1")


def send(kind: int, count: int, *, device: str = FAR) -> None:
    """Send frames of an EtherType from a device; on the other end of the pair they arrive."""
    frame = b"\xff" * 6 + b"\x02\0\0\0\0\1" + kind.to_bytes(2, "big") + bytes(50)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((device, 0))
        for _ in range(count):
            with suppress(OSError):  # ENOBUFS: a program dropped it on its way out
                sender.send(frame)


@contextmanager
def receiver(device: str = NEAR) -> Iterator[socket.socket]:
    """A packet socket that gets every frame that arrives at a device."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as made:
        made.bind((device, 3))
        yield made


def received(packets: socket.socket, kind: int) -> int:
    """Return how many frames of an EtherType are waiting."""
    count = 0
    while True:
        try:
            frame = packets.recv(2048)
        except BlockingIOError:
            return count
        count += frame[12:14] == kind.to_bytes(2, "big")


def in_process(text: str) -> subprocess.Popen[str]:
    """Run Python in a process of its own (in this network namespace) until it has said "attached"."""
    here = os.path.dirname(__file__)
    child = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n{text}\nprint('attached', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "attached\n"
    return child
