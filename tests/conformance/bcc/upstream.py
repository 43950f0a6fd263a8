"""What a checkout of bcc has: its unittest methods, its tools, and the arguments that its smoke tests give them.

All of it is read from the checkout's own files when the runner starts; nothing of upstream's is kept here.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

SMOKE = "test_tools_smoke"
# Words of tools that no smoke test runs, or whose smoke test leaves them nothing to look at: something harmless to do.
# In braces what the runner puts in: its process, a disk, the C library, a stand-in for a database server.
ARGUMENTS: dict[str, list[str]] = {
    "biolatpcts": ["{disk}"],
    "cachetop": ["1"],
    "deadlock": ["--binary", "{libc}", "--threads", "1024", "--edges", "1024", "--stacktraces", "1024", "{pid}"],
    "dirtop": ["-d", "/tmp", "1", "1"],
    "funcinterval": ["vfs_read", "-i", "1", "-d", "2"],
    "inject": ["kmalloc", "bio_alloc_bioset()"],
    "kvmexit": ["1"],
    "netqtop": ["-n", "lo", "-i", "1"],
    "tcpsubnet": ["127.0.0.1/8,10.0.0.0/8"],
    "dbslower": ["mysql", "-x", "{server}"],
    "dbstat": ["mysql", "-p", "{server_pid}"],
    "mysqld_qslower": ["{server_pid}"],
}


class Case:
    """`suite` is a file of tests/python, or "tools"; `name` Class.method, or a tool's.

    `modules` are those of the kernel that a method skips itself without; `shared` is what it uses that there is one of.
    """

    __slots__ = ("arguments", "kind", "modules", "name", "shared", "suite")

    def __init__(
        self,
        suite: str,
        name: str,
        arguments: list[str],
        kind: str = "sudo",
        *,
        modules: tuple[str, ...] = (),
        shared: str = "",
    ) -> None:
        self.suite = suite
        self.modules = modules
        self.shared = shared
        self.name = name
        self.arguments = arguments
        self.kind = kind

    @property
    def ident(self) -> str:
        return f"{self.suite}.{self.name}"


def cases_of(checkout: Path) -> list[Case]:
    """Return every case, the tools last."""
    tests = checkout / "tests" / "python"
    told = _told(tests / "CMakeLists.txt")
    found: list[Case] = []
    for path in sorted(tests.glob("test_*.py")):
        kind, arguments = told.get(path.name, ("sudo", _own_argument(path)))
        shared = "network" if "Simulation(" in path.read_text() else ""  # its namespaces have fixed names
        for name, node in _test_nodes(path):
            found.append(Case(path.stem, name, arguments, kind, modules=_modules(node), shared=shared))
    commands = smoke_commands(tests / f"{SMOKE}.py")
    for name in tool_names(checkout):
        found.append(Case("tools", name, ARGUMENTS.get(name, commands.get(name, []))))
    return found


def tool_names(checkout: Path) -> list[str]:
    """Return the tools in Python, without the libraries below them."""
    return sorted(path.stem for path in (checkout / "tools").glob("*.py"))


def smoke_commands(path: Path) -> dict[str, list[str]]:
    """Return, by the name of a tool, the words that a smoke test gives it first."""
    found: dict[str, list[str]] = {}
    for _, node in _test_nodes(path):
        for words in _commands(node):
            found.setdefault(Path(words[0]).stem, words[1:])
    return found


def idle_methods(path: Path) -> list[str]:
    """Return the smoke methods that run nothing: upstream left them empty."""
    return [name for name, node in _test_nodes(path) if not _commands(node)]


def _commands(node: ast.FunctionDef) -> list[list[str]]:
    found = []
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("run_with_"):
            text = call.args[0].left if isinstance(call.args[0], ast.BinOp) else call.args[0]
            if isinstance(text, ast.Constant):
                found.append(shlex.split(str(text.value).replace("%d", "{pid}")))
    return found


def _modules(node: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(
        str(call.args[0].value)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "kmod_loaded"
        and isinstance(call.args[0], ast.Constant)
    )  # fmt: skip


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
