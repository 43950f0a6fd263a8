"""The tables at the end: by suite, what was skipped and why, and the tools."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from upstream import SMOKE, Case

COLUMNS = ("passed", "failed", "skipped")
Results = list[tuple[Case, dict[str, Any]]]


def tables(results: Results, tools: list[str], idle: list[str]) -> str:
    """Return everything that is printed after a run; `idle` are the smoke methods that upstream left empty."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case, result in results:
        counts[case.suite][result["status"]] += 1
    rows = [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]
    others = sum((count for suite, count in counts.items() if suite not in (SMOKE, "tools")), Counter())
    rows.append(("methods but smoke", others))
    width = max(len(name) for name, _ in rows) + 2
    lines = [f"{'suite':<{width}}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [f"{name:<{width}}" + "".join(f"{count[column]:>9}" for column in COLUMNS) for name, count in rows]
    empty = [case for case, _ in results if case.suite == SMOKE and case.name in idle]
    if empty:
        lines.append(f"of the smoke methods that passed, {len(empty)} run nothing: upstream left them empty")
    return "\n\n".join(part for part in ("\n".join(lines), _reasons(results), _tools(results, tools)) if part)


def _reasons(results: Results) -> str:
    return "\n".join(
        f"{result['status']:<8} {case.ident}: {result['why']}" for case, result in results if result["status"] != "passed"
    )


def _tools(results: Results, tools: list[str]) -> str:
    """Return how many of the tools load and attach, and what each of the others said."""
    found = {case.name: result for case, result in results if case.suite == "tools"}
    good = [name for name in tools if name in found and found[name]["status"] == "passed"]
    bad = {name: found[name]["why"] if name in found else "not run" for name in tools if name not in good}
    if not tools:
        return ""
    lines = [f"tools: {len(good)} of {len(tools)} load and attach", *(f"  {name}: {why}" for name, why in bad.items())]
    return "\n".join(lines)
