"""Aggregations: how they are stored in the kernel, and how the CPUs' values become one.

Every aggregation lives in a PERCPU_HASH (or LRU_PERCPU_HASH) map.  All numbers are little-endian u64 or s64; K is the
script's key, padded with zeros to a multiple of 8 bytes; a scalar map has no K, or 8 zero bytes when there is no bucket.

    aggregation  key            value of one CPU            merged                     parameters
    count        K              u64 n                       sum                        (signed,)
    sum          K              u64 or s64 total            sum, modulo 2**64          (signed,)
    min, max     K              value, u64 set              least, greatest that is set(signed,)
    avg, stats   K              total, u64 count            sums; average toward zero  (signed,)
    hist         K + u64 bucket u64 n                       sum                        (signed, k)
    lhist        K + u64 bucket u64 n                       sum                        (signed, min, max, step)
    tseries      K + u64 slot   value, u64 meta, u64 epoch  by epoch and function      (signed, interval_ns, n, function)

hist's bucket: 0 for negative, n + 1 for n < 2**k, else ((l + 1) << k) + ((n >> l) & (2**k - 1)) + 1, l = top bit - k.
lhist's bucket: 0 below min, 1 + (n - min) // step, and 1 + (max - min) // step for everything from max on.
tseries: epoch = ns // interval_ns, slot = epoch % n; a program that finds another epoch in its slot starts it anew.  Function
"" keeps the last value, meta is then its time in ns; "avg" adds up in value and counts in meta; others leave meta alone.
Epoch 0 means that this CPU never wrote; as in bpftrace, a slot that no CPU wrote counts as the value 0 at epoch 0.
"""

from __future__ import annotations

from struct import Struct

from probee.model.snapshot import Bucket, Histogram, TimeSeries
from probee.runtime.decode import quotient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

BUCKETED = ("hist", "lhist", "tseries")
_U64 = (1 << 64) - 1


def wrap(value: int, *, signed: bool) -> int:
    """Return a 64-bit number as the kernel would hold it."""
    value &= _U64
    return value - (1 << 64) if signed and value >> 63 else value


def value_size(aggregation: str) -> int:
    """Return how many bytes one CPU's value has."""
    return {"count": 8, "sum": 8, "hist": 8, "lhist": 8, "tseries": 24}.get(aggregation, 16)


def merger(aggregation: str, n_cpus: int, *, signed: bool) -> Callable[[bytes], tuple[int, int]]:
    """Return a function from the values of all CPUs, back to back, to (value, count).

    count, sum, hist, lhist: (sum, 0).  min, max: (value, 1 if any is set).  avg, stats: (total, count).
    """
    number = "q" if signed else "Q"
    if aggregation in ("count", "sum", "hist", "lhist"):
        unpack_all = Struct(f"<{n_cpus}{number if aggregation == 'sum' else 'Q'}").unpack
        wraps = aggregation == "sum" and signed
        return lambda values: (wrap(sum(unpack_all(values)), signed=wraps), 0)
    unpack = Struct("<" + f"{number}Q" * n_cpus).unpack
    if aggregation in ("min", "max"):
        choose = min if aggregation == "min" else max

        def extreme(values: bytes) -> tuple[int, int]:
            items = unpack(values)
            found = [value for value, is_set in zip(items[::2], items[1::2], strict=False) if is_set]
            return (choose(found), 1) if found else (0, 0)

        return extreme

    def totals(values: bytes) -> tuple[int, int]:
        items = unpack(values)
        return wrap(sum(items[::2]), signed=signed), sum(items[1::2]) & _U64

    return totals


def divided(value: int, div: int) -> int:
    """Divide a shown value as `print(@x, top, div)` asks; 0 and 1 leave it."""
    return quotient(value, div) if div > 1 else value


def histogram(counts: dict[int, int], k: int, *, div: int = 1) -> Histogram:
    """Return the rows of a hist() from its counts by bucket number."""
    present = [bucket for bucket, count in counts.items() if count]
    if not present:
        return Histogram([])
    buckets = []
    for index in range(min(present), max(present) + 1):
        low, low_text = (None, "") if index == 0 else hist_bound(index - 1, k)
        high, high_text = hist_bound(index, k)
        buckets.append(Bucket(low, high, divided(counts.get(index, 0), div), low_text, high_text))
    return Histogram(buckets)


def hist_bound(index: int, k: int) -> tuple[int | None, str]:
    """Return the number where bucket `index` ends, and its text; the suffix goes by octave, as in bpftrace."""
    if index <= 2 << k:
        return index, str(index)
    power = (index >> k) - 1
    mantissa = (1 << k) + (index & (1 << k) - 1)
    decade = power // 10
    return mantissa << power, f"{mantissa << power - 10 * decade}{('', 'K', 'M', 'G', 'T', 'P', 'E')[decade]}"


def linear_histogram(counts: dict[int, int], minimum: int, maximum: int, step: int) -> Histogram:
    """Return the rows of an lhist() from its counts by bucket number."""
    present = [bucket for bucket, count in counts.items() if count]
    if not present:
        return Histogram([])
    buckets = []
    for index in range(min(present), max(present) + 1):
        low = minimum + (index - 1) * step if index else None
        end = minimum + index * step
        high = end if end <= maximum else None
        buckets.append(
            Bucket(low, high, counts.get(index, 0), "" if low is None else _linear_text(low, step), _linear_text(end, step))
        )
    return Histogram(buckets)


def _linear_text(number: int, step: int) -> str:
    """Return a bound's text; K and M only when the step is made of whole K."""
    if step % 1024 == 0 and number:
        if number % (1 << 20) == 0:
            return f"{quotient(number, 1 << 20)}M"
        if number % 1024 == 0:
            return f"{quotient(number, 1024)}K"
    return str(number)


class SeriesMerger:
    """Merges the slots of a tseries: feed() the CPUs' values of each slot, then ask for points."""

    def __init__(self, n_cpus: int, parameters: Sequence[int | str]) -> None:
        signed, interval, count, function = parameters
        self.signed = bool(signed)
        self.interval_ns = int(interval)
        self.count = int(count)
        self.function = str(function)
        self._unpack = Struct("<" + ("qQQ" if signed else "QQQ") * n_cpus).unpack

    def slot(self, values: bytes) -> Iterable[tuple[int, int, int]]:
        """Return (epoch, value, meta) of every CPU that wrote the slot."""
        items = self._unpack(values)
        return [item for item in zip(items[2::3], items[::3], items[1::3], strict=True) if item[0]] or [(0, 0, 0)]

    def merge(self, entries: Iterable[tuple[int, int, int]]) -> dict[int, int]:
        """Return the value of each epoch."""
        by_epoch: dict[int, list[tuple[int, int]]] = {}
        for epoch, value, meta in entries:
            by_epoch.setdefault(epoch, []).append((value, meta))
        return {epoch: self._reduce(found) for epoch, found in by_epoch.items()}

    def _reduce(self, found: list[tuple[int, int]]) -> int:
        values = [value for value, _ in found]
        if self.function == "avg":
            return quotient(wrap(sum(values), signed=self.signed), sum(meta for _, meta in found))
        if self.function == "sum":
            return wrap(sum(values), signed=self.signed)
        if self.function in ("min", "max"):
            return (min if self.function == "min" else max)(values)
        return max(found, key=lambda item: item[1])[0]

    def series(self, values: dict[int, int], newest: int, offset_ns: int) -> TimeSeries:
        """Return the points of one key up to epoch `newest` of any key; `offset_ns` makes epochs times since 1970."""
        oldest = newest - self.count + 1
        present = [epoch for epoch in values if oldest <= epoch <= newest]
        if not present or oldest < 0:
            return TimeSeries([], signed=self.signed)
        interval = self.interval_ns
        points = [(epoch * interval + offset_ns, values.get(epoch)) for epoch in range(min(present), newest + 1)]
        return TimeSeries(points, signed=self.signed)
