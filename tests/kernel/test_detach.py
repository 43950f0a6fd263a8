"""The end of a session whose probes take long to detach: they are silent at once, and `end` is the last that runs."""

from __future__ import annotations

import time

import pytest

from probee.compiler.compile import compile
from probee.kernel.target import LiveTarget
from probee.runtime import installation
from probee.runtime.session import Session

pytestmark = pytest.mark.kernel

MANY = " ".join(f"interval:us:{500 + number} {{ @[{number}] = count(); @all++; }}" for number in range(20))


def test_probes_that_are_not_detached_yet_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PATIENCE_S", 0.0)  # nothing is detached before close()
    spec = compile(f"{MANY} end {{ @last = @all; }}", LiveTarget(), {})
    with Session(spec) as session:

        def value(name: str) -> int:
            return int(session.snapshot(name).rows[0][1])

        time.sleep(0.1)
        session.stop()
        for _ in session.batches():
            pass
        assert all(link.descriptors for link in session.installed.links)
        assert value("@last") == value("@all") > 20
        time.sleep(0.1)
        assert value("@last") == value("@all")


def test_functions_that_end_calls_return_after_exit() -> None:
    script = (
        "fn twice($x : int64) : int64 { return $x * 2; } interval:ms:10 { exit(); }"
        'end { $a = twice(21); printf("%d\\n", $a); }'
    )
    with Session(compile(script, LiveTarget(), {})) as session:
        said = [event for batch in session.batches() for event in batch if event.kind == "printf"]
    assert len(said) == 1
