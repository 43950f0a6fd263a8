"""Scripts of absurd size end in an error of ours, soon."""

from __future__ import annotations

import pytest

from probee.compiler.compile import compile
from probee.errors import CompileError
from probee.formats.target import FileTarget


def test_a_script_of_a_megabyte_in_one_probe_is_too_large(target: FileTarget) -> None:
    body = "".join(f"@a[{number}] = {number};\n" for number in range(55_000))
    with pytest.raises(CompileError, match="begin is too large") as raised:
        compile(f"BEGIN {{\n{body}}}\n", target)
    assert raised.value.source is not None


def test_a_sum_of_five_thousand_terms_is_a_number_or_an_error(target: FileTarget) -> None:
    text = f"BEGIN {{ $x = rand; @ = {' + '.join(['$x'] * 5000)}; }}"
    try:
        compile(text, target)
    except CompileError as error:
        assert "nested" in error.message
