"""Rewrite rules against plain evaluation: exhaustively at 8 bits, with every constant."""

from __future__ import annotations

import itertools

import pytest

from ir_interpreter import IrMachine
from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.passes import number
from probee.compiler.ir.passes.constant import evaluate
from probee.compiler.ir.type import BOOL, I8, I16, I32, I64, Type
from probee.compiler.ir.unit import Function, Unit, Value

EVERY = list(range(256))
INTERESTING = (0, 1, 2, 3, 4, 7, 8, 9, 16, 63, 64, 127, 128, 129, 192, 254, 255)
BINARY = sorted(op.ARITHMETIC | op.COMPARISONS)


def values_of(value: Value, inputs: dict[Value, list[int]], memo: dict[Value, list[int]]) -> list[int]:
    """Return a value for every input, by the semantics that op.py tells."""
    if value in inputs:
        return inputs[value]
    if value not in memo:
        args = [values_of(arg, inputs, memo) for arg in value.args]
        n = len(next(iter(inputs.values())))
        bits = value.type.bits
        if value.op == op.CONST:
            memo[value] = [value.attr] * n
        elif value.op in op.ARITHMETIC or value.op in op.COMPARISONS:
            own = value.args[0].type.bits
            memo[value] = [evaluate(value.op, a, b, own) for a, b in zip(*args, strict=True)]
        else:
            machine = IrMachine([Function("f", (), I64)], {})
            memo[value] = [machine._evaluate(value, [a]) & ((1 << bits) - 1) for a in args[0]]
    return memo[value]


def fold(build, *types: Type) -> tuple[Value, Value, Function]:  # type: ignore[no-untyped-def]
    """Return what a function returns before and after numbering, as values over its parameters."""
    function = Function("f", types, I64, kind="subprogram")
    b = Builder(function)
    before = build(b, *[b.param(index) for index in range(len(types))])
    b.return_(before if before.type is I64 else b.zext(before, I64))
    kept = function.blocks[0].values[-1].args[0]
    copy = clone(kept, {})
    number.run(function, Unit())
    return copy, function.blocks[0].values[-1].args[0], function


def clone(value: Value, memo: dict[Value, Value]) -> Value:
    """Copy a tree, since rules may turn operands around in place; parameters stay."""
    if value.op == op.PARAM:
        return value
    if value not in memo:
        memo[value] = Value(value.op, value.type, [clone(arg, memo) for arg in value.args], value.attr)
    return memo[value]


def leaves(value: Value, found: set[Value]) -> set[Value]:
    if value.op == op.PARAM:
        found.add(value)
    for arg in value.args:
        leaves(arg, found)
    return found


def check(build, inputs: list[int], type: Type = I8) -> Value:  # type: ignore[no-untyped-def]
    before, after, _ = fold(build, type)
    known = dict.fromkeys(leaves(before, set()) | leaves(after, set()), inputs)
    if not known:
        known = {Value(op.PARAM, type, [], 0): inputs}
    assert values_of(after, known, {}) == values_of(before, known, {})
    return after


def allowed(value: Value) -> bool:
    """Return whether nothing is left that the kernel's verifier rejects."""
    if value.op in op.ARITHMETIC and value.args[1].op == op.CONST:
        right = value.args[1].attr
        if value.op in (op.UDIV, op.UREM, op.SDIV, op.SREM) and right == 0:
            return False
        if value.op in (op.SHL, op.LSHR, op.ASHR) and right >= value.type.bits:
            return False
    return all(allowed(arg) for arg in value.args)


@pytest.mark.parametrize("operation", BINARY)
def test_an_operation_with_any_constant_keeps_its_meaning(operation: str) -> None:
    for constant in EVERY:
        right = check(lambda b, x: result(b, operation, x, b.const(constant, I8)), EVERY)  # noqa: B023
        left = check(lambda b, x: result(b, operation, b.const(constant, I8), x), EVERY)  # noqa: B023
        assert allowed(right)
        assert allowed(left)


def result(b: Builder, operation: str, left: Value, right: Value) -> Value:
    return b.compare(operation, left, right) if operation in op.COMPARISONS else b.binary(operation, left, right)


@pytest.mark.parametrize("inner", sorted(op.ARITHMETIC))
def test_two_operations_with_constants_keep_their_meaning(inner: str) -> None:
    few = (0, 1, 2, 5, 127, 128, 255)
    for outer, one, two in itertools.product(BINARY, few, few):
        after = check(lambda b, x: result(b, outer, b.binary(inner, x, b.const(one, I8)), b.const(two, I8)), EVERY)  # noqa: B023
        assert allowed(after)


@pytest.mark.parametrize("operation", BINARY)
@pytest.mark.parametrize("extension", [op.ZEXT, op.SEXT])
def test_operations_on_extended_numbers_keep_their_meaning(operation: str, extension: str) -> None:
    constants = [*INTERESTING, 256, 300, 1 << 31, 1 << 40, (1 << 64) - 1, (1 << 64) - 128, (1 << 64) - 129, 1 << 63]
    for goal, constant in itertools.product((I16, I64), constants):
        check(lambda b, x: result(b, operation, b.emit(extension, goal, [x]), b.const(constant, goal)), EVERY)  # noqa: B023


def test_conversions_of_conversions_keep_their_meaning() -> None:
    kinds = [(o, t) for o in (op.ZEXT, op.SEXT, op.TRUNC) for t in (I8, I16, I32, I64)]
    inputs = [n for bits in (7, 8, 15, 16, 31, 32, 63, 64) for n in ((1 << bits) - 1, (1 << bits) & ((1 << 64) - 1), 5)]
    for start in (I8, I16, I32, I64):
        for path in itertools.product(kinds, repeat=3):
            if legal(start, path):
                check(lambda b, x: through(b, x, path), [n & ((1 << start.bits) - 1) for n in inputs], start)  # noqa: B023


def legal(type: Type, path: tuple[tuple[str, Type], ...]) -> bool:
    for operation, goal in path:
        if (goal.bits >= type.bits) if operation == op.TRUNC else (goal.bits <= type.bits):
            return False
        type = goal
    return True


def through(b: Builder, value: Value, path: tuple[tuple[str, Type], ...]) -> Value:
    for operation, goal in path:
        value = b.emit(operation, goal, [value])
    return value


@pytest.mark.parametrize("type", [I16, I32, I64])
def test_bit_fields_and_powers_of_two_keep_their_meaning(type: Type) -> None:
    bits = type.bits
    inputs = [0, 1, 2, 5, 100, 255, 256, 0x7FFF, 0x8000, 0xFFFF, -1, 1 << (bits - 1), 0x1234_5678_9ABC_DEF0]
    inputs = [n & ((1 << bits) - 1) for n in inputs]
    for up, down in itertools.product(range(0, bits, 3), repeat=2):
        for shift in (op.LSHR, op.ASHR):
            check(lambda b, x: b.binary(shift, b.shl(x, up), b.const(down, type)), inputs, type)  # noqa: B023
    for power in range(bits):
        for operation in (op.MUL, op.UDIV, op.UREM, op.SDIV, op.SREM, *sorted(op.COMPARISONS)):
            check(lambda b, x: result(b, operation, x, b.const(1 << power, type)), inputs, type)  # noqa: B023
            check(lambda b, x: result(b, operation, x, b.const((1 << power) - 1, type)), inputs, type)  # noqa: B023


def test_a_condition_as_a_number_compared_with_zero_is_the_condition() -> None:
    after = check(lambda b, x: b.compare(op.NE, b.zext(b.compare(op.ULT, x, 9), I64), 0), EVERY)
    assert after.args[0].op == op.ULT
    after = check(lambda b, x: b.compare(op.EQ, b.zext(b.compare(op.ULT, x, 9), I64), 0), EVERY)
    assert after.args[0].op == op.UGE


def test_what_is_left_of_a_number_is_nothing_below_a_limit() -> None:
    limits = [
        check(lambda b, x: b.compare(op.EQ, make(b, x), 0), [0, 1, 63, 64, 65, 99, 100, 1 << 31, (1 << 32) - 1], I32)  # noqa: B023
        for make in (
            lambda b, x: b.lshr(x, 6),
            lambda b, x: b.binary(op.UDIV, x, b.const(100, I32)),
            lambda b, x: b.binary(op.UDIV, x, b.const(64, I32)),
        )
    ]
    assert [(each.args[0].op, each.args[0].args[1].attr) for each in limits] == [(op.ULT, 64), (op.ULT, 100), (op.ULT, 64)]
    left = check(lambda b, x: b.compare(op.NE, b.lshr(x, 40), 0), [0, 1 << 39, 1 << 40, (1 << 64) - 1], I64)
    assert left.args[0].args[0].op == op.LSHR  # no instruction compares with so large a number


def test_a_bool_compared_keeps_its_meaning() -> None:
    for operation, constant in itertools.product(op.COMPARISONS, (0, 1)):
        check(lambda b, x: b.compare(operation, b.compare(op.SLT, x, 0), b.const(constant, BOOL)), EVERY)  # noqa: B023


def test_the_place_of_a_member_of_nothing_is_its_offset() -> None:
    """(u64)&((struct s *)0)->member, by either way to write 0."""
    _, by_null, _ = fold(lambda b: b.address(b.offset(b.claim_non_null(b.null("kernel")), 56)))
    _, by_number, _ = fold(lambda b: b.address(b.offset(b.pointer(b.const(8), "kernel"), 56)))
    assert (by_null.op, by_null.attr, by_number.attr) == (op.CONST, 56, 64)
