"""Probes in the programs of a process: -p without a path, in other mount namespaces, listed; C++ functions by their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probee.kernel.features.feature import has

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

SOURCE = r"""
#include <unistd.h>
namespace ns {
__attribute__((noinline)) int f(int a) { asm volatile(""); return a + 1; }
__attribute__((noinline)) int f(int a, char b) { asm volatile(""); return a + b; }
__attribute__((noinline)) int other(int a) { asm volatile(""); return a; }
}
extern "C" __attribute__((noinline)) int plain(int a) { asm volatile(""); return a; }
int main(int argc, char **argv) {
    volatile int sum = 0;
    do {
        for (int i = 0; i < 3; i++) sum += ns::f(i) + ns::other(i) + plain(i);
        sum += ns::f(1, 'x');
        if (argc > 1) usleep(20000);
    } while (argc > 1);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    compiler = shutil.which("g++") or pytest.skip("no g++ here")
    folder = tmp_path_factory.mktemp("process")
    source = folder / "calls.cpp"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-o", str(folder / "calls"), str(source)], check=True)
    return str(folder / "calls")


@pytest.fixture
def process(program: str) -> Iterator[int]:
    with subprocess.Popen([program, "for ever"]) as child:
        yield child.pid
        child.kill()


@pytest.fixture
def elsewhere(program: str, tmp_path: Path) -> Iterator[int]:
    """A process whose program only itself and its children see: in a file system of a mount namespace of its own."""
    unshare = shutil.which("unshare") or pytest.skip("no unshare here")
    if os.geteuid():
        pytest.skip("only root may make mount namespaces")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    prepare = f"mount -t tmpfs none {hidden} && cp {program} {hidden}/inside && exec {hidden}/inside for-ever"
    with subprocess.Popen([unshare, "--mount", "sh", "-c", prepare]) as child:
        for _ in range(500):
            if os.readlink(f"/proc/{child.pid}/exe").endswith("/inside"):
                break
            time.sleep(0.01)
        yield child.pid
        child.kill()


def probee(*words: str) -> str:
    command = [sys.executable, "-m", "probee", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counted(script: str, program: str) -> str:
    return probee("-q", "-e", script, "-c", program).strip()


CALLS = {
    'cpp:"ns::f"': 4, 'cpp:"ns::f(int)"': 3, '"ns::f(int, char)"': 1, '"ns::f"': 4, 'cpp:"ns::*"': 7, "cpp:plain": 3,
    "_ZN2ns1fEic": 1,
}  # fmt: skip


def test_functions_of_cpp_are_probed_by_the_names_in_their_source(program: str) -> None:
    script = " ".join(f"uprobe:{program}:{name} {{ @[{number}] = count() }}" for number, name in enumerate(CALLS))
    found = dict(line.split(": ") for line in counted(script, program).splitlines())
    assert found == {f"@[{number}]": str(calls) for number, calls in enumerate(CALLS.values())}


def test_names_in_the_source_can_be_switched_off(program: str) -> None:
    quiet = "config = { cpp_demangle = false }"
    script = f'{quiet} uprobe:{program}:"ns::f" {{ }} begin {{ exit() }}'
    done = subprocess.run([sys.executable, "-m", "probee", "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"No matches for uprobe {program}:ns::f." in done.stderr
    assert counted(f'{quiet} uprobe:{program}:cpp:"ns::f",uprobe:{program}:plain {{ @ = count() }}', program) == "@: 7"


def test_a_script_that_is_listed_shows_functions_of_cpp_so_that_they_can_be_attached(program: str) -> None:
    listed = probee("-l", "-e", f'uprobe:{program}:cpp:"ns::f" {{ }}').splitlines()
    assert listed == [f'uprobe:{program}:cpp:"ns::f(int)"', f'uprobe:{program}:cpp:"ns::f(int, char)"']
    script = " ".join(f"{line} {{ @[{number}] = count() }}" for number, line in enumerate(listed))
    assert sorted(counted(script, program).splitlines()) == ["@[0]: 3", "@[1]: 1"]


def test_with_a_process_the_path_may_be_left_out(process: int) -> None:
    places = ("uprobe::plain", "uprobe:plain", "uprobe:*:plain", "uprobe:*:pl*in")
    script = " ".join(f"{place} {{ @[{number}] = pid; if (len(@) == 4) {{ exit() }} }}" for number, place in enumerate(places))
    found = sorted(probee("-q", "-p", str(process), "-e", script).split("\n"))
    assert [line for line in found if line] == [f"@[{number}]: {process}" for number in range(4)]


def test_an_object_is_not_used_for_the_files_of_another_process(process: int, elsewhere: int) -> None:
    script = "uprobe::plain { printf(\"%d %s\\n\", pid, probe); exit() }"
    for pid in (process, elsewhere, process):
        found = probee("-q", "-p", str(pid), "-e", script).splitlines()[0]
        assert found.split()[0] == str(pid)
        assert ("/inside:" in found) == (pid == elsewhere)


def test_a_path_is_one_in_the_mount_namespace_of_the_process(elsewhere: int) -> None:
    path = os.readlink(f"/proc/{elsewhere}/exe")
    assert not os.path.exists(path)
    seen = f"/proc/{elsewhere}/root{path}"
    script = f"uprobe:{path}:plain {{ @a = func; @ = 1 }} uprobe:{seen}:plain {{ @b = pid; if (@) {{ exit() }} }}"
    found = [line for line in probee("-q", "-p", str(elsewhere), "-e", script).splitlines() if line]
    assert sorted(found) == ["@: 1", "@a: plain", f"@b: {elsewhere}"]
    script = f"uprobe:{seen}:plain {{ printf(\"%d\\n\", pid); exit() }}"
    assert probee("-q", "-e", script).splitlines()[0] == str(elsewhere)


def test_what_a_process_runs_is_listed(process: int, elsewhere: int, program: str) -> None:
    lines = probee("-l", "-p", str(process)).splitlines()
    assert f"uprobe:{program}:plain" in lines
    assert any(line.startswith("uprobe:") and ("libc" in line or "musl" in line) for line in lines)
    assert any(line.startswith("software:") for line in lines)
    mine = probee("-l", "uprobe:*", "-p", str(elsewhere)).splitlines()
    assert f"uprobe:/proc/{elsewhere}/root{os.readlink(f'/proc/{elsewhere}/exe')}:plain" in mine
    assert all(line.startswith(f"uprobe:/proc/{elsewhere}/root/") for line in mine)


def test_loaded_bpf_programs_are_listed_with_their_functions(process: int) -> None:
    from probee.kernel.programs.loaded import loaded_functions

    script = "uprobe::plain { @ = count() } uprobe::main { @later = 1 }"
    command = [sys.executable, "-m", "probee", "-q", "-p", str(process), "-e", script]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        for _ in range(600):
            mine = [name for _, name in loaded_functions() if name.startswith("uprobe_") and "calls_plain" in name]
            if mine:
                break
            time.sleep(0.1)
        running.terminate()
    assert mine


SIGNED = """struct place;
int walk(struct place *from, const char *how, long a, long b, long c, long d, char last) { return last; }
"""


def test_a_verbose_list_shows_what_debug_information_says_of_functions(tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    (tmp_path / "signed.c").write_text(SIGNED)
    library = f"{tmp_path}/libsigned.so"
    subprocess.run([compiler, "-g", "-shared", "-fPIC", "-o", library, f"{tmp_path}/signed.c"], check=True)
    lines = probee("-lv", f"uprobe:{library}:walk").splitlines()
    assert lines[:3] == [f"uprobe:{library}:walk", "    struct place* from", "    const char* how"]
    assert lines[-1] == "    char last"
    assert probee("-lv", f"uretprobe:{library}:walk").splitlines() == [f"uretprobe:{library}:walk", "    int retval"]
    stripped = f"{tmp_path}/libstripped.so"
    subprocess.run(["objcopy", "--strip-debug", library, stripped], check=True)
    assert probee("-lv", f"uprobe:{stripped}:walk").splitlines() == [f"uprobe:{stripped}:walk"]
