"""Lists of kernel functions by pattern, from a list that is read once."""

from __future__ import annotations

import pytest

from probee.bcc import listing
from probee.kernel import answer, traceable

LINES = ["vfs_read", "vfs_write", "vfs_read.cold", "perf_read", "nf_hook [nf]"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A kernel with five functions, and the list of how often they were read."""
    done: list[str] = []

    def read(*_: object) -> list[str]:
        done.append("read")
        return LINES

    monkeypatch.setattr(traceable, "traceable_lines", read)
    monkeypatch.setattr(answer, "loaded_modules", lambda: "nf")
    monkeypatch.setattr(listing, "_known", {})
    return done


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (b"vfs_.*", {b"vfs_read", b"vfs_write"}), ("vfs_read", {b"vfs_read"}), (b"vfs_", set()), (b"perf_read", set()),
        (b"nf_hook", {b"nf_hook"}), (b".*read", {b"vfs_read"}), (b"absent", set()), (b"vfs_(read|open)", {b"vfs_read"}),
    ],
)  # fmt: skip
def test_whole_names_match_and_what_tracing_runs_on_is_left_out(reads: list[str], pattern: bytes, names: set[bytes]) -> None:
    assert listing.get_kprobe_functions(pattern) == names


def test_functions_are_read_again_when_modules_were_loaded(reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        listing.get_kprobe_functions(b"vfs_.*")
    assert len(reads) == 1
    monkeypatch.setattr(answer, "loaded_modules", lambda: "nf xfs")
    listing.get_kprobe_functions(b"vfs_.*")
    assert len(reads) == 2
