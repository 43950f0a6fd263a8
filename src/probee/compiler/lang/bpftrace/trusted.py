"""Pointers from a typed context, where a program computes with them.

The verifier knows what such a pointer points to, which helpers like d_path insist on, and in return lets it only be moved by
constants, compared, stored, and read through.  A script may do more with an address: shift it, hash it, index by a variable.
`forget` finds the pointers that meet with such a use, wherever they go on their way there, and has those read from the context
as from any kernel memory, which gives a plain number.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Block, Function, Value

_HARMLESS = frozenset((op.LOAD, op.COPY, op.HELPER, op.KFUNC, op.ATOMIC, op.ZERO, *op.COMPARISONS))
_MOVING = frozenset((op.ADD, op.SUB, op.OFFSET))


def forget(function: Function) -> None:
    """Rewrite, in place, the loads of pointers that are used as numbers."""
    uses = _uses(function)
    for block in function.blocks:
        for value in [v for v in block.values if v.op == op.LOAD_CONTEXT]:
            if any(user.op == op.POINTER for user in uses.get(value, ())) and _is_number(value, uses):
                _read(block, value)


def _uses(function: Function) -> dict[Value, list[Value]]:
    """Return who uses a value; who loads from memory of ours uses the memory."""
    found: dict[Value, list[Value]] = {}
    for block in function.blocks:
        for value in block.values:
            for argument in value.args:
                found.setdefault(argument, []).append(value)
    return found


def _is_number(start: Value, uses: dict[Value, list[Value]]) -> bool:
    """Follow a pointer to wherever it goes; True when something there takes only numbers."""
    seen, todo = {start}, [start]
    while todo:
        value = todo.pop()
        for user in uses.get(value, ()):
            following = _following(value, user, uses)
            if following is None:
                return True
            new = [each for each in following if each not in seen]
            seen.update(new)
            todo += new
    return False


def _following(value: Value, user: Value, uses: dict[Value, list[Value]]) -> list[Value] | None:
    """Return what else holds the pointer after this use; None if the use needs a number."""
    if user.op in (op.POINTER, op.ADDRESS, op.PHI):
        return [user]
    if user.op in _MOVING:
        return [user] if user.args[0] is value and user.args[1].op == op.CONST else None
    if user.op == op.STORE:
        return _loads(user.args[0], uses) if user.args[1] is value else []
    return [] if user.op in _HARMLESS else None


def _loads(address: Value, uses: dict[Value, list[Value]]) -> list[Value]:
    """Return what is loaded from the memory of ours that an address lies in, and from where that is copied to."""
    found: list[Value] = []
    seen: set[Value] = set()
    todo = [_root(address)]
    while todo:
        memory = todo.pop()
        if memory in seen or memory.op != op.ALLOCA:
            continue
        seen.add(memory)
        for user in _reached(memory, uses):
            if user.op == op.LOAD:
                found.append(user)
            elif user.op == op.COPY:
                todo.append(_root(user.args[0]))
    return found


def _root(address: Value) -> Value:
    while address.op == op.OFFSET:
        address = address.args[0]
    return address


def _reached(memory: Value, uses: dict[Value, list[Value]]) -> list[Value]:
    """Return the users of memory, by whatever offset."""
    found = list(uses.get(memory, ()))
    for user in found:
        if user.op == op.OFFSET:
            found += uses.get(user, ())
    return found


def _read(block: Block, value: Value) -> None:
    """Make a load from the context a read of kernel memory."""
    (context,) = value.args
    number = Value(op.ADDRESS, I64, [context], None, value.span)
    offset = Value(op.CONST, I64, [], value.attr, value.span)
    total = Value(op.ADD, I64, [number, offset], None, value.span)
    where = Value(op.POINTER, pointer("kernel"), [total], None, value.span)
    at = block.values.index(value)
    block.values[at:at] = [number, offset, total, where]
    value.op, value.args, value.attr = op.LOAD, [where], 0
