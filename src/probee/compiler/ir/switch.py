"""`switch` for front ends: comparisons one after the other, a binary search for many cases (BPF has no jump tables)."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.build import MASKS, Builder
from probee.compiler.ir.unit import Block, Value

_CHAIN = 4  # cases that are compared one after the other

Case = tuple[int, Block]


def switch(b: Builder, value: Value, cases: list[Case], default: Block) -> None:
    """End the current block: go to the block of the number that `value` is, to `default` where it is none of them.

    Numbers may be negative; those that are equal in the value's type are the front end's error.
    """
    mask = MASKS[value.type.bits]
    _search(b, value, sorted(((number & mask, block) for number, block in cases), key=lambda case: case[0]), default)


def _search(b: Builder, value: Value, cases: list[Case], default: Block) -> None:
    if len(cases) <= _CHAIN:
        _chain(b, value, cases, default)
        return
    middle = len(cases) // 2
    below, above = b.new_block(), b.new_block()
    b.branch(b.compare(op.ULT, value, cases[middle][0]), below, above)
    for half, part in ((below, cases[:middle]), (above, cases[middle:])):
        b.at(half)
        _search(b, value, part, default)


def _chain(b: Builder, value: Value, cases: list[Case], default: Block) -> None:
    for number, block in cases:
        following = b.new_block()
        b.branch(b.compare(op.EQ, value, number), block, following)
        b.at(following)
    b.jump(default)
