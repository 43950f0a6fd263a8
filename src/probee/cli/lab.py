"""`probee lab`: kernels in QEMU, from the command line.

One function per subcommand; what they do is probee.lab's work.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from probee.lab.guest import Guest
    from probee.lab.job import Job, Result
    from probee.lab.requirement import Requirement

EPILOG = """\
examples:
  probee lab run -- uname -a                        boot 6.12, run, exit with the command's status
  probee lab run --kernel 5.10 -- 'cd /tmp && ls'   one word is shell text
  probee lab run --keys '@2 a b ret' -- ...         press keys after two seconds
  probee lab shell                                  a shell as root
  probee lab serve --follow . /tmp/lab.sock &       keep a guest; then
  probee lab run --connect /tmp/lab.sock -- ...     a command costs 0.1 s, not a boot

The guest sees this machine's files read-only; what it writes is gone when it stops, except below --rw DIR.
Inside, `echo 'a @0.5 shift-b' >/run/lab/keys` presses keys.
exit status: the command's; 124 its time was up; 125 the lab failed; 128+N killed by signal N
"""


def main(argv: list[str]) -> int:
    """Run `probee lab ARGV` and return the exit status."""
    from probee.errors import ProbeeError

    options = _parser().parse_args(argv)
    try:
        return int(options.function(options))
    except ProbeeError as error:
        print(error.report(), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere
        return 141


def _parser() -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog="probee lab", description="Run commands in a throw-away QEMU guest with a stock kernel, as root.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
    run = commands.add_parser("run", help="boot, run a command, return its output and status")
    _add_guest_options(run)
    _add_run_options(run)
    run.set_defaults(function=_run)
    shell = commands.add_parser("shell", help="an interactive shell")
    _add_guest_options(shell)
    shell.add_argument("--connect", metavar="SOCKET", default="", help="in the guest of this server")
    shell.set_defaults(function=_shell)
    serve = commands.add_parser("serve", help="keep one guest for many commands")
    _add_guest_options(serve)
    serve.add_argument("--stop", action="store_true", help="stop the server there")
    serve.add_argument("socket", metavar="SOCKET")
    serve.set_defaults(function=_serve)
    kernels = commands.add_parser("kernels", help="list the kernels that are cached and that can be had")
    kernels.add_argument("--get", metavar="VERSION", action="append", default=[], help="fetch this one")
    kernels.add_argument("--cached", action="store_true", help="do not ask the mirror")
    kernels.add_argument("--mirror", metavar="URL", default="", help="a Debian mirror; default: the machine's own")
    kernels.set_defaults(function=_kernels)
    setup = commands.add_parser("setup", help="get what is missing: QEMU, busybox, a kernel")
    setup.add_argument("--system", action="store_true", help="install packages instead of unpacking into the cache")
    setup.add_argument("--mirror", metavar="URL", default="")
    setup.set_defaults(function=_setup)
    return parser


def _add_guest_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--kernel", metavar="VERSION|PATH", default="6.12", help="6.12, 5.10, ..., a vmlinuz, or host (default: 6.12)")
    add("--rw", metavar="DIR", action="append", default=[], help="share DIR read-write")
    add("--follow", metavar="DIR", action="append", default=[], help="edits made outside in DIR are seen inside")
    add("--net", action="store_true", help="a network card to the outside (eth0, 10.0.2.15)")
    add("--memory", metavar="SIZE", default="2G", type=_memory, help="default: 2G")
    add("--cpus", metavar="N", type=int, default=0, help="default: 2; 1 with QEMU before 10 under emulation")
    add("--append", metavar="WORDS", default="", help="more for the kernel's command line")
    add("--accel", choices=("kvm", "tcg"), default="", help="default: KVM where it works, found by trying")
    add("--mirror", metavar="URL", default="", help="a Debian mirror to fetch the kernel from")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--connect", metavar="SOCKET", default="", help="run in the guest of this server")
    add("--timeout", metavar="S", type=_seconds, default=300.0, help="seconds for the command (default: 300)")
    add("--keys", metavar="KEYS", default="", help="keys to press: '@2 a b ret ctrl-c'; @N waits N seconds")
    add("--env", metavar="NAME=VALUE", action="append", type=_assignment, default=[], help="a variable for the command")
    add("--cwd", metavar="DIR", default="", help="where to run it (default: here)")
    add("--fresh", action="store_true", help="drop the guest's caches first")
    add("--console", action="store_true", help="print the kernel's messages afterwards, on stderr")
    add("--verbose", action="store_true", help="say how long it took")
    add("command", nargs="...", metavar="-- COMMAND", help="one word: shell text; several: a program and its arguments")


def _seconds(text: str) -> float:
    import argparse

    value = float(text)
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


def _memory(text: str) -> str:
    import argparse
    import re

    if not re.fullmatch(r"\d+[MG]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512M or 2G")
    return text


def _assignment(text: str) -> tuple[str, str]:
    import argparse

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _say(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)


def _guest(options: argparse.Namespace, connect: str = "") -> Guest:
    from probee.lab.guest import Guest

    return Guest(
        options.kernel, rw=options.rw, follow=options.follow, net=options.net, memory=options.memory,
        cpus=options.cpus, append=options.append, accel=options.accel, mirror=options.mirror, connect=connect,
        report=_say,
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    from probee.errors import UsageError

    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        raise UsageError("no command given: probee lab run [options] -- COMMAND")
    _end_on_signals()
    piped = _input_is_piped()
    with _guest(options, options.connect) as guest:
        job = guest.start(
            words[0] if len(words) == 1 else words, timeout_s=options.timeout, env=dict(options.env), keys=options.keys,
            cwd=options.cwd, fresh=options.fresh, stdin=piped,
        )  # fmt: skip
        if piped:
            _feed(job)
        with job:
            result = _finish(job)
        if options.console:
            sys.stderr.write(result.console)
        if options.verbose:
            _say(f"{guest.version}: boot {guest.boot_s:.2f} s, command {result.seconds:.2f} s")
    if result.timed_out:
        _say(f"the command's time ({options.timeout:g} s) was up")
    return result.status


def _show(name: str, data: bytes) -> None:
    out = sys.stdout if name == "stdout" else sys.stderr
    out.buffer.write(data)
    out.flush()


def _input_is_piped() -> bool:
    """Whether standard input is a pipe or a file; a terminal's is not read."""
    import stat

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def _feed(job: Job) -> None:
    """Pass standard input on, beside the command."""
    import threading

    def feed() -> None:
        while data := os.read(0, 1 << 16):
            job.write(data)
        job.close_input()

    threading.Thread(target=feed, daemon=True).start()


def _finish(job: Job) -> Result:
    """Show what the command prints; Ctrl-C goes to it, a second one ends the lab."""
    try:
        return job.stream(_show)
    except KeyboardInterrupt:
        job.signal()
        return job.stream(_show)


def _end_on_signals() -> None:
    """Unwind, and so stop the guest, when this process is told to end."""
    import signal

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, where: sys.exit(128 + number))


def _shell(options: argparse.Namespace) -> int:
    from probee.lab.terminal import run_shell

    _end_on_signals()
    with _guest(options, options.connect) as guest:
        return run_shell(guest)


def _serve(options: argparse.Namespace) -> int:
    from probee.lab.client import Client
    from probee.lab.server import Server

    if options.stop:
        client = Client(options.socket)
        client.stop()
        client.close()
        return 0
    _end_on_signals()
    guest = _guest(options)
    server = Server(os.path.abspath(options.socket), guest)
    try:
        guest.host()
        _say(f"{guest.version} is up after {guest.boot_s:.1f} s; probee lab run --connect {options.socket} -- COMMAND")
        server.run()
    finally:
        guest.close()
    return 0


def _kernels(options: argparse.Namespace) -> int:
    from probee.lab import kernel

    for wanted in options.get:
        found = kernel.need_kernel(wanted, mirror=options.mirror, report=_say)
        print(f"{found.family:8}{found.version:28}{found.image}")
    if options.get:
        return 0
    for found in [*kernel.cached_kernels(), *kernel.host_kernels()]:
        print(f"{found.family:8}{found.version:28}{found.source:10}{found.image}")
    return 0 if options.cached else _list_available(options.mirror)


def _list_available(mirror: str) -> int:
    from probee.lab.suite import available

    status = 0
    for family, version, suite in available(mirror, report=_say):
        if family:
            print(f"{family:8}{version:28}can be had from {suite}")
        else:
            status = 1
            print(f"lab: {version}", file=sys.stderr)
    return status


def _setup(options: argparse.Namespace) -> int:
    from probee.lab import kernel, requirement

    wanted = requirement.missing()
    for item in wanted:
        _say(f"{item.reason}: package {item.package}")
    if wanted and options.system:
        requirement.install([item for item in wanted if item.needed] or wanted)
    elif wanted:
        _unpack_or_advise(wanted, options.mirror)
    found = kernel.need_kernel(kernel.DEFAULT, mirror=options.mirror, report=_say)
    _say(f"ready: kernel {found.version}; probee lab run -- uname -a")
    return 0


def _unpack_or_advise(wanted: list[Requirement], mirror: str) -> None:
    from probee.errors import LabError
    from probee.lab import requirement

    try:
        requirement.unpack(wanted, mirror=mirror, report=_say)
    except LabError as error:
        command = " ".join(requirement.install_command(wanted))
        if any(item.needed for item in requirement.missing()):
            raise LabError(f"{error}\ninstall what is missing on the machine: sudo {command}") from None
        _say(f"{error}\nlab: going on without; to install: sudo {command}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
