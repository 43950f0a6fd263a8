"""`probee doctor`: what this machine, kernel, user and container can and cannot do, each with the remedy."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.cli.checks import Finding

USAGE = """\
USAGE: probee doctor [--json]     what can be traced here and what cannot, with what to do about it

Exit status 1 when no program can be loaded at all.
"""
_MARKS = {"ok": "ok", "limited": "limited", "missing": "MISSING"}
_NEEDED = ("capabilities", "bpf(2)")  # without these nothing goes


def main(argv: list[str]) -> int:
    if argv in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if argv not in ([], ["--json"]):
        sys.stderr.write(USAGE)
        return 1
    from probee.cli.checks import MISSING, findings

    found = []
    writer = None if argv else _Writer()
    for finding in findings():
        found.append(finding)
        if writer is not None:
            writer.write(finding)
    if writer is None:  # JSON is one document
        _write_json(found)
    return int(any(finding.name in _NEEDED and finding.state == MISSING for finding in found))


class _Writer:
    """Writes findings as they come: a heading per topic, a line each, the remedy below."""

    def __init__(self) -> None:
        from probee import __version__

        self._topic = ""
        system = os.uname()
        python = ".".join(map(str, sys.version_info[:3]))
        sys.stdout.write(f"probee {__version__}, Python {python}, {system.sysname} {system.release} {system.machine}\n")

    def write(self, finding: Finding) -> None:
        if finding.topic != self._topic:
            self._topic = finding.topic
            sys.stdout.write(f"\n{finding.topic}\n")
        sys.stdout.write(f"  {_MARKS[finding.state]:8}{finding.name:19}{finding.detail}\n")
        if finding.remedy:
            sys.stdout.write(f"  {'':27}→ {finding.remedy}\n")
        sys.stdout.flush()



def _write_json(found: list[Finding]) -> None:
    import json

    from probee import __version__

    rows = [
        {"topic": f.topic, "name": f.name, "state": f.state, "detail": f.detail, "remedy": f.remedy} for f in found
    ]
    system = os.uname()
    document = {"probee": __version__, "kernel": system.release, "machine": system.machine, "findings": rows}
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
