"""Programs as people mistype them: what the error says, and what it underlines."""

from __future__ import annotations

import pytest
from c_text import refused, underlined

from probee.errors import ParseError, UnknownName

F = "int f(void *ctx) "


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        (F + "{ int x = 1\n  return x; }", "missing ';' after '1'", "1"),
        (F + "{ u64 ts = bpf_ktime_get_ns()\n /* c */ return 0; }", "missing ';' after ')'", ")"),
        (F + "{ return 0 }", "missing ';' after '0'", "0"),
        (F + "{ do { } while (1) return 0; }", "missing ';' after ')'", ")"),
        ("struct a { int x }\n;", "missing ';' after 'x'", "x"),
        ("struct a { int x; }\n" + F + "{ return 0; }", "missing ';' after the '}' of this definition", "}"),
        (F + "{ struct s { int a; }\n return 0; }", "missing ';' after '}'", "}"),
        (F + "{ if () return 0; }", "nothing between these parentheses", "()"),
        (F + "{ if (1 return 0; }", "missing ')' before 'return'", "return"),
        (F + '{ bpf_trace_printk("x" 1); }', "missing ',' or ')' before '1'", "1"),
        ("int f(int a int b) { return 0; }", "missing ',' or ')' before 'int'", "int"),
        (F + "{ return (1 + ); }", "expected an expression after '+', not ')'", ")"),
        (F + "{ x = = 3; }", "expected an expression after '=', not '='", "="),
        (F + "{ int a[3 = {1}; }", "this '[' is not closed before '}'", "["),
        (F + "{ for (int i = 0; i < 3, i++) { } }", "missing ';' before ')'", ")"),
        (F + "{ switch (1) { case 1 return 0; } }", "missing ':' before 'return'", "return"),
        (F + "{ return 0; \n", "this '{' is never closed", "{"),
        (F + "{ return 0; } }", "this '}' closes nothing", "}"),
        (F + "{ if (1) { return 1;\n return 0; }\nint g(void *ctx) { return 0; }", "this '{' is never closed", "{"),
        ("int f(struct pt_regs *ctx)\n  u32 pid = 1;\n}", "missing '{' before 'u32'", "u32"),
        (F + "{ else return 0; }", "this 'else' has no 'if' before it", "else"),
        (F + "{ return ctx->; }", "expected the name of a member", ";"),
        (F + "{ goto 3; }", "expected a name, not '3'", "3"),
        (F + "{ return sizeof(struct); }", "expected a name or '{' after 'struct'", ")"),
        (F + '{ char *s = "abc; }', 'no closing "', '"'),
        (F + "{ char *s = “abc”; }", "“ is no quote of C", "“"),
        ("struct { __uint(type, 2); } m;\n" + F + "{ return 0; }", "'__uint' is libbpf's notation for maps", "__uint"),
        ("x;", "the declaration of 'x' has no type", "x"),
        ("static void int f(void) { }", "'void int' is no type", "void"),
        ("typedef int foo; int foo;", "'foo' is the name of a type and of something else", "foo"),
        ("int f(struct pt_regs *ctx, struct file *) { return 0; }", "parameter 2 of 'f' has no name", "struct"),
        ("u64 counter\n" + F + "{ return 0; }", "missing ';' after 'counter'", "r"),
        ("unsigned u64 x;", "'unsigned u64' is no type: 'u64' is one by itself", "unsigned u64"),
        (F + "{ long u32 x = 1; return x; }", "'long u32' is no type", "long u32"),
        ("typedef u32;", "a typedef needs a type and the name that it gets", "u32"),
        ("struct s { a; };", "the member 'a' has no type", "a"),
        ("enum e { A B };", "missing ',' or '}' before 'B'", "B"),
        ("int f(struct pt_regs *ctx) return 0;", "missing '{' before 'return'", "return"),
        (F + "{ if (ctx) return 0 else return 1; }", "missing ';' after '0'", "0"),
        (F + "{ if (ctx) ; else else return 1; }", "this 'else' has no 'if' before it", "else"),
        (F + "{ for (int i = 0, i < 3, i++) { } }", "the three parts of a 'for' are separated by ';'", ","),
        ("print('x')", "expected a name, not 'x'", "'x'"),
        ("BPF_HASH(h, u32)(x);", "missing ';' after the BPF_HASH(...) of 'h'", "BPF_HASH"),
        ("BPF_HASH(h, u32) = 3;", "missing ';' after the BPF_HASH(...) of 'h'", "BPF_HASH"),
    ],
)
def test_mistake_is_named_where_it_is(text: str, message: str, place: str) -> None:
    error = refused(text)
    assert isinstance(error, ParseError)
    assert message in error.message
    assert underlined(error) == place


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        (F + "{ u46 x = 1; return x; }", "u46", "u16, u64"), ("int f(foo_t *p) { return 0; }", "foo_t", ""),
        (F + "{ unit32_t x; return 0; }", "unit32_t", "uint32_t, int32_t"), ("struct s { dev_type d; };", "dev_type", ""),
        ("static ktme_t *f(void) { return 0; }", "ktme_t", "ktime_t, time_t"),
    ],
)  # fmt: skip
def test_unknown_type_is_named_and_perhaps_meant_another(text: str, name: str, meant: str) -> None:
    error = refused(text)
    assert isinstance(error, UnknownName)
    assert underlined(error) == name
    assert error.message == f"there is no type named '{name}'"
    assert error.hint == (f"Did you mean: {meant}?" if meant else "")


def test_a_placeholder_that_was_not_replaced_is_told_so() -> None:
    error = refused(F + "{ FILTER_IT\n u32 x = 1; return x; }")
    assert (error.message, underlined(error)) == ("there is no type named 'FILTER_IT'", "FILTER_IT")
    assert isinstance(error, UnknownName) and "replace it in the text" in error.hint


def test_an_unknown_macro_was_perhaps_meant_to_be_another() -> None:
    error = refused("BPF_HSH(counts, u32);\n" + F + "{ return 0; }")
    assert (error.message, underlined(error), error.hint) == (
        "there is no macro 'BPF_HSH'", "BPF_HSH", "Did you mean: BPF_HASH?",
    )  # fmt: skip


def test_report_shows_file_line_column_and_the_line() -> None:
    assert refused("int a;\nint f(void *ctx) {\n\treturn 0\n}").report().split("\n") == [
        "main.c:3:9-10: ERROR: missing ';' after '0'", "    return 0", "           ~",
    ]  # fmt: skip
