"""Unrolls small loops whose number of turns is a small constant: each turn becomes code of its own, which folds.

The number of turns is found by running what the loop's condition is computed from.  Other ways
out (break) stay.  A loop that is too large is left to run: the verifier walks each turn either way.  A loop with an `unroll` in
it (#pragma unroll) may be large; where that must be and cannot, it is an error.  turn.py rewrites.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes.constant import evaluate, signed
from probee.compiler.ir.passes.effect import FAR
from probee.compiler.ir.passes.turn import Loop, values_leaving, write_out
from probee.compiler.ir.unit import Block, Function, Unit, Value
from probee.errors import CompileError

MOST_TURNS = 32
MOST_VALUES = 128  # instructions of all turns together, about, before they fold; half when later turns may not run
MOST_GROWTH = 4096  # … and of all loops of a function
MOST_WISHED = 20000  # instructions of a loop that is to be unrolled
_COUNTER = 3  # values of a turn that surely go: the counter's increment, its comparison, the branch
_PROBE_READ = 6  # instructions of a load from far memory
_FREE = frozenset((op.CONST, op.PHI, op.JUMP, op.UNROLL))
_DEEPEST = 12  # how far back a condition is followed
_NOT_KEPT = ("context", "percpu", "packet", "packet_end")  # spaces whose pointers are not for phis


def run(function: Function, unit: Unit) -> bool:
    """Unroll every loop that is small enough, inner ones first; return whether there was one."""
    changed = False
    refused: set[Block] = set()
    room = MOST_GROWTH
    while loops := _apart(_leaving_numbers(function, _find(function, refused), refused), room):
        write_out(function, loops)
        room -= sum(loop.turns * loop.size for loop in loops if loop.wish is None)
        changed = True
    _drop_wishes(function)
    return changed


def _drop_wishes(function: Function) -> None:
    """Take out what is left of them, unless one must come true and cannot: there is another loop in its loop."""
    if not any(value.op == op.UNROLL for block in function.blocks for value in block.values):
        return
    inside: set[Block] = set()
    order = reverse_postorder(function)
    number = {block: index for index, block in enumerate(order)}
    for header in loop_headers(order):
        inside.update(_between(header, [before for before in header.predecessors if number[before] >= number[header]]))
    for block in function.blocks:
        for wish in block.values:
            if wish.op == op.UNROLL and wish.attr and block in inside:
                raise _not_unrolled(wish, "it has a loop in it that stays, or a goto leads into it")
        block.values = [value for value in block.values if value.op != op.UNROLL]


def _not_unrolled(wish: Value, reason: str) -> CompileError:
    return CompileError(f"the loop cannot be unrolled: {reason}", wish.span, hint="leave the pragma out: the kernel runs loops")


def _find(function: Function, refused: set[Block]) -> list[Loop]:
    """Return the loops with no loop in them that can be unrolled; notes the headers of those that cannot in `refused`."""
    order = reverse_postorder(function)
    headers = loop_headers(order)
    number = {block: index for index, block in enumerate(order)}
    found: list[Loop] = []
    for header in reversed(order):
        if header in headers and header not in refused:
            latches = [before for before in header.predecessors if number[before] >= number[header]]
            loop = Loop(header, latches, sorted(_between(header, latches), key=lambda block: number[block]))
            if headers.intersection(loop.blocks[1:]):
                continue
            reason = "a goto leads into it" if not _is_plain(function, loop) else _why_not_small(loop)
            if not reason:
                found.append(loop)
                continue
            if loop.wish is not None and loop.wish.attr:
                raise _not_unrolled(loop.wish, reason)
            refused.add(header)
    return found


def _leaving_numbers(function: Function, loops: list[Loop], refused: set[Block]) -> list[Loop]:
    """Return the loops of which nothing but numbers is used behind them, or what phis may join; the others are refused."""
    leaving = values_leaving(function, loops) if loops else {}
    others = {
        loop
        for loop, values in leaving.items()
        for value in values
        if not value.type.is_int and (loop.wish is None or value.type.space in _NOT_KEPT)
    }
    for loop in others:
        if loop.wish is not None and loop.wish.attr:
            raise _not_unrolled(loop.wish, "a pointer of it is used behind it")
    refused.update(loop.header for loop in others)
    return [loop for loop in loops if loop not in others]


def _apart(loops: list[Loop], room: int) -> list[Loop]:
    """Return loops of which none leads straight to another, as many as there is room for; the next round sees the others."""
    chosen: list[Loop] = []
    touched: set[Block] = set()
    for loop in loops:
        near = {*loop.blocks, *loop.header.predecessors}
        if (room > 0 or loop.wish is not None) and touched.isdisjoint(near):
            touched |= near
            chosen.append(loop)
            room -= loop.turns * loop.size if loop.wish is None else 0
    return chosen


def _between(header: Block, latches: list[Block]) -> list[Block]:
    """Return the blocks of a loop."""
    found = [header]
    work = list(latches)
    while work:
        block = work.pop()
        if block not in found:
            found.append(block)
            work += block.predecessors
    return found


def _is_plain(function: Function, loop: Loop) -> bool:
    """Return whether the loop is entered at its header only."""
    inside = set(loop.blocks)
    if function.entry in inside or not loop.entry:
        return False
    for block in loop.blocks:
        ways = block.successors
        if len(set(ways)) < len(ways) or (block is not loop.header and any(each not in inside for each in block.predecessors)):
            return False
    return True


# -- counting


def _why_not_small(loop: Loop) -> str:
    """Find the branch that counts, and the turns that it allows; return why not, "" where they are few and small."""
    size = loop.size = sum(_size(value) for block in loop.blocks for value in block.values)
    n_ways_out = sum(way not in loop.blocks for block in loop.blocks for way in block.successors)
    most = min(MOST_TURNS, (MOST_VALUES if n_ways_out == 1 else MOST_VALUES // 2) // max(1, size - _COUNTER))
    if loop.wish is not None:
        most = MOST_WISHED // max(1, size)
    for test in (loop.header, loop.latches[0]) if len(loop.latches) == 1 else (loop.header,):
        if loop.exit_of(test) is not None:
            turns = _count(loop, test, most)
            if turns is not None:
                loop.test, loop.turns = test, turns
                return ""
    return f"its number of turns is not known here, or more than {most}"


def _size(value: Value) -> int:
    """Return about how many instructions a value becomes."""
    if value.op == op.HELPER:
        return 1 + len(value.args)
    return _PROBE_READ if value.op == op.LOAD and value.args[0].type.space in FAR else int(value.op not in _FREE)


def _count(loop: Loop, test: Block, most: int) -> int | None:
    """Return how many times the test says to stay, None when that is not known or more than `most`."""
    back = [index for index in range(len(loop.header.predecessors)) if index not in loop.entry]
    last = test.values[-1]
    numbers = {phi: _agreed(phi, loop.entry, {}) for phi in loop.phis}
    for turn in range(most + 1):
        holds = _number(last.args[0], numbers, _DEEPEST)
        if holds is None:
            return None
        if last.attr[0 if holds else 1] not in loop.blocks:
            return turn
        numbers = {phi: _agreed(phi, back, dict(numbers)) for phi in loop.phis}
    return None


def _agreed(phi: Value, indices: list[int], numbers: dict[Value, int | None]) -> int | None:
    """Return the number that a phi takes on all of some edges, None when that is not known."""
    first = phi.args[indices[0]]
    return _number(first, numbers, _DEEPEST) if all(phi.args[index] is first for index in indices) else None


def _number(value: Value, numbers: dict[Value, int | None], deepest: int) -> int | None:
    """Return the number that a value is in this turn, None when that is not known."""
    if value.op == op.CONST:
        return int(value.attr)
    if value not in numbers:
        numbers[value] = None
        args = [_number(arg, numbers, deepest - 1) for arg in value.args] if deepest and value.op in _EVALUATED else []
        known = [arg for arg in args if arg is not None]
        if known and len(known) == len(args):
            numbers[value] = _result(value, known)
    return numbers[value]


_EVALUATED = op.ARITHMETIC | op.COMPARISONS | {op.ZEXT, op.SEXT, op.TRUNC}


def _result(value: Value, args: list[int]) -> int:
    bits = value.args[0].type.bits
    if len(args) == 2:
        return evaluate(value.op, args[0], args[1], bits)
    return (signed(args[0], bits) if value.op == op.SEXT else args[0]) & ((1 << value.type.bits) - 1)
