"""Functions of programs, from script to output: a C program of our own is traced, natively and in guests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probee.compiler.compile import compile
from probee.errors import AttachError
from probee.kernel.features.feature import has
from probee.kernel.target import LiveTarget
from probee.runtime.installation import Installation
from probee.runtime.session import Session

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

SOURCE = r"""
#include <stdio.h>
__attribute__((noinline)) int work(int a, long b, const char *s) { asm volatile(""); return a + (int)b + s[0]; }
__attribute__((noinline)) int worker(int a) { asm volatile(""); return a * 2; }
int main(void) {
    static char text[] = "hello";
    int sum = 0;
    for (int i = 0; i < 5; i++) sum += work(i, 100 + i, text) + worker(i);
    printf("%d\n", sum);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("uprobe")
    source = folder / "calls.c"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-o", str(folder / "calls"), str(source)], check=True)
    return str(folder / "calls")


def probee(*words: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probee", *words], capture_output=True, text=True, check=False, cwd=cwd, timeout=200
    )


def lines(script: str, program: str) -> list[str]:
    done = probee("-q", "-e", script, "-c", program)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line and line != "1060"]  # 1060 is what the program itself says


def test_arguments_and_results_are_those_of_each_call(program):
    script = (
        f'uprobe:{program}:work {{ printf("%d %d %d\\n", arg0, arg1, arg2 == 0) }}'
        f'uretprobe:{program}:work {{ printf("= %d\\n", retval) }}'
    )
    found = lines(script, program)
    assert found == [line for i in range(5) for line in (f"{i} {100 + i} 0", f"= {2 * i + 100 + ord('h')}")]


def test_a_string_argument_is_read_from_the_program(program):
    assert lines(f"uprobe:{program}:work {{ @[str(arg2, 16)] = count() }}", program) == ["@[hello]: 5"]


def test_a_pattern_counts_every_function_by_one_program(program):
    assert lines(f"uprobe:{program}:work* {{ @ = count() }}", program) == ["@: 10"]


def test_a_pattern_whose_program_says_where_it_is_has_one_for_each(program):
    assert lines(f"uprobe:{program}:work* {{ @[probe] = count() }}", program) == [
        f"@[uprobe:{program}:work]: 5", f"@[uprobe:{program}:worker]: 5",
    ]  # fmt: skip


def test_an_address_is_a_place_like_a_function(program):
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    address = next(line.split()[0] for line in symbols.splitlines() if line.endswith(" T worker"))
    assert lines(f"uprobe:{program}:0x{address} {{ @ = count() }}", program) == ["@: 5"]


def test_a_library_is_found_by_its_short_name(program):
    (line,) = lines("uprobe:libc:printf,uprobe:libc:puts { @[probe] = count() }", program)
    assert line.startswith("@[uprobe:/")
    assert "libc.so.6:p" in line


def test_only_the_process_asked_for_is_counted(program):
    """The child of -c is the only one: the same program, run by somebody else meanwhile, is not seen."""
    script = f"uprobe:{program}:work {{ @ = count() }} interval:ms:300 {{ exit() }}"
    with subprocess.Popen(
        [sys.executable, "-m", "probee", "-q", "-e", script, "-c", f"{sys.executable} -c import\ttime;time.sleep(30)"],
        stdout=subprocess.PIPE,
        text=True,
    ) as tracer:
        while tracer.poll() is None:
            subprocess.run([program], stdout=subprocess.DEVNULL, check=True)
        assert tracer.stdout is not None
        assert tracer.stdout.read().strip() in ("", "@: 0")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("PROGRAM:wrok", "No matches for uprobe PROGRAM:wrok.\n.*\n.*\nHINT: Did you mean: work"),
        ("PROGRAM:work+4096", r"Offset outside the function bounds \('work' size is \d+\)"),
        ("PROGRAM:0x5", "Could not resolve address: PROGRAM:0x5"),
        ("/no/such:work", "uprobe target file '/no/such' does not exist or is not executable"),
        ("libnosuch:work", "uprobe target file 'libnosuch' does not exist or is not executable"),
        ("/etc/passwd:work", "uprobe target file '/etc/passwd' does not exist or is not executable"),
    ],
)
def test_a_place_that_is_not_there_is_an_error(program, place, said):
    import re

    done = probee("-e", f"uprobe:{place.replace('PROGRAM', program)} {{ }}")
    assert done.returncode == 1
    assert re.search(said.replace("PROGRAM", re.escape(program)), done.stderr), done.stderr


def test_a_truncated_file_and_a_script_are_errors(program, tmp_path: Path):
    for name, data, said in (
        ("cut", Path(program).read_bytes()[:100], "cut"), ("script", b"#!/bin/sh\necho hello\n", "is no ELF file"),
    ):  # fmt: skip
        file = tmp_path / name
        file.write_bytes(data)
        file.chmod(0o755)
        done = probee("-e", f"uprobe:{file}:work {{ }}")
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_place_may_be_ignored(program):
    script = f"config = {{ missing_probes = ignore }} uprobe:{program}:no_such,uprobe:{program}:work {{ @ = count() }}"
    assert lines(script, program) == ["@: 5"]


@pytest.fixture
def bad_files(program, tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Return files that have no function `work`, each with what is said of it."""
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", str(stripped), program], check=True)
    found = {
        "cut": (Path(program).read_bytes()[:5000], "is cut off"),
        "script": (b"#!/bin/sh\necho hello\n", "is no ELF file"),
        "empty": (b"", "is empty"),
        "stripped": (stripped.read_bytes(), "No matches for uprobe"),
    }
    for name, (data, _) in found.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o755)
    return {name: (tmp_path / name, said) for name, (_, said) in found.items()}


@pytest.mark.parametrize("name", ["cut", "script", "empty", "stripped"])
def test_the_other_probes_go_on_without_those_of_a_bad_file(program, bad_files, name):
    file, said = bad_files[name]
    script = f"config = {{ missing_probes = warn }} uprobe:{file}:work,uprobe:{program}:work {{ @++ }}"
    done = probee("-e", script, "-c", program)
    assert (done.returncode, done.stderr) == (0, "Attached 1 probe\n")
    assert f"WARNING: {said}" in done.stdout.replace(f"{file} ", "")
    assert "@: 5" in done.stdout.splitlines()


def test_a_program_without_symbols_is_said_to_have_none(bad_files):
    file, _ = bad_files["stripped"]
    done = probee("-e", f"uprobe:{file}:work {{ }}")
    assert done.returncode == 1
    assert "HINT: It has no symbols." in done.stderr


def test_a_process_that_does_not_exist_is_an_error():
    done = probee("-e", "BEGIN { exit() }", "-p", "4194304")
    assert (done.returncode, done.stdout) == (1, "")
    assert "4194304" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("functions", ["work", "work*"])
def test_a_process_that_dies_while_it_is_attached_to_is_an_error(program, functions, monkeypatch: pytest.MonkeyPatch):
    script = f"uprobe:{program}:{functions} {{ @[ustack] = count() }}"
    attach = Installation.attach
    with subprocess.Popen(["sleep", "60"]) as victim:

        def after_its_death(installed: Installation, pid: int = 0) -> None:
            victim.kill()
            victim.wait()
            attach(installed, pid)

        monkeypatch.setattr(Installation, "attach", after_its_death)
        spec = compile(script, LiveTarget(), {"has_pid": True})
        with pytest.raises(AttachError, match="there is no such process"):
            Session(spec, pid=victim.pid).start()
