"""The reader of bpftrace's runtime cases, on a file of our own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from case import parse
from judge import judge

TEXT = """\
# a comment
NAME first case
PROG begin { print(1);
     print(2); }
EXPECT 1
       2
ENV A=1 B=2
TIMEOUT 1

NAME second
RUN {{BPFTRACE}} -e 'interval:s:1 { @ = 1; } end { }' -c "./x"
EXPECT_REGEX ^a+$
EXPECT_NONE b
REQUIRES_FEATURE btf !dwarf
WILL_FAIL

NAME third
PROG kprobe:f, k:g { } t:a:b { } u:/bin/x:f { $x ? a : b }
RETURN_CODE 3
EXPECT "kprobe:f"
"""


def test_paragraphs_become_cases() -> None:
    first, second, third = parse("suite", TEXT)
    assert first.name == "first case"
    assert first.program == "begin { print(1);\nprint(2); }"
    assert first.expects == [("EXPECT", "1\n2")]
    assert first.environment == {"A": "1", "B": "2"}
    assert (first.timeout_s, second.timeout_s) == (1, 5)
    assert second.expects == [("EXPECT_REGEX", "^a+$"), ("EXPECT_NONE", "b")]
    assert third.given["RETURN_CODE"] == "3"


def test_probes_are_seen_in_the_text() -> None:
    first, second, third = parse("suite", TEXT)
    assert first.providers == {"begin"}
    assert second.providers == {"interval", "end"}
    assert third.providers == {"kprobe", "tracepoint", "uprobe"}


def test_a_case_is_judged_by_text_and_status() -> None:
    first, second, third = parse("suite", TEXT)
    here = Path()
    assert judge(first, "Attached 1 probe\n1\n2\n", 0, here, timed_out=False).status == "passed"
    assert judge(first, "12\n", 0, here, timed_out=False).status == "failed"
    assert judge(first, "1\n2\n", 1, here, timed_out=False).status == "failed"
    assert judge(second, "aa\n", 1, here, timed_out=False).status == "passed"
    assert judge(second, "aa\n", 0, here, timed_out=False).status == "failed"
    assert judge(second, "aa\nb\n", 1, here, timed_out=False).status == "failed"
    assert judge(third, '"kprobe:f"', 3, here, timed_out=False).status == "passed"
