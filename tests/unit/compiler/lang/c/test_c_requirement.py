"""What lang/c extends of pycparser and pcpp, neither of which promises it, is there and is still asked for."""

from __future__ import annotations

import inspect
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import pcpp
import pytest
from pycparser import c_ast
from pycparser.c_parser import CParser

from probee.compiler.lang.c.parse import Parser
from probee.compiler.lang.c.preprocess import Preprocessor
from probee.errors import Unsupported

PROJECT = Path(__file__).parents[5] / "pyproject.toml"
OWN = {  # what does not override anything
    Parser: {"run", "_index"},
    Preprocessor: {"run", "define_flags", "text_of", "_without_defined", "_constant"},
}


@pytest.mark.parametrize(("ours", "theirs"), [(Parser, CParser), (Preprocessor, pcpp.Preprocessor)])
def test_what_is_overridden_is_there_with_as_many_parameters(ours: type, theirs: type) -> None:
    for name, function in vars(ours).items():
        if not isinstance(function, FunctionType) or name in OWN[ours] or name == "__init__":
            continue
        base = getattr(theirs, name, None)
        assert base is not None, f"{theirs.__name__} has no {name} any more"
        assert len(inspect.signature(function).parameters) == len(inspect.signature(base).parameters), name


def test_pycparser_keeps_its_state_where_we_put_ours() -> None:
    parser = Parser([], lambda name: False)
    source = inspect.getsource(CParser)
    for name in ("_tokens", "_scope_stack", "_typedef_checked_token"):
        assert hasattr(parser, name)
        assert f"self.{name}" in source
    assert "dialect" in inspect.signature(CParser.__init__).parameters


@pytest.mark.parametrize("kind", ["TypeOf", "GenericSelection", "StaticAssert", "CompoundLiteral", "Pragma"])
def test_pycparser_has_the_nodes_that_are_lowered(kind: str) -> None:
    assert issubclass(getattr(c_ast, kind), c_ast.Node)


def test_an_older_python_is_told_what_programs_in_c_need(monkeypatch: pytest.MonkeyPatch) -> None:
    import probee.compiler.lang.c as package

    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    with pytest.raises(Unsupported, match=r"need Python 3\.11 or newer"):
        runpy.run_path(str(package.__file__))


@pytest.mark.parametrize(("name", "least", "limit"), [("pycparser", (3, 12), 4), ("pcpp", (1, 30), 2)])
def test_the_project_asks_for_the_versions_that_were_tried(name: str, least: tuple[int, int], limit: int) -> None:
    assert f'"{name}>={least[0]}.{least[1]},<{limit}' in PROJECT.read_text()
    installed = tuple(int(part) for part in version(name).split(".")[:2])
    assert least <= installed < (limit,)
