"""Options of the command that need a kernel: what is loaded and not run, what ends a run, other names, other modes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from probee.kernel.syscalls.btf import btf_load
from probee.kernel.syscalls.fd import Descriptor

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root")]

COMMAND = [sys.executable, "-m", "probee"]
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"


def probee(*words: str, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=100, check=False, **options)
    assert "Traceback" not in done.stderr
    return done


def test_a_dry_run_attaches_and_says_nothing():
    environment = {**os.environ, NOTIFY: "1"}
    done = probee("--dry-run", "-e", 'begin { printf("hello\\n"); @ = 1; } interval:s:1 { }', env=environment)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_closed_terminal_ends_it_in_order():
    environment = {**os.environ, NOTIFY: "1"}
    words = ["-e", 'interval:s:100 { } end { printf("bye\\n"); @x = 1; }']
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{NOTIFY}\n"
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("bye\n\n\n@x: 1\n", 0)


def test_nohup_keeps_it_running():
    environment = {**os.environ, NOTIFY: "1"}
    words = ["nohup", *COMMAND, "-q", "-e", 'interval:ms:50 { printf("tick\\n"); }']
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{NOTIFY}\n"
    process.send_signal(signal.SIGHUP)
    assert [process.stdout.readline() for _ in range(3)] == ["tick\n"] * 3
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_only_the_filtered_probes_are_attached():
    script = 'BEGIN { printf("begin\\n"); } interval:ms:20 { printf("bad\\n"); } interval:ms:50 { printf("hit\\n"); exit(); }'
    done = probee("--probe-filter", ":50$", "-e", script)
    assert (done.stdout, done.stderr) == ("begin\nhit\n\n\n", "Attached 2 probes\n")
    done = probee("--probe-filter", "[x", "-e", script)
    assert done.stderr.startswith("ERROR: Invalid --probe-filter regex '[x': ")
    assert done.returncode == 255


def test_an_executable_runs_by_itself_and_takes_the_scripts_options(tmp_path: Path):
    path = tmp_path / "x"
    script = 'begin { printf("%d %s\\n", getopt("number", 7), str($1)); }'
    assert probee("-e", script, "--aot", str(path)).returncode == 0
    assert subprocess.run([path, "one"], capture_output=True, text=True, check=True).stdout == "7 one\n\n\n"
    done = subprocess.run([path, "one", "--", "--number=8"], capture_output=True, text=True, check=True)
    assert done.stdout == "8 one\n\n\n"


def test_the_kernel_takes_the_types_of_an_elf_object(tmp_path: Path):
    path = tmp_path / "x.o"
    assert probee("--emit-elf", str(path), "-e", "begin { @x[comm] = count(); @[pid] = 1; }").returncode == 0
    data = path.read_bytes()
    start = data.index(b"\x9f\xeb\x01\x00\x18\x00\x00\x00")
    types, strings = (int.from_bytes(data[start + at : start + at + 4], "little") for at in (12, 20))
    Descriptor(btf_load(data[start : start + 24 + types + strings]), "types of an ELF object").close()


def test_stages_of_loading_are_shown_and_the_script_runs():
    done = probee("-d", "verifier,libbpf", "-q", "-e", 'begin { printf("ran\\n"); @x = 1; }')
    assert "# verifier: begin\n" in done.stdout
    assert "\nprocessed " in done.stdout
    assert "# loaded\n" in done.stdout
    assert " @x (user): type " in done.stdout
    assert done.stdout.endswith("ran\n\n\n@x: 1\n")


@pytest.mark.parametrize("words", [["--test"], ["--mode", "test"]])
def test_tests_run_in_their_mode_and_their_failure_is_the_status(words):
    assert probee(*words, "-e", "test:good { return 0; }").returncode == 0
    assert probee(*words, "-e", "test:bad { return 1; }").returncode == 1


def test_tests_without_their_mode_are_no_probes():
    done = probee("-e", "test:good { return 0; }")
    assert "No probes attached; use --test to run test probes." in done.stderr
    assert done.returncode == 255


def test_benchmarks_are_a_table():
    done = probee("--bench", "-e", "bench:mine { @ = count(); }")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if line.strip()][0::2] == ["Benchmark", "mine"]


def test_a_script_by_the_name_of_bpftrace_sees_that_name(tmp_path: Path):
    command = tmp_path / "bpftrace"
    command.write_text(f"#!{sys.executable}\nfrom probee.cli.main import entry\nentry()\n")
    command.chmod(0o755)
    script = tmp_path / "x.bt"
    script.write_text(f'#!{command}\nbegin {{ if (comm == "bpftrace") {{ printf("%s %s\\n", comm, str($1)); }} }}\n')
    script.chmod(0o755)
    done = subprocess.run([command, "-q", script, "a"], capture_output=True, text=True, check=True)
    assert done.stdout == "bpftrace a\n\n\n"


def test_what_is_compiled_is_measured():
    done = probee("--mode", "compiler-bench", "-e", "begin { @x[comm] = count(); }")
    assert done.returncode == 0
    assert any(line.startswith("compile, all of it") and line.endswith(" ms") for line in done.stdout.splitlines())


def test_what_was_compiled_before_is_said():
    words = ("-v", "-e", 'begin { printf("said %d\\n", 1); }')
    assert "Compiled" in probee(*words).stderr
    assert probee(*words).stderr.startswith("Compiled before: /")
