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


def main(argv: list[str], *, name: str = "probee") -> int:
    """Run a command line; return the exit status.  `name` is what the command is called: probee or bpftrace."""
    try:
        return _main(argv, name)
    except BadOption as error:
        return _usage(str(error), name, error.hint)


def _main(argv: list[str], name: str) -> int:
    options = parse(argv, bpftrace=name == "bpftrace")
    if "BPFTRACE_COLOR" in os.environ:
        _check_color()
    if options.help or options.version or options.info:
        return _informed(options, name)
    check(options)
    if options.list:
        from probee.cli.list import list_probes

        return list_probes(options)
    if options.program is None and not options.arguments:
        if not argv:
            return _usage("", name)
        raise BadOption("filename or -e 'program' required.")
    if options.mode == "format":
        from probee.cli.format import format_script

        return format_script(options)
    return run(options)


def _check_color() -> None:
    from probee.cli.color import complaint

    problem = complaint()
    if problem:
        sys.stderr.write(f"WARNING: {problem}\n")


def _informed(options: Options, name: str) -> int:
    if options.help:
        from probee.cli.usage import usage

        sys.stdout.write(usage(name))
    elif options.version:
        from probee.cli.info import version

        print(version(name))
    else:
        from probee.cli.info import report

        sys.stdout.write(report(options.disabled_features))
    return 0


def _usage(problem: str, name: str, hint: str = "") -> int:
    """Write what is wrong and the forms of the command; the whole usage when nothing was asked."""
    from probee.cli.usage import forms, usage

    hint = f"HINT: {hint}\n" if hint else ""
    sys.stderr.write(f"ERROR: {problem}\n{hint}{forms(name)}`{name} -h` shows all options.\n" if problem else usage(name))
    return 1


def run(options: Options) -> int:
    """Compile what the options say, and run it unless they ask for something else."""
    from probee.cli.script import disable_features, object_for, read_script

    script = read_script(options)
    pid = process(options)
    words = _command(options)
    from probee.kernel.known import keep, restore

    known = restore()
    disable_features(options)
    if options.mode == "compiler-bench":
        from probee.cli.benchmark import measure

        return measure(script, options)
    spec = object_for(script, options)
    if spec is None:  # something was shown instead
        return 0
    _warn(spec, options)
    if options.aot or options.emit_elf or options.mode == "codegen":
        return _write(spec, options)
    if options.probe_filter:
        from probee.cli.filter import filtered

        spec = filtered(spec, options.probe_filter)
    status = nothing_to_run(spec, options)
    if status:
        return status
    try:
        return trace(spec, options, parameters=script.parameters, command=words, pid=pid)
    finally:
        if not options.no_feature:
            keep(known)


def _command(options: Options) -> list[str]:
    """Return the words of -c, the first of which can be run; [] without -c.  Quotes are nothing special to bpftrace."""
    if options.cmd is None:
        return []
    from probee.runtime.child import find_program, split_command

    words = options.cmd.split() if options.bpftrace else split_command(options.cmd)
    if not words:
        raise UsageError("the command of -c is empty")
    find_program(words[0])
    return words


def process(options: Options) -> int:
    """Return the process id of -p, which must exist; 0 without -p."""
    if options.pid is None:
        return 0
    pid = parse_pid(options.pid)
    if not os.path.exists(f"/proc/{pid}"):
        raise UsageError(f"Failed to attach to pid {pid}: there is no such process")
    return pid


def _warn(spec: ObjectSpec, options: Options) -> None:
    """Write the compiler's warnings, as bpftrace does to standard output, but not between lines of JSON."""
    if not spec.warnings or options.no_warnings:
        return
    from probee.cli.main import paint

    out = sys.stdout if options.format == "text" else sys.stderr
    for warning in spec.warnings:
        out.write(f"{paint(warning)}\n")
    out.flush()


def _write(spec: ObjectSpec, options: Options) -> int:
    if options.aot:
        from probee.cli.build import write_executable

        write_executable(options.aot, spec)
    if options.emit_elf:
        from probee.cli.build import write_file
        from probee.formats.elf.object import elf_object

        write_file(options.emit_elf, elf_object(spec))
    return 0


def nothing_to_run(spec: ObjectSpec, options: Options) -> int:
    """Return 0, or the exit status when there is no probe, which is said; UsageError when there are too many."""
    limit = int(spec.options.get("max_probes", 0))
    if limit and len(spec.links) > limit:
        raise UsageError(
            f"Can't attach to {len(spec.links)} probes because it exceeds the current limit of {limit} probes.\n"
            "You can increase the limit through the BPFTRACE_MAX_PROBES environment variable, but be careful: "
            "many probes slow the machine down."
        )
    if spec.links or spec.options.get("left_out"):  # tests without --test: the session says so
        return 0
    if not options.quiet:
        print("No probes to attach")
    return 1


def trace(spec: ObjectSpec, options: Options, *, parameters: list[str], command: list[str], pid: int) -> int:
    """Run an object until it ends; return the exit status."""
    from probee.runtime.session import Session

    out = _output_stream(options)
    if options.debuginfo:
        spec.options["debug_directories"] = ":".join(options.debuginfo)
    session = Session(
        spec, parameters=parameters, command=command, pid=pid, warnings=not options.no_warnings, verbose=bool(options.verbose)
    )
    writer = _writer(options, session, out)
    _stop_on_signals(session)
    if options.debug:
        from probee.cli.emit import listen

        listen(options.debug_stages)
    try:
        if not _start(session, verbose=bool(options.verbose)):
            return RUN_FAILED
        if options.debug:
            from probee.cli.emit import show_loaded

            show_loaded(session, options.debug_stages)
        if options.dry_run:
            return 0
        return _follow(session, writer)
    finally:
        session.installed.hand_over()
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
    flush, quiet = options.buffering != "full", options.quiet or options.mode in ("test", "bench")
    err = _message_stream()
    if options.format == "json":
        from probee.outputs.ndjson import JsonOutput

        return JsonOutput(
            out, err, session.source, trailer=session.trailer, quiet=quiet, flush_each=flush
        )
    from probee.outputs.text import TextOutput

    return TextOutput(
        out, err, session.source, trailer=session.trailer, quiet=quiet,
        warnings=not options.no_warnings, flush_each=flush,
    )  # fmt: skip


def _message_stream() -> Any:
    from probee.cli.main import may_be_colored

    if may_be_colored():
        from probee.cli.color import ColoredStream, wanted

        if wanted():
            return ColoredStream(sys.stderr.buffer)
    return sys.stderr.buffer


def _stop_on_signals(session: Session) -> None:
    """SIGINT, SIGTERM and SIGHUP (unless it is ignored: nohup) end the session in order; a second one ends it at once."""
    import _signal as signals  # type: ignore[import-not-found]  # signal itself imports enum

    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        session.stop()

    ending = [signals.SIGINT, signals.SIGTERM]
    if signals.getsignal(signals.SIGHUP) != signals.SIG_IGN:
        ending.append(signals.SIGHUP)
    for number in ending:
        signals.signal(number, stop)
    signals.signal(signals.SIGUSR1, lambda number, frame: session.signal())  # self:signal:SIGUSR1
