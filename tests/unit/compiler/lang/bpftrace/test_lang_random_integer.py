"""Random integer expressions: what the compiled program computes is what a model of the language's rules says.

The model keeps a value with its type's size and sign, and whether it is still a literal (exact, of either sign) or flexible
(a variable that only literals made).  Arithmetic is done in 64 bits; casts cut; comparison is of the values.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from script_harness import run_script

U64 = (1 << 64) - 1
VARIABLES = {  # bits, signed, value
    "$a": (8, True, -5), "$b": (8, False, 250), "$c": (32, True, -70000), "$d": (64, False, U64 - 3), "$e": (16, False, 3),
}  # fmt: skip
SETUP = " ".join(f"{name} = ({'' if s else 'u'}int{bits})({value});" for name, (bits, s, value) in VARIABLES.items())
CASTS = [(8, True), (8, False), (16, True), (16, False), (32, True), (32, False), (64, True), (64, False)]


@dataclass(frozen=True)
class Number:
    text: str
    value: int
    bits: int
    signed: bool
    literal: bool = False
    is_bool: bool = False

    @property
    def flexible(self) -> bool:
        return self.literal and self.value >= 0 and self.signed


def wrap(value: int, bits: int, *, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def literal(text: str, value: int) -> Number:
    bits = next((n for n in (8, 16, 32, 64) if -(1 << (n - 1)) <= value < 1 << (n - 1)), 64)
    return Number(text, value, bits, signed=value < 1 << 63, literal=True)


def sign_of(left: Number, right: Number) -> bool:
    if left.flexible != right.flexible:
        return (right if left.flexible else left).signed
    return left.signed or right.signed


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def compute(op: str, a: int, b: int) -> int:
    if op in ("/", "%"):
        return quotient(a, b) if op == "/" else a - quotient(a, b) * b
    return {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}[op]


def arithmetic(op: str, left: Number, right: Number) -> Number:
    text = f"({left.text} {op} {right.text})"
    if left.is_bool and right.is_bool:
        assume(False)
    if left.literal and right.literal:
        assume(op not in ("/", "%") or right.value != 0)
        value = compute(op, left.value, right.value)
        assume(-(1 << 63) <= value <= U64)
        return literal(text, value)
    signed = sign_of(left, right)
    a, b = (wrap(n.value, 64, signed=signed) for n in (left, right))
    if op in ("/", "%"):
        assume(b != 0 and not (a == -(1 << 63) and b == -1))
    return Number(text, wrap(compute(op, a, b), 64, signed=signed or op == "-"), 64, signed=signed or op == "-")


def shift(op: str, left: Number, amount: int) -> Number:
    right = literal(str(amount), amount)
    text = f"({left.text} {op} {amount})"
    assume(not left.literal and not left.is_bool)
    signed = sign_of(left, right)
    raw = left.value & U64
    return Number(text, wrap(raw << amount if op == "<<" else raw >> amount, 64, signed=signed), 64, signed=signed)


def comparison(op: str, left: Number, right: Number) -> Number:
    text = f"({left.text} {op} {right.text})"
    known = left.literal and right.literal
    signed = sign_of(left, right)
    a, b = (left.value, right.value) if known else (wrap(n.value, 64, signed=signed) for n in (left, right))
    truth = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
    return Number(text, int(truth), 8, signed=False, literal=known, is_bool=True)


def cast(number: Number, bits: int, signed: bool) -> Number:
    text = f"({'' if signed else 'u'}int{bits}){number.text}"
    return Number(f"({text})", wrap(number.value, bits, signed=signed), bits, signed=signed)


def negated(number: Number) -> Number:
    assume(not number.is_bool and not (number.literal and number.value > 1 << 63))
    if number.literal:
        return literal(f"(-{number.text})", -number.value)
    return Number(f"(-{number.text})", wrap(-number.value, 64, signed=True), 64, signed=True)


def variable(name: str) -> Number:
    bits, signed, value = VARIABLES[name]
    return Number(name, value, bits, signed)


LEAVES = st.one_of(
    st.sampled_from(sorted(VARIABLES)).map(variable),
    st.sampled_from([0, 1, 2, 7, 127, 128, 255, 256, 65535, 70000, 1 << 31, (1 << 63) - 1]).map(lambda n: literal(str(n), n)),
)


def larger(inner: st.SearchStrategy[Number]) -> st.SearchStrategy[Number]:
    return st.one_of(
        st.builds(arithmetic, st.sampled_from("+-*/%&|^"), inner, inner),
        st.builds(shift, st.sampled_from(["<<", ">>"]), inner, st.integers(0, 63)),
        st.builds(comparison, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(lambda number, to: cast(number, *to), inner, st.sampled_from(CASTS)),
        st.builds(negated, inner),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.recursive(LEAVES, larger, max_leaves=6), min_size=1, max_size=6))
def test_programs_compute_what_the_rules_say(numbers: list[Number]) -> None:
    prints = " ".join(f"print({number.text});" for number in numbers)
    expected = "".join(f"{('false', 'true')[n.value] if n.is_bool else n.value}\n" for n in numbers)
    assert run_script(f"begin {{ {SETUP} {prints} }}") == expected
