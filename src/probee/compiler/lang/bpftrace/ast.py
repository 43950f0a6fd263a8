# ruff: noqa: RUF023 -- the order of __slots__ is the order of the constructor, which generic code relies on
"""The syntax tree of a bpftrace program: every node class, and nothing that needs to know what they mean.

Three families: expressions (`Expr`), statements (`Statement`) and type names (`TypeName`); a `Block` is an expression
that may also stand where a statement is expected. Nodes are slotted and not frozen: made once by the parser (or by
macro expansion), annotated by resolve (`type`, `meaning`), then left alone. `span` is probee.errors.make_span. Names
are kept without their sigil: `$x` is Variable("x"), `@` is MapRef("").

`type(node).__slots__` lists a node's own fields in constructor order (after span), which is what walk(), same() and the
generic copying in macro.py go by; annotations sit on the base classes and are not part of a node's shape.
The file is longer than others because the node set is one idea that is read in one go.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes longer to import than this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from probee.errors import Source


class Node:
    """Anything with a place in the text."""

    __slots__ = ("span",)
    span: int

    def __init__(self, span: int) -> None:
        self.span = span

    def __repr__(self) -> str:
        fields = ", ".join(repr(getattr(self, name)) for name in type(self).__slots__)
        return f"{type(self).__name__}({fields})"


class Expr(Node):
    """An expression. `type` and `meaning` are unset until resolve fills them; the parser never reads them."""

    __slots__ = ("meaning", "type")
    type: Any  #: the resolved type
    meaning: Any  #: what resolve found a name to stand for


class Statement(Node):
    """A statement; a Block in a statement list is one, too."""

    __slots__ = ()


class TypeName(Node):
    """A type as written; resolve turns it into a model type."""

    __slots__ = ()


# --- types --------------------------------------------------------------------------------------------------


class NamedType(TypeName):
    """`name`, or `tag name` with tag struct, union or enum ("" when bare)."""

    __slots__ = ("name", "tag")

    def __init__(self, span: int, name: str, tag: str = "") -> None:
        self.span, self.name, self.tag = span, name, tag


class PointerType(TypeName):
    """`target *`."""

    __slots__ = ("target",)

    def __init__(self, span: int, target: TypeName) -> None:
        self.span, self.target = span, target


class ArrayType(TypeName):
    """`element[size]`; size None is `[]`. Written `string[64]`, `buffer[16]`, `inet[16]` too: sized, not arrays."""

    __slots__ = ("element", "size")

    def __init__(self, span: int, element: TypeName, size: int | None) -> None:
        self.span, self.element, self.size = span, element, size


class TypeOf(TypeName):
    """`typeof(operand)` where a type stands."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Expr | TypeName) -> None:
        self.span, self.operand = span, operand


# --- leaves -------------------------------------------------------------------------------------------------


class IntLiteral(Expr):
    """An integer ≥ 0 (minus is Unary), durations in nanoseconds. `unsigned`: written with a suffix that has a u."""

    __slots__ = ("value", "unsigned", "text")

    def __init__(self, span: int, value: int, unsigned: bool, text: str) -> None:
        self.span, self.value, self.unsigned, self.text = span, value, unsigned, text


class BoolLiteral(Expr):
    """`true` or `false`."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: bool) -> None:
        self.span, self.value = span, value


class StringLiteral(Expr):
    """`"…"` after escapes, without a terminating NUL."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: bytes) -> None:
        self.span, self.value = span, value


class Identifier(Expr):
    """A bare name: builtin, macro without arguments, enum member, C constant."""

    __slots__ = ("name",)

    def __init__(self, span: int, name: str) -> None:
        self.span, self.name = span, name


class Variable(Expr):
    """`$name`."""

    __slots__ = ("name",)

    def __init__(self, span: int, name: str) -> None:
        self.span, self.name = span, name


class MapRef(Expr):
    """`@name` without a key: a scalar map, or a whole map as an argument."""

    __slots__ = ("name",)

    def __init__(self, span: int, name: str) -> None:
        self.span, self.name = span, name


class MapAccess(Expr):
    """`@map[key]`; `@map[a, b]` has the key Tuple([a, b])."""

    __slots__ = ("map", "key")

    def __init__(self, span: int, map: MapRef, key: Expr) -> None:
        self.span, self.map, self.key = span, map, key


class Positional(Expr):
    """`$1`, `$2`, …: a positional parameter."""

    __slots__ = ("index",)

    def __init__(self, span: int, index: int) -> None:
        self.span, self.index = span, index


class PositionalCount(Expr):
    """`$#`."""

    __slots__ = ()


# --- operators ----------------------------------------------------------------------------------------------


class Unary(Expr):
    """`op operand` with op one of `! ~ -`."""

    __slots__ = ("op", "operand")

    def __init__(self, span: int, op: str, operand: Expr) -> None:
        self.span, self.op, self.operand = span, op, operand


class Deref(Expr):
    """`*operand`."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Expr) -> None:
        self.span, self.operand = span, operand


class AddressOf(Expr):
    """`&operand`; only variables and whole maps have an address."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Variable | MapRef) -> None:
        self.span, self.operand = span, operand


class IncDec(Expr):
    """`++x`, `x--`, …: op is `++` or `--`."""

    __slots__ = ("op", "prefix", "target")

    def __init__(self, span: int, op: str, prefix: bool, target: Variable | MapRef | MapAccess) -> None:
        self.span, self.op, self.prefix, self.target = span, op, prefix, target


class Binary(Expr):
    """`left op right` with op one of `+ - * / % & | ^ << >> == != < <= > >=`. The span covers both operands."""

    __slots__ = ("op", "left", "right")

    def __init__(self, span: int, op: str, left: Expr, right: Expr) -> None:
        self.span, self.op, self.left, self.right = span, op, left, right


class Logical(Expr):
    """`left && right`, `left || right`: the right side is evaluated only when needed."""

    __slots__ = ("op", "left", "right")

    def __init__(self, span: int, op: str, left: Expr, right: Expr) -> None:
        self.span, self.op, self.left, self.right = span, op, left, right


class Ternary(Expr):
    """`condition ? then : otherwise`; then None is `condition ?: otherwise`."""

    __slots__ = ("condition", "then", "otherwise")

    def __init__(self, span: int, condition: Expr, then: Expr | None, otherwise: Expr) -> None:
        self.span, self.condition, self.then, self.otherwise = span, condition, then, otherwise


class Cast(Expr):
    """`(target)operand`. The span ends before the operand, as upstream's does."""

    __slots__ = ("target", "operand")

    def __init__(self, span: int, target: TypeName, operand: Expr) -> None:
        self.span, self.target, self.operand = span, target, operand


class Field(Expr):
    """`operand.name`, or `operand->name` when arrow."""

    __slots__ = ("operand", "name", "arrow")

    def __init__(self, span: int, operand: Expr, name: str, arrow: bool) -> None:
        self.span, self.operand, self.name, self.arrow = span, operand, name, arrow


class TupleIndex(Expr):
    """`operand.0`."""

    __slots__ = ("operand", "index")

    def __init__(self, span: int, operand: Expr, index: int) -> None:
        self.span, self.operand, self.index = span, operand, index


class Index(Expr):
    """`operand[index]` on anything but a bare map."""

    __slots__ = ("operand", "index")

    def __init__(self, span: int, operand: Expr, index: Expr) -> None:
        self.span, self.operand, self.index = span, operand, index


class Call(Expr):
    """`name(args)`: builtin function, user function or macro. An argument may be a TypeArgument."""

    __slots__ = ("name", "args")

    def __init__(self, span: int, name: str, args: list[Expr]) -> None:
        self.span, self.name, self.args = span, name, args


class TypeArgument(Expr):
    """`typeof(…)`, or a type such as `struct task_struct`, where a call's argument stands."""

    __slots__ = ("target",)

    def __init__(self, span: int, target: TypeName) -> None:
        self.span, self.target = span, target


class SizeOf(Expr):
    """`sizeof(operand)`."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Expr | TypeName) -> None:
        self.span, self.operand = span, operand


class OffsetOf(Expr):
    """`offsetof(subject, a.b)`: path is ["a", "b"]."""

    __slots__ = ("subject", "path")

    def __init__(self, span: int, subject: Expr | TypeName, path: list[str]) -> None:
        self.span, self.subject, self.path = span, subject, path


class TypeInfo(Expr):
    """`typeinfo(operand)`."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Expr | TypeName) -> None:
        self.span, self.operand = span, operand


class Comptime(Expr):
    """`comptime operand`: must fold to a constant."""

    __slots__ = ("operand",)

    def __init__(self, span: int, operand: Expr) -> None:
        self.span, self.operand = span, operand


# --- composed expressions -----------------------------------------------------------------------------------


class Tuple(Expr):
    """`(a, b)`, `(a,)`, `()`."""

    __slots__ = ("items",)

    def __init__(self, span: int, items: list[Expr]) -> None:
        self.span, self.items = span, items


class Record(Expr):
    """`(name = value, …)`: names[i] belongs to values[i]."""

    __slots__ = ("names", "values")

    def __init__(self, span: int, names: list[str], values: list[Expr]) -> None:
        self.span, self.names, self.values = span, names, values


class Block(Expr):
    """`{ statements; value }`: value is the unterminated last expression, None when there is none.

    Bodies of probes, functions, loops and statement-ifs never have a value (it was made an ExprStatement).
    """

    __slots__ = ("statements", "value")

    def __init__(self, span: int, statements: list[Statement | Block], value: Expr | None = None) -> None:
        self.span, self.statements, self.value = span, statements, value


class IfExpr(Expr):
    """`if condition { … } else …` used for its value; `otherwise` is a Block, another IfExpr or None."""

    __slots__ = ("condition", "then", "otherwise")

    def __init__(self, span: int, condition: Expr, then: Block, otherwise: Block | IfExpr | None) -> None:
        self.span, self.condition, self.then, self.otherwise = span, condition, then, otherwise


class Expansion(Expr):
    """A macro call, expanded. Spans inside `body` point into `source` (None: the same text as the call's).

    Made by macro.py, never by the parser. The span is the call's, for "expanded from".
    """

    __slots__ = ("name", "body", "source")

    def __init__(self, span: int, name: str, body: Block, source: Source | None) -> None:
        self.span, self.name, self.body, self.source = span, name, body, source


class Argument(Expr):
    """A macro argument where its parameter stood: spans inside point where the call's span points. Not assignable."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: Expr) -> None:
        self.span, self.value = span, value


# --- statements ---------------------------------------------------------------------------------------------


class ExprStatement(Statement):
    """`value;`."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: Expr) -> None:
        self.span, self.value = span, value


class Discard(Statement):
    """`_ = value;`."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: Expr) -> None:
        self.span, self.value = span, value


class Let(Statement):
    """`let $variable [: declared] [= value];`."""

    __slots__ = ("variable", "declared", "value")

    def __init__(self, span: int, variable: Variable, declared: TypeName | None, value: Expr | None) -> None:
        self.span, self.variable, self.declared, self.value = span, variable, declared, value


class Assign(Statement):
    """`target op value;` with op `=` or a compound one such as `+=`."""

    __slots__ = ("target", "op", "value")

    def __init__(self, span: int, target: Variable | MapRef | MapAccess, op: str, value: Expr) -> None:
        self.span, self.target, self.op, self.value = span, target, op, value


class If(Statement):
    """`if condition { … } else …` as a statement; `otherwise` is a Block, another If or None."""

    __slots__ = ("condition", "then", "otherwise")

    def __init__(self, span: int, condition: Expr, then: Block, otherwise: Block | If | None) -> None:
        self.span, self.condition, self.then, self.otherwise = span, condition, then, otherwise


class While(Statement):
    """`while condition { … }`."""

    __slots__ = ("condition", "body")

    def __init__(self, span: int, condition: Expr, body: Block) -> None:
        self.span, self.condition, self.body = span, condition, body


class Unroll(Statement):
    """`unroll (count) { … }`."""

    __slots__ = ("count", "body")

    def __init__(self, span: int, count: Expr, body: Block) -> None:
        self.span, self.count, self.body = span, count, body


class Range(Node):
    """`start..end`, half open; only in For."""

    __slots__ = ("start", "end")

    def __init__(self, span: int, start: Expr, end: Expr) -> None:
        self.span, self.start, self.end = span, start, end


class For(Statement):
    """`for ($variable : iterable) { … }`."""

    __slots__ = ("variable", "iterable", "body")

    def __init__(self, span: int, variable: Variable, iterable: MapRef | Range, body: Block) -> None:
        self.span, self.variable, self.iterable, self.body = span, variable, iterable, body


class Break(Statement):
    """`break;`."""

    __slots__ = ()


class Continue(Statement):
    """`continue;`."""

    __slots__ = ()


class Return(Statement):
    """`return [value];`."""

    __slots__ = ("value",)

    def __init__(self, span: int, value: Expr | None) -> None:
        self.span, self.value = span, value


class Import(Statement):
    """`import "path";` at the root or as a statement."""

    __slots__ = ("path",)

    def __init__(self, span: int, path: str) -> None:
        self.span, self.path = span, path


# --- program ------------------------------------------------------------------------------------------------


class CText(Node):
    """One piece of the C preamble, verbatim: a `#` line, or a struct/union/enum/typedef definition."""

    __slots__ = ("text",)

    def __init__(self, span: int, text: str) -> None:
        self.span, self.text = span, text


class ConfigItem(Node):
    """`key = value` in the config block; the span is the whole item's."""

    __slots__ = ("key", "value")

    def __init__(self, span: int, key: str, value: IntLiteral | StringLiteral | BoolLiteral | Identifier) -> None:
        self.span, self.key, self.value = span, key, value


class Config(Node):
    """`config = { … }`."""

    __slots__ = ("items",)

    def __init__(self, span: int, items: list[ConfigItem]) -> None:
        self.span, self.items = span, items


class Macro(Node):
    """`macro name(params) { … }`."""

    __slots__ = ("name", "params", "body")

    def __init__(self, span: int, name: str, params: list[Variable | MapRef | Identifier], body: Block) -> None:
        self.span, self.name, self.params, self.body = span, name, params, body


class Param(Node):
    """`$variable : declared` of a function."""

    __slots__ = ("variable", "declared")

    def __init__(self, span: int, variable: Variable, declared: TypeName) -> None:
        self.span, self.variable, self.declared = span, variable, declared


class Function(Node):
    """`fn name(params) : returns { … }`."""

    __slots__ = ("name", "params", "returns", "body")

    def __init__(self, span: int, name: str, params: list[Param], returns: TypeName, body: Block) -> None:
        self.span, self.name, self.params, self.returns, self.body = span, name, params, returns, body


class MapDeclaration(Node):
    """`let @map = kind(size);`."""

    __slots__ = ("map", "kind", "size")

    def __init__(self, span: int, map: MapRef, kind: str, size: int) -> None:
        self.span, self.map, self.kind, self.size = span, map, kind, size


class AttachPointText(Node):
    """One attach point as written, before attachpoint.split()."""

    __slots__ = ("text",)

    def __init__(self, span: int, text: str) -> None:
        self.span, self.text = span, text


class Probe(Node):
    """`attach points /predicate/ { … }`."""

    __slots__ = ("attach_points", "predicate", "body")

    def __init__(self, span: int, attach_points: list[AttachPointText], predicate: Expr | None, body: Block) -> None:
        self.span, self.attach_points, self.predicate, self.body = span, attach_points, predicate, body


class Program(Node):
    """A whole program. Each list is in text order; the order between lists has no meaning."""

    __slots__ = ("preamble", "config", "imports", "macros", "functions", "maps", "probes")

    def __init__(
        self,
        span: int,
        preamble: list[CText],
        config: Config | None,
        imports: list[Import],
        macros: list[Macro],
        functions: list[Function],
        maps: list[MapDeclaration],
        probes: list[Probe],
    ) -> None:
        self.span, self.preamble, self.config, self.imports = span, preamble, config, imports
        self.macros, self.functions, self.maps, self.probes = macros, functions, maps, probes


# --- generic access -----------------------------------------------------------------------------------------


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below, in text order."""
    for name in type(node).__slots__:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Node):
                    yield item


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it, parents first, in text order; not recursive."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(list(children(current))))


def copy(node: Node) -> Any:
    """Return a copy of a tree, without annotations; not recursive."""
    root = _shallow(node)
    pending = [root]
    while pending:
        current = pending.pop()
        for name in type(current).__slots__:
            value = getattr(current, name)
            if isinstance(value, Node):
                value = _shallow(value)
                setattr(current, name, value)
                pending.append(value)
            elif isinstance(value, list):
                value = [_shallow(item) if isinstance(item, Node) else item for item in value]
                setattr(current, name, value)
                pending.extend(item for item in value if isinstance(item, Node))
    return root


def _shallow(node: Node) -> Node:
    kind = type(node)
    new = kind.__new__(kind)
    new.span = node.span
    for name in kind.__slots__:
        setattr(new, name, getattr(node, name))
    return new


def same(one: Node, other: Node) -> bool:
    """Say whether two trees are equal but for spans and annotations; not recursive."""
    pending: list[tuple[Any, Any]] = [(one, other)]
    while pending:
        left, right = pending.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, Node):
            pending.extend((getattr(left, name), getattr(right, name)) for name in type(left).__slots__)
        elif isinstance(left, list):
            if len(left) != len(right):
                return False
            pending.extend(zip(left, right, strict=True))
        elif left != right:
            return False
    return True
