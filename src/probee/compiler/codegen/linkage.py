"""Which functions the kernel verifies on their own, once, instead of anew at each call: global functions.

Linux 5.6 (commit 51c39bb1d5d1 "bpf: Introduce function-by-function verification") takes those that have only numbers as
parameters and result for what they are, whoever calls them.  That halves its work for what stands on many paths, like the
counting of failed map updates.  A function that needs to know more about its parameters than that they are numbers, or whose
callers need to know more about its result, stays static; so does one that is called once.
"""

from __future__ import annotations

from collections import Counter

from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.unit import Function, Value

_PASSED_ON = frozenset((op.HELPER, op.CALL, op.KFUNC))


def verified_alone(functions: list[Function]) -> set[str]:
    """Return the names of a program's functions that are to be global."""
    calls: Counter[str] = Counter()
    needed: set[str] = set()  # functions of whose result somebody must know more
    for function in functions:
        sites = [value for block in function.blocks for value in block.values if value.op == op.CALL]
        if sites:
            calls.update(site.attr for site in sites)
            used = {arg for block in function.blocks for value in block.values for arg in value.args}
            needed.update(site.attr for site in sites if site in used and _needs_bounds(function, {site}))
    often = [function for function in functions if calls[function.name] > 1 and function.name not in needed]
    return {function.name for function in often if _takes_any_number(function)}


def _takes_any_number(function: Function) -> bool:
    """Return whether a function is right, to the verifier, for all numbers that it might be given."""
    if not all(type.is_int for type in function.parameters) or function.result.is_pointer:
        return False
    if loop_headers(reverse_postorder(function)):
        return False
    return not _needs_bounds(function, {value for block in function.blocks for value in block.values if value.op == op.PARAM})


def _needs_bounds(function: Function, numbers: set[Value]) -> bool:
    """Return whether what is computed from some numbers becomes an offset or an argument.

    What is loaded from the stack may be one of them that was stored there.
    """
    if not numbers:
        return False
    derived = set(numbers)
    order = reverse_postorder(function)
    size = 0
    while size < len(derived):  # once more where a loop leads values back
        size = len(derived)
        for block in order:
            for value in block.values:
                if value.op == op.LOAD and value.args[0].type.space == "stack":
                    derived.add(value)
                elif not derived.isdisjoint(value.args):
                    if value.op == op.OFFSET or value.op in _PASSED_ON:
                        return True
                    derived.add(value)
    return False
