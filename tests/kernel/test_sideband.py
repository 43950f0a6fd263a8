"""What the kernel tells of a child of ours and of what it starts; it needs no more than perf events."""

from __future__ import annotations

import os
import select
import signal

import pytest

from probee.kernel.symbols import sideband
from probee.kernel.symbols.maps import read_maps, read_proc
from probee.kernel.symbols.sideband import COMM, EXIT, FORK, MMAP2, Report, Sideband
from probee.runtime.child import Child

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]


def reports_of(script: str) -> tuple[int, list[Report], int]:
    """Run a shell script, heard from the beginning; return its pid, the reports, and how many were lost."""
    child = Child(["sh", "-c", script])
    heard = Sideband([child.pid])
    try:
        child.release()
        select.select([child], [], [])
        pid = child.pid
        child.wait()
        return pid, heard.read(), heard.lost
    finally:
        child.close()
        heard.close()


def test_a_process_is_told_of_from_its_start_to_its_end():
    pid, reports, lost = reports_of("/bin/true; :")
    assert lost == 0
    assert [report.time_ns for report in reports] == sorted(report.time_ns for report in reports)
    assert reports[0].kind == COMM and reports[0].pid == pid
    (born,) = [report.pid for report in reports if report.kind == FORK]
    assert [report.pid for report in reports if report.kind == EXIT] == [born, pid]
    paths = [report.mapping.path for report in reports if report.pid == born and report.mapping is not None]
    assert os.path.realpath("/bin/true") in [os.path.realpath(path) for path in paths if path.startswith("/")]
    assert "[vdso]" in paths


def test_what_is_told_of_a_mapping_is_what_proc_says():
    child = Child(["sleep", "5"])
    heard = Sideband([child.pid])
    try:
        child.release()
        wanted: dict[int, tuple[int, int, str]] = {}
        while not {"sleep", "libc"} <= {os.path.basename(path).partition(".")[0] for _, _, path in wanted.values()}:
            mappings = read_maps(child.pid, executable_only=True) or []
            wanted = {mapping.start: (mapping.end, mapping.offset, mapping.path) for mapping in mappings}
        found = {report.mapping.start: report.mapping for report in heard.read() if report.mapping is not None}
        for start, place in wanted.items():
            if place[2].startswith("/"):
                assert (found[start].end, found[start].offset, found[start].path) == place
                assert found[start].is_file
    finally:
        child.close()
        heard.close()


def test_reports_that_have_no_room_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sideband, "_LARGEST_RING", 8192)
    child = Child(["sh", "-c", "n=0; while [ $n -lt 100 ]; do /bin/true; n=$((n + 1)); done; kill -STOP $$; /bin/true; :"])
    heard = Sideband([child.pid])
    try:
        child.release()
        while (read_proc(f"/proc/{child.pid}/stat") or b"").rpartition(b") ")[2][:1] != b"T":
            pass
        kinds = [report.kind for report in heard.read()]
        os.kill(child.pid, signal.SIGCONT)  # before Linux 6.0 losses are told of when there is room again
        select.select([child], [], [])
        child.wait()
        heard.read()
        assert 0 < kinds.count(FORK) < 100 and MMAP2 in kinds
        assert heard.lost >= 100 - kinds.count(FORK)
    finally:
        child.close()
        heard.close()
