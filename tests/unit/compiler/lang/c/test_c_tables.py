"""The tables: everything in them is C that the front end reads."""

from __future__ import annotations

import re

import pytest
from c_text import body, read, refused

from probee.compiler.lang.c._tables import generate, inline
from probee.compiler.lang.c._tables.alias import ALIASES
from probee.compiler.lang.c._tables.constant import CONSTANTS

MISSING = "udp_sock raw_sock unix_sock inet_request_sock tcp_request_sock udphdr icmphdr ipv6hdr ethhdr"
STRUCTS = "".join(f"struct {tag} {{ int x; }};" for tag in MISSING.split())


@pytest.mark.parametrize("name", sorted(inline.FUNCTIONS))
def test_inline_function_is_added_when_it_is_used(name: str) -> None:
    unit = read(f"{STRUCTS}int f(void *p) {{ return {name} != 0; }}")
    assert name in unit.functions
    assert unit.functions[name].static and unit.functions[name].inline
    assert unit.source.name_at(unit.functions[name].span >> 24) == f"<{name}>"
    assert unit.source.name_at(unit.functions["f"].span >> 24) == "main.c"


def test_inline_functions_bring_those_that_they_use() -> None:
    assert {"bpf_log2l", "bpf_log2"} <= set(read("int f(u64 v) { return bpf_log2l(v); }").functions)
    assert "bpf_log2" not in read("int f(u64 v) { return v; }").functions


def test_function_of_the_program_is_the_one_that_is_meant() -> None:
    unit = read("static u32 bpf_log2l(u64 v) { return 3; }\nint f(u64 v) { return bpf_log2l(v); }")
    assert unit.source.name_at(unit.functions["bpf_log2l"].span >> 24) == "main.c"


@pytest.mark.parametrize("name", sorted(inline.MACROS))
def test_macro_is_c(name: str) -> None:
    text = inline.MACROS[name]
    parameters = text[1 : text.index(")")].split(", ")
    known = {"type": "u64", "member": "next", "field": "filename", "a": "1", "b": "2", "n": "3", "array": "numbers"}
    if "member" in parameters:
        known["type"] = "struct list_head"
    arguments = [known.get(parameter, "p") for parameter in parameters]
    read(f"char numbers[3]; int f(void *p, int a) {{ struct x *args; {name}({', '.join(arguments)}); return 0; }}")


def test_registers_are_those_of_the_architecture() -> None:
    expression = body(read("int f(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx); }"), "f")[0].expr
    assert expression.field.name == "si"
    assert "regs[1]" in inline.MACROS_OF_ARCH["aarch64"]["PT_REGS_PARM2"]


def test_constants_are_what_the_generator_writes() -> None:
    written = generate.constants()  # of a newer Python, whose modules know more, some more
    assert {name: written.get(name) for name in CONSTANTS} == CONSTANTS


def test_names_that_programs_test_for_are_no_constants() -> None:
    absent = {"REQ_WRITE", "REQ_OP_SHIFT", "bio_dev", "INIT_PID_LINK", "__PAGE_OFFSET_BASE", "SOCK_TYPE_MASK"}
    assert not absent & set(CONSTANTS)


def test_aliases_are_paths_of_names() -> None:
    assert all(re.fullmatch(r"\w+(\.\w+)*", path) for paths in ALIASES.values() for path in paths)


def test_error_in_a_text_of_ours_would_name_it() -> None:
    error = refused("struct inode { int a; };\nint f(struct file *p) { return file_inode(1, ); }")
    assert error.report().startswith("main.c:2:")
