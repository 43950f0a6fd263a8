"""Where tracefs is, and small files in it."""

from __future__ import annotations

ROOTS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def tracefs_root() -> str | None:
    """Return the mount point of tracefs, None when it is not mounted (or may not be entered)."""
    from os.path import isdir

    return next((root for root in ROOTS if isdir(f"{root}/events")), None)


def tracepoint_id(category: str, name: str) -> int | None:
    """Return the number of a tracepoint for perf_event_open, None if there is no such tracepoint."""
    root = tracefs_root()
    if root is None or "/" in category or "/" in name:
        return None
    try:
        with open(f"{root}/events/{category}/{name}/id", encoding="utf-8") as file:
            return int(file.read())
    except OSError:
        return None
