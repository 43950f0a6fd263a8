"""Numbers in attach points."""

from __future__ import annotations

import pytest

from probee.probes.number import U64_MAX, parse_signed, parse_unsigned


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("99", 99), ("0x1F", 31), ("0X1f", 31), ("0b101", 5), ("017", 15), ("1_000_000", 1_000_000),
        ("1e6", 1_000_000), ("9E2", 900), ("10u", 10), ("10ull", 10), ("1ns", 1), ("1us", 1000), ("5ms", 5_000_000),
        ("2s", 2_000_000_000), ("1m", 60_000_000_000), ("1h", 3_600_000_000_000), ("1d", 86_400_000_000_000),
        (str(U64_MAX), U64_MAX), ("1e19", 10**19), ("2e3ms", 2_000_000_000),
    ],
)  # fmt: skip
def test_a_number_has_the_value_that_bpftrace_gives_it(text: str, value: int) -> None:
    assert parse_unsigned(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid integer: "),
        ("abc", "invalid integer: abc"),
        ("-1", "invalid integer: -1"),
        ("0x", "invalid integer: 0x"),
        ("10x", "invalid trailing bytes: 10x"),
        ("08", "invalid trailing bytes: 08"),
        ("1e", "invalid trailing bytes: 1e"),
        ("1e0", "invalid trailing bytes: 1e0"),
        ("10e3", "coefficient part of scientific literal must be 1-9: 10e3"),
        ("1e20", f"overflow error, maximum value is {U64_MAX}: 1e20"),
        ("1e99999999999", f"overflow error, maximum value is {U64_MAX}: 1e99999999999"),
        ("18446744073709551616", f"overflow error, maximum value is {U64_MAX}: 18446744073709551616"),
        ("5000000000u", "overflow error, maximum value is 4294967295: 5000000000u"),
        ("20000000000s", f"overflow error, maximum value is {U64_MAX}: 20000000000s"),
    ],
)
def test_what_is_no_number_is_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_unsigned(text)
    assert str(caught.value) == message


def test_a_signed_number_may_have_a_minus() -> None:
    assert parse_signed("-5ms") == -5_000_000
    assert parse_signed("5") == 5
