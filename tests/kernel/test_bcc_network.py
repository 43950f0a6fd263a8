"""XDP and raw sockets through bcc's face, on the loopback device of a network namespace that the test makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).resolve().parents[2]

# Brings lo up, and sends datagrams to itself.
BEFORE = """
import fcntl, os, socket, struct
from probee.bcc import BPF

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(sender, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 5000))
receiver.settimeout(0.2)

def arrives():
    sender.sendto(b"hello", ("127.0.0.1", 5000))
    try:
        return receiver.recv(100) == b"hello"
    except TimeoutError:
        return False

def refused(call, *words):
    try:
        call(*words)
    except Exception as error:
        return str(error).splitlines()[0]
"""
XDP = """
b = BPF(text='''
BPF_ARRAY(seen, u64, 1);
int drop(struct xdp_md *ctx) { int k = 0; seen.increment(k); return XDP_DROP; }
int pass(struct xdp_md *ctx) { return XDP_PASS; }
''')
drop, through = b.load_func("drop", BPF.XDP), b.load_func("pass", BPF.XDP)
assert arrives()
b.attach_xdp("lo", drop, BPF.XDP_FLAGS_SKB_MODE)
assert not arrives()
assert b["seen"][0].value == 1
b.attach_xdp("lo", through, BPF.XDP_FLAGS_SKB_MODE)
assert arrives()
b.remove_xdp("lo", BPF.XDP_FLAGS_SKB_MODE)
b.attach_xdp("lo", drop, 0)
assert not arrives()
b.remove_xdp("lo")
assert arrives()
b.remove_xdp("lo")
print(refused(b.attach_xdp, "none", drop))
print(refused(b.attach_xdp, "lo", "drop"))
b.attach_xdp("lo", drop)
b.cleanup()
assert arrives()
"""
SOCKET = """
b = BPF(text="int only_long(struct __sk_buff *skb) { return skb->len > 100 ? -1 : 0; }")
function = b.load_func("only_long", BPF.SOCKET_FILTER)
b.attach_raw_socket(function, "lo")
taken = socket.fromfd(function.sock, socket.PF_PACKET, socket.SOCK_RAW)
taken.setblocking(False)
assert arrives()
assert refused(taken.recv, 10).startswith("[Errno 11]")
sender.sendto(bytes(200), ("127.0.0.1", 5000))
assert len(taken.recv(1000)) == 14 + 28 + 200
print(refused(b.attach_raw_socket, function, "none"))
"""

OFFLOADED = """
TEXT = "int drop(struct xdp_md *ctx) { return XDP_DROP; }"
print(refused(lambda: BPF(text="BPF_ARRAY(seen, u64, 2);" + TEXT, device="lo")))
print(refused(BPF(text=TEXT).load_func, "drop", BPF.XDP, "lo"))
print(refused(BPF(text=TEXT).load_func, "drop", BPF.XDP, "none"))
both_halves = BPF(text="BPF_PERF_OUTPUT(events);" + TEXT, device="lo")  # a map that stays the host's
assert both_halves.load_func("drop", BPF.XDP).fd > 0
"""


def in_own_namespace(text: str) -> str:
    """Run a program in a network namespace of its own; return what it printed."""
    words = ["unshare", "--net", sys.executable, "-c", BEFORE + text]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("no network namespace can be made here")
    assert not done.returncode, done.stderr
    return done.stdout


def test_xdp_drops_and_passes_until_it_is_removed() -> None:
    assert in_own_namespace(XDP).splitlines() == [
        "Failed to attach BPF to device b'none': No such device",
        "arg 1 must be of type BPF.Function",
    ]


def test_a_raw_socket_receives_what_its_filter_lets_pass() -> None:
    assert in_own_namespace(SOCKET).splitlines() == ["Failed to open raw device b'none': No such device"]


def test_a_device_that_does_not_run_bpf_itself_refuses_maps_and_programs() -> None:
    advice = "its driver must run BPF itself, as SmartNICs' do; without `device` it runs in the kernel"
    assert in_own_namespace(OFFLOADED).splitlines() == [
        f"the network device lo does not take the maps (Operation not supported): {advice}",
        f"Failed to load BPF program b'drop': the network device lo does not take it (Operation not supported): {advice}",
        "there is no network device none here to offload to",
    ]
