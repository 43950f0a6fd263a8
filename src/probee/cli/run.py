"""`probee run`, which is also what plain `probee` does: compile a script (or take it from the cache) and run it."""

from __future__ import annotations

import os
import sys

from probee.cli.options import BadOption, Options, check, parse, parse_pid
from probee.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, BinaryIO

    from probee.model.spec import ObjectSpec
    from probee.runtime.session import Session

RUN_FAILED = 255  # bpftrace's status when loading or attaching fails
_NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"


def main(argv: list[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        return _main(argv)
    except BadOption as error:
        return _usage(str(error))


def _main(argv: list[str]) -> int:
    options = parse(argv)
    if options.help or options.version or options.info:
        return _informed(options)
    check(options)
    if options.list:
        from probee.cli.list import list_probes

        return list_probes(options)
    if options.program is None and not options.arguments:
        if not argv:
            return _usage("")
        raise BadOption("filename or -e 'program' required.")
    return run(options)


def _informed(options: Options) -> int:
    if options.help:
        from probee.cli.usage import USAGE

        sys.stdout.write(USAGE)
    elif options.version:
        from probee import __version__

        print(f"probee v{__version__}")
    else:
        from probee.cli.info import report

        sys.stdout.write(report())
    return 0


def _usage(problem: str) -> int:
    """Write what is wrong and the forms of the command, or the whole usage when nothing was asked."""
    from probee.cli.usage import USAGE

    forms = USAGE.partition("\n\n")[0]
    sys.stderr.write(f"USAGE: {problem}\n{forms}\n`probee -h` shows all options.\n" if problem else USAGE)
    return 1


def run(options: Options) -> int:
    """Compile and run what the options say."""
    from probee.cli.script import object_for, read_script

    script = read_script(options)
    pid = parse_pid(options.pid) if options.pid is not None else 0
    words: list[str] = []
    if options.cmd is not None:
        from probee.runtime.child import find_program, split_command

        words = split_command(options.cmd)
        find_program(words[0])
    from probee.kernel.known import keep, restore

    known = restore()
    spec = object_for(script, options)
    if spec is None:  # something was shown instead
        return 0
    for warning in spec.warnings:
        if not options.no_warnings:
            print(warning)
    if not spec.links:
        if not options.quiet:
            print("No probes to attach")
        return 1
    try:
        return trace(spec, options, parameters=script.parameters, command=words, pid=pid)
    finally:
        keep(known)


def trace(spec: ObjectSpec, options: Options, *, parameters: list[str], command: list[str], pid: int) -> int:
    """Run an object until it ends; return the exit status."""
    from probee.runtime.session import Session

    out = _output_stream(options)
    session = Session(spec, parameters=parameters, command=command, pid=pid, warnings=not options.no_warnings)
    writer = _writer(options, session, out)
    _stop_on_signals(session)
    try:
        if not _start(session, verbose=bool(options.verbose)):
            return RUN_FAILED
        if options.dry_run:
            return 0
        return _follow(session, writer)
    finally:
        session.close()
        if options.output is not None:
            out.close()


def _start(session: Session, *, verbose: bool) -> bool:
    """Start; False when loading or attaching failed, which has been shown."""
    from probee.errors import AttachError, KernelError, PermissionMissing, VerifierError

    try:
        session.start()
    except PermissionMissing:
        raise
    except (AttachError, KernelError) as error:
        from probee.cli.main import show

        show(error)
        if verbose and isinstance(error, VerifierError):
            sys.stderr.write(error.log)
        return False
    return True


def _follow(session: Session, writer: Any) -> int:
    notify = os.environ.get(_NOTIFY)
    for batch in session.batches():
        writer.write(batch)
        if notify:
            notify = ""
            sys.stdout.write(f"{_NOTIFY}\n")
            sys.stdout.flush()
    writer.close()
    return session.exit_status


def _output_stream(options: Options) -> BinaryIO:
    if options.output is None:
        return sys.stdout.buffer
    try:
        return open(options.output, "wb")
    except OSError as error:
        raise UsageError(f'Failed to open output file: "{options.output}": {error.strerror}') from None


def _writer(options: Options, session: Session, out: BinaryIO) -> Any:
    flush = options.buffering != "full"
    if options.format == "json":
        from probee.outputs.ndjson import JsonOutput

        return JsonOutput(
            out, sys.stderr.buffer, session.source, trailer=session.trailer, quiet=options.quiet, flush_each=flush
        )
    from probee.outputs.text import TextOutput

    return TextOutput(
        out, sys.stderr.buffer, session.source, trailer=session.trailer, quiet=options.quiet,
        warnings=not options.no_warnings, flush_each=flush,
    )  # fmt: skip


def _stop_on_signals(session: Session) -> None:
    """SIGINT and SIGTERM end the session in order; a second one ends it at once."""
    from _signal import SIGINT, SIGTERM, SIGUSR1, signal  # type: ignore[import-not-found]  # signal itself imports enum

    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        session.stop()

    signal(SIGINT, stop)
    signal(SIGTERM, stop)
    signal(SIGUSR1, lambda number, frame: None)  # bpftrace's for self:signal:SIGUSR1; without such a probe, nothing
