"""Loops: while and unroll inline, for over a range and over a map as callbacks of bpf_loop and bpf_for_each_map_elem.

A callback is a function of its own.  It reaches the variables around it through its context argument, which points to a
table in the caller's frame: one pointer per captured variable.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, MAP, Type, pointer
from probee.compiler.ir.unit import Function, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Loop, Lowerer
from probee.compiler.lang.bpftrace.lower_map import info_of, kernel_name
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import known_int
from probee.compiler.lang.bpftrace.scope import VariableInfo
from probee.errors import CompileError, Unsupported

Body = Callable[[Lowerer, list[Value]], None]
MAX_INLINE = 64  # a range this short, with constant ends, becomes a plain loop


def lower(low: Lowerer, node: ast.While | ast.Unroll | ast.For) -> None:
    """Lower any loop."""
    if isinstance(node, ast.While):
        _while(low, node)
    elif isinstance(node, ast.Unroll):
        _unroll(low, node)
    elif isinstance(node.iterable, ast.Range):
        _range(low, node, node.iterable)
    else:
        _map(low, node, node.iterable)


def _while(low: Lowerer, node: ast.While) -> None:
    b = low.b
    head, body, end = b.new_block(), b.new_block(), b.new_block()
    b.jump(head)
    b.at(head)
    b.branch(low.condition(node.condition), body, end)
    b.at(body)
    low.loops.append(Loop(head, end))
    low.block(node.body)
    low.loops.pop()
    if not b.terminated:
        b.jump(head)
    b.at(end)


def _unroll(low: Lowerer, node: ast.Unroll) -> None:
    b = low.b
    end = b.new_block()
    for _ in range(known_int(node.count) or 0):
        next_ = b.new_block()
        low.loops.append(Loop(next_, end))
        low.block(node.body)
        low.loops.pop()
        if not b.terminated:
            b.jump(next_)
        b.at(next_)
    b.jump(end)
    b.at(end)


def _range(low: Lowerer, node: ast.For, range_: ast.Range) -> None:
    start, end = known_int(range_.start), known_int(range_.end)
    if start is not None and end is not None and end - start <= MAX_INLINE:
        _counted(low, node, start, end)
        return
    if not low.feature("bpf_loop"):
        message = "a for loop over a range that is not short and constant needs bpf_loop, which this kernel lacks (Linux 5.17)"
        raise Unsupported(message, node.span, hint="Use unroll, or a range with constant ends that are less than 64 apart.")
    b = low.b
    first, last = low.number(range_.start), low.number(range_.end)
    origin = place.alloca(b, t.INT64, "start of range")
    place.store(b, origin, first)

    def body(inner: Lowerer, extra: list[Value]) -> None:
        index = inner.b.add(inner.b.load(extra[0], I64), inner.b.param(0))
        place.store(inner.b, inner.variable_place(_variable(node)), index)
        inner.block(node.body)

    name, table, left = _body(low, node, (I64, pointer("stack")), [place.address(b, origin)], body)

    def run() -> None:
        """Not with a count of 0: where the verifier knows it, kernels (6.18) drop the callback's code but not its address."""
        amount = b.bound(b.sub(last, first), 1 << 23)  # BPF_MAX_LOOPS
        b.helper("loop", amount, b.callback(name), table, b.const(0))

    low.diamond(b.compare(op.SGT, last, first), run, None)
    _leave_too(low, left)


def _counted(low: Lowerer, node: ast.For, start: int, end: int) -> None:
    b = low.b
    counter = place.alloca(b, t.INT64, "counter")
    place.store(b, counter, b.const(start))
    head, body, next_, done = (b.new_block() for _ in range(4))
    b.jump(head)
    b.at(head)
    at = place.load(b, counter)
    b.branch(b.compare(op.SLT, at, end), body, done)
    b.at(body)
    info = _variable(node)
    place.store(b, low.variable_place(info), at)
    low.loops.append(Loop(next_, done))
    low.block(node.body)
    low.loops.pop()
    if not b.terminated:
        b.jump(next_)
    b.at(next_)
    place.store(b, counter, b.add(place.load(b, counter), 1))
    b.jump(head)
    b.at(done)


def _variable(node: ast.For) -> VariableInfo:
    assert isinstance(node.variable.meaning, VariableInfo)
    return node.variable.meaning


def _map(low: Lowerer, node: ast.For, ref: ast.MapRef) -> None:
    if not low.feature("for_each_map_elem"):
        message = "a for loop over a map needs bpf_for_each_map_elem, which this kernel lacks (Linux 5.13)"
        raise Unsupported(message, node.span)
    b, info = low.b, info_of(low, ref)
    assert info.key is not None and info.value is not None
    if info.value.is_aggregation and info.value.kind not in t.READABLE:
        raise CompileError(f"Map type {info.value} cannot be iterated", ref.span)
    key_type, value_type = info.key, info.value

    def body(inner: Lowerer, extra: list[Value]) -> None:
        pair = inner.variable_place(_variable(node))
        if place.has_gaps(pair.type):
            place.zero(inner.b, pair)
        key_field, value_field = pair.type.fields
        key = inner.b.param(1)
        place.copy(inner.b, pair.at(key_field.offset, key_field.type), Place(key, 0, key_type), padded=False)
        target = pair.at(value_field.offset, value_field.type)
        if value_type.is_aggregation:
            from probee.compiler.lang.bpftrace.aggregation import read_total

            place.store(inner.b, target, read_total(inner, info, key))
        else:
            place.copy(inner.b, target, Place(inner.b.param(2), 0, value_type), padded=False)
        inner.block(node.body)

    parameters = (MAP, pointer("map"), pointer("map"), pointer("stack"))
    name, table, left = _body(low, node, parameters, [], body)
    b.helper("for_each_map_elem", b.map(kernel_name(info)), b.callback(name), table, b.const(0))
    _leave_too(low, left)


def callback(
    low: Lowerer, name: str, parameters: tuple[Type, ...], pointers: list[Value], body: Callable[[Lowerer, list[Value]], None]
) -> tuple[str, Value]:
    """Make a function that a helper calls back; its last parameter points to a table of `pointers` to memory of ours.

    `body` lowers it, given those pointers as the function sees them; falling off its end returns 0.  Returns the function's
    name and the pointer to the table.
    """
    b = low.b
    table = b.alloca(8 * len(pointers) or 8, 8, "captured variables")
    if not pointers:
        b.store(table, b.const(0))
    for index, value in enumerate(pointers):
        b.store(table, value, 8 * index)
    full = f"{low.function.name}_{name}{len(low.callbacks) + 1}"
    function = Function(full, parameters, I64, kind="callback", span=b.span)
    low.callbacks.append(function)
    inner = low.nested(function)
    inner.b.span = b.span
    where = inner.b.param(len(parameters) - 1)
    body(inner, [inner.b.load(where, pointer("stack"), 8 * index) for index in range(len(pointers))])
    if not inner.b.terminated:
        inner.b.return_(inner.b.const(0))
    return full, table


def _body(
    low: Lowerer, node: ast.For, parameters: tuple[Type, ...], extra: list[Value], body: Body
) -> tuple[str, Value, Place | None]:
    """Make the callback of a loop's body.

    Returns its name, the table to hand to it, and where it notes that the whole program shall end (None when nothing in it
    can ask for that).
    """
    b = low.b
    captured = _captured(low, node)
    places = [low.variable_place(info) for info in captured]
    left = _left(low) if _can_leave(node) else None
    pointers = [*extra, *([place.address(b, left)] if left is not None else []), *(place.address(b, p) for p in places)]
    saved = [info.place for info in captured]

    def lower_body(inner: Lowerer, given: list[Value]) -> None:
        for n in ast.walk(node):  # what the body declares lives in the callback's frame
            if id(n) in low.instance.variables:
                low.instance.variables[id(n)].place = None
        rest = given[len(extra) :]
        if left is not None:
            inner.left = Place(rest.pop(0), 0, left.type)
        for info, base, outer in zip(captured, rest, places, strict=True):
            info.place = Place(base, 0, outer.type)
        inner.loops = [Loop(None, None)]
        body(inner, given[: len(extra)])

    name, table = callback(low, "loop", parameters, pointers, lower_body)
    for info, old in zip(captured, saved, strict=True):
        info.place = old
    return name, table, left


def _can_leave(node: ast.For) -> bool:
    """True when the body of a loop contains what ends the program."""
    return any(isinstance(n, ast.Return) or (isinstance(n, ast.Call) and n.name == "exit") for n in ast.walk(node.body))


def _left(low: Lowerer) -> Place:
    """Return where a callback notes that the program ends: a flag and the result."""
    if low.left is not None:
        return low.left
    made = place.alloca(low.b, t.array_of(t.UINT64, 2), "left")
    place.store(low.b, made.at(0, t.UINT64), low.b.const(0))
    place.store(low.b, made.at(8, t.UINT64), low.b.const(0))
    return made


def _leave_too(low: Lowerer, left: Place | None) -> None:
    """End the program when a callback asked for it."""
    if left is None:
        return
    b = low.b
    flag = b.compare(op.NE, place.load(b, left.at(0, t.UINT64)), 0)
    low.diamond(flag, lambda: low.leave(place.load(b, left.at(8, t.UINT64))), None)


def _captured(low: Lowerer, node: ast.For) -> list[VariableInfo]:
    """Return the variables of the code around that the body mentions, in order of mention."""
    inside = {id(low.instance.variables[id(n)]) for n in ast.walk(node) if id(n) in low.instance.variables}
    found: list[VariableInfo] = []
    for mention in ast.walk(node.body):
        info = getattr(mention, "meaning", None) if isinstance(mention, ast.Variable) else None
        if isinstance(info, VariableInfo) and id(info) not in inside and info not in found:
            found.append(info)
    return found
