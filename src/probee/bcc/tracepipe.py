"""The trace pipe: lines that bpf_trace_printk writes, raw or taken apart."""

from __future__ import annotations

import os
import sys

from probee.bcc.core import Core
from probee.kernel.syscalls.bpf import EBUSY, ENOENT
from probee.kernel.syscalls.tracefs import tracefs_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    Fields = tuple[Any, Any, Any, Any, Any, Any]


class TracePipe(Core):
    """The part of BPF that reads the trace pipe; one line goes to one reader only."""

    def trace_open(self, nonblocking: bool = False) -> IO[bytes]:
        """Open the pipe, if it is not open."""
        if not self.tracefile:
            from probee.bcc.listing import TRACEFS

            self.tracefile = _open_pipe(f"{tracefs_root() or TRACEFS}/trace_pipe")  # cleanup() closes it
            if nonblocking:
                os.set_blocking(self.tracefile.fileno(), False)
        opened: IO[bytes] = self.tracefile
        return opened

    def trace_readline(self, nonblocking: bool = False) -> bytes | None:
        """Return a line; None or b"" when there is none and `nonblocking`."""
        pipe = self.trace_open(nonblocking)
        try:
            line = pipe.readline(1024)
        except OSError:
            return None
        return line.rstrip() if line else line

    def trace_fields(self, nonblocking: bool = False) -> Fields:
        """Return (task, pid, cpu, flags, seconds, message) of a line; six times None when there is none and `nonblocking`."""
        while True:
            line = self.trace_readline(nonblocking)
            if not line:
                if nonblocking:
                    return (None,) * 6
                continue
            fields = parse_line(line)
            if fields is not None:
                return fields

    def trace_print(self, fmt: str | None = None) -> None:
        """Print lines for ever; `fmt` is filled with trace_fields()."""
        while True:
            if fmt:
                line: Any = fmt.format(*self.trace_fields())
            else:
                line = self.trace_readline()
            print(line)
            sys.stdout.flush()


def _open_pipe(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        if error.errno in _CAUSES:
            raise OSError(error.errno, f"{error.strerror}, {_CAUSES[error.errno]}", path) from None
        raise


_CAUSES = {
    EBUSY: "another program reads what bpf_trace_printk writes; BPF_PERF_OUTPUT and BPF_RINGBUF_OUTPUT are each program's own",
    ENOENT: "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing",
}


def parse_line(line: bytes) -> Fields | None:
    """Take a line of the trace pipe apart: `           <task>-<pid>   [<cpu>] <flags> <seconds>: <where>: <message>`.

    None for lines that tell of lost events, and others without those parts.  kernel/trace/trace_output.c.
    """
    if line.startswith(b"CPU:"):
        return None
    task, rest = line[:16].lstrip(), line[17:]
    head, colon, tail = rest.partition(b":")
    words = head.split()
    if not colon or len(words) != 4:
        return None
    message = tail[tail.find(b":") + 2 :]
    try:
        return task, int(words[0]), int(words[1][1:-1]), words[2], float(words[3]), message
    except ValueError:
        return "Unknown", 0, 0, "Unknown", 0.0, "Unknown"
