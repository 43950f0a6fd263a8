"""`probee build`: compile a script into a bundle, a file that `probee FILE` and `probee.load` run without compiling.

`--aot FILE` writes the same behind a `#!` line, as a file that can be executed.
"""

from __future__ import annotations

import os
import sys

from probee.cli.options import BadOption, check, parse
from probee.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.model.spec import ObjectSpec

USAGE = """\
USAGE: probee build -o FILE SCRIPT.bt            write the compiled script to FILE
       probee build -o FILE -e 'PROGRAM'
       probee build --target KERNEL -o FILE ...  for the kernel that KERNEL describes (see `probee target`)
"""


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        (sys.stdout if argv else sys.stderr).write(USAGE)
        return 0 if argv else 1
    try:
        options = parse(argv)
        check(options)
        if options.output is None:
            raise BadOption("build needs -o FILE")
        if options.program is None and not options.arguments:
            raise BadOption("build needs a script")
    except BadOption as error:
        sys.stderr.write(f"USAGE: {error}\n{USAGE}")
        return 1
    from probee.cli.script import disable_features, object_for, read_script
    from probee.formats.bundle import write_bundle

    disable_features(options)
    spec = object_for(read_script(options), options, portable=True)
    if spec is not None:
        write_file(options.output, write_bundle(spec))
    return 0


def write_executable(path: str, spec: ObjectSpec) -> None:
    """Write an object as a file that can be started: what --aot does."""
    from probee.formats.bundle import write_bundle

    write_file(path, f"#!/usr/bin/env -S {sys.executable} -m probee\n".encode() + write_bundle(spec))
    os.chmod(path, 0o777 & ~_umask())


def _umask() -> int:
    """Return the process's file mode mask, which can only be asked for by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_file(path: str, data: bytes) -> None:
    """Write a file; UsageError when it cannot be written."""
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
