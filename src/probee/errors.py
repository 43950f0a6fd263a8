"""The error tree: every error that probee raises on purpose.

    ProbeeError                           its message ends with what to do
    ├─ CompileError(span, hint)           file:line:column, the line, a caret
    │   ├─ ParseError     the text is not in the language
    │   ├─ TypeMismatch   a value of the wrong type
    │   ├─ UnknownName    a name that nothing defines; says what was perhaps meant
    │   └─ Unsupported    legal in the language, not in probee (yet)
    ├─ KernelError        a system call failed; also an OSError
    │   ├─ PermissionMissing   which capability, and the command that has it
    │   ├─ FeatureMissing      what the running kernel lacks, and since when others have it
    │   └─ VerifierError       one or two lines, in the user's source; the whole log on demand
    ├─ AttachError        a probe that cannot be attached, with candidates
    ├─ BtfError           type information that is missing or broken
    ├─ FormatError        bytes that are not what they claim to be (bundle, target file, ELF)
    ├─ MapError           a map operation that cannot be done
    ├─ UsageError         the command line asks for something that makes no sense
    └─ LabError           the lab's guest failed; carries the console's last lines
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ProbeeError(Exception):
    """Base of every error of probee; catching it catches all of them and nothing else."""

    exit_status = 1

    def report(self) -> str:
        """Return the text a command line shows for this error, without a trailing newline."""
        return f"ERROR: {self}"


class Source:
    """A named program text, which turns offsets into line and column; perhaps with others behind it, which it imports.

    A span is one int, `offset << 24 | length`, both in characters; 0 means "no place known".  `parts` are the imported texts
    as (where it begins in `text`, its name): lines are counted in each of them, so that a span alone says where something is.
    """

    __slots__ = ("_starts", "name", "parts", "text")

    def __init__(self, name: str, text: str, parts: tuple[tuple[int, str], ...] = ()) -> None:
        self.name = name
        self.text = text
        self.parts = parts
        self._starts: list[int] | None = None

    def append(self, name: str, text: str) -> int:
        """Put another text behind those that are there; returns the offset at which it begins."""
        self.text += "\n"
        start = len(self.text)
        self.text += text
        self.parts = (*self.parts, (start, name))
        self._starts = None
        return start

    def name_at(self, offset: int) -> str:
        """Return the name of the text that an offset lies in."""
        return next((name for start, name in reversed(self.parts) if start <= offset), self.name)

    def position(self, offset: int) -> tuple[int, int]:
        """Return (line, column), both counted from 1, of a character offset."""
        from bisect import bisect_right

        starts = self._line_starts()
        line = bisect_right(starts, offset)
        begin = next((start for start, _ in reversed(self.parts) if start <= offset), 0)
        return line - (bisect_right(starts, begin) - 1 if begin else 0), offset - starts[line - 1] + 1

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        return self._starts

    def line(self, number: int) -> str:
        """Return line `number` (from 1) of the first text without its newline."""
        starts = self._line_starts()
        return self.line_at(starts[number - 1]) if 1 <= number <= len(starts) else ""

    def line_at(self, offset: int) -> str:
        """Return the line that an offset lies in, without its newline."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[start : end if end >= 0 else len(self.text)]

    def lines(self, start: int, end: int) -> list[str]:
        """Return the lines that a range of characters touches."""
        first = self.text.rfind("\n", 0, start) + 1
        last = self.text.find("\n", end)
        return self.text[first : last if last >= 0 else len(self.text)].split("\n")


def make_span(start: int, end: int) -> int:
    """Pack the character range [start, end) into one int; its length saturates at 2**24 - 1."""
    return start << 24 | min(max(end - start, 0), 0xFFFFFF)


def span_range(span: int) -> tuple[int, int]:
    """Unpack a span into (start, end), character offsets."""
    start = span >> 24
    return start, start + (span & 0xFFFFFF)


def locate(source: Source, span: int) -> str:
    """Return `name:line:column[-column]` as bpftrace prints it; several lines give `name:first-last`."""
    start, end = span_range(span)
    line, column = source.position(start)
    last, last_column = source.position(end)
    name = source.name_at(start)
    if last != line:
        return f"{name}:{line}-{last}"
    return f"{name}:{line}:{column}-{last_column}"


_LONGEST_LINE = 1000  # of characters shown; of a longer one (minified, or no text at all) only the neighbourhood
_NEIGHBOURHOOD = 80


def excerpt(source: Source, span: int) -> str:
    """Return the source line of a span underlined with tildes; of a span over several lines, the lines alone."""
    start, end = span_range(span)
    (line, column), (last, last_column) = source.position(start), source.position(end)
    if last != line:
        return "\n".join(_visible(text) for text in source.lines(start, end))
    text = source.line_at(start)
    first, after = column - 1, max(last_column - 1, column)
    if len(text) > _LONGEST_LINE:
        left = max(0, first - _NEIGHBOURHOOD)
        text = text[left : first + _NEIGHBOURHOOD]
        first, after = first - left, min(after - left, len(text))
    before, under = _visible(text[:first]), _visible(text[first:after])
    return f"{_visible(text)}\n{' ' * len(before)}{'~' * max(len(under), 1)}"


def _visible(text: str) -> str:
    """Return text as a terminal can show it: a tab as four blanks, what is not printable as a replacement character."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "    " if char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


class CompileError(ProbeeError):
    """The program text is at fault. `source` may be filled in by whoever knows it (see `at`).

    `warnings` are the reports of warnings noted before, which are shown behind the error; `parents` are the calls of macros
    that the place came from, innermost first, as (source or None, span).
    """

    def __init__(self, message: str, span: int = 0, *, hint: str = "", source: Source | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint
        self.source = source
        self.warnings: list[str] = []
        self.parents: list[tuple[Source | None, int]] = []
        self._outside = 0  # how many of the macros around the place it does not belong to

    def at(self, source: Source) -> CompileError:
        """Name the text that the span points into, unless it is known already; returns self."""
        if self.source is None:
            self.source = source
        self.parents = [(known or source, span) for known, span in self.parents]
        return self

    def expanded_from(self, span: int, source: Source | None = None) -> CompileError:
        """Note that the place lies in a macro that was called at `span` (0: one that nobody can look into); returns self."""
        if self._outside:
            self._outside -= 1
        elif span:
            self.parents.append((source, span))
        return self

    def in_argument(self) -> CompileError:
        """Note that the place lies in an argument of the macro around it, and so where that is called; returns self."""
        self._outside += 1
        return self

    def report(self) -> str:
        return "\n".join([self.text(), *self.warnings])

    def text(self, severity: str = "ERROR") -> str:
        """Return the report without what was noted before: the message, its place, the hint, where it was expanded from."""
        lines = _with_place(self.source, self.span, f"{severity}: {self.message}")
        if self.hint:
            lines.append(f"HINT: {self.hint}")
        for source, span in self.parents:
            lines += _with_place(source, span, f"{severity}: expanded from")
        return "\n".join(lines)


def _with_place(source: Source | None, span: int, message: str) -> list[str]:
    """Return a message with its place before it and its source line below it, as far as they are known."""
    if source is None or not span:
        return [message]
    return [f"{locate(source, span)}: {message}", excerpt(source, span)]


class ParseError(CompileError):
    """The text is not in the language."""


class TypeMismatch(CompileError):
    """A value has a type that cannot be used here."""


class UnknownName(CompileError):
    """Nothing defines this name."""

    def __init__(
        self, message: str, span: int = 0, *, did_you_mean: str | Callable[[], str] = "", source: Source | None = None
    ) -> None:
        super().__init__(message, span, source=source)
        self._did_you_mean = did_you_mean

    @property
    def hint(self) -> str:
        """What was perhaps meant; looked for when somebody wants to see it, if it was given as a function."""
        if callable(self._did_you_mean):
            self._did_you_mean = self._did_you_mean()
        return self._hint or (f"Did you mean: {self._did_you_mean}?" if self._did_you_mean else "")

    @hint.setter
    def hint(self, hint: str) -> None:
        self._hint = hint


class Unsupported(CompileError):
    """The language has this construct, probee has not (yet)."""


class KernelError(ProbeeError, OSError):
    """A system call failed. `errno` and `call` say which and how."""

    def __init__(self, errno: int, call: str, message: str = "") -> None:
        import os

        self.call = call
        text = message or f"{call}: {os.strerror(errno)}"
        ProbeeError.__init__(self, text)
        self.errno = errno
        self.strerror = os.strerror(errno)
        self.text = text

    def __str__(self) -> str:
        return self.text


class PermissionMissing(KernelError):
    """The process lacks a capability (or a sysctl forbids what it wants)."""


class FeatureMissing(KernelError):
    """The running kernel lacks a feature; the message names it and the first version that has it."""

    def __init__(self, name: str, since: str, message: str = "") -> None:
        import errno

        super().__init__(errno.EOPNOTSUPP, name, message or f"this kernel lacks {name} (Linux has it since {since})")
        self.name = name
        self.since = since


class VerifierError(KernelError):
    """The verifier rejected a program. `log` is its whole log, `insn` the index of the instruction it stopped at.

    `place` is where its message begins, `name:line:column`, if it is known what of the source that instruction stands for.
    """

    def __init__(self, errno: int, message: str, *, log: str = "", insn: int = -1, place: str = "") -> None:
        super().__init__(errno, "bpf(BPF_PROG_LOAD)", message)
        self.log = log
        self.insn = insn
        self.place = place

    def report(self) -> str:
        return f"{self.place}: ERROR{self.text[len(self.place) :]}" if self.place else super().report()


class AttachError(ProbeeError):
    """A probe cannot be attached. `candidates` are probes that can be and have nearly its name.

    They may be given as a function, which is called when somebody wants to see them: a missing probe can be expected.
    `errno` is the kernel's answer, 0 if it was not asked.
    """

    def __init__(
        self, probe: str, message: str, candidates: tuple[str, ...] | Callable[[], tuple[str, ...]] = (), *, errno: int = 0
    ) -> None:
        super().__init__(message)
        self.probe = probe
        self.errno = errno
        self._candidates = candidates

    @property
    def candidates(self) -> tuple[str, ...]:
        if callable(self._candidates):
            self._candidates = self._candidates()
        return self._candidates

    def __str__(self) -> str:
        hint = f"\nHINT: Did you mean: {', '.join(self.candidates)}?" if self.candidates else ""
        return f"{super().__str__()}{hint}"


class BtfError(ProbeeError):
    """Kernel type information is missing or broken."""


class FormatError(ProbeeError):
    """Bytes are not what they claim to be."""


class MapError(ProbeeError):
    """A map operation cannot be done."""


class UsageError(ProbeeError):
    """The command line, or with `exit_status` 2 the environment, makes no sense."""

    def __init__(self, message: str, *, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class LabError(ProbeeError):
    """The lab's guest failed. `console_tail` holds the last lines that its kernel printed."""

    exit_status = 125

    def __init__(self, message: str, console_tail: str = "") -> None:
        super().__init__(message + (f"\nthe guest's console ends:\n{console_tail}" if console_tail else ""))
        self.console_tail = console_tail
