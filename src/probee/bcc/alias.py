"""The import name `bcc` for this package: `install()` makes `import bcc` and `from bcc.utils import …` mean probee.bcc.

What is imported under both names is one module.  `probee bcc` and the distribution probee-bcc call it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

NAME = "bcc"
PACKAGE = "probee.bcc"


class _Finder:
    """Finds `bcc` and what is in it; a loader of modules that are there already."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name != NAME and not name.startswith(f"{NAME}."):
            return None
        try:
            module = import_module(PACKAGE + name[len(NAME) :])
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(PACKAGE):
                raise
            return None
        return ModuleSpec(name, _Loader(module), is_package=hasattr(module, "__path__"))  # type: ignore[arg-type]  # duck-typed


class _Loader:
    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._own = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import system has just put the one of the other name there


def install() -> ModuleType:
    """Let `bcc` mean this package from now on in this process; returns it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]:
        del sys.modules[name]
    package = sys.modules[NAME] = import_module(PACKAGE)
    return package
