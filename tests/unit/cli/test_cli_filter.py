"""`--probe-filter`: which links stay, and the programs with them."""

from __future__ import annotations

import pytest

from probee.cli.filter import filtered
from probee.errors import UsageError
from probee.model.spec import LinkSpec, ObjectSpec, ProgramSpec, ProgramType

NAMES = ("begin", "interval:ms:100", "interval:ms:200", "kprobe:vfs_read", "end")


def spec() -> ObjectSpec:
    links = tuple(LinkSpec(name.partition(":")[0], f"p{index}", name, {}) for index, name in enumerate(NAMES))
    programs = tuple(ProgramSpec(f"p{index}", ProgramType.KPROBE, b"") for index in range(len(NAMES)))
    return ObjectSpec(programs=programs, maps=(), links=links, source_text="x", license="GPL v2")


@pytest.mark.parametrize(
    "expression, kept",
    [
        (":200", ["begin", "interval:ms:200", "end"]),
        ("interval:ms:(1|2)00", ["begin", "interval:ms:100", "interval:ms:200", "end"]),
        ("^nothing$", ["begin", "end"]),
        ("", list(NAMES)),
    ],
)
def test_begin_and_end_stay_and_others_must_match(expression, kept):
    found = filtered(spec(), expression)
    assert [link.probe for link in found.links] == kept
    assert [program.name for program in found.programs] == [link.program for link in found.links]


def test_all_else_of_the_object_stays():
    assert (filtered(spec(), ":200").source_text, filtered(spec(), ":200").license) == ("x", "GPL v2")


def test_what_is_no_expression_is_an_error_with_bpftraces_status():
    with pytest.raises(UsageError, match=r"Invalid --probe-filter regex '\[invalid': ") as caught:
        filtered(spec(), "[invalid")
    assert caught.value.exit_status == 255
