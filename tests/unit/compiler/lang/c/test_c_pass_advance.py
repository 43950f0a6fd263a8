"""Loops over pointers count distances: the same results, and no comparison of pointers is left for the kernel's verifier."""

from __future__ import annotations

import pytest

from c_harness import CRun, run_c

HEAD = "u32 t[4] = { 1, 2, 3, 4 }; u64 r = 0; "


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for (u32 *p = t; p < t + 4; p++) r = r * 10 + *p; return r;", 1234),
        ("for (u32 *p = t, *end = t + 4; p != end; ++p) r = r * 10 + *p; return r;", 1234),
        ("u32 *p = t + 3; while (p >= t) { r = r * 10 + *p; p--; } return r;", 4321),
        ("u32 *p = t; do { if (*p == 3) break; p++; } while (p < t + 4); return (p - t) * 10 + *p;", 23),
        ("for (u8 *p = (u8 *)t; p <= (u8 *)&t[3]; p += 4) r = r * 10 + *p; return r;", 1234),
        ("for (u32 *p = t; p < t + 4; p++) for (u32 *q = p; q < t + 4; q++) r += *p * *q; return r;", 65),
        ("u32 *p = t; for (u64 i = 0; i < a; i++) { if (i & 1) p++; } return *p;", 4),
        ("u32 *p = t, *q = t + 3; while (p < q) { u32 x = *p; *p++ = *q; *q-- = x; } return t[0] * 10 + t[1];", 43),
    ],
)
def test_a_loop_over_pointers_does_what_it_says(body: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEE_VERIFY_IR", "1")
    assert run_c(HEAD + body, 7, 5) == expected


def test_no_pointers_are_compared() -> None:
    seen: list[str] = []

    def after(name: str, unit: object) -> None:
        blocks = [block for program in unit.programs for block in program.functions[0].blocks]  # type: ignore[attr-defined]
        seen[:] = [value.op for block in blocks for value in block.values if value.op == "address"]

    from probee.compiler.compile import compile_c
    from script_harness import shared_target

    text = f"u64 f(struct pt_regs *ctx) {{ {HEAD} for (u32 *p = t; p < t + 4; p++) r += *p; return r; }}"
    compile_c(text, shared_target(), {}, after=after)
    assert CRun(text).call("f") == 10
    assert not seen  # in the end
