"""User macros: hygienic expansion on the tree, before anything is resolved.

A call becomes an Expansion that holds a copy of the macro's body. In it `$v` and `@m` parameters are the caller's own
variable and map, an identifier parameter is the caller's expression at each mention (an Argument), and variables that
the body introduces get names of their own. Types passed with typeof replace type names (macrotype.py). A library
(bpftrace's standard macros, or what scripts import) gives way to the program's own macros, but not inside itself.

Expansion walks a worklist of places in the tree, each with the Frame that its names mean something in; text that came
from an argument is walked in the frame of the call, so nothing is renamed twice.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.macroframe import Definition, Frame, Registry
from probee.compiler.lang.bpftrace.macrotype import expand_operand, expand_path, expand_type
from probee.compiler.lang.bpftrace.parser_type import is_builtin
from probee.errors import CompileError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Any

#: Arguments are expanded at every mention, so nested calls can grow without bound.
MAX_EXPANSIONS = 20_000

_STRAY_TYPE = (
    "When used as a call argument, `typeof` builtin only valid for macro calls that are expecting a type parameter"
)


def expand(
    program: ast.Program,
    source: Source,
    library: Sequence[tuple[ast.Program, Source]] = (),
    *,
    functions: Container[str] = frozenset(),
) -> None:
    """Replace all macro calls in a program, in place; its list of macros is empty afterwards.

    `functions` are names that the compiler implements itself: a call to one that fits no macro is left alone. Raises
    CompileError, which names the source it points into.
    """
    registry = Registry(functions)
    for imported, where in library:
        registry.add_all(imported.macros, where, library=True)
    registry.add_all(program.macros, source, library=False)
    program.macros = []
    _Expander(registry).run(program, Frame(None, source))


class _Expander:
    """A worklist of (holder, key, frame): the node to look at is holder.key, or holder[key] of a list."""

    __slots__ = ("copies", "number", "pending", "registry")

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.pending: list[tuple[Any, Any, Frame]] = []
        self.copies = 0
        self.number = 0  #: of the latest expansion, for names of its own

    def run(self, program: ast.Program, frame: Frame) -> None:
        for root in [*program.probes, *program.functions]:
            self.push_children(root, frame)
        while self.pending:
            holder, key, frame = self.pending.pop()
            if isinstance(holder, list):
                holder[key] = self.visit(holder[key], frame)
            else:
                setattr(holder, key, self.visit(getattr(holder, key), frame))

    def push(self, holder: Any, key: Any, frame: Frame) -> None:
        self.pending.append((holder, key, frame))

    def push_children(self, node: ast.Node, frame: Frame) -> None:
        for name in type(node).__slots__:
            value = getattr(node, name)
            if isinstance(value, ast.Node):
                self.pending.append((node, name, frame))
            elif isinstance(value, list):
                self.pending.extend((value, at, frame) for at, item in enumerate(value) if isinstance(item, ast.Node))

    def visit(self, node: ast.Node, frame: Frame) -> ast.Node:
        """Return what replaces a node (mostly itself), with what is below it on the list."""
        if isinstance(node, ast.Identifier):
            return self.identifier(node, frame)
        if isinstance(node, ast.Call):
            return self.call(node, frame)
        if isinstance(node, ast.TypeArgument):
            raise CompileError(_STRAY_TYPE, node.span, source=frame.source)
        if isinstance(node, ast.TypeName):
            return expand_type(node, frame, self.push)
        if isinstance(node, (ast.SizeOf, ast.TypeInfo)):
            expand_operand(node, "operand", frame, self.push)
            return node
        if isinstance(node, ast.OffsetOf):
            expand_operand(node, "subject", frame, self.push)
            expand_path(node, frame)
            return node
        if frame.definition is not None:
            self.rename(node, frame)
        self.push_children(node, frame)
        return node

    def rename(self, node: ast.Node, frame: Frame) -> None:
        """Give variables and maps in a macro's body the names they have in this expansion."""
        if isinstance(node, ast.Variable):
            node.name = frame.variable(node.name)
        elif isinstance(node, ast.MapRef):
            node.name = frame.map(node)
        elif isinstance(node, (ast.Let, ast.For)):
            frame.check_declaration(node.variable)

    def identifier(self, node: ast.Identifier, frame: Frame) -> ast.Node:
        """Return the argument that a name stands for, or the expansion of a macro without parameters."""
        bound = frame.bindings.get(node.name)
        if bound is not None and frame.caller is not None:
            self.grow(node, frame)
            result = ast.Argument(node.span, ast.copy(bound))
            self.push(result, "value", frame.caller)
            return result
        definition = None if is_builtin(node.name) else self.registry.find(node, node.name, [], frame)
        return node if definition is None else self.expansion(node, definition, [], frame)

    def call(self, node: ast.Call, frame: Frame) -> ast.Node:
        definition = self.registry.find(node, node.name, node.args, frame)
        if definition is not None:
            return self.expansion(node, definition, node.args, frame)
        self.push_children(node, frame)
        return node

    def expansion(
        self, node: ast.Identifier | ast.Call, definition: Definition, args: list[ast.Expr], frame: Frame
    ) -> ast.Node:
        frame.check_recursion(definition, node)
        self.grow(node, frame)
        self.number += 1
        inner = Frame(definition, definition.source, caller=frame, number=self.number)
        for param, arg in zip(definition.macro.params, args, strict=True):
            inner.bind(param, arg)
        result = ast.Expansion(node.span, node.name, ast.copy(definition.macro.body), definition.source)
        self.push(result, "body", inner)
        return result

    def grow(self, node: ast.Node, frame: Frame) -> None:
        self.copies += 1
        if self.copies > MAX_EXPANSIONS:
            raise CompileError(f"more than {MAX_EXPANSIONS} macro expansions", node.span, source=frame.source)
