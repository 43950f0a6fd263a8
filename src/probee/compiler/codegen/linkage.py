"""Which functions the kernel verifies on their own, once, instead of anew at each call: global functions.

Linux 5.6 (commit 51c39bb1d5d1 "bpf: Introduce function-by-function verification") takes those that have only numbers as
parameters and result for what they are, whoever calls them.  That halves its work for what stands on many paths, like the
counting of failed map updates.  A function that needs to know more about its parameters than that they are numbers, or whose
callers need to know more about its result, stays static; so does one that is called once.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes.bounds import Bounds
from probee.compiler.ir.unit import Function, Value

_PASSED_ON = frozenset((op.HELPER, op.CALL, op.KFUNC))


def verified_alone(functions: list[Function]) -> set[str]:
    """Return the names of a program's functions that are to be global."""
    calls: dict[str, int] = {}
    bounded: set[str] = set()  # functions whose result must have bounds somewhere
    for function in functions:
        sites = [value for block in function.blocks for value in block.values if value.op == op.CALL]
        for site in sites:
            calls[site.attr] = calls.get(site.attr, 0) + 1
        needed = Bounds(function).needed if sites else set()
        bounded.update(site.attr for site in sites if site in needed)
    often = [function for function in functions if calls.get(function.name, 0) > 1 and function.name not in bounded]
    return {function.name for function in often if _takes_any_number(function)}


def _takes_any_number(function: Function) -> bool:
    """Return whether a function is right, to the verifier, for all numbers that it might be given."""
    if not all(type.is_int for type in function.parameters) or function.result.is_pointer:
        return False
    if loop_headers(reverse_postorder(function)):
        return False
    given: set[Value] = set()
    for block in reverse_postorder(function):
        for value in block.values:
            if value.op == op.PARAM:
                given.add(value)
            elif not given.isdisjoint(value.args):
                if value.op == op.OFFSET or (value.op in _PASSED_ON and any(arg in given for arg in value.args)):
                    return False
                given.add(value)
            elif value.op == op.LOAD and value.args[0].type.space == "stack" and given:
                given.add(value)
    return True
