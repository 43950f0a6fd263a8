"""Places in the source: probes at a line, and lines and inlined functions in stacks; gcc compiles the program here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probee.kernel.features.feature import has

pytest.importorskip("elftools", reason="needs pyelftools (the extra dwarf)")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("objcopy"), reason="needs gcc and binutils"),
]

SOURCE = r"""
#define ALWAYS static inline __attribute__((always_inline))
__attribute__((noipa)) void touch(int x) { }
ALWAYS int deep(int x) {
    touch(x);
    return x + 1;
}
ALWAYS int middle(int x) {
    return deep(x) * 2;
}
__attribute__((noipa)) int work(int n) {
    int sum = middle(n);
    // what comes between
    return sum + deep(sum);
}
int main(void) {
    int sum = 0;
    for (int i = 0; i < 3; i++) sum += work(i);
    return sum == 0;
}
"""
TOUCH, MIDDLE, WORK, CALLS, COMMENT, RETURN, LOOP = 5, 9, 11, 12, 13, 14, 18  # lines of the source


def build(folder: Path, *files: str) -> str:
    command = ["gcc", "-g", "-O2", "-fno-omit-frame-pointer", "-Wl,--build-id", "-o", "app", *files]
    subprocess.run(command, cwd=folder, check=True)
    return str(folder / "app")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    folder = tmp_path_factory.mktemp("place")
    (folder / "lines.c").write_text(SOURCE)
    return build(folder, "lines.c")


def probee(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probee", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=200, env={**os.environ, **environment},
    )  # fmt: skip


def lines(script: str, program: str, *options: str, **environment: str) -> list[str]:
    done = probee("-q", *options, "-e", script, "-c", program, **environment)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_a_probe_is_at_the_address_of_its_line(program):
    script = (
        f'uprobe:{program}@lines.c:{WORK} {{ @line = reg("pc") }}'
        f'uprobe:{program}:work {{ @function = reg("pc") }} uprobe:{program}:touch {{ print(@line == @function); exit() }}'
    )
    assert lines(script, program)[0] == "true"
    assert lines(f"uprobe:{program}@lines.c:{RETURN} {{ @ = count() }}", program) == ["@: 3"]
    assert lines(f"uprobe:{program}@{Path(program).parent}/lines.c:{RETURN} {{ @ = count() }}", program) == ["@: 3"]


def test_a_line_that_is_inlined_is_probed_wherever_it_is(program):
    assert lines(f"uprobe:{program}@lines.c:{TOUCH} {{ @ = count() }}", program) == ["@: 6"]
    found = lines(f"uprobe:{program}@lines.c:{TOUCH} {{ @[probe] = count() }}", program)
    assert len(found) == 2 and all(re.fullmatch(rf"@\[uprobe:{re.escape(program)}:\d+\]: 3", line) for line in found)


def test_a_column_means_one_statement_of_a_line(program):
    done = probee("--dry-run", "-e", f"uprobe:{program}@lines.c:{LOOP}:1 {{ }}")
    columns = re.search(r"Line 18 has code at columns ([\d, and]+)\.", done.stderr)
    assert columns is not None and f"Unable to map 'lines.c:{LOOP}:1' to address" in done.stderr
    for column in re.findall(r"\d+", columns[1]):
        assert lines(f"uprobe:{program}@lines.c:{LOOP}:{column} {{ @ = count() }}", program)[0].startswith("@: ")


def test_a_stripped_program_has_its_lines_in_another_file(program, tmp_path):
    stripped = tmp_path / "stripped"
    subprocess.run(["objcopy", "--only-keep-debug", program, tmp_path / "elsewhere.debug"], check=True)
    link = f"--add-gnu-debuglink={tmp_path / 'elsewhere.debug'}"
    subprocess.run(["objcopy", "--strip-debug", link, program, stripped], check=True)
    assert lines(f"uprobe:{stripped}@lines.c:{RETURN} {{ @ = count() }}", str(stripped)) == ["@: 3"]


def test_a_program_that_was_compiled_anew_is_not_probed_at_old_addresses(program, tmp_path):
    copy, bundle = tmp_path / "app", tmp_path / "bundle"
    shutil.copy(program, copy)
    built = probee("build", "-o", str(bundle), "-e", f"uprobe:{copy}@lines.c:{RETURN} {{ @ = count() }}")
    assert built.returncode == 0, built.stderr
    assert "@: 3" in probee("-q", str(bundle), "-c", str(copy)).stdout
    (tmp_path / "lines.c").write_text(f"int other;\n{SOURCE}")
    build(tmp_path, "lines.c")
    done = probee("-q", str(bundle), "-c", str(copy))
    assert f"{copy} is not the build that this was compiled for: compile it again" in done.stderr


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("PROGRAM@lines.c:1", "Unable to map 'lines.c:1' to address.*HINT: The nearest lines with code: 3"),
        ("PROGRAM@lines.c:13", "Unable to map 'lines.c:13' to address.*HINT: The nearest lines with code: 12 and 14"),
        ("PROGRAM@line.c:1", "No compilation unit matches line.c.*HINT: Did you mean: lines.c"),
        ("/etc/passwd@lines.c:1", "target file '/etc/passwd' does not exist or is not executable"),
        ("PROGRAM@lines.c:x", "Invalid line number"),
        ("PROGRAM@lines.c", r"expected format: uprobe:TARGET@FILE:LINE\[:COL\]"),
    ],
)
def test_a_line_that_is_not_there_is_an_error(program, place, said):
    done = probee("--dry-run", "-e", f"uprobe:{place.replace('PROGRAM', program)} {{ }}")
    assert done.returncode == 1
    assert re.search(said, done.stderr, re.DOTALL), done.stderr


def test_without_debug_information_there_are_no_lines(program, tmp_path):
    stripped = tmp_path / "stripped"
    subprocess.run(["objcopy", "--strip-debug", program, stripped], check=True)
    done = probee("--dry-run", "-e", f"uprobe:{stripped}@lines.c:{RETURN} {{ }}")
    assert f"No DWARF debug info found for '{stripped}', cannot attach by source code location." in done.stderr
    assert "HINT: " in done.stderr and "compile it with -g" in done.stderr


def test_a_file_of_that_name_must_be_the_only_one(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.c").write_text(f"int {folder}(void) {{ return 1; }}\n")
    (tmp_path / "main.c").write_text("int one(void), two(void);\nint main(void) { return one() + two(); }\n")
    app = build(tmp_path, "main.c", "one/same.c", "two/same.c")
    done = probee("--dry-run", "-e", f"uprobe:{app}@same.c:1 {{ }}")
    assert "Ambiguous source path, matches multiple files: " in done.stderr and "/one/same.c, " in done.stderr
    assert probee("--dry-run", "-e", f"uprobe:{app}@two/same.c:1 {{ }}").returncode == 0


def test_lines_with_code_are_listed(program):
    found = probee("-lv", f"uprobe:{program}@lines.c:1*").stdout.splitlines()
    assert f"uprobe:{program}@lines.c:{RETURN}" in found and f"uprobe:{program}@lines.c:{COMMENT}" not in found
    assert not any(line.endswith(f":{TOUCH}") for line in found)
    assert re.fullmatch("    0x[0-9a-f]+", found[found.index(f"uprobe:{program}@lines.c:{RETURN}") + 1])


# -- stacks


def test_stacks_have_lines_and_inlined_functions(program):
    source = Path(program).parent / "lines.c"
    found = lines(f"uprobe:{program}@lines.c:{TOUCH} {{ print(ustack(2)); exit() }}", program)
    places = [line.strip().replace(f"{source}:", "") for line in found]
    assert [re.sub(r"\+\d+", "", place) for place in places] == [
        f"[inlined] deep@{TOUCH}", f"[inlined] middle@{MIDDLE}", f"work@{CALLS}", f"main@{LOOP}",
    ]  # fmt: skip
    assert re.fullmatch(r"work\+\d+@.*", places[2])
    by_perf = lines(f"uprobe:{program}@lines.c:{TOUCH} {{ print(ustack(perf, 2)); exit() }}", program)
    assert [re.sub(r"^\t[0-9a-f]+ |\+\d+", "", line) for line in by_perf] == [
        "deep (inlined)", "middle (inlined)", f"work ({program})", f"main ({program})",
    ]  # fmt: skip


def test_stacks_in_maps_and_in_json_are_the_same(program):
    script = f"uprobe:{program}@lines.c:{TOUCH} {{ @[ustack(1)] = count() }}"
    found = [re.sub(r"(\+\d+)?@/.*", "", line.strip()) for line in lines(script, program)]
    assert sorted(found) == sorted(
        ["@[", "[inlined] deep", "[inlined] middle", "work", "]: 3", "@[", "[inlined] deep", "work", "]: 3"]
    )
    (text,) = [line for line in lines(script, program, "-f", "json") if '"map"' in line]
    keys = list(json.loads(text)["data"]["@"])
    assert len(keys) == 2 and any("[inlined]middle@" in key for key in keys)  # keys have no blanks


@pytest.mark.parametrize("how", ["config = { show_debug_info = false } ", ""])
def test_lines_can_be_left_out(program, how):
    environment = {} if how else {"BPFTRACE_SHOW_DEBUG_INFO": "0"}
    found = lines(f"{how}uprobe:{program}@lines.c:{TOUCH} {{ print(ustack(2)); exit() }}", program, **environment)
    assert [re.sub(r"\d+$", "N", line) for line in found] == ["        work+N", "        main+N"]


def test_lines_that_were_asked_for_and_cannot_be_read_are_said_to_be_missing(program, tmp_path):
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(
        "import importlib.util as u\nimport sys\nfind = u.find_spec\nsys.modules['elftools'] = None\n"
        "u.find_spec = lambda name, *more: None if name == 'elftools' else find(name, *more)\n"
    )
    script = f"uprobe:{program}:work {{ print(ustack(1)); exit() }}"
    hidden = {"PYTHONPATH": str(tmp_path / "hide")}
    wanted = probee("-e", f"config = {{ show_debug_info = true }} {script}", "-c", program, **hidden)
    assert "stacks will be without lines and inlined functions: reading DWARF needs pyelftools" in wanted.stdout + wanted.stderr
    assert "work+0\n" in wanted.stdout
    assert "pyelftools" not in "".join(probee("-e", script, "-c", program, **hidden).stdout)
