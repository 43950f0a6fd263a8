"""C macros in a program: a bare name that the preamble #defines becomes the expression it stands for.

The replacement is a tree, not text: `#define N 1+2` makes `N*3` nine. Macros in a replacement are replaced in turn.
Everything that comes from a macro gets the span of the name in the program. Goes before macro.expand(), so that a
replacement may use macros; parameters of user macros hide C macros of the same name.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.cdefinition import CMacro
from probee.compiler.lang.bpftrace.parser import parse_expression
from probee.errors import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Replacements per program; macros that double each time would never end.
MAX_REPLACEMENTS = 100_000


def expand_constants(program: ast.Program, macros: Mapping[str, CMacro]) -> None:
    """Replace the names of C macros in a program, in place; raises ParseError at the name."""
    if not macros:
        return
    replacer = _Replacer(macros)
    for root in [*program.probes, *program.functions, *program.macros]:
        hidden = frozenset(param.name for param in root.params) if isinstance(root, ast.Macro) else frozenset()
        replacer.replace_below(root, hidden)


class _Replacer:
    """Parsed replacements by name, and the places still to visit with the macros that are being replaced there."""

    __slots__ = ("_count", "_macros", "_parsed")

    def __init__(self, macros: Mapping[str, CMacro]) -> None:
        self._macros = macros
        self._parsed: dict[str, ast.Expr] = {}
        self._count = 0

    def replace_below(self, root: ast.Node, hidden: frozenset[str]) -> None:
        pending: list[tuple[Any, Any, tuple[str, ...]]] = [(root, "body", ())]
        if isinstance(root, ast.Probe) and root.predicate is not None:
            pending.append((root, "predicate", ()))
        while pending:
            holder, key, active = pending.pop()
            node = holder[key] if isinstance(holder, list) else getattr(holder, key)
            if isinstance(node, ast.Identifier) and node.name in self._macros and node.name not in hidden:
                new = self._replacement(node, active)
                if isinstance(holder, list):
                    holder[key] = new
                else:
                    setattr(holder, key, new)
                pending.append((holder, key, (*active, node.name)))
                continue
            for name in type(node).__slots__:
                value = getattr(node, name)
                if isinstance(value, ast.Node):
                    pending.append((node, name, active))
                elif isinstance(value, list):
                    pending.extend((value, at, active) for at, item in enumerate(value) if isinstance(item, ast.Node))

    def _replacement(self, node: ast.Identifier, active: tuple[str, ...]) -> ast.Expr:
        """Return a copy of what a name stands for."""
        name = node.name
        if name in active:
            raise ParseError(f"Macro recursion: {'->'.join(active[active.index(name) :])}", node.span)
        self._count += 1
        if self._count > MAX_REPLACEMENTS:
            raise ParseError(f"more than {MAX_REPLACEMENTS} macro replacements", node.span)
        if name not in self._parsed:
            self._parsed[name] = _parsed(self._macros[name], node)
        result: ast.Expr = ast.copy(self._parsed[name])
        for inner in ast.walk(result):
            inner.span = node.span
        return result


def _parsed(macro: CMacro, node: ast.Identifier) -> ast.Expr:
    try:
        return parse_expression(Source(macro.name, macro.text))
    except ParseError:
        raise ParseError(f"unable to expand macro as an expression: {macro.text}", node.span) from None
