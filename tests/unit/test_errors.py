"""Places in a program text, and how an error shows them."""

from __future__ import annotations

import pytest

from probee.errors import CompileError, KernelError, Source, UnknownName, excerpt, locate, make_span, span_range

TEXT = "first line\n\tsecond(tabbed);\nthird\n"


def span_of(text: str, word: str) -> int:
    at = text.index(word)
    return make_span(at, at + len(word))


def test_a_span_packs_and_unpacks() -> None:
    assert span_range(make_span(5, 9)) == (5, 9)
    assert span_range(make_span(7, 7)) == (7, 7)
    assert span_range(make_span(0, 1 << 30)) == (0, (1 << 24) - 1), "a length that does not fit is cut"


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (9, (1, 10)), (10, (1, 11)), (11, (2, 1)), (28, (3, 1)), (34, (4, 1))]
)
def test_lines_and_columns_count_from_one(offset: int, place: tuple[int, int]) -> None:
    assert Source("x", TEXT).position(offset) == place


def test_a_span_within_a_line_is_line_and_columns_half_open() -> None:
    assert locate(Source("x.bt", TEXT), span_of(TEXT, "line")) == "x.bt:1:7-11"


def test_a_span_over_lines_is_their_numbers() -> None:
    assert locate(Source("x.bt", TEXT), span_of(TEXT, "line\n\tsecond")) == "x.bt:1-2"


def test_the_tildes_stand_under_the_span_whatever_the_tabs() -> None:
    assert excerpt(Source("x", TEXT), span_of(TEXT, "tabbed")) == "    second(tabbed);\n           ~~~~~~"


def test_an_empty_span_gets_one_tilde() -> None:
    assert excerpt(Source("x", TEXT), make_span(10, 10)) == "first line\n          ~"


def test_several_lines_are_shown_without_tildes() -> None:
    assert excerpt(Source("x", TEXT), span_of(TEXT, "line\n\tsecond")) == "first line\n    second(tabbed);"


def test_a_very_long_line_is_shown_around_the_span() -> None:
    text = "x" * 5000 + "here" + "y" * 5000
    line, tildes = excerpt(Source("x", text), span_of(text, "here")).split("\n")
    assert len(line) <= 200
    assert line[tildes.index("~") : tildes.rindex("~") + 1] == "here"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    text = b"a\xff\x00b".decode("utf-8", "surrogateescape")
    excerpt(Source("x", text), make_span(0, 1)).encode()  # can be written to any terminal


def test_a_report_has_place_line_tildes_and_hint() -> None:
    error = UnknownName("Unknown function: 'lime'", span_of(TEXT, "line"), did_you_mean="line").at(Source("x.bt", TEXT))
    assert error.report() == "x.bt:1:7-11: ERROR: Unknown function: 'lime'\nfirst line\n      ~~~~\nHINT: Did you mean: line?"


def test_the_first_source_that_an_error_gets_stays() -> None:
    inner = Source("library", "text")
    assert CompileError("x", source=inner).at(Source("script", TEXT)).source is inner


def test_a_kernel_error_is_an_os_error_with_its_number() -> None:
    error = KernelError(2, "bpf(BPF_MAP_CREATE)")
    assert isinstance(error, OSError)
    assert error.errno == 2
    assert str(error) == "bpf(BPF_MAP_CREATE): No such file or directory"
