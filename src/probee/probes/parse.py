"""Attach points: the parts of one, as the script gives them, become Probes.

`parse` gets the parts that the front end split at the colons (quotes and positional parameters resolved) and checks
everything that can be checked without a kernel; error texts are bpftrace's.  Whether the kernel has the function or
event is match.py's question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from probee.errors import CompileError, ParseError, UnknownName
from probee.probes.event import EVENTS
from probee.probes.number import U64_MAX, parse_signed, parse_unsigned
from probee.probes.probe import Probe, has_wildcard
from probee.probes.provider import PROVIDERS, Provider, find_provider

TIME_UNITS = {"hz": 0, "s": 1_000_000_000, "ms": 1_000_000, "us": 1_000}  # nanoseconds; hz is a frequency
SIGNALS = ("SIGUSR1",)
LANGUAGES = ("cpp",)
WATCHPOINT_MODES = ("rw", "w", "x")  # x86: Intel SDM volume 3, section 17.2.4


def parse(parts: Sequence[str], span: int = 0, *, unsafe: bool = False) -> tuple[Probe, ...]:
    """Return the probes that one attach point names: usually one, several for a wildcard provider, none for empty text.

    `parts[0]` is the provider, perhaps as `label=provider`; "@" stands alone where a source location follows.  `unsafe`
    allows probing by address.  Raises ParseError or UnknownName with `span`.
    """
    if not parts:
        raise ParseError("Invalid attachpoint definition", span)
    label, name = _split_label(parts[0])
    if not name:
        return ()
    arguments = list(parts[1:])
    if not has_wildcard(name):
        return (_parse_one(find_provider(name, span), arguments, label, span, unsafe=unsafe),)
    return _parse_wildcard(name, arguments, label, span, unsafe=unsafe)


def _split_label(text: str) -> tuple[str, str]:
    label, equals, name = text.partition("=")
    return (label, name) if equals and name else ("", text)


def _parse_wildcard(name: str, arguments: list[str], label: str, span: int, *, unsafe: bool) -> tuple[Probe, ...]:
    from probee.probes.glob import compile_glob

    if not arguments:  # `*open*` alone: the pattern of a name, whatever the provider
        name, arguments = "*", [name]
    where = "user" if any("/" in argument for argument in arguments[:1]) else "kernel"
    matches = compile_glob(name)
    providers = [p for p in PROVIDERS.values() if p.listed == where and matches(p.name)]
    if not providers:
        raise ParseError(f"No probe type matched for {name}", span)
    if len(providers) == 1:
        return (_parse_one(providers[0], arguments, label, span, unsafe=unsafe),)
    found = []
    for provider in sorted(providers, key=lambda p: p.name):
        try:
            found.append(_parse_one(provider, list(arguments), label, span, unsafe=unsafe))
        except CompileError:  # the arguments make no sense for this one: that is what a wildcard is for
            continue
    if not found:
        raise ParseError(f"No probe type matched for {name}", span)
    return tuple(found)


def _parse_one(provider: Provider, arguments: list[str], label: str, span: int, *, unsafe: bool) -> Probe:
    probe = Probe(provider, label=label)
    try:
        _PARSERS[provider.name](probe, arguments)
    except ValueError as error:
        raise ParseError(str(error), span) from None
    except UnknownName as error:
        error.span = span
        raise
    if probe.address is not None and not unsafe and provider.name in ("kprobe", "kretprobe"):
        raise ParseError("Probing by address requires --unsafe", span)
    return probe


def _expect(probe: Probe, arguments: list[str], *allowed: int) -> None:
    """Check the number of arguments; `allowed` stands for the provider's counts where those do not tell all."""
    counts = probe.provider.counts
    if len(arguments) not in (allowed or counts):
        wanted = " or ".join(str(count) for count in counts)
        raise ValueError(f"{probe.provider.name} probe type requires {wanted} arguments, found {len(arguments)}")


# -- probes of probee itself


def _special(probe: Probe, arguments: list[str]) -> None:
    if arguments == ["*"]:
        arguments = []
    _expect(probe, arguments)


def _self(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    trigger, name = arguments
    if trigger != "signal":
        raise ValueError(f"{trigger} is not a supported trigger")
    if name not in SIGNALS:
        raise ValueError(f"{name} is not a supported signal")
    probe.category, probe.event = trigger, name


def _named(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    if not arguments[0]:
        raise ValueError(f"{probe.provider.name} probes must have a name")
    probe.event = arguments[0]


# -- functions of the kernel


def _function_and_offset(probe: Probe, text: str, *, offset_allowed: bool) -> None:
    name, plus, offset = text.partition("+") if "operator" not in text and "(" not in text else (text, "", "")
    if plus:
        if not offset_allowed:
            raise ValueError("Offset not allowed")
        if "+" in offset:
            raise ValueError("Cannot take more than one offset")
        if not name or not offset:
            raise ValueError("Invalid offset")
        probe.offset = _number(offset, "Invalid offset")
        probe.function = name
        return
    try:
        probe.address = parse_unsigned(text)
    except ValueError:
        probe.function = text


def _kprobe(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    if len(arguments) == 2:
        probe.module = arguments[0]
    _function_and_offset(probe, arguments[-1], offset_allowed=probe.provider.name == "kprobe")
    if not probe.function and not probe.address:
        raise ValueError("kprobes should be attached to a function or an address")


def _fentry(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments, 1, 2, 3)
    if arguments[0] == "bpf":
        _bpf_program(probe, arguments[1:])
        return
    if len(arguments) == 3:
        raise ValueError("Only the 'bpf' variant of this probe supports 4 arguments")
    probe.function = arguments[-1]
    if len(arguments) == 2:
        probe.module = arguments[0]
    elif has_wildcard(probe.function):
        probe.module = "*"
    if not probe.function:
        raise ValueError("fentry/fexit should specify a function")


def _bpf_program(probe: Probe, arguments: list[str]) -> None:
    probe.module = "bpf"
    if not arguments:
        raise ValueError(
            "the 'bpf' variant of this probe requires a bpf program name and optional bpf program id"
        )  # fmt: skip
    probe.function = arguments[-1]
    if len(arguments) == 2 and arguments[0] != "*":
        try:
            probe.program_id = parse_unsigned(arguments[0])
        except ValueError:
            raise ValueError("bpf program id must be a number or '*'") from None


def _iter(probe: Probe, arguments: list[str]) -> None:
    if len(arguments) not in (1, 2):
        raise ValueError("iter probe type takes 2 arguments (1 optional)")
    if any(has_wildcard(argument) for argument in arguments):
        raise ValueError("iter probe type does not support wildcards")
    if not arguments[0]:
        raise ValueError("iter should specify a iterator's name")
    probe.function = arguments[0]
    probe.pin = arguments[1] if len(arguments) == 2 else ""


# -- functions of programs


def _uprobe(probe: Probe, arguments: list[str]) -> None:
    name = probe.provider.name
    if len(arguments) > 1 and arguments[1] == "@":
        _source_location(probe, arguments)
        return
    if len(arguments) == 1 and "/" not in arguments[0]:
        arguments = ["", *arguments]  # a function of the traced process: match.py knows whether there is one
    _expect(probe, arguments)
    probe.path = arguments[0]
    if len(arguments) == 3:
        probe.language = arguments[1]
        if probe.language not in LANGUAGES:
            raise ValueError(f"unsupported language type: {probe.language}")
    _function_and_offset(probe, arguments[-1], offset_allowed=name == "uprobe")
    if probe.address is not None and has_wildcard(probe.path):
        raise ValueError("Cannot use wildcards with absolute address")
    if not probe.function and probe.address is None:
        raise ValueError(f"{name} should be attached to a function and/or address")


def _source_location(probe: Probe, arguments: list[str]) -> None:
    if probe.provider.name != "uprobe":
        raise ValueError("Source code location not allowed")
    if has_wildcard(arguments[0]):
        raise ValueError("Cannot use wildcards with source code location")
    if len(arguments) not in (4, 5) or not arguments[2] or not arguments[3]:
        raise ValueError("Invalid uprobe arguments, expected format: uprobe:TARGET@FILE:LINE[:COL]")
    probe.path, probe.source_file = arguments[0], arguments[2]
    probe.line = _number(arguments[3], "Invalid line number")
    if len(arguments) == 5:
        probe.column = _number(arguments[4], "Invalid column number")


def _usdt(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    probe.path, probe.event = arguments[0], arguments[-1]
    if len(arguments) == 3:
        probe.namespace = arguments[1]
    if not probe.event:
        raise ValueError("usdt probe must have a target function or wildcard")


# -- tracepoints


def _tracepoint(probe: Probe, arguments: list[str]) -> None:
    if len(arguments) == 1 and has_wildcard(arguments[0]):
        arguments = ["*", *arguments]
    _expect(probe, arguments)
    probe.category, probe.event = arguments
    if not probe.category or not probe.event:
        raise ValueError("tracepoint probe must have a target")


def _rawtracepoint(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    probe.module = arguments[0] if len(arguments) == 2 else "*"
    probe.event = arguments[-1]
    if not probe.event:
        raise ValueError("rawtracepoint should be attached to a function")


# -- time and counters


def _timer(probe: Probe, arguments: list[str]) -> None:
    name = probe.provider.name
    if len(arguments) == 1:
        _duration(probe, arguments[0])
        return
    _expect(probe, arguments)
    probe.unit = arguments[0]
    probe.count = _number(arguments[1], f"Invalid rate of {name} probe", parse_signed)
    if not probe.unit:
        raise ValueError(f"{name} probe must have unit of time")
    if probe.unit not in TIME_UNITS:
        raise ValueError(f"{probe.unit} is not an accepted unit of time")
    if probe.count <= 0:
        raise ValueError(f"{name} frequency should be a positive integer")
    if probe.count * max(TIME_UNITS[probe.unit], 1) > U64_MAX:
        raise ValueError(f"Invalid rate of {name} probe: overflow error, maximum value is {U64_MAX}: {arguments[1]}")


def _duration(probe: Probe, text: str) -> None:
    name = probe.provider.name
    if has_wildcard(text):
        raise ValueError(f"{text} is not an accepted unit of time")
    rate_ns = _number(text, f"Invalid rate of {name} probe")
    if rate_ns < 1000:
        raise ValueError(f"Invalid rate of {name} probe. Minimum is 1000 or 1us. Found: {rate_ns} nanoseconds")
    probe.unit, probe.count = "us", rate_ns // 1000


def _counter(probe: Probe, arguments: list[str]) -> None:
    name = probe.provider.name
    _expect(probe, arguments)
    probe.event = arguments[0]
    if not probe.event:
        raise ValueError(f"{name} probe must have a {name} event name")
    if len(arguments) == 2 and arguments[1] not in ("*", ""):
        probe.count = _number(arguments[1], f"Invalid count for {name} probe", parse_signed)
    if has_wildcard(probe.event):
        raise ValueError(f"wildcards are not allowed for {name} probe type")
    if probe.event not in EVENTS[name]:
        from probee.probes.candidate import closest

        near = closest(probe.event, EVENTS[name], 1)
        raise UnknownName(f"{probe.event} is not a {name} probe", did_you_mean=near[0] if near else "")
    if probe.count < 0:
        word = "count" if name == "software" else "frequency"
        raise ValueError(f"{name} {word} should be a positive integer")


def _watchpoint(probe: Probe, arguments: list[str]) -> None:
    _expect(probe, arguments)
    address, length, mode = arguments
    probe.address = _number(address, "Invalid function/address argument")
    probe.length = _number(length, "Invalid length argument")
    probe.mode = "".join(sorted(mode))
    if not probe.address:
        raise ValueError("watchpoint must be attached to a non-zero address")
    if probe.length not in (1, 2, 4, 8):
        raise ValueError("watchpoint length must be one of (1,2,4,8)")
    if not mode or set(mode) - set("rwx"):
        raise ValueError("watchpoint mode must be combination of (r,w,x)")
    if len(set(mode)) != len(mode):
        raise ValueError("watchpoint modes may not be duplicated")
    if probe.mode not in WATCHPOINT_MODES:
        raise ValueError(f"invalid watchpoint mode: {probe.mode}; supported modes: {','.join(WATCHPOINT_MODES)}")


def _number(text: str, what: str, parse_number: Callable[[str], int] = parse_unsigned) -> int:
    try:
        return parse_number(text)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


_PARSERS: dict[str, Callable[[Probe, list[str]], None]] = {
    "begin": _special,
    "end": _special,
    "self": _self,
    "test": _named,
    "bench": _named,
    "kprobe": _kprobe,
    "kretprobe": _kprobe,
    "fentry": _fentry,
    "fexit": _fentry,
    "iter": _iter,
    "uprobe": _uprobe,
    "uretprobe": _uprobe,
    "usdt": _usdt,
    "tracepoint": _tracepoint,
    "rawtracepoint": _rawtracepoint,
    "profile": _timer,
    "interval": _timer,
    "software": _counter,
    "hardware": _counter,
    "watchpoint": _watchpoint,
}
