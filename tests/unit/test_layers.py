"""Arrows go down only: every import in the package is checked against one table of who may use whom."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "probee"

# room → rooms it may import from (itself always).  The longest name that fits a module is its room.
ALLOWED: dict[str, set[str]] = {
    "": {"api", "runtime", "errors"},  # probee/__init__.py re-exports, lazily
    "errors": set(),
    "model": {"errors"},
    "formats.insn": {"model", "errors"},
    "formats.btf": {"model", "errors"},
    "formats": {"formats.insn", "formats.btf", "model", "errors"},
    "probes": {"model", "formats", "errors"},
    "kernel.cachedir": {"errors"},
    "kernel.syscalls": {"model", "errors"},
    "kernel.features": {"kernel.syscalls", "formats", "model", "errors"},
    "kernel.maps": {"kernel.features", "kernel.syscalls", "model", "errors"},
    "kernel.symbols": {"kernel.features", "kernel.syscalls", "formats", "model", "errors"},
    "kernel.programs": {"kernel.maps", "kernel.features", "kernel.syscalls", "formats", "model", "errors"},
    "kernel.links": {
        "kernel.programs", "kernel.maps", "kernel.features", "kernel.symbols", "kernel.syscalls", "probes", "model", "errors",
    },
    "kernel": {
        "kernel.cachedir", "kernel.programs", "kernel.symbols", "kernel.features", "kernel.syscalls", "probes", "formats",
        "model", "errors",
    },
    "compiler.ir": {"model", "errors"},
    "compiler.codegen": {"compiler.ir", "formats.insn", "formats.btf", "model", "errors"},
    "compiler.lang.bpftrace": {"compiler.ir", "probes", "model", "errors"},
    "compiler.lang.c": {"compiler.ir", "probes", "model", "errors"},
    "compiler.cache": {"formats", "model", "errors", ""},
    "compiler": {"compiler.lang.bpftrace", "compiler.lang.c", "compiler.codegen", "compiler.ir", "formats", "model", "errors"},
    "runtime": {
        "kernel", "kernel.syscalls", "kernel.features", "kernel.maps", "kernel.symbols", "kernel.programs", "kernel.links",
        "formats", "probes", "model", "errors",
    },
    "outputs": {"model", "errors"},
    "objectcache": {"compiler.cache", "kernel", "kernel.cachedir", "model", "errors"},
    "api": {"compiler", "kernel", "runtime", "outputs", "formats", "model", "errors"},
    "bcc": {
        "objectcache",
        "api", "compiler", "compiler.cache", "kernel", "kernel.cachedir", "kernel.syscalls",
        "kernel.features", "kernel.maps", "kernel.symbols", "kernel.programs", "kernel.links", "runtime", "formats", "probes",
        "model", "errors",
    },
    "lab": {"errors"},
    "cli": {"*"},
    "__main__": {"cli"},
}  # fmt: skip

THIRD_PARTY = {"kernel": {"elftools"}, "compiler": {"pcpp", "pycparser"}, "outputs": {"numpy", "pyarrow"}, "lab": {"pytest"}}


def room_of(module: str) -> str:
    """Return the room of a module, given without the leading "probee"."""
    parts = module.split(".")
    while parts and ".".join(parts) not in ALLOWED:
        parts.pop()
    return ".".join(parts)


def imports(path: Path) -> list[tuple[int, str]]:
    """Return (line, module) of every import in a file, inside functions and under TYPE_CHECKING too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_downwards(path: Path) -> None:
    relative = path.relative_to(ROOT).with_suffix("")
    module = ".".join(part for part in relative.parts if part != "__init__")
    room = room_of(module)
    wrong = []
    for line, name in imports(path):
        top = name.split(".")[0]
        if top != "probee":
            known = top in sys.stdlib_module_names or top in THIRD_PARTY.get(room.split(".")[0], set())
            if not known:
                wrong.append(f"line {line}: {name} is no dependency of this room")
            continue
        used = room_of(name[len("probee.") :])
        if used == room or "*" in ALLOWED[room] or used in ALLOWED[room]:
            continue
        if used.startswith("formats.") and "formats" in ALLOWED[room]:
            continue
        wrong.append(f"line {line}: {room or 'probee'} may not import {used or 'probee'} ({name})")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_in_the_table() -> None:
    for path in ROOT.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert any(room == path.name or room.startswith(f"{path.name}.") for room in ALLOWED), path.name


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "util", "helpers", "manager", "common", "misc"}
    of_others = {"bcc/utils.py"}  # bcc's programs import this name
    assert not [name for path in FILES if path.stem in vague and (name := str(path.relative_to(ROOT))) not in of_others]


def test_no_file_is_over_800_lines() -> None:
    long = {str(p): n for p in FILES if "_tables" not in p.parts and (n := p.read_text().count("\n")) > 800}
    assert not long
