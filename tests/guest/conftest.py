"""Tests that drive a probee in a lab guest from outside; `session.py` beside this file is their vocabulary."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
