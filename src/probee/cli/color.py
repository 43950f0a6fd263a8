"""Colours of messages on a terminal: errors red, warnings yellow, as bpftrace has them.

BPFTRACE_COLOR is auto (the default: only when both standard output and standard error are terminals), always or never.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

RED, YELLOW, RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def wanted() -> bool:
    """Return whether messages are coloured."""
    mode = os.environ.get("BPFTRACE_COLOR", "auto")
    return mode == "always" or (mode != "never" and sys.stdout.isatty() and sys.stderr.isatty())


def complaint() -> str:
    """Return what to say of a BPFTRACE_COLOR that means nothing, "" when it does."""
    mode = os.environ.get("BPFTRACE_COLOR", "auto")
    if mode in ("auto", "always", "never"):
        return ""
    return f"BPFTRACE_COLOR is auto, always or never; it is set to {mode}, which is taken for auto"


def colored(text: str) -> str:
    """Return a report with its messages coloured: lines that say ERROR or WARNING, not the source below them."""
    return "\n".join([_line(line) for line in text.split("\n")])


class ColoredStream:
    """A binary stream for messages that colours what is written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        text = colored(data.decode("utf-8", "surrogateescape"))
        return self._stream.write(text.encode("utf-8", "surrogateescape"))

    def flush(self) -> None:
        self._stream.flush()


def _line(line: str) -> str:
    for word, color in (("ERROR: ", RED), ("WARNING: ", YELLOW)):
        before, found, _ = line.partition(word)
        if found and (not before or before.endswith(": ")):
            return f"{color}{line}{RESET}"
    return line
