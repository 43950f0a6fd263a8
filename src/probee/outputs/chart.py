"""Maps as text: lines of keys and values, histograms as bars, time series as a plot down the page."""

from __future__ import annotations

from struct import pack, unpack

from probee.model.snapshot import Bucket, Histogram, MapSnapshot, TimeSeries
from probee.model.text import stats_text, text_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BAR_WIDTH = 52
PLOT_WIDTH = 53
_LEFT = 21  # where the least value of a plot ends
_UNITS = ((1_000_000_000, "", 0), (1_000_000, ".ms", 3), (1000, ".μs", 6), (1, ".ns", 9))


def map_text(snapshot: MapSnapshot, *, trailer: str = "..") -> str:
    """Return all lines of a map, each with its newline."""
    block = _BLOCKS.get(snapshot.form)
    name = snapshot.name
    if block is not None:
        if snapshot.scalar:
            return "".join([f"{name}:\n{block(found)}\n" for _, found in snapshot.rows])
        value: Callable[[Any], str] = block
        between = "]:\n"
    else:
        value = _value_form(snapshot, trailer)
        between = "]: "
        if snapshot.scalar:
            return "".join([f"{name}: {value(found)}\n" for _, found in snapshot.rows])
    key = _key_form(snapshot, trailer)
    return "".join([f"{name}[{key(found)}{between}{value(item)}\n" for found, item in snapshot.rows])


def _key_form(snapshot: MapSnapshot, trailer: str) -> Callable[[Any], str]:
    if snapshot.key is None:
        return str
    form = text_form(snapshot.key, trailer=trailer)

    def bare(key: Any) -> str:
        text = form(key)
        return text[1:-1] if text[:1] == "(" and text[-1:] == ")" and len(text) > 1 else text

    return bare


def _value_form(snapshot: MapSnapshot, trailer: str) -> Callable[[Any], str]:
    if snapshot.form == "stats":
        return lambda value: stats_text(value) if isinstance(value, dict) else str(value)
    return text_form(snapshot.value, trailer=trailer)


# -- histograms


def histogram_text(histogram: Histogram) -> str:
    """Return the rows of a histogram: range, count, bar."""
    if not histogram.buckets:
        return ""
    most = max(bucket.count for bucket in histogram.buckets)
    return "".join(
        [
            f"{_range(bucket):<16}{bucket.count:>8} |{'@' * _bar_length(bucket.count, most):<{BAR_WIDTH}}|\n"
            for bucket in histogram.buckets
        ]
    )


def _range(bucket: Bucket) -> str:
    if bucket.low is None:
        return f"(..., {bucket.high_text})"
    if bucket.high is None:
        return f"[{bucket.low_text}, ...)"
    if bucket.high == bucket.low + 1:
        return f"[{bucket.low_text}]"
    return f"[{bucket.low_text}, {bucket.high_text})"


def _bar_length(count: int, most: int) -> int:
    """bpftrace computes in 32-bit floats."""
    return int(_single(_single(count) / _single(most) * BAR_WIDTH)) if most else 0


def _single(number: float) -> float:
    """Return the nearest 32-bit float."""
    return float(unpack("<f", pack("<f", number))[0])


# -- time series


def series_text(series: TimeSeries) -> str:
    """Return the plot of a time series, without a newline at its end when there is nothing to plot."""
    if not series.points:
        return "<no data>"
    low, high = _bounds(series)
    suffix, digits = _unit(series.points)
    time_width = len("hh:mm:ss") + (digits and 1 + digits)
    title = f"hh:mm:ss{suffix}"
    title += " " * (time_width + 1 - len(title.encode()))  # bpftrace pads bytes, and µ has two
    scale = f"{low:<{_LEFT}}{high:>{PLOT_WIDTH - _LEFT}}"
    rule = "_" * (PLOT_WIDTH - 2)
    lines = [f"{'':{time_width + 1}}{scale}", f"{title}|{rule}|"]
    lines += [f"{_clock(ns, digits)} {_plotted(value, low, high)}" for ns, value in series.points]
    lines += [f"{'':{time_width}} v{rule}v", f"{'':{time_width}} {scale}"]
    return "\n".join(lines) + "\n"


def _unit(points: list[tuple[int, int | None]]) -> tuple[str, int]:
    """Return the unit's name and how many digits of a second it shows, by the distance between points."""
    interval = (points[-1][0] - points[0][0]) // max(len(points) - 1, 1)
    return next(((suffix, digits) for least, suffix, digits in _UNITS if interval >= least), _UNITS[-1][1:])


def _bounds(series: TimeSeries) -> tuple[int, int]:
    """Return the least and the greatest value; around a single one there is room, within what 64 bits hold."""
    known = [value for _, value in series.points if value is not None]
    low, high = min(known, default=0), max(known, default=0)
    if low == high:
        low -= low > (-(1 << 63) if series.signed else 0)
        high += high < (1 << 63 if series.signed else 1 << 64) - 1
    return low, high


def _clock(ns: int, digits: int) -> str:
    import time

    seconds, rest = divmod(ns, 1_000_000_000)
    text = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{text}.{rest // 10 ** (9 - digits):0{digits}d}" if digits else text


def _plotted(value: int | None, low: int, high: int) -> str:
    canvas = [" "] * PLOT_WIDTH
    canvas[0] = canvas[-1] = "|"
    if low < 0 < high:
        zero = int(_single(_single(PLOT_WIDTH * _single(-low)) / _single(high - low)))
        if zero:
            canvas[min(zero, PLOT_WIDTH - 1)] = "."
    if value is None:
        return "".join(canvas) + " -"
    place = int(_single(_single((PLOT_WIDTH - 1) * _single(value - low)) / _single(high - low)))
    canvas[max(0, min(PLOT_WIDTH - 1, place))] = "*"
    return f"{''.join(canvas)} {value}"


_BLOCKS: dict[str, Callable[[Any], str]] = {"hist": histogram_text, "tseries": series_text}
