"""Starts probee as a process that looks like bpftrace: from a preloaded interpreter by fork, or from a shell by a launcher.

Both end in the entry that the installed command calls.  Scripts look for `bpftrace` in comm and in argv[0], so both carry
that name: argv[0] is written over in the process's own memory.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import probee

FLAG = "--verify-llvm-ir"  # upstream's runner always passes it
SHELL = shutil.which("bash") or "/bin/sh"  # upstream's cases are written for it
_PRELOADED = ("cli", "compiler", "formats", "kernel", "model", "outputs", "probes", "runtime")
_ANOTHER_LANGUAGE = "probee.compiler.lang.c"  # nothing of which bpftrace's cases use
_LAUNCHER = """\
#!{python} -IS
import sys
sys.path[:0] = [{source!r}, {here!r}]
from rename import rename
rename()
from probee.cli.main import entry
entry()
"""


def preload() -> None:
    """Import all that a command line may need, and let the compiler find what it keeps about this kernel."""
    import gc

    for room in _PRELOADED:
        package = importlib.import_module(f"probee.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"probee.{room}."):
            if not module.name.startswith(_ANOTHER_LANGUAGE):
                importlib.import_module(module.name)
    from probee.compiler.compile import compile
    from probee.kernel.target import LiveTarget

    compile('begin { @a[comm] = count(); @b = hist(1); printf("%s", str(0)); print(curtask.pid); }', LiveTarget())
    gc.collect()
    gc.freeze()


def write_launcher(directory: Path) -> Path:
    """Write an executable called bpftrace, for shells."""
    path = directory / "bpftrace"
    source, here = str(Path(probee.__file__).parents[1]), str(Path(__file__).parent)
    path.write_text(_LAUNCHER.format(python=os.path.realpath(sys.executable), source=source, here=here))
    path.chmod(0o755)
    return path


def words(prog: str, *, json: bool) -> list[str]:
    """Return bpftrace's arguments for a PROG."""
    return [*(["-q", "-f", "json"] if json else []), FLAG, "-e", prog]


def plain_words(command: str) -> list[str] | None:
    """Return bpftrace's arguments in a RUN that needs no shell, else None."""
    if not command.startswith("{{BPFTRACE}} "):
        return None
    arguments = command.removeprefix("{{BPFTRACE}} ")
    outside = re.sub(r"'[^']*'", "", arguments)  # within double quotes the shell acts on some, outside of them on more
    if re.search(r"[`$\\]", outside) or re.search(r"[|;&<>#*?\[{~()\n]", re.sub(r'"[^"]*"', "", outside)):
        return None
    return [FLAG, *shlex.split(arguments)]


def spawn(what: list[str] | str, *, cwd: Path, environment: dict[str, str]) -> tuple[int, int]:
    """Start bpftrace with arguments, or a shell with a command, in a session of its own.

    Returns its pid and the descriptor of what it prints, stdout and stderr in one.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    try:
        os.close(ours)
        os.setsid()
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        if isinstance(what, str):
            os.execve(SHELL, ["sh", "-c", what], environment)
        _become(lambda: _entry(what, environment))
    except BaseException as error:
        os.write(2, f"cannot start: {error!r}\n".encode())
    os._exit(127)


def _entry(argv: list[str], environment: dict[str, str]) -> None:
    from rename import rename

    from probee.cli.main import entry

    rename()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["bpftrace", *argv]
    entry()


def _become(run: Callable[[], None]) -> None:
    """Run to the end as an interpreter of its own would, and leave without what this process wants to do at its end."""
    status = 0
    try:
        run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    os._exit(status & 255)
