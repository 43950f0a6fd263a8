"""Functions on strings: strlen, strcap, strncmp, strstr, strcontains, str_concat; texts of errors, signals, system calls.

Strings end at their NUL or at the end of their buffer.  What is literal is computed here and now.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.type import I8, I64, pointer
from probee.compiler.ir.unit import Block, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch

CONCATENATED = 1024  # bytes of str_concat's result
TEXT_SIZE = 64  # bytes of the texts of errors, signals and system calls
MISSING = -2  # what strstr() gives when there is nothing to be found: -ENOENT, as bpf_strstr() of the kernel
MAX_STEPS = 2048  # of a search that is a plain loop; longer ones are callbacks of bpf_loop


def _known(node: ast.Expr) -> bytes | None:
    """Return a literal string, up to its NUL."""
    meaning = node.meaning
    return meaning.value.split(b"\0")[0] if isinstance(meaning, Known) and isinstance(meaning.value, bytes) else None


# -- lengths


def _check_strlen(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    if not _is_text(type):
        message = f"{node.name}() expects a string, an array of int8 or a pointer to int8 ({type} provided)"
        raise TypeMismatch(message, node.span)
    known = _known(node.args[0])
    if known is not None and node.name == "strlen":
        node.meaning = Known(len(known), literal=False)
    return t.UINT64


def _is_text(type: Ty) -> bool:
    if type.kind == "array":
        return type.element is not None and type.element.size == 1
    return type.kind == "string" or (type.kind == "pointer" and t.pointee(type).size == 1)


def _lower_strlen(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """Read it once more: the helper returns how long it was, NUL included."""
    b, first = low.b, node.args[0]
    size = low.script.config.number("max_strlen") if first.type.kind == "pointer" else first.type.size
    copy = place.alloca(b, t.string(size))
    source = low.pointer(first)
    read = place.read_string(b, copy, size, source, "user" if source.type.space == "user" else "kernel")
    result = place.alloca(b, t.UINT64)
    place.store(b, result, b.const(0))
    low.diamond(b.compare(op.SGT, read, 0), lambda: place.store(b, result, b.sub(read, 1)), None)
    return place.load(b, result)


def _check_strcap(resolver: Resolver, node: ast.Call) -> Ty:
    _check_strlen(resolver, node)
    type = node.args[0].type
    size = resolver.script.config.number("max_strlen") if type.kind == "pointer" else type.size
    node.meaning = Known(size, literal=False)
    return t.INT64


def _lower_strcap(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return low.b.const(known_int(node) or 0)


# -- comparison


def _check_strncmp(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 3)
    for argument in node.args[:2]:
        resolver.expr(argument)
        expect(node, argument, ("string", "array"), "string")
    length = literal_int(resolver, node, 2)
    if length < 0:
        raise CompileError("Builtin strncmp requires a non-negative length", node.span)
    return t.UINT64


def _lower_strncmp(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """0 when the first n bytes are equal, up to a NUL, else 1."""
    from probee.compiler.lang.bpftrace.lower_compare import compare_prefix

    length = known_int(node.args[2])
    assert length is not None
    equal = compare_prefix(low, node.args[0], node.args[1], length)
    return low.b.xor(equal, 1)


def _check_memcmp(resolver: Resolver, node: ast.Call) -> Ty:
    """memcmp(left, right, count): the difference of the first bytes that differ."""
    arity(node, 3)
    for argument in node.args[:2]:
        if resolver.expr(argument).kind == "none":
            raise TypeMismatch(f"memcmp() can not compare a value of type '{argument.type}'", argument.span)
    size = min(argument.type.size for argument in node.args[:2])
    if literal_int(resolver, node, 2) > size:
        raise CompileError(f"memcmp() compares at most the {size} bytes that both values have", node.args[2].span)
    return t.INT32


def _lower_memcmp(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    from probee.compiler.lang.bpftrace.lower_compare import difference

    count = known_int(node.args[2])
    assert count is not None
    return difference(low, _in_memory(low, node.args[0]), _in_memory(low, node.args[1]), count)


def _in_memory(low: Lowerer, node: ast.Expr) -> Place:
    """Return where all bytes of a value lie, in memory of ours."""
    made = place.alloca(low.b, node.type)
    place.zero(low.b, made)
    low.into(node, made, padded=True)
    return made


# -- search


def _check_search(resolver: Resolver, node: ast.Call) -> Ty:
    """strstr() gives the index or a negative number, strcontains() whether there is one."""
    arity(node, 2)
    for argument in node.args:
        resolver.expr(argument)
        if not (argument.type.kind == "string" or (argument.type.kind == "array" and _is_text(argument.type))):
            raise TypeMismatch(f"{node.name}() expects a string ({argument.type} provided)", argument.span)
    hay, needle = _known(node.args[0]), _known(node.args[1])
    if hay is not None and needle is not None:
        node.meaning = Known(needle in hay if node.name == "strcontains" else _index(hay, needle), literal=False)
    return t.BOOL if node.name == "strcontains" else t.INT64


def _index(hay: bytes, needle: bytes) -> int:
    at = hay.find(needle)
    return at if at >= 0 else MISSING


def _lower_search(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    b = low.b
    index = _find(low, node.args[0], node.args[1])
    return index if node.name == "strstr" else b.zext(b.compare(op.SGE, index, 0), I64)


def _find(low: Lowerer, hay: ast.Expr, needle: ast.Expr) -> Value:
    """Return the index of the first occurrence, MISSING when there is none."""
    from probee.compiler.lang.bpftrace.lower_compare import here

    b = low.b
    found = place.alloca(b, t.INT64, "found")
    known = _known(needle)
    if known == b"":
        return b.const(0)
    place.store(b, found, b.const(MISSING))
    text = here(low, low.place(hay))
    if known is not None:
        if len(known) < text.type.size:
            _search(low, text, len(known), None, found, lambda inner, at, differ, _: _expect_bytes(inner, at, known, differ))
        return place.load(b, found)
    other = here(low, low.place(needle))
    if text.type.size * other.type.size > MAX_STEPS and low.feature("bpf_loop"):
        _walk(low, text, other, found)
    else:
        _search(low, text, 1, other, found, _expect_text)
    return place.load(b, found)


def _walk(low: Lowerer, text: Place, needle: Place, found: Place) -> None:
    """Compare one byte per call of bpf_loop: no loop for the verifier, whatever the sizes.

    The state is the position in the text, and how many bytes of the needle match before it.  It changes by atomic additions
    because the verifier does not follow those: to it, one call is then like the next.
    """
    from probee.compiler.lang.bpftrace.lower_loop import callback

    b = low.b
    state = place.alloca(b, t.array_of(t.UINT64, 2), "search")
    for offset in (0, 8):
        place.store(b, state.at(offset, t.UINT64), b.const(0))
    pointers = [place.address(b, where) for where in (text, needle, found, state)]

    def body(inner: Lowerer, given: list[Value]) -> None:
        c = inner.b
        at, same = (Place(given[3], offset, t.UINT64) for offset in (0, 8))
        position, matched = place.load(c, at), place.load(c, same)
        wanted = c.load(c.offset(given[1], c.bound(matched, needle.type.size - 1)), I8)
        byte = c.load(c.offset(given[0], c.bound(position, text.type.size - 1)), I8)
        all_matched, more, equal, differ, go_on, stop = (c.new_block() for _ in range(6))
        c.branch(c.compare(op.EQ, wanted, 0), all_matched, more)
        c.at(all_matched)
        place.store(c, Place(given[2], 0, found.type), c.sub(position, matched))
        c.jump(stop)
        c.at(more)
        c.branch(c.compare(op.EQ, byte, wanted), equal, differ)
        c.at(equal)
        c.atomic("add", at.base, c.const(1), at.offset)
        c.atomic("add", same.base, c.const(1), same.offset)
        c.jump(go_on)
        c.at(differ)  # back to the position after the one where this match began
        c.atomic("add", at.base, c.sub(c.const(1), matched), at.offset)
        c.atomic("add", same.base, c.sub(c.const(0), matched), same.offset)
        c.branch(c.compare(op.EQ, byte, 0), stop, go_on)
        c.at(stop)
        c.return_(c.const(1))
        c.at(go_on)
        c.return_(c.const(0))

    name, table = callback(low, "search", (I64, pointer("stack")), pointers, body)
    steps = min(text.type.size * needle.type.size, 1 << 23)
    b.helper("loop", b.const(steps), b.callback(name), table, b.const(0))


Match = Callable[[Lowerer, "Window", Block, "Place | None"], None]


class Window:
    """A position in a text: `base` points to the text, `at` is the bounded index, `size` the text's bytes."""

    __slots__ = ("at", "base", "size")

    def __init__(self, base: Value, at: Value, size: int) -> None:
        self.base = base
        self.at = at
        self.size = size


def _search(low: Lowerer, text: Place, least: int, other: Place | None, found: Place, match: Match) -> None:
    """Try every position that leaves room for `least` bytes, up to the text's NUL."""
    b, size = low.b, text.type.size
    n_positions = size - least + 1
    steps = n_positions * (other.type.size if other is not None else 1)
    if steps <= MAX_STEPS or not low.feature("bpf_loop"):
        index = place.alloca(b, t.UINT64, "position")
        place.store(b, index, b.const(0))
        head, body, end = b.new_block(), b.new_block(), b.new_block()
        b.jump(head)
        b.at(head)
        at = place.load(b, index)
        b.branch(b.compare(op.ULT, at, n_positions), body, end)
        b.at(body)
        window = Window(place.address(b, text), b.bound(at, n_positions - 1), size)
        _try(low, window, other, found, match, end)
        place.store(b, index, b.add(at, 1))
        b.jump(head)
        b.at(end)
        return
    from probee.compiler.lang.bpftrace.lower_loop import callback

    pointers = [place.address(b, text), place.address(b, found), *([place.address(b, other)] if other is not None else [])]

    def body_of(inner: Lowerer, given: list[Value]) -> None:
        stop = inner.b.new_block()
        window = Window(given[0], inner.b.bound(inner.b.param(0), n_positions - 1), size)
        needle = Place(given[2], 0, other.type) if other is not None else None
        _try(inner, window, needle, Place(given[1], 0, found.type), match, stop)
        inner.b.return_(inner.b.const(0))
        inner.b.at(stop)
        inner.b.return_(inner.b.const(1))

    name, table = callback(low, "search", (I64, pointer("stack")), pointers, body_of)
    b.helper("loop", b.const(n_positions), b.callback(name), table, b.const(0))


def _try(low: Lowerer, window: Window, other: Place | None, found: Place, match: Match, stop: Block) -> None:
    """Go to `stop` with `found` set when the needle is here, also at the text's end; else fall through."""
    b = low.b
    differ, go_on = b.new_block(), b.new_block()
    match(low, window, differ, other)
    place.store(b, found, window.at)
    b.jump(stop)
    b.at(differ)
    here = b.load(b.offset(window.base, window.at), I8)
    b.branch(b.compare(op.EQ, here, 0), stop, go_on)
    b.at(go_on)


def _expect_bytes(low: Lowerer, window: Window, data: bytes, differ: Block) -> None:
    b = low.b
    base = b.offset(window.base, window.at)
    for offset, byte in enumerate(data):
        go_on = b.new_block()
        b.branch(b.compare(op.EQ, b.load(base, I8, offset), byte), go_on, differ)
        b.at(go_on)


def _expect_text(low: Lowerer, window: Window, differ: Block, needle: Place | None) -> None:
    """Compare byte by byte, up to the needle's NUL."""
    assert needle is not None
    b = low.b
    index = place.alloca(b, t.UINT64, "in needle")
    place.store(b, index, b.const(0))
    head, body, inside, same, end = (b.new_block() for _ in range(5))
    b.jump(head)
    b.at(head)
    at = place.load(b, index)
    b.branch(b.compare(op.ULT, at, needle.type.size), body, end)
    b.at(body)
    wanted = b.load(b.offset(place.address(b, needle), b.bound(at, needle.type.size - 1)), I8)
    b.branch(b.compare(op.EQ, wanted, 0), end, inside)
    b.at(inside)
    position = b.add(window.at, at)
    b.branch(b.compare(op.ULT, position, window.size), same, differ)
    b.at(same)
    byte = b.load(b.offset(window.base, b.bound(position, window.size - 1)), I8)
    more = b.new_block()
    b.branch(b.compare(op.EQ, byte, wanted), more, differ)
    b.at(more)
    place.store(b, index, b.add(at, 1))
    b.jump(head)
    b.at(end)


# -- concatenation


def _check_concat(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 2)
    for argument in node.args:
        resolver.expr(argument)
        expect(node, argument, ("string",), "string")
    return t.string(CONCATENATED)


def _lower_concat(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    """Read the first into place, the second over its NUL."""
    assert target is not None
    b = low.b
    first, second = (low.place(argument) for argument in node.args)
    room = min(target.type.size, CONCATENATED)
    size = min(first.type.size, room // 2)
    read = place.read_string(b, target, size, place.address(b, first), first.space)
    used = place.alloca(b, t.UINT64)
    place.store(b, used, b.const(0))
    low.diamond(b.compare(op.SGT, read, 0), lambda: place.store(b, used, b.sub(read, 1)), None)
    at = b.offset(place.address(b, target), b.bound(place.load(b, used), size - 1))
    rest = min(second.type.size, room - size + 1)
    helper = "probe_read_user_str" if second.space == "user" else "probe_read_kernel_str"
    b.helper(helper, at, b.const(rest), place.address(b, second))


# -- texts by number


def texts(name: str, arch: str) -> tuple[dict[int, str], str]:
    """Return the table of a function and the text for a number that is not in it."""
    if name == "strerror":
        from probee.compiler.lang.bpftrace._tables.errno import TEXTS

        return TEXTS, "Unknown error"
    if name == "signal_name":
        from probee.compiler.lang.bpftrace._tables import signals

        return signals.TEXTS, "N/A"
    from probee.model._tables import syscalls

    return getattr(syscalls, arch.upper(), syscalls.X86_64), "Unknown syscall"


def _check_text(resolver: Resolver, node: ast.Call) -> Ty:
    """A literal number gives a string; any other a number that prints as its text."""
    arity(node, 1)
    resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "enum", "bool"), "integer")
    table, unknown = texts(node.name, resolver.script.target.arch)
    known = known_int(node.args[0])
    if known is None:
        return Ty("named", 8, signed=True, table=table, name=node.name, mode=unknown)
    node.meaning = Known(table.get(known, unknown).encode())
    return t.string(TEXT_SIZE)


def _lower_text(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    if isinstance(node.meaning, Known):
        from probee.compiler.lang.bpftrace.lower_context import known_text

        known_text(low, node, target)
        return
    place.store(low.b, target.at(0, t.INT64), low.number(node.args[0]))


TABLE = {
    "strlen": (_check_strlen, _lower_strlen),
    "strcap": (_check_strcap, _lower_strcap),
    "strncmp": (_check_strncmp, _lower_strncmp),
    "memcmp": (_check_memcmp, _lower_memcmp),
    "strstr": (_check_search, _lower_search),
    "strcontains": (_check_search, _lower_search),
    "str_concat": (_check_concat, _lower_concat),
    "strerror": (_check_text, _lower_text),
    "signal_name": (_check_text, _lower_text),
    "syscall_name": (_check_text, _lower_text),
}
