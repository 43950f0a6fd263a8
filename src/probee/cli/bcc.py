"""`probee bcc PROGRAM.py [arguments]`: run a program of bcc with our face as `bcc`, whatever else is installed.

The program finds itself as under Python: it is __main__, sys.argv and sys.path begin with it and its directory, and a traceback
begins in it.  What our face refuses is told without one, with the program's line: a mistake in its C, a missing probe.
"""

from __future__ import annotations

import os
import sys

from probee.errors import ProbeeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
USAGE = """\
USAGE: probee bcc PROGRAM.py [arguments]     run a Python program that imports bcc, without bcc, clang or kernel headers
"""


def main(argv: list[str]) -> int:
    """Run the program; its end is the process's."""
    if argv[:1] in ([], ["-h"], ["--help"]):
        (sys.stdout if argv else sys.stderr).write(USAGE)
        return 0 if argv else 1
    path = argv[0]
    code = _compiled(path)
    sys.argv = argv
    sys.path[:1] = [os.path.dirname(os.path.realpath(path))]
    from probee.bcc.alias import install

    install()
    raise SystemExit(_run(path, code))  # the interpreter's own end: what the program left for exit is done there


def _compiled(path: str) -> CodeType | None:
    """Return the program's code; None when it is no Python, which has been told then."""
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise UsageError(f"failed to open file '{path}': {error.strerror}") from None
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        error.__traceback__ = None  # all of it would be ours
        sys.excepthook(type(error), error, None)
        return None


def _run(path: str, code: CodeType | None) -> int:
    """Run code as __main__; return the exit status."""
    if code is None:
        return 1
    import builtins
    from types import ModuleType

    module = ModuleType("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = module
    try:
        exec(code, module.__dict__)  # the program that we were told to run
    except KeyboardInterrupt as error:
        _show(error)
        _die_of_interrupt()
    except Exception as error:
        _show(error)
        return 1
    return 0


def _show(error: BaseException) -> None:
    """Show an error as Python does, from the program's own frame on; one that tells of the program, in its own words."""
    trace = error.__traceback__
    error.__traceback__ = trace.tb_next if trace is not None else None
    if isinstance(error, ProbeeError) and sys.excepthook is sys.__excepthook__:
        sys.stdout.flush()
        sys.stderr.write(f"ERROR: {error}\n{_place(error.__traceback__)}")
    else:
        _leave_out_ours(error)
        sys.excepthook(type(error), error, error.__traceback__)


def _leave_out_ours(error: BaseException) -> None:
    """Let the traceback end in the program's line, if bcc's face told it or an interrupt came while we waited."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace, trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    told = isinstance(error, (KeyboardInterrupt, OSError)) or (frames and frames[-1][1].startswith(f"{_OURS}bcc{os.sep}"))
    last = next((trace for trace, path in reversed(frames) if not path.startswith(_OURS)), None)
    if told and last is not None:
        last.tb_next = None


def _place(trace: TracebackType | None) -> str:
    """Return where the program was when something of ours failed: its innermost line that is not ours."""
    import linecache

    told = ""
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not path.startswith(_OURS):
            told = f"  {path}:{trace.tb_lineno}: {linecache.getline(path, trace.tb_lineno).strip()}\n"
        trace = trace.tb_next
    return told


def _die_of_interrupt() -> None:
    """End as Python does after an interrupt: what was left for exit is done, and whoever waits for us sees the signal."""
    import atexit
    import signal

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
