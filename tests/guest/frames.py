"""Run in a guest: send frames from a device, or receive and count those that arrive at one.

    frames.py send DEVICE udp=200 icmp=100 other=50     (IPv4 by protocol; `other` is no IP)
    frames.py count DEVICE     prints "ready", and when standard input ends, name=number of what has arrived
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
OTHER = 0x88B5  # the EtherType for local experiments


def frame(kind: str) -> bytes:
    head = b"\xff" * 6 + b"\x02\0\0\0\0\1"
    if kind == "other":
        return head + struct.pack("!H", OTHER) + bytes(46)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, PROTOCOLS[kind], 0, bytes((198, 18, 7, 2)), bytes((198, 18, 7, 1)))
    return head + struct.pack("!H", 0x0800) + ip + bytes(20)


def kind_of(data: bytes) -> str:
    (type,) = struct.unpack_from("!H", data, 12)
    if type == OTHER:
        return "other"
    return next((name for name, number in PROTOCOLS.items() if type == 0x0800 and data[23] == number), "")


def send(device: str, counts: dict[str, int]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((device, 0))
        for kind, count in counts.items():
            data = frame(kind)
            for number in range(count):
                if number % 16 == 0:
                    time.sleep(0.02)  # a veth in its driver's mode has room for 256 frames and drops what is more
                sender.send(data)


def count(device: str) -> None:
    found = dict.fromkeys((*PROTOCOLS, "other"), 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as receiver:
        receiver.bind((device, 3))
        receiver.settimeout(0.2)
        print("ready", flush=True)
        while True:
            try:
                kind = kind_of(receiver.recv(2048))
            except TimeoutError:
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
                continue
            if kind:
                found[kind] += 1
    print(" ".join(f"{kind}={number}" for kind, number in found.items()), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], {name: int(number) for name, number in (word.split("=") for word in sys.argv[3:])})
    else:
        count(sys.argv[2])
