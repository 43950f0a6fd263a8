"""MapSnapshot: one of the script's maps as it was at one moment, decoded, merged over CPUs, sorted as bpftrace sorts.

`form` says what the values are: "map" (a value of `value`'s kind), "stats" (avg and stats maps; a number or a dict with
count, average, total), "hist" (Histogram; of lhist as well) or "tseries" (TimeSeries).
"""

from __future__ import annotations

from probee.model.value import ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class MapSnapshot:
    """`rows` holds (key, value), in printing order; a scalar map has the key None, and no row when it was never written."""

    __slots__ = ("form", "key", "name", "rows", "scalar", "value")

    def __init__(
        self, name: str, form: str, key: ValueType | None, value: ValueType, rows: list[tuple[Any, Any]], *, scalar: bool
    ) -> None:
        self.name = name
        self.form = form
        self.key = key
        self.value = value
        self.rows = rows
        self.scalar = scalar

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def keys(self) -> list[Any]:
        return [key for key, _ in self.rows]

    def items(self) -> list[tuple[Any, Any]]:
        return list(self.rows)

    def values(self) -> list[Any]:
        return [value for _, value in self.rows]

    def __getitem__(self, key: Any) -> Any:
        """Return the value of a key; of None for a scalar map.  KeyError when there is none."""
        for found, value in self.rows:
            if found == key:
                return value
        raise KeyError(key)

    def __repr__(self) -> str:
        return f"<MapSnapshot {self.name} {self.form} {len(self.rows)} rows>"


class Bucket:
    """One row of a histogram: `count` values v with low <= v < high; None is an open end.

    `low_text` and `high_text` are the bounds as they are printed ("2K").
    """

    __slots__ = ("count", "high", "high_text", "low", "low_text")

    def __init__(self, low: int | None, high: int | None, count: int, low_text: str = "", high_text: str = "") -> None:
        self.low = low
        self.high = high
        self.count = count
        self.low_text = low_text or str(low)
        self.high_text = high_text or str(high)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Bucket({self.low}, {self.high}, {self.count})"


class Histogram:
    """Buckets from the first to the last that is not empty, none left out."""

    __slots__ = ("buckets",)

    def __init__(self, buckets: list[Bucket]) -> None:
        self.buckets = buckets

    @property
    def total(self) -> int:
        return sum(bucket.count for bucket in self.buckets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.buckets == other.buckets

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Histogram({self.buckets})"


class TimeSeries:
    """Points (start of the interval in ns since 1970, value or None), one per interval, rising."""

    __slots__ = ("points", "signed")

    def __init__(self, points: list[tuple[int, int | None]], *, signed: bool = True) -> None:
        self.points = points
        self.signed = signed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeSeries) and self.points == other.points

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TimeSeries({self.points})"
