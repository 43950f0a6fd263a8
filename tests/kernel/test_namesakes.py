"""Kernel functions that share a name are all meant by it: a file of sysfs calls one of the many that are called type_show."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from probee.kernel.features.feature import has
from probee.kernel.symbols.kallsyms import Kallsyms

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("kprobes", "tracefs"), pytest.mark.timeout(240)]

NAME = "type_show"
FILES = ("/sys/class/net/lo/type", "/sys/class/tty/ttyS0/type")  # of the network, and of serial lines


def traced(script: str) -> tuple[int, Counter[int]]:
    """Return how many functions were attached to or named as refused, and how often each ran while both files were read."""
    done = subprocess.run(
        [sys.executable, "-m", "probee", "-e", script, "-c", "cat " + " ".join(FILES)],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    attached = re.search(r"Attached (\d+) probe", done.stderr)
    assert attached is not None
    found = re.findall(r"^@\[(\w+)\]: (\d+)$", done.stdout, re.MULTILINE)
    refused = re.search(rf"(\d+) of \d+ places could not be attached: {NAME} at 0x", done.stderr)
    n_refused = int(refused[1]) if refused else 0
    return int(attached[1]) + n_refused, Counter({int(address, 0): int(count) for address, count in found})


@pytest.fixture(scope="module")
def addresses() -> set[int]:
    found = {address for address, _ in Kallsyms().functions_named([NAME]).get(NAME, [])}
    if len(found) < 2 or not all(Path(file).exists() for file in FILES):
        pytest.skip(f"this kernel has {len(found)} functions called {NAME}")
    return found


def test_a_name_means_all_functions_that_have_it(addresses: set[int]) -> None:
    attached, ran = traced(f'kprobe:{NAME} /pid == cpid/ {{ @[(uint64)reg("ip")] = count(); }}')
    assert attached == len(addresses)
    assert (len(ran), ran.total()) == (2, 2)


def test_and_at_their_return(addresses: set[int]) -> None:
    attached, ran = traced(f"kretprobe:{NAME} /pid == cpid/ {{ @[(uint64)0] = count(); }}")
    assert (attached, ran.total()) == (len(addresses), 2)


def test_so_does_a_pattern(addresses: set[int]) -> None:
    if not has("kprobe_multi"):
        pytest.skip("this kernel attaches one by one")
    attached, ran = traced('kprobe:type_s* /pid == cpid/ { @[(uint64)reg("ip")] = count(); }')
    assert attached >= len(addresses)
    assert (len(ran), ran.total()) == (2, 2)
