"""The options of `probee [options] FILE [args]` and `probee [options] -e PROG [args]`: bpftrace's, parsed as getopt_long does.

Options may follow the file name; single letters can be run together; a long name may be cut short while it stays clear; `--`
ends them.  What is left: the file (unless -e or -l), then the script's own parameters.
"""

from __future__ import annotations

from probee.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# letter → long name; the long name's entry tells the rest
LETTERS = {
    "e": "program", "l": "list", "c": "cmd", "p": "pid", "o": "output", "q": "quiet", "v": "verbose", "B": "buffering",
    "f": "format", "k": "warnings", "I": "include-dir", "d": "debug", "h": "help", "V": "version", "b": "btf-legacy",
}  # fmt: skip

FLAG, VALUE, MANY, COUNT, MODE, IGNORED = range(6)
LONG = {
    "program": VALUE, "list": FLAG, "cmd": VALUE, "pid": VALUE, "output": VALUE, "quiet": FLAG, "verbose": COUNT,
    "buffering": VALUE, "format": VALUE, "warnings": COUNT, "no-warnings": FLAG, "include-dir": MANY, "include": MANY,
    "debug": MANY, "help": FLAG, "version": FLAG, "info": FLAG, "unsafe": FLAG, "dry-run": FLAG, "btf": VALUE,
    "target": VALUE, "emit": VALUE, "verify-llvm-ir": IGNORED, "btf-legacy": IGNORED, "no-cache": FLAG,
    "usdt-file-activation": FLAG, "mode": VALUE, "test": MODE, "bench": MODE, "fmt": MODE, "dwarf-pid": MANY,
    "debuginfo": MANY, "traceable-functions": VALUE, "no-feature": MANY, "probe-filter": VALUE, "emit-elf": VALUE,
    "emit-llvm": VALUE, "aot": VALUE,
}  # fmt: skip
_ARGUMENT = (VALUE, MANY)
_HIDDEN = ("btf-legacy", "program", "include-dir")  # long names that only this module uses

# What --mode takes; the options that stand for one of them.
MODES = ("codegen", "compiler-bench", "bench", "test", "format")
_MODE_OF = {"test": "test", "bench": "bench", "fmt": "format"}
# What --no-feature takes: names of kernel/features.
DISABLABLE = ("kprobe_multi", "kprobe_session", "uprobe_multi")
STAGES = ("all", "ast", "types", "codegen", "codegen-opt", "libbpf", "verifier", "parse", "dis")


class Options:
    """What the command line said.  `arguments` are the words that are no options; `program` is None without -e."""

    __slots__ = (
        "aot", "arguments", "bpftrace", "btf", "buffering", "cmd", "debug", "debuginfo", "dry_run", "dwarf_pid", "emit",
        "emit_elf", "emit_llvm", "format", "help", "include", "include_dir", "info", "list", "mode", "no_cache", "no_feature",
        "no_warnings", "output", "pid", "probe_filter", "program", "quiet", "separator", "target",
        "traceable_functions", "unsafe", "usdt_file_activation", "verbose", "version", "warnings",
    )  # fmt: skip

    def __init__(self) -> None:
        self.arguments: list[str] = []
        self.bpftrace = False  # called by that name: what scripts and tests rely on is exactly as there
        self.separator = -1  # how many arguments there were before `--`, -1 without it
        self.program: str | None = None
        self.cmd: str | None = None
        self.pid: str | None = None
        self.output: str | None = None
        self.format: str = "text"
        self.buffering: str = "line"
        self.mode: str = ""
        self.btf: str = ""
        self.target: str = ""
        self.emit: str = ""
        self.aot = self.emit_elf = self.emit_llvm = self.probe_filter = self.traceable_functions = ""
        self.debug: list[str] = []
        self.debuginfo: list[str] = []
        self.dwarf_pid: list[str] = []
        self.include: list[str] = []
        self.include_dir: list[str] = []
        self.no_feature: list[str] = []
        self.verbose = 0
        self.warnings = 0
        self.list = self.quiet = self.help = self.version = self.info = self.unsafe = False
        self.dry_run = self.no_warnings = self.no_cache = self.usdt_file_activation = False

    @property
    def disabled_features(self) -> list[str]:
        """The features that --no-feature names, sorted."""
        return sorted({name for names in self.no_feature for name in names.split(",") if name})

    @property
    def debug_stages(self) -> list[str]:
        """The stages that -d names, each once, in order."""
        return list(dict.fromkeys(name for names in self.debug for name in names.split(",") if name))


class BadOption(UsageError):
    """An option that does not exist or lacks its argument: the usage goes with the message, or a hint that is to the point."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse(words: list[str], *, bpftrace: bool = False) -> Options:
    """Parse the words after the program's name; `bpftrace`: as that command, whose --btf is a flag."""
    options = Options()
    options.bpftrace = bpftrace
    rest = iter(words)
    for word in rest:
        if word == "--":
            options.separator = len(options.arguments)
            options.arguments.extend(rest)
        elif word.startswith("--"):
            _long(options, "btf-legacy" if bpftrace and word == "--btf" else word[2:], rest)
        elif word.startswith("-") and word != "-":
            _letters(options, word[1:], rest)
        else:
            options.arguments.append(word)
    return options


def _long(options: Options, word: str, rest: Iterator[str]) -> None:
    name, equals, value = word.partition("=")
    known = [name] if name in LONG else [long for long in LONG if long.startswith(name) and long not in _HIDDEN]
    if len(known) != 1:
        what = f"option '--{name}' is ambiguous: --{', --'.join(known)}" if known else f"unrecognized option '--{name}'"
        raise BadOption(what, hint="" if known else _near(name, options))
    name = known[0]
    if LONG[name] in _ARGUMENT:
        _set(options, name, value if equals else _argument(rest, f"--{name}"), f"--{name}")
    elif equals:
        raise BadOption(f"option '--{name}' doesn't allow an argument")
    else:
        _set(options, name, "", f"--{name}")


def _near(name: str, options: Options) -> str:
    """Return what was perhaps meant by a long option that does not exist."""
    from probee.probes.candidate import closest

    found = closest(name, [long for long in LONG if long not in _HIDDEN])
    if found:
        return f"Did you mean: --{', --'.join(found)}?"
    return "a script's own options follow --" if options.program is not None or options.arguments else ""


def _letters(options: Options, letters: str, rest: Iterator[str]) -> None:
    for at, letter in enumerate(letters):
        name = LETTERS.get(letter)
        if name is None:
            raise BadOption(f"invalid option -- '{letter}'")
        if LONG[name] in _ARGUMENT:
            _set(options, name, letters[at + 1 :] or _argument(rest, f"-{letter}"), f"-{letter}")
            return
        _set(options, name, "", f"-{letter}")


def _argument(rest: Iterator[str], shown: str) -> str:
    value = next(rest, None)
    if value is None:
        raise BadOption(f"option '{shown}' requires an argument")
    return value


def _set(options: Options, name: str, value: str, shown: str) -> None:
    form, attribute = LONG[name], name.replace("-", "_")
    if form == VALUE:
        setattr(options, attribute, value)
    elif form == MANY:
        getattr(options, attribute).append(value)
    elif form == COUNT:
        setattr(options, attribute, getattr(options, attribute) + 1)
    elif form == MODE:
        if options.mode:
            raise BadOption(f"{shown} conflicts with existing --mode")
        options.mode = _MODE_OF[name]
    elif form == FLAG:
        setattr(options, attribute, True)


def check(options: Options) -> None:
    """Refuse values and combinations that make no sense; the messages are bpftrace's."""
    if options.format not in ("text", "json"):
        raise UsageError(f"Invalid output format \"{options.format}\"\nValid formats: 'text', 'json'")
    if options.buffering not in ("line", "full", "none"):
        raise BadOption("-B must be either 'line', 'full', or 'none'.")
    if options.cmd is not None and options.pid is not None:
        raise BadOption("Cannot use both -c and -p.")
    if options.warnings and options.no_warnings:
        raise BadOption("-k, --warnings conflicts with --no-warnings")
    if options.warnings > 1:
        raise BadOption("-kk is gone. A single -k warns of failing map lookups and probe reads.")
    if options.emit and options.emit not in ("ir", "asm", "btf"):
        raise BadOption("--emit must be 'ir', 'asm' or 'btf'.")
    if options.list and options.program is None and len(options.arguments) > 1:
        raise BadOption("-l takes one pattern or file; several patterns stand between commas, in quotes.")
    _check_rare(options)


def _check_rare(options: Options) -> None:
    if options.mode and options.mode not in MODES:
        raise BadOption("--mode can only be 'codegen', 'compiler-bench', 'bench', 'test' or 'format'.")
    if any(name not in DISABLABLE for name in options.disabled_features):
        raise BadOption("--no-feature can only have values 'kprobe_multi,kprobe_session,uprobe_multi'.")
    for stage in options.debug_stages:
        if stage not in STAGES:
            raise BadOption(f"invalid option for -d: {stage}")
    if options.aot and options.warnings:
        raise UsageError("Cannot use -k with --aot")
    if options.emit_llvm:
        raise UsageError("there is no LLVM in probee, so there is no LLVM IR to write: --emit ir shows probee's own IR")
    if options.dwarf_pid:
        raise UsageError("--dwarf-pid needs a DWARF unwinder, which this version does not have (see --info: dwunwind)")


PID_LIMIT = 0x400000  # PID_MAX_LIMIT of include/linux/threads.h


def parse_pid(text: str) -> int:
    """Return the process id that -p names."""
    digits = text.lstrip("+")
    length = next((at for at, character in enumerate(digits) if character not in "0123456789"), len(digits))
    if not length:
        raise UsageError(f"Failed to parse pid: invalid integer: {text}")
    if length < len(digits):
        raise UsageError(f"Failed to parse pid: invalid trailing bytes: {text}")
    pid = int(digits)
    if not 1 <= pid <= PID_LIMIT:
        raise UsageError(f"Pid out of range: {text}")
    return pid
