"""`probee -l [PATTERN | FILE]` and `probee list`: the probes that match, or those of a script."""

from __future__ import annotations

import os
import sys

from probee.cli.options import Options, check, parse
from probee.cli.run import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


USAGE = """\
USAGE: probee list [PATTERN | FILE]      list probes, as probee -l does; with -v their arguments as well

    probee list                          everything that this kernel offers
    probee list 'kprobe:tcp_*'           a kind of probe and a name; * stands for any text
    probee list '*sleep*'                a name among all kinds of probes in the kernel
    probee list 'uprobe:/bin/bash:*'     the functions of a program; usdt:libc:* what a library announces itself
    probee list -p PID                   everything, and what the files that a process runs have
    probee list -v 'struct task_struct'  a type
    probee list script.bt                what a script attaches to
"""


def main(argv: list[str]) -> int:
    """`probee list ...` is `probee -l ...`."""
    options = parse(argv)
    if options.help:
        sys.stdout.write(USAGE)
        return 0
    options.list = True
    check(options)
    return list_probes(options)


def list_probes(options: Options) -> int:
    """Write one probe per line; with -v its arguments below it."""
    process(options)
    pattern = options.arguments[0] if options.arguments else ""
    if options.program is not None or (pattern and os.path.isfile(pattern)):
        lines = _of_script(options)
    else:
        lines = _matching(pattern, options)
    if options.probe_filter:
        lines = _filtered(lines, options.probe_filter)
    write = sys.stdout.write
    for line in lines:
        write(line + "\n")
    return 0


def _filtered(lines: Iterable[str], text: str) -> Iterable[str]:
    """Keep the probes whose name the expression is found in, with what -v adds to them."""
    from probee.cli.filter import expression

    matches, wanted = expression(text).search, False
    for line in lines:
        if not line.startswith((" ", "}")):
            wanted = matches(line) is not None
        if wanted:
            yield line


def _matching(pattern: str, options: Options) -> Iterable[str]:
    from probee.cli.script import target_for
    from probee.probes.list import list_probes as matching

    if "." in pattern and ":" not in pattern and "*" not in pattern:
        _warn(
            f"It appears that '{pattern}' is a filename but the file does not exist. "
            f"Treating '{pattern}' as a search pattern.", options,
        )  # fmt: skip
    return matching(
        pattern, target_for(options), verbose=bool(options.verbose), note=lambda text: _warn(text, options),
        process=options.pid is not None,
    )  # fmt: skip


def _warn(text: str, options: Options) -> None:
    """Say on stderr what the list does not hold, behind what it holds so far."""
    if options.no_warnings:
        return
    from probee.cli.main import paint

    sys.stdout.flush()
    sys.stderr.write(f"{paint(f'WARNING: {text}')}\n")


def _of_script(options: Options) -> Iterable[str]:
    """The probes of a script; its errors are errors here, too."""
    from probee.cli.script import probes_of, read_script, target_for
    from probee.probes.list import list_probe

    target = target_for(options)
    lines: dict[str, None] = {}
    for probe in probes_of(read_script(options), options, target):
        lines.update(dict.fromkeys(list_probe(probe, target, verbose=bool(options.verbose))))
    return lines
