"""probee: the eBPF toolkit in pure Python.  Public names are re-exported lazily from `probee.api`."""

from __future__ import annotations

__version__ = "0.1.0"
