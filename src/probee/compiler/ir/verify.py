"""The executable specification of legal IR; op.py's comments are its prose.

`verify` raises IllegalIr, with the function's text, at the first thing that is wrong: structure (every block ends in
one terminator, phis match the predecessors, a definition dominates its uses), types per operation, and what the
provable operations promise to the kernel's verifier.  It runs between passes in tests, not in production.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.rule import RULES, Checker, IllegalIr
from probee.compiler.ir.unit import Block, Function, Unit, Value, connect
from probee.errors import ProbeeError

__all__ = ["IllegalIr", "verify", "verify_function"]


def verify(unit: Unit) -> Unit:
    """Check every function of a unit; returns it."""
    for program in unit.programs:
        names = {function.name: function for function in program.functions}
        if len(names) != len(program.functions):
            raise ProbeeError(f"internal error: two functions of program {program.name} share a name; please report it")
        for function in program.functions:
            verify_function(function, names, unit)
    return unit


def verify_function(function: Function, functions: dict[str, Function] | None = None, unit: Unit | None = None) -> None:
    """Check one function; calls and maps are checked against `functions` and `unit` where they are given."""
    for block in function.blocks:
        _check_block(function, block)
    connect(function)
    check = Checker(function, functions, unit)
    check.dominators = _dominators(function)
    _check_values(check)


def _check_block(function: Function, block: Block) -> None:
    """Terminators last and only there, phis first, allocas in the entry block."""
    if not block.values or block.values[-1].op not in op.TERMINATORS:
        raise IllegalIr(function, block, None, "the block does not end in a terminator")
    in_head = True
    for value in block.values:
        if value.op in op.TERMINATORS and value is not block.values[-1]:
            raise IllegalIr(function, block, value, "a terminator in the middle of a block")
        if value.op == op.PHI and not in_head:
            raise IllegalIr(function, block, value, "a phi after other values")
        in_head = in_head and value.op == op.PHI
        if value.op == op.ALLOCA and block is not function.entry:
            raise IllegalIr(function, block, value, "an alloca outside the entry block")
    for successor in block.successors:
        if not successor.values:
            raise IllegalIr(function, block, block.values[-1], "a jump to an empty block")
        if successor is function.entry:
            raise IllegalIr(function, block, block.values[-1], "a jump to the entry block")


def _check_values(check: Checker) -> None:
    """Apply the rules, and look whether every definition is there before its uses."""
    place = {value: (block, index) for block in check.function.blocks for index, value in enumerate(block.values)}
    for block in check.function.blocks:
        check.block = block
        for index, value in enumerate(block.values):
            rule = RULES.get(value.op)
            if rule is None:
                check.fail(value, "there is no such operation")
            else:
                rule(check, value)
            _check_arguments(check, value, index, place)


def _check_arguments(check: Checker, value: Value, index: int, place: dict[Value, tuple[Block, int]]) -> None:
    block = check.block
    for number, arg in enumerate(value.args):
        if arg not in place:
            check.fail(value, f"argument {number} is in no block")
        home, at = place[arg]
        if value.op == op.PHI:
            there = home in check.dominators[block.predecessors[number]]
            check.want(value, there, f"argument {number} may not be there yet")
        elif home is block:
            check.want(value, at < index, f"argument {number} comes later")
        else:
            check.want(value, home in check.dominators[block], f"argument {number} may not be there yet")


def _dominators(function: Function) -> dict[Block, set[Block]]:
    """Return the dominators of each block, the plain way: this is a specification, not a fast path."""
    everything = set(function.blocks)
    result = {block: set(everything) for block in function.blocks}
    result[function.entry] = {function.entry}
    changed = True
    while changed:
        changed = False
        for block in function.blocks[1:]:
            found = set.intersection(*(result[before] for before in block.predecessors)) | {block}
            if found != result[block]:
                result[block] = found
                changed = True
    return result
