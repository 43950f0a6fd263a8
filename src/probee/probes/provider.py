"""The providers: every kind of attach point that the language knows.

One table holds their names, aliases, argument counts, program types and what `probetype` prints.  A provider that cannot
be attached yet has `attachable` false: it is parsed and listed as any other, and the compiler refuses it by its span.
"""

from __future__ import annotations

from probee.errors import UnknownName, Unsupported
from probee.model.spec import AttachType, ProgramType


class Provider:
    """One row of the table.

    `counts` are the numbers of arguments it takes, in the order that the error names them.  `listed` says when a wildcard
    provider covers it: "kernel", "user", or "" for never.  `result` is the program's default return value.
    """

    __slots__ = (
        "aliases", "attach_type", "attachable", "counts", "listed", "name", "probetype", "program_type", "result",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        aliases: tuple[str, ...],
        counts: tuple[int, ...],
        program_type: int,
        *,
        attach_type: int = AttachType.NONE,
        probetype: str = "",
        listed: str = "",
        attachable: bool = True,
        result: int = 0,
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.counts = counts
        self.program_type = program_type
        self.attach_type = attach_type
        self.probetype = probetype or name
        self.listed = listed
        self.attachable = attachable
        self.result = result

    def __repr__(self) -> str:
        return f"<Provider {self.name}>"


def _table() -> tuple[Provider, ...]:
    kprobe, perf, raw = ProgramType.KPROBE, ProgramType.PERF_EVENT, ProgramType.RAW_TRACEPOINT
    tracing, xdp = ProgramType.TRACING, ProgramType.XDP
    return (
        Provider("begin", (), (0,), raw, probetype="special"),
        Provider("end", (), (0,), raw, probetype="special"),
        Provider("self", (), (2,), raw, probetype="special"),
        Provider("test", (), (1,), raw),
        Provider("bench", (), (1,), xdp, probetype="benchmark"),
        Provider("kprobe", ("k",), (1, 2), kprobe, listed="kernel"),
        Provider("kretprobe", ("kr",), (1, 2), kprobe),
        Provider("uprobe", ("u",), (2, 3), kprobe, listed="user"),
        Provider("uretprobe", ("ur",), (2, 3), kprobe),
        Provider("usdt", ("U",), (2, 3), kprobe, listed="user"),
        Provider("tracepoint", ("t",), (2,), ProgramType.TRACEPOINT, listed="kernel", result=1),
        Provider("rawtracepoint", ("rt",), (2, 1), tracing, attach_type=AttachType.TRACE_RAW_TP, listed="kernel"),
        Provider(
            "fentry", ("f", "kfunc"), (1, 3), tracing,
            attach_type=AttachType.TRACE_FENTRY, listed="kernel",
        ),
        Provider("fexit", ("fr", "kretfunc"), (1, 3), tracing, attach_type=AttachType.TRACE_FEXIT),
        Provider("iter", ("it",), (1, 2), tracing, attach_type=AttachType.TRACE_ITER, listed="kernel"),
        Provider("profile", ("p",), (1, 2), perf),
        Provider("interval", ("i",), (1, 2), perf),
        Provider("software", ("s",), (1, 2), perf, listed="kernel"),
        Provider("hardware", ("h",), (1, 2), perf, listed="kernel"),
        Provider("watchpoint", ("w",), (3,), perf),
    )  # fmt: skip


PROVIDERS = {provider.name: provider for provider in _table()}
_ALIASES = {alias: provider for provider in PROVIDERS.values() for alias in provider.aliases}


def find_provider(name: str, span: int = 0) -> Provider:
    """Return the provider called `name`: an alias as it is written, a full name in any case; raises UnknownName."""
    found = PROVIDERS.get(name) or _ALIASES.get(name) or PROVIDERS.get(name.lower())
    if found is None:
        from probee.probes.candidate import closest

        near = closest(name.lower(), PROVIDERS, 1)
        raise UnknownName(f"Invalid probe type: {name}", span, did_you_mean=near[0] if near else "")
    return found


def require_attachable(provider: Provider, span: int = 0) -> None:
    """Raise Unsupported for a provider that probee parses and lists but cannot attach."""
    if not provider.attachable:
        usable = ", ".join(name for name, other in PROVIDERS.items() if other.attachable)
        raise Unsupported(
            f"{provider.name} probes cannot be attached yet", span, hint=f"these can: {usable}"
        )  # fmt: skip
