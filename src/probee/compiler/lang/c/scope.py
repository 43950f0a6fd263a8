"""Names of a C program: scopes, and what the kernel adds behind the outermost one.

A name is looked for from the inside out in the program's scopes, then in BTF and in our tables; a tag (struct, union, enum)
likewise, so that a program's own definition wins over the kernel's, also where a kernel structure points to that tag
(`complete`).  Nothing of the kernel is listed: every question is by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pycparser import c_ast

from probee.compiler.lang.c import basic
from probee.model.ctype import CType, EnumType, ForwardType, Member, PointerType, StructType, strip
from probee.model.target import Target


class Symbol:
    """What a name means; `kind` is "variable", "typedef", "enumerator", "function" or "map".

    `value` is an enumerator's; `meaning` is free for the lowering.
    """

    __slots__ = ("kind", "meaning", "name", "span", "type", "value")

    def __init__(
        self, kind: str, name: str, type: CType | None = None, *, value: int | None = None, span: int = 0, meaning: Any = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.type = type
        self.value = value
        self.span = span
        self.meaning = meaning

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class Kernel:
    """What all scopes of a program share: the target, and what was asked of it already."""

    __slots__ = ("constants", "declared", "tags", "target", "type_of_expression", "typedefs")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.typedefs: dict[str, CType | None] = {}
        self.tags: dict[tuple[str, str], CType | None] = {}
        self.constants: dict[str, tuple[int, CType] | None] = {}
        self.declared: dict[int, CType] = {}  # id of a node that defines a tag → its type
        self.type_of_expression: Callable[[c_ast.Node, Scope], CType] | None = None

    def typedef(self, name: str) -> CType | None:
        if name not in self.typedefs:
            self.typedefs[name] = self.target.type_named("typedef", name) or basic.typedef(name, self.target)
        return self.typedefs[name]

    def tag(self, kind: str, name: str) -> CType | None:
        key = kind, name
        if key not in self.tags:
            self.tags[key] = self._tag(kind, name)
        return self.tags[key]

    def _tag(self, kind: str, name: str) -> CType | None:
        found = self.target.type_named(kind, name)
        if found is not None and not isinstance(found, ForwardType):
            return found
        if kind == "struct":
            from probee.compiler.lang.c.synthesis import synthesise

            made = synthesise(name, self)
            if made is not None:
                return made
        return self.target.type_in_modules(kind, name)

    def constant(self, name: str) -> tuple[int, CType] | None:
        if name not in self.constants:
            from probee.compiler.lang.c.constant import kernel_constant

            self.constants[name] = kernel_constant(name, self.target)
        return self.constants[name]


class Scope:
    """One scope of names and tags; `parent` is the next outer one."""

    __slots__ = ("kernel", "parent", "symbols", "tags")

    def __init__(self, kernel: Kernel, parent: Scope | None = None) -> None:
        self.kernel = kernel
        self.parent = parent
        self.symbols: dict[str, Symbol] = {}
        self.tags: dict[str, CType] = {}

    def child(self) -> Scope:
        return Scope(self.kernel, self)

    @property
    def target(self) -> Target:
        return self.kernel.target

    # -- names
    def find(self, name: str) -> Symbol | None:
        """Return what a name means in this program, None when it declares no such name."""
        scope: Scope | None = self
        while scope is not None:
            symbol = scope.symbols.get(name)
            if symbol is not None:
                return symbol
            scope = scope.parent
        return None

    def declare(self, name: str, symbol: Symbol) -> None:
        self.symbols[name] = symbol

    def names(self) -> list[str]:
        """Return the names that the program declares in this scope and those around it."""
        return [*self.symbols, *(self.parent.names() if self.parent is not None else ())]

    def declare_typedef(self, node: c_ast.Typedef) -> None:
        """Declare the name of a `typedef`."""
        from probee.compiler.lang.c.declare import declare_typedef

        declare_typedef(node, self)

    def typedef(self, name: str) -> CType | None:
        """Return the type that a name is a typedef of, as a TypedefType; None when it is none."""
        symbol = self.find(name)
        if symbol is not None:
            return symbol.type if symbol.kind == "typedef" else None
        return self.kernel.typedef(name)

    def constant(self, name: str) -> tuple[int, CType] | None:
        """Return (value, type) of an enumerator of the program or the kernel, or of a constant of the kernel's headers."""
        symbol = self.find(name)
        if symbol is not None:
            if symbol.kind != "enumerator" or symbol.value is None or symbol.type is None:
                return None
            return symbol.value, symbol.type
        return self.kernel.constant(name)

    # -- tags
    def local_tag(self, kind: str, name: str) -> CType | None:
        """Return a struct, union or enum as this program declares it."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.tags.get(name)
            if found is not None and _kind_of(found) == kind:
                return found
            scope = scope.parent
        return None

    def tag(self, kind: str, name: str) -> CType | None:
        """Return a struct, union or enum, the program's own before the kernel's; None when nobody defines it."""
        found = self.local_tag(kind, name)
        if found is None or isinstance(found, ForwardType):
            return self.kernel.tag(kind, name) or found
        return found

    def complete(self, ctype: CType) -> CType:
        """Return the definition that a struct, union or enum has in this program, looking through typedefs.

        What a pointer from the kernel leads to is, when the program defines that tag itself, the program's.
        """
        ctype = strip(ctype)
        if isinstance(ctype, (StructType, ForwardType)):
            if not ctype.name:
                return ctype
            local = self.local_tag(ctype.kind, ctype.name)
            if local is not None and not isinstance(local, ForwardType):
                return local
            if isinstance(ctype, ForwardType):
                return self.kernel.tag(ctype.kind, ctype.name) or ctype
        return ctype

    def pointee(self, pointer: CType) -> CType | None:
        """Return what a pointer (or array) points to, completed; None when it is no pointer."""
        pointer = strip(pointer)
        if not isinstance(pointer, PointerType):
            return None
        return self.complete(pointer.target)

    def member_path(self, struct: CType, name: str) -> tuple[Member, ...]:
        """Return the path to a member, by its name or one that the kernel's headers have for it; () when there is none."""
        struct = self.complete(struct)
        if not isinstance(struct, StructType):
            return ()
        path = struct.find(name)
        if path:
            return path
        from probee.compiler.lang.c._tables.alias import ALIASES

        for steps in ALIASES.get(name, ()):
            path = self._walk(struct, steps.split("."))
            if path:
                return path
        return ()

    def _walk(self, struct: CType, steps: list[str]) -> tuple[Member, ...]:
        path: tuple[Member, ...] = ()
        current: CType = struct
        for step in steps:
            current = strip(current)
            found = current.find(step) if isinstance(current, StructType) else ()
            if not found:
                return ()
            path += found
            current = found[-1].type
        return path

    # -- types
    def type_of(self, node: c_ast.Node) -> CType:
        """Return the type that a node of the AST denotes: a Typename, a declaration, or the type in one.

        Tags that are defined on the way are defined in this scope.
        """
        from probee.compiler.lang.c.declare import type_of

        return type_of(node, self)

    @property
    def type_of_expression(self) -> Callable[[c_ast.Node, Scope], CType] | None:
        """What answers typeof and sizeof of expressions: the lowering's function, once it has set it."""
        return self.kernel.type_of_expression

    @type_of_expression.setter
    def type_of_expression(self, function: Callable[[c_ast.Node, Scope], CType] | None) -> None:
        self.kernel.type_of_expression = function


def _kind_of(tag: CType) -> str:
    if isinstance(tag, (StructType, ForwardType)):
        return tag.kind
    return "enum" if isinstance(tag, EnumType) else ""
