"""Imports pycparser and pcpp without those of their parts that are not used here and cost more than a program's compilation.

pycparser compiles its lexer's tables when it is imported, and brings subprocess along; pcpp brings a lexer, a
command line and an evaluator of expressions.  Ours are token.py and condition.py.  Stand-ins take the places of these modules
while the others are imported.  Those that stay become the real module as soon as somebody asks them for more.

`prepare()` does it once, and nothing at all where other threads run: they could see a stand-in that goes away again.
"""

from __future__ import annotations

import sys
from _thread import _count as count_threads
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any


class StandIn(ModuleType):
    """A module that is not executed until it is asked for a name that it has not been given."""

    def __init__(self, spec: ModuleSpec, **names: object) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__package__ = spec.parent
        self.__file__ = spec.origin
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__dict__.get("_executed"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        execute(self)
        return getattr(self, name)


def execute(module: StandIn) -> None:
    """Make a stand-in the module that it stands for."""
    module.__dict__["_executed"] = True
    assert module.__spec__ is not None and module.__spec__.loader is not None
    module.__spec__.loader.exec_module(module)


def prepare() -> None:
    """Import what lang/c uses of pycparser and pcpp, unless they are there, or cannot be had this way."""
    if "pycparser" in sys.modules or "pcpp" in sys.modules or count_threads():
        return
    before = set(sys.modules)
    try:
        _import_pycparser()
        _import_pcpp()
    except (ImportError, AttributeError, TypeError, AssertionError):  # another version, made differently
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ("pycparser", "pcpp"):
                del sys.modules[name]


def _stand_in(name: str, path: list[str] | None = None, **names: object) -> StandIn:
    spec = PathFinder.find_spec(name, path)
    if spec is None:
        raise ImportError(name)
    module = sys.modules[name] = StandIn(spec, **names)
    return module


def _import_pycparser() -> None:
    package = _stand_in("pycparser")
    lexer = _stand_in("pycparser.c_lexer", list(package.__path__), Dialect=str, Token=object)

    def make_lexer(*args: object, **keywords: object) -> object:
        execute(lexer)
        return lexer.CLexer(*args, **keywords)

    lexer.__dict__["CLexer"] = make_lexer
    package.__dict__["c_lexer"] = lexer
    import_module("pycparser.c_ast")
    import_module("pycparser.c_parser")


def _import_pcpp() -> None:
    package = _stand_in("pcpp")
    path = list(package.__path__)
    own = [f"{path[0]}/ply"]  # pcpp has its own copy of ply
    temporary = [_stand_in("pcpp.evaluator", path, Evaluator=Evaluator)]
    if "ply" not in sys.modules:
        ply = _stand_in("ply", own)
        inner = list(ply.__path__)
        temporary += [ply, _stand_in("ply.lex", inner, LexToken=object), _stand_in("ply.yacc", inner)]
        ply.__dict__.update(lex=temporary[-2], yacc=temporary[-1])
    preprocessor, parser = import_module("pcpp.preprocessor"), import_module("pcpp.parser")
    for module in temporary:
        del sys.modules[module.__name__]
    names = {"Preprocessor": preprocessor, "Action": parser, "OutputDirective": parser}
    package.__dict__.update({name: getattr(module, name) for name, module in names.items()})


class Evaluator:
    """Makes pcpp's evaluator when it is used, which we do not."""

    def __init__(self, lexer: object) -> None:
        self._lexer = lexer

    def __call__(self, *args: object, **keywords: object) -> object:
        return import_module("pcpp.evaluator").Evaluator(self._lexer)(*args, **keywords)
