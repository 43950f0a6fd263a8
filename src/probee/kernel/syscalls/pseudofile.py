"""Files of proc and sysfs that hold a word or a few lines."""

from __future__ import annotations


def read_text(path: str) -> str:
    """Return a file's text without blanks around it, "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
