"""A cached start imports little: none of what costs milliseconds, and none of the compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from probee.compiler.cache import cache_key, write_entry
from probee.compiler.compile import compile
from startup_path import EXPENSIVE, unwanted
from target_fixture import btf_blobs, build_target

SOURCE = Path(__file__).resolve().parents[2] / "src"

# Everything that a session may come through before its first event.
ROOMS = ("model", "kernel/syscalls", "kernel/maps", "kernel/programs", "kernel/links", "runtime", "outputs")
SINGLE = ("errors", "__main__", "cli.main", "cli.run", "cli.script", "compiler.cache", "formats.bundle", "kernel.answer")
NOT_AT_START = {
    "probee.runtime.stream",  # only for `async for`
    "probee.model.target",  # only to compile
    "probee.kernel.programs.complaint", "probee.kernel.programs.rejection",  # only when the verifier refuses
}  # fmt: skip

LIST = "\nimport sys\nprint('\\n'.join(['MODULES', *sys.modules]))\n"


def imported(program: str, **environment: str) -> list[str]:
    """Return what a program imports beyond what an interpreter has imported anyway."""
    return sorted(set(_modules(program, environment)) - set(_modules("", {})))


def _modules(program: str, environment: dict[str, str]) -> list[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(SOURCE), **environment}
    done = subprocess.run([sys.executable, "-S", "-c", program + LIST], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("MODULES\n")[2].split()


def modules_of_the_run_path() -> list[str]:
    package = SOURCE / "probee"
    files = [path for room in ROOMS for path in sorted((package / room).glob("*.py"))]
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in files]
    return [*names, *(f"probee.{name}" for name in SINGLE)]


@pytest.mark.parametrize("module", [name for name in modules_of_the_run_path() if name not in NOT_AT_START])
def test_no_module_of_the_run_path_imports_anything_expensive(module: str) -> None:
    assert unwanted(imported(f"import {module}")) == []


def test_a_cached_object_is_found_and_made_ready_without_the_compiler(tmp_path: Path) -> None:
    text = 'BEGIN { @a[1] = count(); printf("%d %s\\n", pid, comm); exit(); }'
    program = f"""
from probee.cli.main import SUBCOMMANDS
from probee.cli.options import check, parse
from probee.cli.run import _writer
from probee.cli.script import compile_options, object_for, read_script
from probee.runtime.session import Session

options = parse(["-e", {text!r}])
check(options)
script = read_script(options)
print(sorted(compile_options(script, options).items()))
spec = object_for(script, options)
assert spec is not None and spec.programs
_writer(options, Session(spec), None)
"""
    chosen = _printed_options(program, tmp_path)
    spec = compile(text, build_target(), chosen)
    folder = tmp_path / "probee" / "objects"
    folder.mkdir(parents=True, mode=0o700)
    entry = write_entry(spec, {}, "")  # nothing that could not hold on the machine of the test
    assert entry is not None
    (folder / f"{cache_key(text, chosen)}.object").write_bytes(entry)
    assert unwanted(imported(program, XDG_CACHE_HOME=str(tmp_path))) == []


def test_compiling_imports_nothing_expensive_either(tmp_path: Path) -> None:
    blob = tmp_path / "vmlinux"
    blob.write_bytes(bytes(memoryview(btf_blobs()["vmlinux"])))
    text = 'kprobe:vfs_read { @[comm, ((struct file *)arg0)->f_inode->i_ino] = hist(arg2); printf("%d %s\\n", pid, comm); }'
    program = f"""
from probee.compiler.compile import compile
from probee.formats.target import BtfTarget

assert compile({text!r}, BtfTarget({str(blob)!r})).programs
"""
    found = imported(program)
    assert "probee.compiler.codegen.generate" in found
    assert sorted(EXPENSIVE.intersection(found) - {"collections", "heapq"}) == []  # array needs the one, codegen the other


def _printed_options(program: str, home: Path) -> dict[str, object]:
    """Return what the command line hands to compile(), as the child sees it."""
    until = program.partition("spec = ")[0]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run([sys.executable, "-S", "-c", until], env=env, capture_output=True, text=True, check=True)
    return dict(literal_eval(done.stdout))
