"""`python -m probee`."""

from __future__ import annotations

from probee.cli.main import entry

if __name__ == "__main__":
    entry()
