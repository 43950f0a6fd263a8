"""Equality of what lies in memory: strings up to their NUL, arrays and words whole, tuples member by member."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I8, I64, int_type, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Known

MAX_STEPS = 1024  # of a comparison that is a plain loop


def compare_memory(low: Lowerer, left: ast.Expr, right: ast.Expr) -> Value:
    """Return an i64: 1 when the two are equal, else 0."""
    result = place.alloca(low.b, t.UINT64)
    place.store(low.b, result, low.b.const(0))
    end = low.b.new_block()
    if left.type.kind == "string" or right.type.kind == "string":
        _strings(low, left, right, end)
    else:
        _equal(low, here(low, low.place(left)), here(low, low.place(right)), end)
    place.store(low.b, result, low.b.const(1))
    low.b.jump(end)
    low.b.at(end)
    return place.load(low.b, result)


def here(low: Lowerer, where: Place) -> Place:
    """Return the value in memory of ours, copied there if it lies in the kernel's or the user's."""
    if where.space not in ("kernel", "user", "context"):
        return where
    mine = place.alloca(low.b, where.type)
    place.copy(low.b, mine, where, padded=False)
    return mine


def _strings(low: Lowerer, left: ast.Expr, right: ast.Expr, differ: object) -> None:
    for one, other in ((left, right), (right, left)):
        known = one.meaning.value if isinstance(one.meaning, Known) else None
        if isinstance(known, bytes):
            where = here(low, _beginning(low, other, len(known) + 2))
            _bytes(low, where, (known + b"\0")[: where.type.size], differ)
            return
    a, z = here(low, low.place(left)), here(low, low.place(right))
    _loop(low, a, z, min(a.type.size, z.type.size), differ)


def _beginning(low: Lowerer, node: ast.Expr, size: int) -> Place:
    """Return where a string lies; of one that is read for this only, `size` bytes are enough."""
    while isinstance(node, ast.Argument):
        node = node.value
    if isinstance(node, ast.Call) and node.name == "str" and node.type.size > size and not isinstance(node.meaning, Known):
        made = place.alloca(low.b, t.string(size), "beginning of a string")
        low.into(node, made, padded=False)
        return made
    return low.place(node)


def compare_prefix(low: Lowerer, left: ast.Expr, right: ast.Expr, length: int) -> Value:
    """Return an i64: 1 when the first `length` bytes are equal, up to a NUL, else 0."""
    result = place.alloca(low.b, t.UINT64)
    place.store(low.b, result, low.b.const(0))
    end = low.b.new_block()
    a, z = here(low, _beginning(low, left, length + 1)), here(low, _beginning(low, right, length + 1))
    size = min(length, a.type.size, z.type.size)
    if size:
        _loop(low, a, z, size, end)
    place.store(low.b, result, low.b.const(1))
    low.b.jump(end)
    low.b.at(end)
    return place.load(low.b, result)


def _bytes(low: Lowerer, where: Place, data: bytes, differ: object) -> None:
    b = low.b
    at = 0
    while at < len(data):
        size = next(n for n in (8, 4, 2, 1) if at + n <= len(data) and (at + where.offset) % n == 0)
        word = b.load(where.base, int_type(size), where.offset + at)
        _expect(low, word, b.const(int.from_bytes(data[at : at + size], "little"), int_type(size)), differ)
        at += size


def _expect(low: Lowerer, value: Value, other: Value, differ: object) -> None:
    b = low.b
    go_on = b.new_block()
    b.branch(b.compare(op.EQ, value, other), go_on, differ)  # type: ignore[arg-type]
    b.at(go_on)


def _loop(low: Lowerer, a: Place, z: Place, size: int, differ: object) -> None:
    """Compare byte by byte, to the NUL or `size` bytes."""
    if size > MAX_STEPS and low.feature("bpf_loop"):
        _call_back(low, a, z, size, differ)
        return
    b = low.b
    index = place.alloca(b, t.UINT64)
    place.store(b, index, b.const(0))
    head, body, more, end = b.new_block(), b.new_block(), b.new_block(), b.new_block()
    b.jump(head)
    b.at(head)
    at = place.load(b, index)
    b.branch(b.compare(op.ULT, at, size), body, end)
    b.at(body)
    bounded = b.bound(at, size - 1)
    one = b.load(b.offset(place.address(b, a), bounded), I8)
    other = b.load(b.offset(place.address(b, z), bounded), I8)
    _expect(low, one, other, differ)
    b.branch(b.compare(op.EQ, one, 0), end, more)
    b.at(more)
    place.store(b, index, b.add(place.load(b, index), 1))
    b.jump(head)
    b.at(end)


def difference(low: Lowerer, a: Place, z: Place, size: int) -> Value:
    """Return the difference of the first two bytes that differ, as signed ones, 0 when all `size` are equal."""
    b = low.b
    result, index = place.alloca(b, t.INT64), place.alloca(b, t.UINT64)
    place.store(b, result, b.const(0))
    place.store(b, index, b.const(0))
    head, body, differ, more, end = (b.new_block() for _ in range(5))
    b.jump(head)
    b.at(head)
    at = place.load(b, index)
    b.branch(b.compare(op.ULT, at, size), body, end)
    b.at(body)
    bounded = b.bound(at, max(size - 1, 0))
    one, other = (b.load(b.offset(place.address(b, where), bounded), I8) for where in (a, z))
    b.branch(b.compare(op.EQ, one, other), more, differ)
    b.at(differ)
    place.store(b, result, b.sub(b.sext(one, I64), b.sext(other, I64)))
    b.jump(end)
    b.at(more)
    place.store(b, index, b.add(place.load(b, index), 1))
    b.jump(head)
    b.at(end)
    return place.load(b, result)


def _call_back(low: Lowerer, a: Place, z: Place, size: int, differ: object) -> None:
    """The same, one byte per call of bpf_loop: no long loop for the verifier."""
    from probee.compiler.lang.bpftrace.lower_loop import callback

    b = low.b
    same = place.alloca(b, t.UINT64, "same")
    place.store(b, same, b.const(1))

    def body(inner: Lowerer, given: list[Value]) -> None:
        c = inner.b
        at = c.bound(c.param(0), size - 1)
        one, other = (c.load(c.offset(base, at), I8) for base in given[:2])
        unequal, go_on, stop, more = (c.new_block() for _ in range(4))
        c.branch(c.compare(op.EQ, one, other), go_on, unequal)
        c.at(unequal)
        c.store(given[2], c.const(0))
        c.jump(stop)
        c.at(go_on)
        c.branch(c.compare(op.EQ, one, 0), stop, more)
        c.at(stop)
        c.return_(c.const(1))
        c.at(more)
        c.return_(c.const(0))

    pointers = [place.address(b, where) for where in (a, z, same)]
    name, table = callback(low, "compare", (I64, pointer("stack")), pointers, body)
    b.helper("loop", b.const(size), b.callback(name), table, b.const(0))
    _expect(low, place.load(b, same), b.const(1), differ)


def _equal(low: Lowerer, a: Place, z: Place, differ: object) -> None:
    b = low.b
    if a.type.kind in ("tuple", "record"):
        for index, field in enumerate(a.type.fields):
            other = z.type.fields[index]
            if a.type.kind == "record":
                other = next(f for f in z.type.fields if f.name == field.name)
            _equal(low, a.at(field.offset, field.type), z.at(other.offset, other.type), differ)
    elif a.type.is_scalar:
        one, two = place.load(b, a), place.load(b, z)
        one, two = (b.address(x) if x.type.is_pointer else x for x in (one, two))
        _expect(low, b.resize(one, I64, signed=False), two, differ)
    elif a.type.kind == "string":
        _loop(low, a, z, min(a.type.size, z.type.size), differ)
    else:
        size = min(a.type.size, z.type.size)
        at = 0
        while at < size:
            n = next(n for n in (8, 4, 2, 1) if at + n <= size and (at + a.offset) % n == 0 and (at + z.offset) % n == 0)
            _expect(low, b.load(a.base, int_type(n), a.offset + at), b.load(z.base, int_type(n), z.offset + at), differ)
            at += n
