"""The tables at the end: by suite, by rung, what was skipped and why, and the percentage beside upstream's own.

Skipped is not passed: the percentage is of all cases that upstream's packaged binary can run in the same place.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from case import Case
from judge import Result
from rung import RUNGS, rung

Results = list[tuple[Case, Result]]
COLUMNS = ("passed", "failed", "skipped")
# What upstream's own packaged 0.26 passes: rungs, passed, of
BASELINE = (
    ("natively, begin/end and errors", {"A", "B", "C1"}, 447, 457),
    ("6.12 guest, interval/profile/software and listings", {"L0", "C2"}, 148, 160),
    ("6.12 guest, tracepoint and kprobe", {"C3", "D"}, 93, 95),
)


def tables(results: Results) -> str:
    """Return everything that is printed after a run; the last line has the percentage."""
    parts = [_table("suite", results, lambda case: case.suite), _table("rung", results, lambda case: _rung_name(rung(case)))]
    parts += [skips(results), verdict(results)]
    return "\n\n".join(part for part in parts if part)


def _table(title: str, results: Results, key) -> str:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case, result in results:
        counts[key(case)][result.status] += 1
    rows = sorted(counts.items(), key=lambda item: _order(item[0]))
    rows.append(("all", sum(counts.values(), Counter())))
    width = max(len(name) for name, _ in [*rows, (title, 0)]) + 2
    lines = [f"{title:<{width}}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [f"{name:<{width}}" + "".join(f"{count[column]:>9}" for column in COLUMNS) for name, count in rows]
    return "\n".join(lines)


def _rung_name(name: str) -> str:
    return f"{name:<3} {RUNGS[name]}"


def _order(name: str) -> tuple[int, str]:
    ordered = [_rung_name(known) for known in RUNGS]
    return (ordered.index(name) if name in ordered else -1, name)


def skips(results: Results) -> str:
    """Return the reasons to skip, the most frequent first."""
    reasons = Counter((result.why, result.excused) for _, result in results if result.status == "skipped")
    return "\n".join(
        f"{count:>5} skipped: {why}" + (" (upstream's binary is, too)" if excused else "")
        for (why, excused), count in reasons.most_common()
    )


def passed_of(results: Results) -> tuple[int, int]:
    """Return how many passed, of how many that upstream's binary can run."""
    counted = [result for _, result in results if not (result.status == "skipped" and result.excused)]
    return sum(result.status == "passed" for result in counted), len(counted)


def verdict(results: Results) -> str:
    """Return the last line."""
    tools = [(case, result) for case, result in results if case.suite == "tools"]
    upstream = [(case, result) for case, result in results if case.suite != "tools"]
    rungs = {rung(case) for case, _ in upstream}
    beside = ", ".join(f"{good} of {of} {where}" for where, those, good, of in BASELINE if those & rungs)
    parts = [f"tools: {_share(tools)}"] if tools else []
    parts += [f"{_share(upstream)} of what upstream's binary can run"] if upstream else []
    parts += [f"upstream's own 0.26 passed {beside}"] if beside else []
    return "; ".join(parts) or "nothing was run"


def _share(results: Results) -> str:
    good, of = passed_of(results)
    return f"{good} of {of} passed" + (f": {100 * good / of:.1f} %" if of else "")
