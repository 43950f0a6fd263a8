"""`probee doctor` on whatever machine the tests run: what it says has a form, and a broken machine does not stop it."""

from __future__ import annotations

import json

import pytest

from probee.cli import checks
from probee.cli.checks import LIMITED, MISSING, OK, findings
from probee.cli.main import main


@pytest.fixture
def matters(monkeypatch):
    """Let the doctor look at what a test gives it: name → what its check returns or raises."""

    def give(**answers):
        def check(answer):
            def run():
                if isinstance(answer, Exception):
                    raise answer
                return answer

            return run

        monkeypatch.setattr(checks, "TOPICS", (("You", tuple((name, check(answer)) for name, answer in answers.items())),))

    return give


def test_every_finding_has_a_state_and_says_something():
    found = list(findings())
    assert {finding.topic for finding in found} == {"You", "The kernel", "Around it"}
    for finding in found:
        assert finding.state in (OK, LIMITED, MISSING)
        assert finding.detail
        assert "\n" not in finding.detail + finding.remedy


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(matters):
    matters(first=RuntimeError("a strange machine\nwith a traceback"), second=(OK, "well", ""))
    assert [(f.name, f.state, f.detail) for f in findings()] == [
        ("first", MISSING, "a strange machine"), ("second", OK, "well"),
    ]  # fmt: skip


def test_a_remedy_stands_below_what_it_is_for(matters, capsys):
    matters(tracefs=(MISSING, "not mounted", "mount it"), other=(OK, "fine", ""))
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  MISSING tracefs            not mounted")
    assert lines[at + 1].strip() == "→ mount it"
    assert lines[at + 2] == "  ok      other              fine"


def test_json_is_one_document(matters, capsys):
    matters(tracefs=(LIMITED, "half", "more"))
    assert main(["doctor", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["findings"]
    assert row == {"topic": "You", "name": "tracefs", "state": "limited", "detail": "half", "remedy": "more"}


def test_where_nothing_can_be_loaded_the_status_says_so(matters, capsys):
    matters(capabilities=(MISSING, "none", "be root"))
    assert main(["doctor"]) == 1


def test_other_words_are_refused(capsys):
    assert main(["doctor", "--jsn"]) == 1
    assert "USAGE: probee doctor" in capsys.readouterr().err
