"""Fixtures that every room may use.  That this file lies here also lets tests import `target_fixture` and `btf_from_c`."""

from __future__ import annotations

import signal
import sys

import hypothesis
import pytest

from probee.formats.target import FileTarget
from target_fixture import build_target

pytest_plugins = ("probee.lab.plugin",)  # the `guest` fixture and its options

hypothesis.settings.register_profile("probee", deadline=None)  # how long an example takes says more about the machine
hypothesis.settings.load_profile("probee")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background jobs: what we start must know Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup: what we start must notice a closed terminal
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

C = sys.version_info >= (3, 11)  # whether programs in C can be compiled: see pyproject.toml
collect_ignore_glob = [] if C else ["*/test_c_*.py", "*/kernel/test_bcc_*.py", "*/test_course_programs.py"]


def pytest_report_header() -> str:
    return "" if C else "tests of programs in C are left out: they need Python 3.11"


@pytest.fixture
def target() -> FileTarget:
    """A small x86-64 kernel (tests/target_fixture.py), fresh for each test."""
    return build_target()
