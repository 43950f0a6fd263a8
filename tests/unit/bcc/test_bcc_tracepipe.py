"""The trace pipe: what is told when it cannot be opened."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from probee.bcc import tracepipe


def test_a_pipe_that_somebody_reads_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: str, mode: str) -> Any:
        raise OSError(errno.EBUSY, "Device or resource busy", path)

    monkeypatch.setattr(tracepipe, "open", busy, raising=False)
    with pytest.raises(OSError, match="another program reads") as raised:
        tracepipe._open_pipe("/sys/kernel/tracing/trace_pipe")
    assert raised.value.errno == errno.EBUSY


def test_a_missing_tracefs_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tracefs is not mounted"):
        tracepipe._open_pipe(f"{tmp_path}/trace_pipe")
