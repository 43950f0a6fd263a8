"""A scratch copy of a checkout's tests and tools in the cache, with the test programs built in it.

Nothing is ever written to the checkout.  Which programs there are, and with which flags each variant is built, follows
from tests/testprogs/CMakeLists.txt: every source as it is and position-independent, `-g -O0`, and a few that are stripped,
split or packed.  What cannot be built (no Rust, no LLVM) is missing, which is a reason to skip the cases that use it.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

CFLAGS = ["-g", "-O0", "-fno-omit-frame-pointer"]
UNWOUND = ["-g", "-O1", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"]  # without frame pointers, by intent
SOURCES = "/bpftrace/tests"  # where debug information says the sources are: cases expect words and slashes only
_COPIED = ("tests/runtime", "tests/testprogs", "tests/testlibs", "tests/include", "tools")
_READY = "ready"
SPECIAL = """
gcc -c testprogs/false.c -o testprogs/false.o &&
 llvm-objcopy -S --only-section=.text --keep-symbol=main -O binary testprogs/false.o testprogs/false.bin
zip -q -0 -j testprogs/archive.zip testprogs/true
objcopy --only-keep-debug testprogs/uprobe_test testprogs/external_debug/uprobe_test-stripped.debug &&
 objcopy --strip-debug testprogs/uprobe_test testprogs/uprobe_test-stripped
objcopy --only-keep-debug testprogs/uprobe_separate_debug testprogs/.debug/uprobe_separate_debug-stripped.debug &&
 objcopy --strip-debug testprogs/uprobe_separate_debug testprogs/uprobe_separate_debug-stripped &&
 objcopy --add-gnu-debuglink=testprogs/.debug/uprobe_separate_debug-stripped.debug testprogs/uprobe_separate_debug-stripped
gcc -g -O0 -gsplit-dwarf testprogs/uprobe_test.c -o testprogs/external_debug/dwo/uprobe_test-split
gcc -g -O0 -gsplit-dwarf testprogs/uprobe_test.c -o testprogs/external_debug/dwp/uprobe_test-split &&
 dwp -e testprogs/external_debug/dwp/uprobe_test-split -o testprogs/external_debug/dwp/uprobe_test-split.dwp &&
 rm -f testprogs/external_debug/dwp/*.dwo
rustc -C symbol_mangling_version=v0 -o testprogs/hello_rust testprogs/hello_rust.rs
cd testprogs && go build -o hello_go hello_go.go
"""


def cache_dir() -> Path:
    """Return where scratch copies and results are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base) / "probee-conformance"
    path.mkdir(parents=True, exist_ok=True)
    return path


def scratch(checkout: Path) -> Path:
    """Return the scratch copy of a checkout, made and built now if this is its first use."""
    place = cache_dir() / f"upstream-{_digest(checkout)}"
    if not (place / _READY).exists():
        if place.exists():
            shutil.rmtree(place)
        for name in _COPIED:
            shutil.copytree(checkout / name, place / name, ignore=_only_sources)
        print("building the test programs ...", file=sys.stderr, flush=True)
        failed = build(place / "tests")
        (place / _READY).write_text("".join(f"{name}\n" for name in failed))
    return place


def not_built(place: Path) -> list[str]:
    """Return what could not be built, as the first words of its commands."""
    return (place / _READY).read_text().splitlines()


def build(tests: Path) -> list[str]:
    """Build everything below a copy of tests/; return the commands that failed."""
    for name in ("external_debug/dwo", "external_debug/dwp", ".debug"):
        (tests / "testprogs" / name).mkdir(parents=True, exist_ok=True)
    commands = [*_libraries(tests), *_programs(tests)]
    failed = [shlex.join(words) for words in commands if not _works(words, tests)]
    for library in (tests / "testlibs").glob("*.so"):
        library.chmod(0o644)  # libraries need not be executable to be traced
    special = SPECIAL.replace(" &&\n", " && ").strip().splitlines()
    return failed + [line for line in special if not _works(["sh", "-c", line], tests)]


def _libraries(tests: Path) -> list[list[str]]:
    return [
        ["gcc", "-g", "-O0", "-fPIC", "-shared", "-Iinclude", f"testlibs/{path.name}", "-o", f"testlibs/lib{path.stem}.so"]
        for path in sorted((tests / "testlibs").glob("*.c"))
    ]


def _programs(tests: Path) -> list[list[str]]:
    commands = []
    for path in sorted((tests / "testprogs").iterdir()):
        if path.suffix in (".c", ".cpp"):
            commands += [_program(path, pie=False), _program(path, pie=True)]
    return commands


def _program(path: Path, *, pie: bool) -> list[str]:
    compiler = "g++" if path.suffix == ".cpp" else "gcc"
    flags = UNWOUND if path.stem == "uprobe_nofp" else CFLAGS
    how = ["-fpie", "-pie"] if pie else ["-fno-pie", "-no-pie"]
    library = ["-fPIC", "-Ltestlibs", "-lusdt_tp", "-Wl,-rpath,$ORIGIN/../testlibs"] if path.stem == "usdt_lib" else []
    output = f"testprogs/{path.stem}{'-pie' if pie else ''}"
    told = f"-fdebug-prefix-map={path.parents[1]}={SOURCES}"
    return [compiler, *flags, told, *how, "-w", "-Iinclude", "-Itestlibs", f"testprogs/{path.name}", "-o", output, *library]


def _works(words: list[str], tests: Path) -> bool:
    try:
        return subprocess.run(words, cwd=tests, capture_output=True, check=False, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _digest(checkout: Path) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in _COPIED:
        for path in sorted((checkout / name).rglob("*")):
            if path.is_file() and not _is_binary(path):
                digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _is_binary(path: Path) -> bool:
    """Say whether somebody built this in the checkout itself."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _only_sources(directory: str, names: list[str]) -> set[str]:
    return {name for name in names if os.path.isfile(os.path.join(directory, name)) and _is_binary(Path(directory, name))}
