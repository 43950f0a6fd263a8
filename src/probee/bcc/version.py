"""The version of bcc whose Python face this is; probee's own is probee.__version__."""

from __future__ import annotations

__version__ = "0.37.0"
