"""`--probe-filter REGEX`: only the probes whose name the expression is found in; begin and end always stay.

The programs that then belong to no probe are left out as well.
"""

from __future__ import annotations

import re

from probee.errors import UsageError
from probee.model.spec import ObjectSpec

ALWAYS = ("begin", "end", "self")
NO_REGEX = 255  # bpftrace's status for it


def expression(text: str) -> re.Pattern[str]:
    """Return the compiled expression; UsageError when it is none."""
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"Invalid --probe-filter regex '{text}': {error}", exit_status=NO_REGEX) from None


def filtered(spec: ObjectSpec, text: str) -> ObjectSpec:
    """Return the object with the matching links, and the programs that they attach."""
    wanted = expression(text)
    links = tuple(link for link in spec.links if link.kind in ALWAYS or wanted.search(link.probe))
    used = {link.program for link in links}
    fields = {name: getattr(spec, name) for name in ObjectSpec.__slots__}
    programs = tuple(program for program in spec.programs if program.name in used)
    return ObjectSpec(**{**fields, "links": links, "programs": programs})
