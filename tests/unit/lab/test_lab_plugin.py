"""The pytest plugin, in a pytest of its own on a machine without QEMU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from probee.lab import plugin

TESTS = "def test_one(guest): pass\ndef test_two(guest): pass\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "test_inner.py").write_text(TESTS)
    source = os.path.dirname(os.path.dirname(os.path.dirname(plugin.__file__)))
    environment = {"PYTHONPATH": source, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}

    def run_pytest(*options: str) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "probee.lab.plugin", "-p", "no:cacheprovider", "-ra", *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run_pytest


def test_without_a_guest_tests_are_skipped_and_the_reason_is_printed_once(run):
    said = run()
    assert "2 skipped" in said
    assert said.count("no lab guest: QEMU is missing: run `probee lab setup`") == 1


def test_where_a_guest_is_required_its_absence_is_a_failure(run):
    assert "2 errors" in run("--lab-required")


def test_every_kernel_gives_each_test_once_and_they_are_grouped_by_kernel(run):
    said = run("--lab-kernels", "6.12, 5.10", "--collect-only", "-q")
    names = [line.partition("::")[2] for line in said.splitlines() if "::" in line]
    assert names == ["test_one[6.12]", "test_two[6.12]", "test_one[5.10]", "test_two[5.10]"]


def test_a_server_that_is_not_there_is_named(run):
    assert "no lab server at /no/such" in run("--lab-connect", "/no/such")
