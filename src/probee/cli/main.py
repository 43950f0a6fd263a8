"""Entry of the command line: which subcommand, and that no error of ours is ever a traceback.

The first word is a subcommand (run, target, lab, …) or the name of a ready-made tool, unless it contains a slash or ends in
.bt; otherwise the words are bpftrace's options and a program, which is what `probee run` takes.
"""

from __future__ import annotations

import sys

# name → module of this package; each has main(argv) -> exit status
SUBCOMMANDS = {
    "run": "run",
    "lab": "lab",
    "demo": "demo",
    "list": "list",
    "target": "target",
    "build": "build",
    "explain": "explain",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command line (without the program's name); return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _close_stdout()
        return 0
    except Exception as error:
        from probee.errors import ProbeeError

        if not isinstance(error, ProbeeError):
            raise
        return show(error)


def _dispatch(words: list[str]) -> int:
    if words and words[0] in SUBCOMMANDS:
        from importlib import import_module, util

        name = f"probee.cli.{SUBCOMMANDS[words[0]]}"
        if util.find_spec(name) is None:
            from probee.errors import UsageError

            raise UsageError(f"this version has no `probee {words[0]}` yet")
        status: int = import_module(name).main(words[1:])
        return status
    from probee.cli.run import main as run

    return run(words)


def show(error: Exception) -> int:
    """Write an error to stderr; return the exit status it stands for."""
    _flush()
    report = getattr(error, "report", None)
    text = report() if report is not None else f"ERROR: {error}"
    sys.stderr.write(text + "\n")
    return int(getattr(error, "exit_status", 1))


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()


def _close_stdout() -> None:
    """Nobody reads us any more: let the interpreter's own flush at exit write to nowhere."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def entry() -> None:
    """What the installed command calls.

    Two of ten milliseconds of a cached start are the interpreter's housekeeping, and spared here: walks of the garbage
    collector through what has only just been made, and taking everything apart at the end.
    """
    import gc

    gc.set_threshold(20_000, 20)
    status = main()
    _flush()
    if "threading" in sys.modules or "weakref" in sys.modules:  # they have things to do at exit
        sys.exit(status)
    import os

    sys.stderr.flush()
    os._exit(status)
