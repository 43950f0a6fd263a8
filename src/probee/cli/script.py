"""The script that a command line means, and the object it compiles to: cached if possible, else compiled."""

from __future__ import annotations

import os
import sys

from probee.cli.options import Options
from probee.errors import CompileError, PermissionMissing, Source, UnknownName, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.model.spec import ObjectSpec

LONGEST = 64 << 20  # bytes that are read of a file; /dev/zero has no end
BUNDLE_MAGIC = b"PROBEE\r\n"  # formats/bundle.py has it, too: a script is told from a bundle without importing that


class Script:
    """A program text with its name in messages, and what the command line gives to it; or a bundle, compiled already."""

    __slots__ = ("bundle", "name", "named", "parameters", "text")

    def __init__(self, name: str, text: str, parameters: list[str], named: list[str], bundle: bytes = b"") -> None:
        self.name = name
        self.text = text
        self.parameters = parameters
        self.named = named
        self.bundle = bundle


def read_script(options: Options) -> Script:
    """Read the program; UsageError when there is no such file."""
    words, own = list(options.arguments), options.separator
    if options.program is not None:
        name, data = "stdin", options.program.encode("utf-8", "surrogateescape")
    else:
        path = words.pop(0)
        own -= 1
        name = "stdin" if path == "-" else path
        data = _read(path)
    bundle = _bundle(data)
    text = "" if bundle else data.decode("utf-8", "surrogateescape")
    before = words if own < 0 else words[:own]
    after = [] if own < 0 else words[own:]
    named = [word for word in after if word.startswith("--")]
    return Script(name, text, before + [word for word in after if not word.startswith("--")], named, bundle)


def _bundle(data: bytes) -> bytes:
    """Return the bundle in a file: all of it, or what follows the `#!` line of an executable one; b"" for a script."""
    if data.startswith(b"#!"):
        data = data[data.find(b"\n") + 1 :]
    return data if data.startswith(BUNDLE_MAGIC) else b""


def _read(path: str) -> bytes:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(LONGEST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(LONGEST + 1)
    except OSError as error:
        hint = "\nHINT: a program on the command line follows -e" if "{" in path else ""
        raise UsageError(f"failed to open file '{path}': {error.strerror}{hint}") from None
    if len(data) > LONGEST:
        raise UsageError(f"'{path}' is longer than {LONGEST >> 20} MB: that is no script, and no bundle of probee")
    return data.removeprefix(b"\xef\xbb\xbf")  # a byte order mark


def disable_features(options: Options) -> None:
    """Do without the features that --no-feature names, from here to the end of the process."""
    if options.no_feature:
        from probee.kernel.features.feature import preload

        preload(dict.fromkeys(options.disabled_features, False))


def object_for(script: Script, options: Options, *, portable: bool = False) -> ObjectSpec | None:
    """Return the compiled object of a script; None when options asked to be shown something instead.

    A `portable` one is for other kernels, too.
    """
    if script.bundle:
        from probee.formats.bundle import read_bundle

        spec = read_bundle(script.bundle)
        if not script.named and not _in_the_code(script.parameters, spec):
            return spec
        script = Script(spec.source_name, spec.source_text, script.parameters, script.named)
    try:
        return _object_for(script, options, portable)
    except CompileError as error:
        raise error.at(Source(script.name, script.text)) from None
    except PermissionMissing as error:
        if options.emit or options.debug or options.emit_elf or options.mode == "codegen":
            hint = "or without privileges: add --btf /sys/kernel/btf/vmlinux, which has all but tracepoints and symbols"
            raise PermissionMissing(error.errno or 0, error.call, f"{error}\n{hint}") from None
        raise


def _in_the_code(parameters: list[str], spec: ObjectSpec) -> bool:
    """Return whether a bundle's script uses parameters otherwise than as numbers, which are filled in when it is loaded.

    Such a script is compiled again, as it is for options of its own, which are constants of the compilation, too.
    """
    text, late = spec.source_text, {constant.argument for constant in spec.constants if constant.kind == "param"}
    if not parameters or "$" not in text:
        return False
    numbers = [str(number) for number in range(1, len(parameters) + 1)]
    return "$#" in text or "str($" in text or any(f"${number}" in text and number not in late for number in numbers)


def _object_for(script: Script, options: Options, portable: bool) -> ObjectSpec | None:
    chosen = compile_options(script, options, portable=portable)
    from probee.objectcache import object_path

    path = "" if _is_special(options) else object_path(script.text, chosen)
    cached = _cached(path, _pid(options)) if path else None
    if cached is not None:
        if options.verbose:
            sys.stderr.write(f"Compiled before: {path}\n")
        return cached
    return _compile(script, chosen, options, path)


def _is_special(options: Options) -> bool:
    """Return whether a compile reads what the cache does not know of, or is to be seen."""
    given = options.target or options.btf or options.traceable_functions or options.debuginfo or "BPFTRACE_BTF" in os.environ
    return bool(given or options.emit or options.debug or options.no_cache)


def _compile(script: Script, chosen: dict[str, Any], options: Options, path: str) -> ObjectSpec | None:
    from time import process_time

    from probee.compiler.compile import compile

    target = target_for(options)
    if options.emit or options.debug:
        from probee.cli.emit import show_stages

        return show_stages(script.text, target, chosen, options)
    before = process_time()
    spec = compile(script.text, target, chosen)
    if options.verbose:
        instructions = sum(len(program.instructions) // 8 for program in spec.programs)
        sys.stderr.write(
            f"Compiled in {(process_time() - before) * 1000:.0f} ms of CPU: "
            f"{len(spec.programs)} programs, {instructions} instructions, {len(spec.maps)} maps\n"
        )
    if options.traceable_functions:
        from probee.cli.given import settled

        spec = settled(spec, target)
    if path:
        from probee.objectcache import keep_object

        keep_object(path, spec, target.reads)
    return spec


def _cached(path: str, pid: int) -> ObjectSpec | None:
    """Return an object that is kept; one that was made of another process's files is none for this process."""
    from probee.kernel.answer import still_holds
    from probee.objectcache import kept_object

    def holds(reads: dict[str, str], boot: str) -> bool:
        same = all(question.startswith(f"binary:{pid}:") for question in reads if question.startswith("binary:"))
        return same and still_holds(reads, boot)

    return kept_object(path, holds)


def compile_options(script: Script, options: Options, *, portable: bool = False) -> Any:
    """Return what `compile` needs to know beyond the text and the kernel."""
    return {
        "name": script.name,
        "parameters": script.parameters,
        "named": script.named,
        "unsafe": options.unsafe,
        "warning_level": 0 if options.no_warnings else 2 if options.warnings else 1,
        "include_dirs": options.include_dir,
        "includes": options.include,
        "has_child": options.cmd is not None,
        "has_pid": options.pid is not None,
        "pid_namespace": _in_pid_namespace(),
        "mode": options.mode if options.mode in ("test", "bench") else "",
        "without": options.disabled_features,
        "local": not (portable or options.aot or options.target or options.btf),
        "environment": {name: value for name, value in os.environ.items() if name.startswith("BPFTRACE_")},
    }


_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of include/linux/proc_ns.h


def _in_pid_namespace() -> bool:
    """Return whether process ids here are others than the kernel's own."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def target_for(options: Options) -> Any:
    """Return the kernel to compile for: the running one, or the one that a file describes."""
    if options.target:
        from probee.formats.target import FileTarget

        return FileTarget(options.target)
    if options.btf:
        from probee.formats.target import BtfTarget

        return BtfTarget(options.btf)
    if options.traceable_functions:
        from probee.cli.given import GivenTarget

        return GivenTarget(options.traceable_functions, pid=_pid(options))
    if os.environ.get("BPFTRACE_BTF"):
        from probee.cli.given import OtherTypesTarget

        return OtherTypesTarget(os.environ["BPFTRACE_BTF"], pid=_pid(options))
    from probee.kernel.target import LiveTarget

    directories = [directory for given in options.debuginfo for directory in given.split(":") if directory]
    return LiveTarget(pid=_pid(options), debug_directories=directories)


def _pid(options: Options) -> int:
    """Return the process whose files programs and libraries are looked for in; 0 for our own."""
    from probee.cli.options import parse_pid

    return parse_pid(options.pid) if options.pid is not None else 0


def probes_of(script: Script, options: Options, target: Any) -> list[Any]:
    """Return the probes of a script (probes.probe.Probe), patterns expanded; raises CompileError."""
    from probee.cli.emit import language_options
    from probee.compiler.lang.bpftrace.attachpoint import split
    from probee.compiler.lang.bpftrace.program import read
    from probee.probes.parse import parse as parse_probe

    source = Source(script.name, script.text)
    chosen = language_options(compile_options(script, options))
    found: list[Any] = []
    try:
        parsed = read(source, target, chosen)
        for text in [text for probe in parsed.program.probes for text in probe.attach_points]:
            for point in parse_probe(split(text, parsed.parameters), text.span, unsafe=options.unsafe):
                found += _known(point, parsed, text.span, options)
    except CompileError as error:
        raise error.at(source) from None
    return found


def _known(point: Any, parsed: Any, span: int, options: Options) -> Any:
    """Return the probes that an attach point means; what to do about one that means none is configured by the script."""
    from probee.probes.match import expand

    try:
        return expand(point, parsed.target, span, unsafe=options.unsafe)
    except UnknownName:
        if parsed.config.text("missing_probes") == "error":
            raise
        return ()
