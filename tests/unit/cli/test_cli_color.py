"""BPFTRACE_COLOR."""

from __future__ import annotations

import io

import pytest

from probee.cli.color import ColoredStream, colored
from probee.cli.main import main

RED, YELLOW, RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def test_messages_are_coloured_and_the_source_below_them_is_not():
    text = "stdin:1:2-3: ERROR: no\nbegin { ERROR: }\n  ~~\nHINT: x\nWARNING: but"
    assert colored(text) == (
        f"{RED}stdin:1:2-3: ERROR: no{RESET}\nbegin {{ ERROR: }}\n  ~~\nHINT: x\n{YELLOW}WARNING: but{RESET}"
    )


@pytest.mark.parametrize("mode, painted", [("always", True), ("never", False), ("auto", False)])
def test_the_variable_decides_and_auto_needs_a_terminal(capsys, monkeypatch, mode, painted):
    monkeypatch.setenv("BPFTRACE_COLOR", mode)
    assert main(["/nonexistent"]) == 1
    assert capsys.readouterr().err.startswith(RED) is painted


def test_another_value_is_told(capsys, monkeypatch):
    monkeypatch.setenv("BPFTRACE_COLOR", "blue")
    assert main(["-V"]) == 0
    assert capsys.readouterr().err == (
        "WARNING: BPFTRACE_COLOR is auto, always or never; it is set to blue, which is taken for auto\n"
    )


def test_a_stream_of_messages_is_coloured_as_well():
    stream = io.BytesIO()
    colored_stream = ColoredStream(stream)
    colored_stream.write(b"stdin:1:1-2: WARNING: x\nsource\n")
    colored_stream.flush()
    assert stream.getvalue().decode() == f"{YELLOW}stdin:1:1-2: WARNING: x{RESET}\nsource\n"
