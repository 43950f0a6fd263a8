"""Packet capture files, as libpcap writes them: a header, then packets, each behind a header of its own.

The classic format (draft-ietf-opsawg-pcap), version 2.4 with microseconds, in the machine's byte order.  The packets begin with
their IP header (LINKTYPE_RAW), which is what bpftrace's skboutput() declares its files to hold.
"""

from __future__ import annotations

from struct import pack

MAGIC = 0xA1B2C3D4  # times in microseconds
SNAPSHOT_BYTES = 65535
LINKTYPE_RAW = 101


def file_header() -> bytes:
    """Return what a file begins with."""
    return pack("=IHHiIII", MAGIC, 2, 4, 0, 0, SNAPSHOT_BYTES, LINKTYPE_RAW)


def packet(ns: int, data: bytes, length: int) -> bytes:
    """Return a packet's record: when it was seen, in nanoseconds since 1970, what there is of it, and how long it was."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return pack("=IIII", seconds & 0xFFFF_FFFF, rest // 1000, len(data), max(length, len(data))) + data
