"""The preprocessor: macros, conditions, what a kernel's headers would define, and where errors point."""

from __future__ import annotations

import re

import pytest
from c_text import target

from probee.compiler.compile import compile_c
from probee.compiler.lang.c import token as c
from probee.compiler.lang.c.preprocess import preprocess
from probee.errors import CompileError, ParseError, Source


def expand(text: str, *flags: str) -> str:
    """Return a preprocessed text with single blanks between its tokens."""
    tokens, _ = preprocess(Source("main.c", text), target(), flags)
    return " ".join(token.value for token in tokens if token.type != c.SPACE)


def taken(condition: str, *flags: str) -> bool:
    return expand(f"#if {condition}\nyes\n#endif\n", *flags) == "yes"


def refused(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        expand(text)
    return caught.value


def test_macros_expand_with_arguments_strings_and_pastes() -> None:
    larger = "( ( 1 ) > ( f ( 2 , 3 ) ) ? ( 1 ) : ( f ( 2 , 3 ) ) )"
    assert expand("#define MAX(a, b) ((a) > (b) ? (a) : (b))\nMAX(1, f(2, 3))") == larger
    assert expand("#define S(x) #x\nS(a  b)") == '"a b"'
    assert expand("#define P(x) pre_##x\nP(one)") == "pre_one"
    assert expand("#define F(fmt, args...) printk(fmt, ##args)\nF(1) F(1, 2)") == "printk ( 1 ) printk ( 1 , 2 )"
    assert expand("#define V(...) g(__VA_ARGS__)\nV(1, 2)") == "g ( 1 , 2 )"


def test_macro_that_names_itself_expands_once() -> None:
    assert expand("#define x (x + 1)\nx") == "( x + 1 )"
    assert expand("#define a b\n#define b a\na b") == "a b"
    assert expand("#define loop loop\nloop") == "loop"


def test_what_a_macro_expands_to_points_at_its_use() -> None:
    text = "#define ONE 1 + 1\nint a = ONE;"
    tokens, _ = preprocess(Source("main.c", text), target())
    spans = {t.value: t.lineno for t in tokens if t.value == "+"}
    assert text[spans["+"] >> 24 :].startswith("ONE;")
    assert spans["+"] & 0xFFFFFF == 3


def test_version_of_the_kernel_is_that_of_the_target() -> None:
    assert taken("LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)")
    assert not taken("LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)")


def test_configuration_is_that_of_the_target() -> None:
    assert target().kconfig("KPROBES") == "y"
    assert taken("defined(CONFIG_KPROBES) && CONFIG_HZ == 250")
    assert not taken("defined(CONFIG_NO_SUCH_OPTION)")
    assert taken("defined(CONFIG_ARCH_HAS_SYSCALL_WRAPPER)")


@pytest.mark.parametrize(
    "name", ["REQ_WRITE", "REQ_OP_SHIFT", "bio_dev", "INIT_PID_LINK", "__PAGE_OFFSET_BASE", "__identity_base", "__s390x__",
             "MNT_NAMESPACE_DEFINED", "SOCK_TYPE_MASK", "tcp_flag_byte", "__aarch64__"],
)  # fmt: skip
def test_what_headers_of_this_kernel_lack_is_not_defined(name: str) -> None:
    assert not taken(f"defined({name})")


@pytest.mark.parametrize(
    "name", ["__x86_64__", "KBUILD_MODNAME", "__PAGE_OFFSET_BASE_L4", "IFNAMSIZ", "AF_INET", "KERNEL_VERSION", "NULL"]
)
def test_what_headers_define_is_defined(name: str) -> None:
    assert taken(f"defined {name}")


def test_facts_that_programs_test_have_their_values() -> None:
    assert taken("__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__")
    assert taken("IFNAMSIZ == 16") and taken("__clang_major__ >= 10")


def test_flags_define_and_undefine() -> None:
    assert expand("A B", "-DA=1 + 1", "-DB") == "1 + 1 1"
    assert expand("A", "-D", "A=2", "-w", "-O3") == "2"
    assert expand("NULL", "-UNULL") == "NULL"


def test_undefined_macro_stays_undefined() -> None:
    assert expand("#undef NULL\nNULL") == "NULL"


def test_function_of_the_program_is_no_macro_of_a_header() -> None:
    assert expand("static int min(int a, int b) { return a; }") == "static int min ( int a , int b ) { return a ; }"


def test_annotations_of_the_kernel_disappear() -> None:
    assert expand("char __user *p;") == "char * p ;"


def test_branches_that_are_not_taken_may_hold_anything() -> None:
    assert expand("#if 0\nit's \"broken\n#elif 1\nok\n#else\nno\n#endif") == "ok"


def test_branches_nest() -> None:
    assert expand("#ifdef A\n#if 1\na\n#else\nb\n#endif\n#else\n#ifndef A\nc\n#endif\n#endif") == "c"


def test_includes_are_noted_and_read_nothing() -> None:
    tokens, preprocessor = preprocess(Source("main.c", '#include <linux/sched.h>\n#include "my.h"\nx'), target())
    assert preprocessor.included == ["linux/sched.h", "my.h"]
    assert [t.value for t in tokens if t.type != c.SPACE] == ["x"]


def test_proto_h_has_a_text_of_ours_once() -> None:
    source = Source("main.c", "#include <bcc/proto.h>\n#include <bcc/proto.h>\n")
    tokens, _ = preprocess(source, target())
    assert [t.value for t in tokens].count("ethernet_t") == 1
    tag = next(t for t in tokens if t.value == "ethernet_t")
    assert source.name_at(tag.lineno >> 24) == "bcc/proto.h"


def with_headers(text: str, **headers: str) -> str:
    named = {f"{name}.h": inside for name, inside in headers.items()}
    tokens, _ = preprocess(Source("main.c", text), target(), (), named)
    return " ".join(token.value for token in tokens if token.type != c.SPACE)


def test_headers_of_the_program_s_own_are_read_where_they_are_included() -> None:
    shapes = "#ifndef SHAPES\n#define SHAPES 4\nint shapes;\n#endif\n"
    assert with_headers('a\n#include "shapes.h"\nSHAPES\n#include <shapes.h>\n', shapes=shapes) == "a int shapes ; 4"
    assert with_headers('#include "o.h"\nz', o='x\n#include "i.h"\n', i="#pragma once\ny\n") == "x y z"
    assert with_headers('#define N 1\n#include "n.h"\n#undef N\n#define N 2\n#include "n.h"\n', n="N\n") == "1 2"
    once = '#include "i.h"\n#include "i.h"\n'
    assert with_headers(once, i="#pragma once\ny\n") == "y"


def test_headers_that_flags_include_come_before_the_first_line() -> None:
    source = Source("main.c", "a FIRST\n")
    headers = {"o.h": "#define FIRST 1\nx\n", "i.h": "y\n"}
    tokens, _ = preprocess(source, target(), ["-include", "o.h", "-DN", "-includei.h"], headers)
    assert " ".join(token.value for token in tokens if token.type != c.SPACE) == "x y a 1"
    last = next(token for token in tokens if token.value == "a")
    assert source.name_at(last.lineno >> 24) == "main.c"


def test_a_function_in_a_header_is_no_macro_of_the_kernel() -> None:
    assert with_headers('#include "m.h"\nmin(1, 2)', m="static int min(int a, int b) { return a; }").endswith("min ( 1 , 2 )")


def test_a_header_that_includes_itself_is_refused() -> None:
    with pytest.raises(ParseError, match=r"x\.h includes itself without end"):
        with_headers('#include "x.h"\n', x='#include "x.h"\n')


def test_a_mistake_in_a_header_is_shown_there() -> None:
    headers = {"shapes.h": "struct shape {\n    int sides\n};\n"}
    with pytest.raises(CompileError) as caught:
        compile_c('#include "shapes.h"\nint f(void *ctx) { return 0; }', target(), {"headers": headers})
    report = caught.value.report()
    assert report.startswith("shapes.h:2:") and "    int sides" in report


def test_headers_that_nobody_found_are_told_where_something_is_missing() -> None:
    text = '#include "sounds.h"\n#include "linux/sched.h"\nint f(void *ctx) { return loud(ctx); }'
    with pytest.raises(CompileError) as caught:
        compile_c(text, target(), {})
    assert '"sounds.h" was not found: headers are looked for in' in caught.value.report()


def test_pragma_unroll_is_kept_others_are_not() -> None:
    assert expand("#pragma unroll\nx\n#pragma clang diagnostic push\n#pragma\n") == "# pragma unroll x"


def test_warning_is_noted() -> None:
    _, preprocessor = preprocess(Source("main.c", "#warning old\n"), target())
    assert [text for text, _ in preprocessor.warnings] == ["#warning old"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("#error no luck\n", "#error no luck", "error"), ("#if 1\nx\n", "this #if has no #endif", "#"),
        ("x\n#endif\n", "#endif without #if", "endif"), ("#else\n", "#else without #if", "else"),
        ("#define\n", "#define needs a name", "define"), ("#ifdef\n#endif", "#ifdef needs a name", "ifdef"),
        ("#if\n#endif", "#if needs a condition", "if"), ("#frob x\n", "there is no directive #frob", "frob"),
        ("#define M(a, b) a\nM(1)", "macro M needs 2 arguments but got 1", "M"),
        ("#define M(a) a\nM(1", "no closing '\\)'", "\\("), ("#define 3 4\n", "needs a name", "3"),
        ("#if defined(\n#endif", "'defined' needs a name", "defined"), ("#include\n", "needs <FILE>", "include"),
    ],
)  # fmt: skip
def test_mistakes_are_named_where_they_are(text: str, message: str, place: str) -> None:
    error = refused(text)
    assert re.search(message, str(error))
    start, length = error.span >> 24, error.span & 0xFFFFFF
    assert re.fullmatch(place, text[start : start + length])


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    refused("#error x\n")
    refused("#if 1")
    assert capsys.readouterr() == ("", "")


def test_system_calls_have_their_numbers() -> None:
    assert expand("__NR_execve __NR_openat") == "59 257"
    assert not taken("defined(__NR_no_such_call)")


def test_blanks_of_other_scripts_and_of_web_pages_are_blanks() -> None:
    assert expand("\ufeffa\xa0b\u3000c\u2003d\u200be") == "a b c d e"
