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

FLAG, VALUE, MANY, COUNT, REFUSED, REFUSED_VALUE, IGNORED = range(7)
LONG = {
    "program": VALUE, "list": FLAG, "cmd": VALUE, "pid": VALUE, "output": VALUE, "quiet": FLAG, "verbose": COUNT,
    "buffering": VALUE, "format": VALUE, "warnings": COUNT, "no-warnings": FLAG, "include-dir": MANY, "include": MANY,
    "debug": VALUE, "help": FLAG, "version": FLAG, "info": FLAG, "unsafe": FLAG, "dry-run": FLAG, "btf": VALUE,
    "target": VALUE, "emit": VALUE, "verify-llvm-ir": IGNORED, "btf-legacy": IGNORED, "no-cache": FLAG,
    "usdt-file-activation": REFUSED, "test": REFUSED, "bench": REFUSED, "fmt": REFUSED, "dwarf-pid": REFUSED_VALUE,
    "debuginfo": REFUSED_VALUE, "traceable-functions": REFUSED_VALUE, "no-feature": REFUSED_VALUE, "mode": REFUSED_VALUE,
    "probe-filter": REFUSED_VALUE, "emit-elf": REFUSED_VALUE, "emit-llvm": REFUSED_VALUE, "aot": REFUSED_VALUE,
}  # fmt: skip
_ARGUMENT = (VALUE, MANY, REFUSED_VALUE)


class Options:
    """What the command line said.  `arguments` are the words that are no options; `program` is None without -e."""

    __slots__ = (
        "arguments", "btf", "buffering", "cmd", "debug", "dry_run", "emit", "format", "help", "include", "include_dir", "info",
        "list", "no_cache", "no_warnings", "output", "pid", "program", "quiet", "separator", "target", "unsafe", "verbose",
        "version", "warnings",
    )  # fmt: skip

    def __init__(self) -> None:
        self.arguments: list[str] = []
        self.separator = -1  # how many arguments there were before `--`, -1 without it
        self.program: str | None = None
        self.cmd: str | None = None
        self.pid: str | None = None
        self.output: str | None = None
        self.format: str = "text"
        self.buffering: str = "line"
        self.debug: str = ""
        self.btf: str = ""
        self.target: str = ""
        self.emit: str = ""
        self.include: list[str] = []
        self.include_dir: list[str] = []
        self.verbose = 0
        self.warnings = 0
        self.list = self.quiet = self.help = self.version = self.info = self.unsafe = False
        self.dry_run = self.no_warnings = self.no_cache = False


class BadOption(UsageError):
    """An option that does not exist or lacks its argument: the usage goes with the message."""


def parse(words: list[str]) -> Options:
    """Parse the words after the program's name."""
    options = Options()
    rest = iter(words)
    for word in rest:
        if word == "--":
            options.separator = len(options.arguments)
            options.arguments.extend(rest)
        elif word.startswith("--"):
            _long(options, word[2:], rest)
        elif word.startswith("-") and word != "-":
            _letters(options, word[1:], rest)
        else:
            options.arguments.append(word)
    return options


def _long(options: Options, word: str, rest: Iterator[str]) -> None:
    name, equals, value = word.partition("=")
    known = [name] if name in LONG else [long for long in LONG if long.startswith(name) and LONG[long] != IGNORED]
    if len(known) != 1:
        what = f"option '--{name}' is ambiguous: --{', --'.join(known)}" if known else f"unrecognized option '--{name}'"
        raise BadOption(what)
    name = known[0]
    if LONG[name] in _ARGUMENT:
        _set(options, name, value if equals else _argument(rest, f"--{name}"), f"--{name}")
    elif equals:
        raise BadOption(f"option '--{name}' doesn't allow an argument")
    else:
        _set(options, name, "", f"--{name}")


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
    elif form == FLAG:
        setattr(options, attribute, True)
    elif form != IGNORED:
        raise UsageError(f"{shown} is an option of bpftrace that probee does not have yet")


def check(options: Options) -> None:
    """Refuse values and combinations that make no sense; the messages are bpftrace's."""
    if options.format not in ("text", "json"):
        raise UsageError(f"Invalid output format \"{options.format}\"\nValid formats: 'text', 'json'")
    if options.buffering not in ("line", "full", "none"):
        raise BadOption("-B must be either 'line', 'full', or 'none'.")
    if options.cmd is not None and options.pid is not None:
        raise BadOption("Cannot use both -c and -p.")
    if options.warnings and options.no_warnings:
        raise BadOption("Cannot use both -k and --no-warnings.")
    if options.warnings > 1:
        raise UsageError("-kk is gone: -k shows every warning that there is")
    if options.emit and options.emit not in ("ir", "asm", "btf"):
        raise BadOption("--emit must be 'ir', 'asm' or 'btf'.")


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
