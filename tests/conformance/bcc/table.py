"""The tables at the end: by suite, what was skipped and why, and the tools."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from upstream import SMOKE, Case

COLUMNS = ("passed", "failed", "skipped")
Results = list[tuple[Case, dict[str, Any]]]


def tables(results: Results, tools: list[str], smoke: dict[str, str]) -> str:
    """Return everything that is printed after a run; `smoke` says which method runs a tool."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case, result in results:
        counts[case.suite][result["status"]] += 1
    rows = [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]
    others = sum((count for suite, count in counts.items() if suite not in (SMOKE, "tools")), Counter())
    rows.append(("methods but smoke", others))
    width = max(len(name) for name, _ in rows) + 2
    lines = [f"{'suite':<{width}}" + "".join(f"{column:>9}" for column in COLUMNS)]
    lines += [f"{name:<{width}}" + "".join(f"{count[column]:>9}" for column in COLUMNS) for name, count in rows]
    return "\n\n".join(part for part in ("\n".join(lines), _reasons(results), _tools(results, tools, smoke)) if part)


def _reasons(results: Results) -> str:
    return "\n".join(
        f"{result['status']:<8} {case.ident}: {result['why']}" for case, result in results if result["status"] != "passed"
    )


def _tools(results: Results, tools: list[str], smoke: dict[str, str]) -> str:
    """Return how many of the tools load and attach: by their smoke method where there is one."""
    by_ident = {case.ident: result for case, result in results}
    found = {name: by_ident.get(f"{SMOKE}.{smoke[name]}" if name in smoke else f"tools.{name}") for name in tools}
    good = [name for name, result in found.items() if result and result["status"] == "passed"]
    bad = {name: result["why"] if result else "not run" for name, result in found.items() if name not in good}
    if not tools:
        return ""
    lines = [f"tools: {len(good)} of {len(tools)} load and attach", *(f"  {name}: {why}" for name, why in bad.items())]
    return "\n".join(lines)
