"""Integer constant expressions, in C's types, and the kernel's constants."""

from __future__ import annotations

import pytest
from c_text import body, read
from pycparser import c_ast

from probee.compiler.lang.c.constant import evaluate, evaluate_typed, kernel_constant
from probee.model.ctype import CType
from probee.model.target import Target
from target_fixture import build_target

BEFORE = """
struct inner { u8 a; u16 b[4]; };
struct outer { u32 head; struct inner in[2]; u64 tail : 3; union { u32 x; u8 y[8]; }; };
enum { ONE = 1, FIVE = 5 };
u16 numbers[7];
"""


def constant(expression: str) -> tuple[int, CType] | None:
    unit = read(f"{BEFORE}int f(int a) {{ return {expression}; }}")
    node: c_ast.Node = body(unit, "f")[0].expr
    return evaluate_typed(node, unit.scope)


@pytest.mark.parametrize(
    ("expression", "value", "spelling"),
    [
        ("1 + 2 * 3", 7, "int"), ("-1 / 2", 0, "int"), ("-7 / 2", -3, "int"), ("-7 % 3", -1, "int"),
        ("7u / 2", 3, "unsigned int"),
        ("0u - 1", 0xFFFFFFFF, "unsigned int"), ("2147483647 + 1", -(1 << 31), "int"),
        ("1ULL << 40", 1 << 40, "unsigned long long"),
        ("1 << 31", -(1 << 31), "int"), ("-1 >> 1", -1, "int"), ("~0u >> 28", 15, "unsigned int"),
        ("-1 < 0u", 0, "int"),
        ("-1 < 0", 1, "int"), ("(u8)300", 44, "u8"), ("(char)200", -56, "char"), ("(bool)5", 1, "_Bool"),
        ("!5", 0, "int"),
        ("ONE ? FIVE : 2", 5, "int"), ("0 ?: 9", 9, "int"), ("0 && 1 / 0", 0, "int"), ("1 || 1 / 0", 1, "int"),
        ("sizeof(struct inner)", 10, "unsigned long"), ("sizeof(numbers)", 14, "unsigned long"),
        ("sizeof(numbers) / sizeof(numbers[0])", 7, "unsigned long"), ("sizeof(u64)", 8, "unsigned long"),
        ("sizeof(void *)", 8, "unsigned long"), ('sizeof("abc")', 4, "unsigned long"),
        ("_Alignof(struct inner)", 2, "unsigned long"),
        ("sizeof(((struct outer *)0)->in[0].b)", 8, "unsigned long"),
        ("offsetof(struct outer, in)", 4, "unsigned long"),
        ("offsetof(struct outer, in[1].b)", 16, "unsigned long"), ("offsetof(struct outer, y[3])", 31, "unsigned long"),
        ("(unsigned long)&((struct outer *)0)->x", 28, "unsigned long"), ("sizeof(struct task_struct) > 100", 1, "int"),
        ("'a' + 1", 98, "int"), ("'\\n'", 10, "int"), ("true", 1, "int"), ("htons(0x0800)", 8, "unsigned short"),
        ("AF_INET6", 10, "int"), ("BIT(3)", 8, "unsigned long"), ("~0ULL", (1 << 64) - 1, "unsigned long long"),
        ("__builtin_constant_p(3)", 1, "int"), ("0xffffffff", 0xFFFFFFFF, "unsigned int"),
        ("4294967296", 1 << 32, "long"),
    ],
)  # fmt: skip
def test_constants_have_cs_value_and_type(expression: str, value: int, spelling: str) -> None:
    found = constant(expression)
    assert found is not None
    assert (found[0], found[1].spelling()) == (value, spelling)


@pytest.mark.parametrize(
    "expression",
    [
        "a", "a + 1", "1 / 0", "1 % 0", "1 << 32", "1 << -1", "numbers[0]", "f(1)", "1.5", "sizeof(none_such)",
        "offsetof(struct outer, nothing)", "offsetof(struct outer, tail)",
    ],
)  # fmt: skip
def test_what_is_no_constant_is_none(expression: str) -> None:
    assert constant(expression) is None


def test_missing_node_is_no_constant() -> None:
    assert evaluate(None, read("int x;").scope) is None


def number(name: str, target: Target | None = None) -> int | None:
    found = kernel_constant(name, target or build_target())
    return found[0] if found is not None else None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENOMEM", 12), ("EPROTONOSUPPORT", 93), ("AF_INET", 2), ("ETH_P_IPV6", 0x86DD), ("ETH_P_8021AD", 0x88A8),
        ("REQ_OP_MASK", 255), ("NSEC_PER_MSEC", 1000000), ("PF_KTHREAD", 0x200000), ("TC_ACT_SHOT", 2),
        ("DISK_NAME_LEN", 32),
        ("IPPROTO_ICMPV6", 58), ("NAME_MAX", 255), ("O_CREAT", 0o100), ("O_TMPFILE", 0o20200000), ("SCM_RIGHTS", 1),
        ("WRITE", 1), ("TASK_COMM_LEN", 16), ("S_IFREG", 0o100000), ("IFNAMSIZ", 16), ("S_IFMT", 0o170000),
        ("SIGKILL", 9), ("PROT_EXEC", 4),
        ("XDP_DROP", 1), ("BPF_F_CURRENT_CPU", 0xFFFFFFFF), ("TCP_CLOSE", 7), ("INT_MIN", -(1 << 31)),
        ("NO_SUCH_THING", None),
    ],
)  # fmt: skip
def test_constants_of_kernel_headers_have_their_values(name: str, value: int | None) -> None:
    assert number(name) == value


def test_length_of_short_names_is_that_of_the_target() -> None:
    assert number("DNAME_INLINE_LEN") == 32
