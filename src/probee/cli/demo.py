"""`probee demo`: the example scripts and BCC programs on a live kernel, with something for each to see.

Where this kernel has kprobes and this user may trace, it runs here; otherwise in a lab guest.  A *stage* is either of the
two, with the same four verbs: start a command, run one, press keys, close (here.py).
"""

from __future__ import annotations

import os
import sys
from contextlib import closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KERNEL = "6.12"
READY_S = 60.0
INTERVAL = "1"  # seconds between two tables

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
SEND = "ip netns exec probee-demo bash -c 'for n in 1 2 3; do echo hello >/dev/udp/198.18.0.1/9; done'"
OPEN = "cat /etc/hostname /etc/no-such-file >/dev/null 2>&1; head -c1 /etc/passwd >/dev/null"
FILE = "/tmp/probee-demo.txt"
COPY = f"dd if=/dev/zero of={FILE} bs=4096 count=25 status=none; dd if={FILE} of=/dev/null bs=8192 status=none; rm {FILE}"
BASH = "import pty; pty.spawn(['/bin/bash', '--norc', '--noprofile', '-i'])"
TYPE = f"printf 'echo hello\\nexit\\n' | HISTFILE= {sys.executable} -c \"{BASH}\" >/dev/null 2>&1"
KEYS = "p @0.1 r @0.1 o @0.1 b @0.1 e @0.1 e @0.1 spc @0.1 e @0.1 ret"


USAGE = """\
USAGE: probee demo [--here | --lab] [KERNEL]    trace a live kernel with the example scripts and BCC programs: this one if that
                                                can be done, else one in a lab guest (6.12, or the version that KERNEL says)
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
        from probee.cli.here import Here

        stage = Here()
    with closing(stage):
        try:
            _scripts(stage)
            _programs(stage)
        finally:
            stage.run(UNDO_NETWORK)
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
    """Return the directory of the examples: in the checkout, or in the installed package."""
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (f"{here}/../../../examples", f"{here}/../_examples"):
        if os.path.isdir(path):
            return os.path.realpath(path)
    from probee.errors import UsageError

    raise UsageError("the examples are not installed; run this in a checkout of probee")


def _trace(stage: Any, words: list[str], ready: str, stimulus: Callable[[], object], *until: str) -> None:
    """Run probee, do something for it to see, wait until it was seen, end it with Ctrl-C, show what it printed."""
    words = [f"{_examples()}/{word}" if word.endswith((".bt", ".py")) else word for word in words]
    _say(f"probee {' '.join(os.path.relpath(word) if word.startswith('/') else word for word in words)}")
    with stage.start([_interpreter(), "-m", "probee", *words], timeout_s=READY_S * 3) as job:
        job.wait_for(ready, timeout_s=READY_S)
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


def _scripts(stage: Any) -> None:
    """Run the scripts of bpftrace; the last one makes the network that stays for the programs."""

    def directory_and_packet() -> None:
        stage.run(MKDIR)
        stage.run(NETWORK).check()
        stage.run(TALK)

    opened = ("/etc/no-such-file", "/etc/passwd")
    _trace(stage, ["bpftrace/opensnoop.bt"], "Attached", lambda: stage.run(OPEN), *opened)
    _trace(stage, ["bpftrace/key_pressed.bt"], "Attached", lambda: stage.keys(KEYS), "ENTER")
    _trace(stage, ["bpftrace/others.bt"], "Attached", directory_and_packet, "probee-demo", "SRC:", "SRC:")


def _programs(stage: Any) -> None:
    """Run the programs of BCC."""
    network, tables = ["-d", "probee0"], ["-C", "-r", "5", INTERVAL]
    _trace(stage, ["bcc", "bcc/users_command.py"], "COMMAND", lambda: stage.run(TYPE), "echo hello", "exit")
    _trace(stage, ["bcc", "bcc/filetop.py", *tables], "Ctrl-C", lambda: stage.run(COPY), FILE.rpartition("/")[2])
    _trace(stage, ["bcc", "bcc/tracepoint.py", *network], "WHAT", lambda: stage.run(TALK), " out ", "probee0")
    _trace(
        stage, ["bcc", "bcc/xdp_drop_count.py", "-p", "udp", "-S", "probee0"], "Ctrl-C", lambda: stage.run(SEND), "dropped  UDP"
    )
