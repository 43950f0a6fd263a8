"""`probee demo`: the three example scripts on a live kernel, with something for each to see.

Where this kernel has kprobes and this user may trace, it runs here; otherwise in a lab guest.  A *stage* is either of the
two, with the same four verbs: start a command, run one, press keys, close.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KERNEL = "6.12"
READY_S = 60.0

# one veth pair, its far end in a namespace of its own; a packet across makes either side ask and answer
NETWORK = """
set -e
modprobe veth 2>/dev/null || true
ip netns add probee-demo
ip link add probee0 type veth peer name probee1 netns probee-demo
ip addr add 198.18.0.1/30 dev probee0
ip link set probee0 up
ip -n probee-demo addr add 198.18.0.2/30 dev probee1
ip -n probee-demo link set probee1 up
"""
TALK = "bash -c 'echo hello >/dev/udp/198.18.0.2/9'"
UNDO_NETWORK = "ip link del probee0 2>/dev/null; ip netns del probee-demo 2>/dev/null; true"
MKDIR = "mkdir -m 750 /tmp/probee-demo; mkdir /tmp/probee-demo 2>/dev/null; rmdir /tmp/probee-demo"
OPEN = "cat /etc/hostname /etc/no-such-file >/dev/null 2>&1; head -c1 /etc/passwd >/dev/null"
KEYS = "p @0.1 r @0.1 o @0.1 b @0.1 e @0.1 e @0.1 spc @0.1 e @0.1 ret"


USAGE = """\
USAGE: probee demo [--here | --lab] [KERNEL]    trace a live kernel with the three example scripts: this one if that can be
                                                done, else one in a lab guest (6.12, or the version that KERNEL says)
"""


def main(argv: list[str]) -> int:
    """Run the demo; `--here` and `--lab` decide where, and a kernel's version chooses the guest's."""
    if "-h" in argv or "--help" in argv:
        sys.stdout.write(USAGE)
        return 0
    kernel = next((word for word in argv if not word.startswith("-")), KERNEL)
    unknown = [word for word in argv if word.startswith("-") and word not in ("--here", "--lab")]
    if unknown:
        from probee.errors import UsageError

        raise UsageError(f"probee demo takes --here or --lab, and a kernel's version, not {unknown[0]}")
    why = "" if "--here" in argv else "as you asked" if "--lab" in argv else _why_not_here()
    stage: Any
    if why:
        _say(f"{why}: tracing Linux {kernel} in the lab instead")
        stage = _lab(kernel)
    else:
        _say("tracing this kernel, as you asked" if "--here" in argv else "this kernel has kprobes: tracing it")
        stage = Here()
    try:
        _opensnoop(stage)
        _key_pressed(stage)
        _others(stage)
    finally:
        stage.close()
    return 0


def _why_not_here() -> str:
    """Return why kprobes cannot be used here, "" when they can."""
    if os.geteuid() != 0:
        return "not root"
    from probee.errors import KernelError
    from probee.kernel.features.feature import has

    try:
        return "" if has("kprobe") else f"this kernel ({os.uname().release}) has no kprobes"
    except KernelError as error:
        return str(error).splitlines()[0]


def _say(text: str) -> None:
    sys.stdout.write(f"\n\x1b[1m# {text}\x1b[0m\n" if sys.stdout.isatty() else f"\n# {text}\n")
    sys.stdout.flush()


def _lab(kernel: str) -> Any:
    """Boot a guest, showing what is going on."""
    from probee.cli.lab import main as lab
    from probee.errors import LabError
    from probee.lab import Guest

    if lab(["setup"]):
        raise LabError("the lab could not be set up")
    guest = Guest(kernel, report=_say)
    guest.host()
    _say(f"Linux {guest.version} is up after {guest.boot_s:.1f} s")
    return guest


def _examples() -> str:
    """Return the directory of the example scripts: in the checkout, or beside the installed package."""
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (f"{here}/../../../examples/bpftrace", f"{here}/../_examples/bpftrace"):
        if os.path.isdir(path):
            return os.path.realpath(path)
    from probee.errors import UsageError

    raise UsageError("the example scripts are not installed; run this in a checkout of probee")


def _trace(stage: Any, script: str, stimulus: Callable[[], object], until: tuple[str, ...]) -> None:
    """Run a script, do something for it to see, wait until it was seen, end it with Ctrl-C, show what it printed."""
    path = f"{_examples()}/{script}"
    _say(f"probee {os.path.relpath(path)}")
    with stage.start([_interpreter(), "-m", "probee", path], timeout_s=READY_S * 3) as job:
        job.wait_for("Attached", timeout_s=READY_S)
        stimulus()
        for text in until:
            job.wait_for(text, timeout_s=READY_S)
        job.signal()
        result = job.wait(timeout_s=READY_S)
    sys.stdout.write(result.stdout.rstrip("\n") + "\n")
    sys.stdout.flush()


def _interpreter() -> str:
    """Return an interpreter that is no shell script (a version manager's shim costs a second in a guest)."""
    return sys.executable


def _opensnoop(stage: Any) -> None:
    _trace(stage, "opensnoop.bt", lambda: stage.run(OPEN), ("/etc/no-such-file", "/etc/passwd"))


def _key_pressed(stage: Any) -> None:
    _trace(stage, "key_pressed.bt", lambda: stage.keys(KEYS), ("ENTER",))


def _others(stage: Any) -> None:
    def stimulus() -> None:
        stage.run(MKDIR)
        stage.run(NETWORK).check()
        stage.run(TALK)

    try:
        _trace(stage, "others.bt", stimulus, ("probee-demo", "SRC:", "SRC:"))
    finally:
        stage.run(UNDO_NETWORK)


class Here:
    """This machine as a stage: commands are our children, keys come from a keyboard of our own making."""

    def start(self, command: list[str], *, timeout_s: float) -> HereJob:
        return HereJob(command)

    def run(self, command: str) -> HereJob:
        job = HereJob(["/bin/sh", "-c", command])
        job.wait(timeout_s=READY_S)
        return job

    def keys(self, text: str) -> None:
        from probee.cli.keyboard import Keyboard

        with Keyboard() as keyboard:
            keyboard.press(text)

    def close(self) -> None:
        pass


class HereJob:
    """A child process with the verbs of the lab's Job that the demo uses."""

    def __init__(self, command: list[str]) -> None:
        import subprocess
        import threading

        self._text = ""
        self._searched = 0
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> HereJob:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(1.0)  # a grandchild may hold the pipe
        if not self._reader.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._text += line
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, text: str, *, timeout_s: float) -> None:
        from probee.errors import UsageError

        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._text.find(text, self._searched) >= 0, timeout_s)
            if self._text.find(text, self._searched) < 0:
                when = "before the command ended" if self._ended else f"within {timeout_s:g} s"
                raise UsageError(f"{text!r} was not seen {when}; its output:\n{self._text}")
            self._searched = self._text.index(text, self._searched) + len(text)

    def signal(self) -> None:
        from signal import SIGINT

        self._process.send_signal(SIGINT)

    def wait(self, *, timeout_s: float) -> HereJob:
        self._process.wait(timeout_s)
        self._reader.join(timeout_s)
        return self

    def check(self) -> HereJob:
        from probee.errors import UsageError

        if self._process.returncode:
            raise UsageError(f"the demo's network could not be made:\n{self._text}")
        return self

    @property
    def stdout(self) -> str:
        return self._text
