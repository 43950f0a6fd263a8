"""Fixtures of the tests that need a kernel: what this one can do, and that nothing stays open or attached."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from probee.errors import KernelError
from probee.kernel.features.feature import has
from probee.kernel.syscalls import fd as descriptors
from probee.kernel.syscalls.map import map_create
from probee.kernel.syscalls.tracefs import tracefs_root


@pytest.fixture(scope="session")
def bpf_refusal() -> str:
    """Return why this process cannot use bpf(2), "" if it can."""
    try:
        descriptors.Descriptor(map_create(2, 4, 8, 1), "trial map").close()
    except KernelError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def nothing_left_open(bpf_refusal: str) -> Iterator[None]:
    """Fail a test that leaves a Descriptor, or any descriptor of a BPF object or perf event, open."""
    if bpf_refusal:
        pytest.skip(bpf_refusal)
    before = kernel_objects()
    descriptors.watch()
    yield
    if descriptors.leaks():
        gc.collect()  # what only a cycle keeps is closed by its owner's end
    leaks = descriptors.leaks()
    descriptors.watch(on=False)
    assert not leaks, "\n".join(leaks)
    assert kernel_objects() <= before


def kernel_objects() -> set[tuple[str, str]]:
    """Return (number, what) of the open descriptors that belong to BPF or perf."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            what = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the listing's own
        if "bpf" in what or "perf_event" in what or ("btf" in what and "anon_inode" in what):
            found.add((number, what))
    return found


@pytest.fixture
def kprobes() -> None:
    """Skip where kprobes are not built in; the lab's guests have them."""
    if not has("kprobe"):
        pytest.skip("this kernel has no kprobes: run these tests in a lab guest (probee lab run -- pytest -m kernel)")


@pytest.fixture
def tracefs() -> str:
    """Return tracefs' mount point; skip where it is not mounted."""
    root = tracefs_root()
    if root is None:
        pytest.skip("tracefs is not mounted here: run these tests in a lab guest")
    return root
