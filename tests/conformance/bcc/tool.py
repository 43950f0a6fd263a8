"""What a forked child does that is one of upstream's tools: it passes when it attached something and ended in order.

A tool runs on a terminal of its own, while things happen on the machine (stimulus.py).  Why one did not attach is what it
said itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import tempfile
from pathlib import Path
from typing import Any

from command import End, prepare, run_command
from stimulus import server, stimulus
from upstream import Case

TOOL_S = 10.0
KILL_S = 3.0
_TRACEBACK = "Traceback (most recent call last)"
_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")
_COMPLAINT = re.compile(r"\b(error|fail|failed|unable|cannot|can't|could not|not supported|please|unavailable|needs?)\b", re.I)
_STARTING = re.compile(r", in (attach_\w+|load_func|get_kprobe_functions|_trace_autoload)$", re.M)  # it was not ready
_WORDS = 300


def run_tool(case: Case, tests: Path, shared: Any, factor: float) -> dict[str, object]:
    """Run a tool; return its result."""
    os.chdir(tests.parents[1] / "tools")  # where some look for what belongs to them
    with contextlib.ExitStack() as around:
        if any("{server" in word for word in case.arguments):
            values = _values(around.enter_context(server(tests.parents[1])), tests.parents[1])
        else:
            values = _values(0, tests.parents[1])
        around.enter_context(stimulus(tests.parents[1]))
        prepare(shared)
        words = shlex.join([f"./{case.name}.py", *(word.format(**values) for word in case.arguments)])
        with _heard() as text:
            end = run_command(words, "INT", TOOL_S, KILL_S, shared, factor, terminal=True)
    why = verdict(end, shared[0], "".join(text))
    if why and not shared[1] and "BPF(" not in Path(f"{case.name}.py").read_text():
        why = f"it has no program of its own ({why})"
    return {"status": "failed" if why else "passed", "why": why}


def verdict(end: End, links: int, text: str) -> str:
    """Return why a tool did not load, attach and end in order; "" when it did."""
    if end.status and not end.asked:
        why = _ended(end.status)
    elif not links:
        why = "nothing attached"
    elif _raised(text):
        why = "raised"
    else:
        why = _disorder(end, text)
    said = reason(text)
    return f"{why}: {said}" if why and said else why


def _disorder(end: End, text: str) -> str:
    """Return what is wrong with the end of a tool that was asked to end; "" when it is what Python programs do."""
    if not end.asked:
        return ""
    asked = signal.Signals(end.asked).name
    if end.killed:
        return f"had to be killed, it did not end after {asked}"
    interrupted = end.status == 1 and _TRACEBACK in text and reason(text).startswith("KeyboardInterrupt")
    return "" if interrupted or end.status in (0, 128 + end.asked) else f"{_ended(end.status)} after {asked}"


def _ended(status: int) -> str:
    try:
        return f"ended by {signal.Signals(status - 128).name}"
    except ValueError:
        return f"exit status {status}"


def reason(text: str) -> str:
    """Return what a program said last of why it ends: its exception, its first complaint, or its last line."""
    lines = [line.strip() for line in _ESCAPE.sub("", text).splitlines()]
    if any(_TRACEBACK in line for line in lines):
        return _exception(_ESCAPE.sub("", text))
    lines = [line for line in lines if line]
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    return (complaints or lines[-1:] or [""])[0][:_WORDS]


def _exception(text: str) -> str:
    """Return the last exception of a text, which begins at the first line that is not indented."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()[1:]
    start = next((index for index, line in enumerate(lines) if line and not line[0].isspace()), None)
    return "" if start is None else " ".join(line.strip() for line in lines[start : start + 2] if line.strip())[:_WORDS]


def _raised(text: str) -> bool:
    """Tell whether a program showed an exception, in a callback or a thread, that is not the end it was asked for."""
    ends = ("KeyboardInterrupt", "SystemExit")  # some tools print the one that they end with
    parts = text.split(_TRACEBACK)[1:]
    return any(_STARTING.search(part) or not _exception(_TRACEBACK + part).startswith(ends) for part in parts)


def _values(process: int, directory: Path) -> dict[str, object]:
    disks = [name for name in sorted(os.listdir("/sys/block")) if not name.startswith(("loop", "ram"))]
    return {
        "pid": os.getpid(),
        "disk": f"/dev/{(disks or sorted(os.listdir('/sys/block')) or ['sda'])[0]}",
        "libc": _mapped("libc.so"),
        "server": str(directory / "mysqld"),
        "server_pid": process,
    }


def _mapped(name: str) -> str:
    """Return a library that this process has mapped."""
    with open("/proc/self/maps", encoding="utf-8") as file:
        return next((line.split()[-1] for line in file if f"/{name}" in line), "")


@contextlib.contextmanager
def _heard() -> Any:
    """Write what is printed here into a list, too, when the block ends."""
    text: list[str] = []
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield text
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            data = file.read()
            text.append(data.decode("utf-8", "backslashreplace"))
            os.write(1, data[-100_000:])
