"""What bad input gets from the whole command: one error with its place, bpftrace's status, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from probee.kernel.features.feature import has
from probee.kernel.syscalls.tracefs import tracefs_root

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root")]

COMMAND = [sys.executable, "-m", "probee"]
HELLO = 'begin { printf("hello\\n"); exit(); }'


def probee(*words: str, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=100, check=False, **options)
    assert "Traceback" not in done.stderr
    return done


def test_a_loop_without_end_is_refused_at_its_probe():
    done = probee("-e", "begin { while (1) { @ += 1; } }")
    assert done.returncode == 255
    places = [line for line in done.stderr.splitlines() if ": ERROR: the kernel refused begin: " in line]
    assert len(places) == 1
    assert places[0].startswith("stdin:1:")


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("mode", ["line", "full", "none"])
def test_a_full_disk_is_one_error(format, mode):
    done = probee("-f", format, "-B", mode, "-o", "/dev/full", "-e", HELLO)
    assert done.stderr.endswith("ERROR: cannot write the output: No space left on device\n")
    assert done.returncode == 1


def test_a_file_is_whole_in_every_buffering_mode(tmp_path):
    for mode in ("line", "full", "none"):
        probee("-B", mode, "-o", str(tmp_path / mode), "-e", HELLO)
        assert (tmp_path / mode).read_text() == "hello\n\n\n"


@pytest.mark.parametrize("pages", ["600000", "99999999999"])
def test_a_ring_that_is_too_large_is_an_error(pages):
    done = probee("-e", HELLO, env={**os.environ, "BPFTRACE_PERF_RB_PAGES": pages})
    assert done.stderr.startswith("ERROR: ")
    assert "too large" in done.stderr
    assert done.returncode in (1, 255)


def test_a_cache_that_others_may_write_to_is_not_used(tmp_path):
    directory = tmp_path / "probee"
    directory.mkdir()
    directory.chmod(0o777)
    for _ in range(2):
        assert probee("-q", "-e", HELLO, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}).stdout == "hello\n\n\n"
    assert list(directory.iterdir()) == []


CACHELESS = [{"HOME": "/nonexistent"}, {}, {"XDG_CACHE_HOME": "/proc"}, {"XDG_CACHE_HOME": "relative"}]


@pytest.mark.parametrize("environment", CACHELESS)
def test_no_home_and_no_cache_are_no_obstacle(environment):
    assert probee("-q", "-e", HELLO, env={"PATH": "/usr/bin:/bin", **environment}).stdout == "hello\n\n\n"


def test_a_kernel_without_kprobes_says_so():
    if has("kprobe"):
        pytest.skip("this kernel has kprobes")
    assert "this kernel has no kprobes" in probee("-e", "kprobe:vfs_read { @ = count(); }").stderr
    assert "this kernel has no function that could be probed" in probee("-l", "kprobe:vfs_*").stderr


def test_the_plain_list_goes_on_without_tracefs():
    if tracefs_root() is not None:
        pytest.skip("tracefs is mounted")
    done = probee("-l")
    assert done.returncode == 0
    assert "rawtracepoint:vmlinux:sched_switch\n" in done.stdout
    assert "software:page-faults:\n" in done.stdout
    assert "tracepoint probes are missing here: tracepoints are in tracefs, which is not mounted" in done.stderr


def test_without_capabilities_the_command_to_type_is_named():
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *COMMAND, "-e", HELLO]
    done = subprocess.run(powerless, capture_output=True, text=True, timeout=60, check=False)
    first, sudo, lab = done.stderr.splitlines()
    assert first.startswith("ERROR: this needs CAP_BPF and CAP_PERFMON, which this process does not have")
    assert f"sudo {os.path.abspath(sys.executable)} -m probee -e 'begin {{ " in sudo.replace("env PYTHONPATH", "")
    assert " lab run -- " in lab
    assert (done.stdout, done.returncode) == ("", 1)
