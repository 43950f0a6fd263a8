"""What a checkout of bcc has: its unittest methods, its tools, and the arguments that its smoke tests give them.

All of it is read from the checkout's own files when the runner starts; nothing of upstream's is kept here.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

SMOKE = "test_tools_smoke"
# Programs that their smoke test leaves out, or that have none: something harmless for them to do.
ARGUMENTS: dict[str, list[str]] = {
    "biolatpcts": ["{disk}"],
    "deadlock": ["{pid}"],
    "dirtop": ["-d", "/tmp", "1", "1"],
    "funcinterval": ["vfs_read", "-i", "1", "-d", "2"],
    "inject": ["kmalloc", "-v", "bio_alloc_bioset()"],
    "netqtop": ["-n", "lo", "-i", "1"],
    "stackcount": ["vfs_read", "-i", "1"],
    "tcpsubnet": ["127.0.0.1/8,10.0.0.0/8"],
    "ttysnoop": ["/dev/console"],
    "dbslower": ["mysql", "-x", "{file}"],
    "dbstat": ["mysql", "-p", "{pid}"],
    "mysqld_qslower": ["{pid}"],
}


class Case:
    """`suite` is a file of tests/python, or "tools"; `name` Class.method, or a tool's words."""

    __slots__ = ("arguments", "kind", "name", "suite")

    def __init__(self, suite: str, name: str, arguments: list[str], kind: str = "sudo") -> None:
        self.suite = suite
        self.name = name
        self.arguments = arguments
        self.kind = kind

    @property
    def ident(self) -> str:
        return f"{self.suite}.{self.name}"


def cases_of(checkout: Path) -> list[Case]:
    """Return every case, tools that no smoke test runs last."""
    tests = checkout / "tests" / "python"
    told = _told(tests / "CMakeLists.txt")
    found: list[Case] = []
    for path in sorted(tests.glob("test_*.py")):
        kind, arguments = told.get(path.name, ("sudo", _own_argument(path)))
        found += [Case(path.stem, name, arguments, kind) for name in _methods(path)]
    commands = smoke_commands(tests / f"{SMOKE}.py")
    for path in sorted((checkout / "tools").glob("*.py")):
        if path.stem not in commands:
            found.append(Case("tools", path.stem, ARGUMENTS.get(path.stem, [])))
    return found


def tool_names(checkout: Path) -> list[str]:
    """Return the tools in Python, without the libraries below them."""
    return sorted(path.stem for path in (checkout / "tools").glob("*.py"))


def smoke_commands(path: Path) -> dict[str, str]:
    """Return, by the name of a tool, the method of the smoke tests that runs it first."""
    found: dict[str, str] = {}
    for name, node in _test_nodes(path):
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("run_with_"):
                text = call.args[0].left if isinstance(call.args[0], ast.BinOp) else call.args[0]
                if isinstance(text, ast.Constant):
                    found.setdefault(Path(shlex.split(text.value)[0]).stem, name)
    return found


def _methods(path: Path) -> list[str]:
    """Return Class.method of each test method; of those that share a name only the last exists."""
    return list(dict.fromkeys(name for name, _ in _test_nodes(path)))


def _test_nodes(path: Path) -> list[tuple[str, ast.FunctionDef]]:
    tree = ast.parse(path.read_text())
    nodes = {
        f"{each.name}.{node.name}": node
        for each in tree.body if isinstance(each, ast.ClassDef) and any("TestCase" in ast.unparse(base) for base in each.bases)
        for node in each.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    }  # fmt: skip
    return list(nodes.items())


def _told(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Return how upstream's build starts each file of tests: in which surroundings, with which arguments."""
    text = path.read_text() if path.exists() else ""
    found = re.findall(r"TEST_WRAPPER\} +\S+ +(\w+) +\$\{CMAKE_CURRENT_SOURCE_DIR\}/(test_\w+\.py)([^)]*)\)", text)
    return {name: (kind, rest.split()) for kind, name, rest in found}


def _own_argument(path: Path) -> list[str]:
    """Return what a file that its build does not start wants: the C program beside it."""
    program = path.with_suffix(".c")
    return [program.name] if "sys.argv.pop(1)" in path.read_text() and program.exists() else []
