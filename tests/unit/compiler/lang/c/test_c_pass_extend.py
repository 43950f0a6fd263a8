"""Numbers that a branch has shown not to be negative are extended with zeros, all others with their sign."""

from __future__ import annotations

import pytest

from c_harness import CRun

HEAD = "u64 f(struct pt_regs *ctx, u64 a, u64 b) { u32 t[4] = { 1, 2, 3, 4 }; "


def has_sign_extension(body: str) -> bool:
    """Return whether a program moves with sign (movsx) or shifts signed ones down."""
    (program,) = CRun(f"{HEAD}{body} }}").spec.programs
    data = program.instructions
    return any(data[at] & 0xF7 == 0xC7 or (data[at] in (0xBF, 0xBC) and data[at + 2 : at + 4] != b"\0\0")
               for at in range(0, len(data), 8))  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "int i = a; if (i < 0 || i >= 4) return 9; return t[i];",
        "int i = a; if (i >= 0 && i <= 3) return t[i]; return 9;",
        "int i = a; if ((u32)i < 4) return t[i]; return 9;",
        "int i = a; if (i > 3) i = 3; if (i < 0) i = 0; return t[i];",
    ],
)
def test_an_index_that_was_checked_is_extended_with_zeros(body: str) -> None:
    assert not has_sign_extension(body)
    run = CRun(f"{HEAD}{body} }}")
    assert [run.call("f", number) for number in (0, 3)] == [1, 4]
    assert run.call("f", (1 << 64) - 5) in (9, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("int i = a; if (i >= 4) return 0; return i;", (1 << 64) - 5),
        ("int i = a; if (i < 0) return i; return 0;", (1 << 64) - 5),
        ("int i = a; if (i > -7) return i; return 0;", (1 << 64) - 5),
        ("int i = a; if (i != 0) return i; return 0;", (1 << 64) - 5),
        ("int i = a; if ((u32)i > 4) return i; return 0;", (1 << 64) - 5),
        ("int i = a; if (b) { if (i < 0) i = 0; } return i;", (1 << 64) - 5),
        ("s8 i = a; if (i < 100) return i; return 0;", (1 << 64) - 5),
    ],
)
def test_a_number_that_may_be_negative_keeps_its_sign(body: str, expected: int) -> None:
    assert CRun(f"{HEAD}{body} }}").call("f", (1 << 64) - 5, 0) == expected
