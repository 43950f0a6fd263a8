"""`probee target dump FILE`: write what the compiler may know about this kernel to a file, for --target on another machine."""

from __future__ import annotations

import sys

USAGE = """\
USAGE: probee target dump FILE     write this kernel's types, tracepoints, functions and features to FILE
       probee --target FILE ...    compile for the kernel that FILE describes
"""


def main(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        sys.stdout.write(USAGE)
        return 0
    if len(argv) != 2 or argv[0] != "dump" or argv[1].startswith("-"):
        sys.stderr.write(USAGE)
        return 1
    return dump(argv[1])


def dump(path: str) -> int:
    """Write the running kernel's target file."""
    from probee.errors import UsageError
    from probee.kernel.target import LiveTarget

    try:
        LiveTarget().dump(path)
    except OSError as error:
        if type(error).__module__ == "builtins":
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        raise
    return 0
