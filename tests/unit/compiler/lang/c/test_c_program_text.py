"""parse_program: whole programs, of the kinds that bcc's users write."""

from __future__ import annotations

import io

import pytest
from c_text import read, refused, target, underlined

from probee.compiler.lang.c.program_text import parse_program
from probee.errors import CompileError, Source

PROGRAM = """
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>

struct data_t {
    u32 pid;
    u64 delta;
    char comm[TASK_COMM_LEN];
};
BPF_HASH(start, u32);
BPF_PERF_OUTPUT(events);
static const char greeting[] = "hello";

int trace_entry(struct pt_regs *ctx, struct file *file)
{
    u32 pid = bpf_get_current_pid_tgid();
    FILTER
    u64 ts = bpf_ktime_get_ns();
    start.update(&pid, &ts);
    return 0;
}
"""


def test_program_has_its_maps_functions_and_variables() -> None:
    unit = read(PROGRAM, "-DFILTER=if (pid != 7) { return 0; }")
    assert list(unit.maps) == ["start", "events"]
    assert list(unit.functions) == ["trace_entry"]
    assert list(unit.globals) == ["greeting"]
    assert unit.includes == ["uapi/linux/ptrace.h", "linux/sched.h"]
    assert [symbol.kind for name in ("start", "trace_entry", "greeting") if (symbol := unit.scope.find(name))] == [
        "map", "function", "variable",
    ]  # fmt: skip


def test_error_knows_the_text_it_is_in() -> None:
    with pytest.raises(CompileError) as caught:
        parse_program(Source("/virtual/main.c", "int f(void *ctx) { return 0 }"), target())
    assert caught.value.report().startswith("/virtual/main.c:1:27")


def test_empty_program_is_a_program() -> None:
    assert read("").functions == {}
    assert read("\n/* nothing */\n").functions == {}


def test_license_is_what_the_program_says() -> None:
    assert read("int x;").license == "GPL"
    assert read("#define BPF_LICENSE Proprietary\nint x;").license == "Proprietary"
    assert read("int x;\n#define BPF_LICENSE \n").license == ""


def test_license_is_not_said_by_flags() -> None:
    with pytest.raises(CompileError, match="BPF_LICENSE is for the text, not for cflags"):
        read("int x;", "-DBPF_LICENSE=GPL")


def test_any_cut_of_a_program_is_refused_or_read_never_worse() -> None:
    text = PROGRAM.replace("FILTER", "")
    for end in range(0, len(text), 7):
        try:
            parse_program(Source("main.c", text[:end]), target())
        except CompileError as error:
            out = io.StringIO()
            print(error.report(), file=out)
            assert out.getvalue().startswith("main.c:"), text[:end]


@pytest.mark.parametrize(
    ("end", "message", "place"),
    [("return bpf_log2l(3) +", "this '{' is never closed", "{"), ("return bpf_log2l(3); } struct x", "the program ends", "x")],
)
def test_a_program_that_is_not_whole_is_told_so_not_the_functions_behind_it(end: str, message: str, place: str) -> None:
    error = refused(f"int f(struct pt_regs *ctx) {{\n  {end}")
    assert message in error.message
    assert underlined(error) == place
