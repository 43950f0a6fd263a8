"""The reader of bpftrace's runtime cases, their rungs and their judge, on files of our own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from case import Case, for_this_machine, number, parse
from judge import judge, satisfied
from rung import rung

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
BEFORE ./one
BEFORE ./two 3
EXPECT_REGEX ^a+$
EXPECT_NONE b
REQUIRES_FEATURE btf !dwarf
WILL_FAIL

NAME third
PROG kprobe:f, k:g { } t:a:b { } u:/bin/x:f { $x ? a : b }
RETURN_CODE 3
EXPECT "kprobe:f"
"""
HERE = Path()


def one(text: str) -> Case:
    (case,) = parse("suite", f"NAME x\n{text}")
    return case


def test_paragraphs_become_cases() -> None:
    first, second, third = parse("suite", TEXT)
    assert first.name == "first case"
    assert first.program == "begin { print(1);\nprint(2); }"
    assert first.expects == [("EXPECT", "1\n2")]
    assert first.environment == {"A": "1", "B": "2"}
    assert (first.timeout_s, second.timeout_s) == (1, 5)
    assert second.expects == [("EXPECT_REGEX", "^a+$"), ("EXPECT_NONE", "b")]
    assert second.befores == ["./one", "./two 3"]
    assert (first.return_code, third.return_code) == (0, 3)


def test_a_case_followed_by_comment_lines_at_the_end_is_lost_as_upstream_loses_it() -> None:
    assert [case.name for case in parse("s", "NAME kept\nPROG x\n\nNAME lost\nPROG y\n# end\n")] == ["kept"]


def test_an_unknown_directive_is_refused() -> None:
    with pytest.raises(ValueError, match="EXPECTED is not a directive"):
        one("PROG begin { }\nEXPECTED 1\n")


def test_names_that_occur_twice_are_told_apart() -> None:
    cases = number([*parse("s", "NAME a\nPROG x\n\nNAME a\nPROG y\n"), *parse("t", "NAME a\nPROG x\n")])
    assert [case.ident for case in cases] == ["s.a", "s.a#2", "t.a"]


def test_a_key_changes_with_the_case_and_with_what_it_is_compared_with(tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("1")
    case, other = one("PROG x\nEXPECT_FILE wanted\n"), one("PROG y\nEXPECT_FILE wanted\n")
    before = case.key(tmp_path)
    assert before != other.key(tmp_path)
    (tmp_path / "wanted").write_text("2")
    assert case.key(tmp_path) != before


def test_architectures_are_required_or_refused() -> None:
    assert for_this_machine(one("PROG x\n"))
    assert not for_this_machine(one("PROG x\nARCH no-such-machine\n"))
    assert for_this_machine(one("PROG x\nARCH !no-such-machine\n"))


def test_probes_are_seen_in_the_text() -> None:
    first, second, third = parse("suite", TEXT)
    assert first.providers == {"begin"}
    assert second.providers == {"interval", "end"}
    assert third.providers == {"kprobe", "tracepoint", "uprobe"}


def test_probes_are_seen_in_a_shells_double_quotes_and_bit_fields_are_none() -> None:
    assert one('RUN {{BPFTRACE}} -e "uprobe:./x:0x$(nm x) { }"\n').providers == {"uprobe"}
    assert one("PROG struct s { int h:2, i:5; } begin { }\n").providers == {"begin"}
    assert one('PROG begin { printf("kprobe:f"); }\n').providers == {"begin"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("RUN {{BPFTRACE}} --version\nEXPECT v", "A"),
        ("PROG begin { nonsense }\nEXPECT ERROR: what\nWILL_FAIL", "B"),
        ("PROG begin { }\nEXPECT 1", "C1"),
        ("RUN {{BPFTRACE}} -l 'kprobe:*'\nEXPECT 1", "L0"),
        ("RUN {{BPFTRACE}} -l 'uprobe:./testprogs/x:*'\nEXPECT 1", "L1"),
        ("PROG begin { } i:s:1 { }\nEXPECT 1", "C2"),
        ("PROG i:s:1 { } t:a:b { }\nEXPECT 1", "C3"),
        ("PROG t:a:b { } kr:f { }\nEXPECT 1", "D"),
        ("PROG k:f { } u:x:f { }\nEXPECT 1", "E"),
        ("PROG u:x:f { } fexit:f { }\nEXPECT 1", "F"),
        ("PROG iter:task { }\nEXPECT 1", "G"),
        ("RUN {{BPFTRACE}} -e 'usdt::a:b { }' -p 1\nEXPECT 1", "H"),
        ("PROG u:x:f { }\nREQUIRES_FEATURE dwarf\nEXPECT 1", "I"),
        ("PROG w:0x1:8:w { }\nEXPECT 1", "J"),
        ("PROG k:f { }\nREQUIRES lsmod | grep kvm\nEXPECT 1", "M"),
        ("RUN {{BPFTRACE}} -e 'begin { }' --aot x\nEXPECT 1", "X"),
    ],
)
def test_a_case_is_on_the_rung_of_the_most_that_it_needs(text: str, wanted: str) -> None:
    assert rung(one(text)) == wanted


def test_a_case_is_judged_by_text_and_status() -> None:
    first, second, third = parse("suite", TEXT)
    assert judge(first, "Attached 1 probe\n1\n2\n", 0, HERE, timed_out=False).status == "passed"
    assert judge(first, "12\n", 0, HERE, timed_out=False).status == "failed"
    assert judge(first, "1\n2\n", 1, HERE, timed_out=False).status == "failed"
    assert judge(second, "aa\n", 1, HERE, timed_out=False).status == "passed"
    assert judge(second, "aa\n", 0, HERE, timed_out=False).status == "failed"
    assert judge(second, "aa\nb\n", 1, HERE, timed_out=False).status == "failed"
    assert judge(third, '"kprobe:f"', 3, HERE, timed_out=False).status == "passed"


def test_a_case_whose_time_was_up_is_judged_by_its_output_only() -> None:
    case = one("PROG x\nEXPECT 1")
    assert judge(case, "1\n", -15, HERE, timed_out=True).status == "passed"
    late = judge(case, "2\n", -15, HERE, timed_out=True)
    assert (late.status, late.why.startswith("time is up")) == ("failed", True)


def test_only_what_has_nothing_to_refuse_is_satisfied_early() -> None:
    assert satisfied(one("PROG x\nEXPECT 1"), "1\n", HERE)
    assert not satisfied(one("PROG x\nEXPECT 1"), "2\n", HERE)
    assert not satisfied(one("PROG x\nEXPECT 1\nEXPECT_NONE 2"), "1\n", HERE)
    assert not satisfied(one("PROG x\nRETURN_CODE 3"), "", HERE)


def test_files_are_compared_whole_and_times_in_them_are_local(tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("%Y\n")
    year = time.strftime("%Y", time.localtime(86400 * 700))
    case = one(f"PROG x\nEXPECT_FILE wanted\nLOCALIZE_TIMESTAMPS {86400 * 700}")
    assert judge(case, f"\n{year}\n\n", 0, tmp_path, timed_out=False).status == "passed"
    assert judge(case, f"{year}\nmore\n", 0, tmp_path, timed_out=False).status == "failed"


def test_json_is_compared_by_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"a": [1, 2], "b": 3}')
    (tmp_path / "many.ndjson").write_text('{"a": 1}\n{"b": 2}\n')
    single, many = one("PROG x\nEXPECT_JSON one.json"), one("PROG x\nEXPECT_JSON many.ndjson")
    assert judge(single, '{"b": 3, "a": [1, 2]}\n', 0, tmp_path, timed_out=False).status == "passed"
    assert judge(single, '{"b": 3, "a": [1,\n 2]}\n', 0, tmp_path, timed_out=False).status == "failed"
    assert judge(many, '{"a": 1}\n{"b": 2}\n', 0, tmp_path, timed_out=False).status == "passed"
    assert judge(many, '{"a": 1}\n', 0, tmp_path, timed_out=False).status == "failed"
    assert judge(many, "not json\n", 0, tmp_path, timed_out=False).status == "failed"
