"""How this process is called, for tools that look for it by name (pidof, pgrep, ps) and scripts that compare `comm`.

A script's interpreter is what the kernel sees.  The kernel keeps two names: comm (/proc/PID/comm, 15 characters), and the
words between arg_start and arg_end of /proc/PID/stat, which lie in our own memory: written through /proc/self/mem, as
setproctitle(3) of the BSDs does on Linux.  What cannot be written stays as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ARG_START = 47  # of the fields of /proc/PID/stat, counted from 0; proc(5) counts from 1


def set_title(name: str, words: Sequence[str]) -> None:
    """Call this process `name`, started with `words`."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name[:15])
        _write_arguments([name, *words])
    except (OSError, ValueError):
        return


def _write_arguments(words: Sequence[str]) -> None:
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    start, end = (int(field) for field in fields[_ARG_START - 2 : _ARG_START])  # two fields are before the parenthesis
    text = b"\0".join(word.encode("utf-8", "surrogateescape") for word in words) + b"\0"
    size = end - start
    if len(text) > size:  # the last byte must be zero: else the kernel reads on
        text = text[: size - 1] + b"\0"
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(text.ljust(size, b"\0"))
