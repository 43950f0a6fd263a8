"""What each case did last, kept in the cache: by the case's text and a stamp of probee's source."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from case import Case
from judge import Result
from scratch import cache_dir

import probee


@cache
def stamp() -> str:
    """Return a digest of probee's source, and of this runner's."""
    digest = hashlib.sha256()
    for root in (Path(probee.__file__).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*")):
            if path.suffix in (".py", ".bt"):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """Results of one place (this machine, a guest's kernel) by a case's ident."""

    def __init__(self, place: str, tests: Path) -> None:
        self.path = cache_dir() / f"results-{place}.json"
        self._tests = tests
        try:
            self._kept: dict[str, dict[str, object]] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self._kept = {}

    def fresh(self, case: Case) -> Result | None:
        """Return a case's result if neither the case nor probee has changed since."""
        kept = self._kept.get(case.ident)
        return self.last(case) if kept is not None and kept["stamp"] == stamp() else None

    def last(self, case: Case) -> Result | None:
        """Return a case's last result, whatever has changed in probee since."""
        kept = self._kept.get(case.ident)
        if kept is None or kept["key"] != case.key(self._tests):
            return None
        result = kept["result"]
        assert isinstance(result, dict)
        return Result.from_dict(result)

    def keep(self, case: Case, result: Result) -> None:
        self._kept[case.ident] = {"key": case.key(self._tests), "stamp": stamp(), "result": result.as_dict()}

    def save(self) -> None:
        """Write to disk, all or nothing."""
        text = json.dumps(self._kept, indent=0)
        beside = self.path.with_suffix(f".{os.getpid()}")
        beside.write_text(text)
        beside.replace(self.path)
