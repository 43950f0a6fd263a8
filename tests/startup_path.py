"""What a cached start must not import: what costs milliseconds, and the compiler.

Which module is to blame shows `python -X importtime -m probee ...`; what it all costs, benchmarks/startup.py.
"""

from __future__ import annotations

EXPENSIVE = {
    "argparse", "ast", "asyncio", "collections", "concurrent", "contextlib", "copy", "ctypes", "dataclasses", "datetime",
    "enum", "functools", "glob", "hashlib", "heapq", "importlib.metadata", "importlib.util", "inspect", "ipaddress", "json",
    "locale", "logging", "numpy", "pathlib", "pickle", "platform", "pwd", "random", "re", "shlex", "shutil", "signal", "socket",
    "string", "subprocess", "tempfile", "textwrap", "threading", "tokenize", "traceback", "types", "typing", "uuid", "warnings",
    "weakref",
}  # fmt: skip
COMPILER = (
    "probee.compiler.", "probee.formats.btf", "probee.formats.insn", "probee.formats.target", "probee.probes", "probee.lab",
    "probee.kernel.target", "probee.kernel.symbols",
)  # fmt: skip
ALLOWED = {"probee.compiler.cache"}


def unwanted(modules: list[str]) -> list[str]:
    """Return those of the modules that a cached start must not import."""
    return [name for name in modules if name in EXPENSIVE or (name.startswith(COMPILER) and name not in ALLOWED)]
