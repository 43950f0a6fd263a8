"""Entry of the command line: which subcommand, and that no error of ours is ever a traceback.

The first word is a subcommand (run, target, lab, …) or the name of a ready-made tool, unless it contains a slash or ends in
.bt; otherwise the words are bpftrace's options and a program, which is what `probee run` takes.  Called as `bpftrace` (a
symlink to the command probee-bpftrace) there are no subcommands, and the process is called bpftrace.
"""

from __future__ import annotations

import os
import sys

# name → module of this package; each has main(argv) -> exit status
SUBCOMMANDS = {
    "run": "run",
    "lab": "lab",
    "demo": "demo",
    "list": "list",
    "formats": "formats",
    "doctor": "doctor",
    "target": "target",
    "build": "build",
    "bcc": "bcc",
}
AS_BPFTRACE = ("bpftrace", "probee-bpftrace")
_OUTPUT_FAILED = (5, 9, 27, 28, 122)  # EIO, EBADF, EFBIG, ENOSPC, EDQUOT: a write(2) of output that fails, with no file named


def main(argv: list[str] | None = None, *, name: str = "probee") -> int:
    """Run a command line (without the program's name); return the exit status.  `name` is what the command is called."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(words, name)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _close_stdout()
        return 0
    except Exception as error:
        from probee.errors import ProbeeError

        if isinstance(error, ProbeeError):
            return show(error)
        if isinstance(error, OSError) and error.errno in _OUTPUT_FAILED and error.filename is None:
            return _output_failed(error)
        raise


def _dispatch(words: list[str], called: str) -> int:
    if called == "probee" and words and words[0] in SUBCOMMANDS:
        from importlib import import_module, util

        name = f"probee.cli.{SUBCOMMANDS[words[0]]}"
        if util.find_spec(name) is None:
            from probee.errors import UsageError

            raise UsageError(f"this version has no `probee {words[0]}` yet")
        status: int = import_module(name).main(words[1:])
        return status
    from probee.cli.run import main as run

    return run(words, name=called)


def show(error: Exception) -> int:
    """Write an error to stderr; return the exit status it stands for."""
    _flush()
    report = getattr(error, "report", None)
    text = report() if report is not None else f"ERROR: {error}"
    sys.stderr.write(f"{paint(text)}\n")
    return int(getattr(error, "exit_status", 1))


def paint(text: str) -> str:
    """Return a message as it goes to standard error: coloured on a terminal, or as BPFTRACE_COLOR says."""
    if not may_be_colored():
        return text
    from probee.cli import color

    return color.colored(text) if color.wanted() else text


def may_be_colored() -> bool:
    """Return False where messages are surely not coloured, which spares the import that knows better."""
    return "BPFTRACE_COLOR" in os.environ or (sys.stderr.isatty() and sys.stdout.isatty())


def _flush() -> int:
    """Write what is buffered; return the exit status of that, 0 when it worked or nobody reads it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
    except OSError as error:
        return _output_failed(error)
    return 0


def _output_failed(error: OSError) -> int:
    """What was printed could not be written: say so, and lose the rest of the buffer."""
    _close_stdout()
    sys.stderr.write(f"ERROR: cannot write the output: {error.strerror}\n")
    return 1


def _close_stdout() -> None:
    """Nobody reads us any more: let the interpreter's own flush at exit write to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def open_standard_streams() -> None:
    """Where we were started with a standard stream closed, open it on nowhere: no map may become descriptor 1."""
    if sys.stdin is not None and sys.stdout is not None and sys.stderr is not None:
        return
    while (fd := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  stays open
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  stays open
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  stays open


def entry() -> None:
    """What the installed command `probee` calls; under one of the names of AS_BPFTRACE it is that command."""
    name = sys.argv[0].rpartition("/")[2]
    _enter("bpftrace" if name in AS_BPFTRACE else "probee")


def entry_as_bpftrace() -> None:
    """What the installed command `probee-bpftrace` calls."""
    _enter("bpftrace")


def _enter(name: str) -> None:
    """Run the command line and end the process.

    Two of ten milliseconds of a cached start are the interpreter's housekeeping, and spared here: walks of the garbage
    collector through what has only just been made, and taking everything apart at the end.
    """
    import gc

    gc.set_threshold(20_000, 20)
    open_standard_streams()
    if name == "bpftrace":
        from probee.cli.title import set_title

        set_title(name, sys.argv[1:])
    status = main(name=name)
    status = _flush() or status
    if "threading" in sys.modules or "weakref" in sys.modules:  # they have things to do at exit
        sys.exit(status)
    sys.stderr.flush()
    os._exit(status)
