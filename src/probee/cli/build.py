"""`probee build`: compile a script into a bundle, a file that `probee FILE` and `probee.load` run without compiling."""

from __future__ import annotations

import sys

from probee.cli.options import BadOption, check, parse
from probee.errors import UsageError

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
    from probee.cli.script import object_for, read_script
    from probee.formats.bundle import write_bundle

    spec = object_for(read_script(options), options)
    if spec is not None:
        try:
            with open(options.output, "wb") as file:
                file.write(write_bundle(spec))
        except OSError as error:
            raise UsageError(f"cannot write {options.output}: {error.strerror}") from None
    return 0
