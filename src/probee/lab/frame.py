"""Frames: what host and guest say to each other over the virtio port, and clients to a server over its socket.

A frame is job (u32), kind (one byte), length (u32), payload; big-endian.  Job 0 is the guest itself.  Payloads with
several parts are fields, each with its length in front.  This module also runs inside the guest, so it imports nothing.
"""

from __future__ import annotations

HEAD_BYTES = 9
MAX_PAYLOAD = 1 << 28

# Towards the guest.
RUN = b"R"  # fields b"key=value": arg (each word), env, cwd, timeout, tty (rows columns), fresh, stdin, sync
INPUT = b"I"  # bytes for its standard input; none: end of file
SIGNAL = b"S"  # text: number, then "group" or "leader"
WINDOW = b"W"  # text: rows columns
UPDATE = b"U"  # fields: path, mode (octal; 0: gone), modification time in ns, content; job 0
# From the guest.
BOOTED = b"B"  # job 0: process 1 takes commands
STARTED = b"P"  # text: its process id in the guest
OUTPUT = b"O"
ERROR = b"E"
EXITED = b"X"  # text: status, "late" or "-", seconds
KEYS = b"K"  # text: keys to press; also from a client to a server, answered by INFO or DIED
# Between a server and its client.
DIED = b"D"  # text: why, and the console's last lines
INFO = b"F"  # a client asks with it; the answer has fields b"key=value"
REBOOT = b"Z"  # text: why; the guest is killed, and booted again for the next command
STOP = b"T"  # stop serving; answered by INFO


def pack(job: int, kind: bytes, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return job.to_bytes(4, "big") + kind + len(payload).to_bytes(4, "big") + payload


def pack_fields(fields: list[bytes]) -> bytes:
    """Return the payload that unpack_fields takes apart."""
    return b"".join([len(field).to_bytes(4, "big") + field for field in fields])


def unpack_fields(payload: bytes) -> list[bytes]:
    """Return the fields of a payload; ValueError when it is cut short."""
    fields = []
    at = 0
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        if at + 4 > len(payload) or end > len(payload):
            raise ValueError("a field is cut short")
        fields.append(payload[at + 4 : end])
        at = end
    return fields


class Decoder:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes, bytes]]:
        """Return the (job, kind, payload) that are whole now; ValueError when the peer cannot be one of ours."""
        self._buffer += data
        frames = []
        at = 0
        while len(self._buffer) - at >= HEAD_BYTES:
            size = int.from_bytes(self._buffer[at + 5 : at + 9], "big")
            if size > MAX_PAYLOAD:
                raise ValueError(f"a frame of {size} bytes")
            end = at + HEAD_BYTES + size
            if len(self._buffer) < end:
                break
            job = int.from_bytes(self._buffer[at : at + 4], "big")
            frames.append((job, bytes(self._buffer[at + 4 : at + 5]), bytes(self._buffer[at + HEAD_BYTES : end])))
            at = end
        del self._buffer[:at]
        return frames
