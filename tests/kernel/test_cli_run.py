"""The whole command, as a process: output, exit status, signals, children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root")]

COMMAND = [sys.executable, "-m", "probee"]
TICK = "interval:ms:5 { @ = count(); }"


def probee(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False, **options)


def started(*words: str) -> subprocess.Popen[str]:
    """Start the command and return when its probes are attached."""
    environment = {**os.environ, "__BPFTRACE_NOTIFY_PROBES_ATTACHED": "1"}
    process = subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n"
    return process


def test_a_one_liner_prints_and_ends():
    done = probee("-e", 'begin { printf("hello %d\\n", 5); }')
    assert (done.stdout, done.stderr, done.returncode) == ("hello 5\n\n\n", "Attached 1 probe\n", 0)


def test_the_second_run_comes_from_the_cache_and_prints_the_same():
    words = ("-e", 'begin { @x[1] = 2; printf("%s\\n", "cached?"); }')
    assert probee(*words).stdout == probee(*words).stdout == "cached?\n\n\n@x[1]: 2\n"


def test_exit_gives_its_status():
    assert probee("-q", "-e", "begin { exit(7); }").returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_with_status_zero(number):
    process = started("-e", f'{TICK} end {{ printf("bye\\n"); }}')
    time.sleep(0.1)  # for the first tick
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert out.startswith("bye\n\n\n@: ")
    assert (err, process.returncode) == ("Attached 2 probes\n", 0)


def test_the_users_signal_is_no_end():
    process = started("-e", 'interval:ms:100 { printf("tick\\n"); }')
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    assert process.stdout.readline() == "tick\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_child_is_started_when_all_is_attached_and_ends_it():
    done = probee("-c", "sleep 0.1", "-e", f'{TICK} end {{ printf("bye\\n"); }}')
    assert done.stdout.startswith("bye\n\n\n@: ")
    assert done.returncode == 0


def test_the_end_of_another_process_ends_it():
    other = subprocess.Popen(["sleep", "60"])
    process = started("-p", str(other.pid), "-e", TICK)
    other.kill()
    other.wait()
    assert process.wait(timeout=30) == 0
    process.communicate()


def test_json_is_one_object_a_line():
    done = probee("-f", "json", "-e", 'begin { printf("x\\n"); @h = hist(5); print((1, "a")); }')
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["attached_probes", "printf", "value", "hist"]


def test_output_goes_to_a_file_and_the_rest_stays(tmp_path):
    path = tmp_path / "out"
    done = probee("-o", str(path), "-e", 'begin { printf("x\\n"); }')
    assert (path.read_text(), done.stdout, done.stderr) == ("x\n\n\n", "", "Attached 1 probe\n")


def test_a_dry_run_attaches_and_prints_nothing():
    done = probee("--dry-run", "-e", 'begin { printf("x\\n"); }')
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_reader_that_goes_away_is_no_traceback():
    process = subprocess.Popen(
        [*COMMAND, "-e", 'interval:ms:1 { printf("%d\\n", 5); }'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_a_program_is_read_from_standard_input():
    assert probee("-q", "-", input='begin { printf("in\\n"); }').stdout == "in\n\n\n"


def test_printf_losses_with_a_small_ring_are_counted_exactly():
    script = 'config = { perf_rb_pages = 1 } begin { for ($i : 0..1000) { printf("%d\\n", $i); } }'
    done = probee("-e", script)
    lines = done.stdout.split()
    assert lines == [str(number) for number in range(len(lines))]
    assert 0 < len(lines) < 1000
    assert f"WARNING: Total lost event count: {1000 - len(lines)}" in done.stderr.splitlines()


def test_a_bundle_runs_like_its_script(tmp_path):
    path = tmp_path / "hello.pbo"
    assert probee("build", "-o", str(path), "-e", 'begin { printf("hello %d\\n", 5); }').returncode == 0
    done = probee(str(path))
    assert (done.stdout, done.returncode) == ("hello 5\n\n\n", 0)


def test_info_tells_what_the_kernel_has():
    done = probee("--info")
    assert done.returncode == 0
    assert "  probe_read_kernel: yes " in done.stdout
    assert "\nKernel features\n  Instruction limit: 1000000       btf: " in done.stdout


def test_under_a_flood_the_end_of_the_child_is_seen_and_every_record_accounted_for():
    script = 'interval:ms:1 { for ($i : 0..1000) { printf("e %d\\n", $i); } @ = count(); }'
    done = probee("-c", "sleep 0.3", "-e", script)
    delivered = sum(line.startswith("e ") for line in done.stdout.splitlines())
    ticks = int(done.stdout.splitlines()[-1].removeprefix("@: "))
    total = [line for line in done.stderr.splitlines() if "Total lost event count" in line]
    lost = int(total[0].rpartition(" ")[2]) if total else 0
    assert delivered + lost == 1000 * ticks > 0
