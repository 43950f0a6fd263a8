"""Events: what a running session yields, one class each, in the order in which they happened.

`kind` names the class for those who dispatch on it; texts are ready to be written and end as bpftrace ends them.  A span
points into the source text of the ObjectSpec (probee.errors); `parents` are the calls of the macros that it is part of.
"""

from __future__ import annotations

from probee.model.snapshot import MapSnapshot
from probee.model.value import ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Event:
    """Base of all events."""

    __slots__: tuple[str, ...] = ()
    kind = ""

    def __repr__(self) -> str:
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__slots__ if not name.startswith("_")])
        return f"{type(self).__name__}({shown})"


class Attached(Event):
    """All probes are attached; `count` is how many."""

    __slots__ = ("count",)
    kind = "attached"

    def __init__(self, count: int) -> None:
        self.count = count


class Printf(Event, tuple):  # type: ignore[type-arg]  # a tuple is made in half the time of an object with slots
    """Text of printf(), and its arguments, which are decoded when they are asked for.

    It is the tuple (text, decode, data, offset): `decode(data, offset)` gives the arguments.
    """

    __slots__ = ()
    kind = "printf"

    @classmethod
    def of(cls, text: str, *arguments: Any) -> Printf:
        """Return an event with arguments that are there already."""
        return cls((text, lambda data, offset: arguments, b"", 0))

    @property
    def text(self) -> str:
        text: str = self[0]
        return text

    @property
    def arguments(self) -> tuple[Any, ...]:
        arguments: tuple[Any, ...] = self[1](self[2], self[3])
        return arguments

    def __repr__(self) -> str:
        return f"Printf(text={self.text!r}, arguments={self.arguments!r})"


class Value(Event):
    """print() of something that is no map; `name` and `key` are set when it is one entry of a map."""

    __slots__ = ("key", "key_type", "name", "type", "value")
    kind = "value"

    def __init__(
        self, type: ValueType, value: Any, *, name: str = "", key_type: ValueType | None = None, key: Any = None
    ) -> None:
        self.type = type
        self.value = value
        self.name = name
        self.key_type = key_type
        self.key = key


class Map(Event):
    """print() of a whole map."""

    __slots__ = ("snapshot",)
    kind = "map"

    def __init__(self, snapshot: MapSnapshot) -> None:
        self.snapshot = snapshot


class MapsAtExit(Event):
    """The script's maps at the end, by name; comes once, after everything else that was printed."""

    __slots__ = ("snapshots",)
    kind = "maps_at_exit"

    def __init__(self, snapshots: list[MapSnapshot]) -> None:
        self.snapshots = snapshots


class Text(Event):
    """Text of another function: `function` is "time", "join", "cat" or "system"."""

    __slots__ = ("function", "text")
    kind = "text"

    def __init__(self, function: str, text: str) -> None:
        self.function = function
        self.text = text


class Message(Event):
    """errorf() and warnf(): `severity` is "error" or "warning"."""

    __slots__ = ("parents", "severity", "span", "text")
    kind = "message"

    def __init__(self, severity: str, text: str, span: int, parents: tuple[int, ...] = ()) -> None:
        self.severity = severity
        self.text = text
        self.span = span
        self.parents = parents


class RuntimeWarning(Event):
    """Something that went wrong inside of a program; `helper` and `code` are set when a helper function failed."""

    __slots__ = ("code", "helper", "parents", "span", "text")
    kind = "runtime_warning"

    def __init__(self, text: str, span: int, *, helper: str = "", code: int = 0, parents: tuple[int, ...] = ()) -> None:
        self.text = text
        self.span = span
        self.helper = helper
        self.code = code
        self.parents = parents


class Problem(Event):
    """Something that went wrong in user space while an action was carried out, such as a file that cannot be read."""

    __slots__ = ("severity", "text")
    kind = "problem"

    def __init__(self, text: str, *, severity: str = "error") -> None:
        self.text = text
        self.severity = severity


class Lost(Event):
    """`count` events more were dropped since the last such event; `reason` is a name of loss.REASONS."""

    __slots__ = ("count", "reason")
    kind = "lost"

    def __init__(self, count: int, reason: str) -> None:
        self.count = count
        self.reason = reason


class TestResult(Event):
    """What a test probe gave: test number `index` of `names`; `said` are the events of its run, `passed` those up to now."""

    __slots__ = ("duration_ns", "index", "names", "passed", "said")
    kind = "test_result"

    def __init__(
        self, names: tuple[str, ...], index: int, duration_ns: int, passed: tuple[bool, ...], said: list[Event]
    ) -> None:
        self.names = names
        self.index = index
        self.duration_ns = duration_ns
        self.passed = passed
        self.said = said


class BenchmarkResult(Event):
    """What a bench probe gave: benchmark number `index` of `names`, the mean time of one of so many iterations."""

    __slots__ = ("average_ns", "index", "iterations", "names")
    kind = "benchmark_result"

    def __init__(self, names: tuple[str, ...], index: int, average_ns: int, iterations: int) -> None:
        self.names = names
        self.index = index
        self.average_ns = average_ns
        self.iterations = iterations


class Exit(Event):
    """The session ends because the script called exit(), with this status."""

    __slots__ = ("status",)
    kind = "exit"

    def __init__(self, status: int) -> None:
        self.status = status
