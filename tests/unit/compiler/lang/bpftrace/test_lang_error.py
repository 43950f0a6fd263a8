# ruff: noqa: E501 -- a row of a table is one line
"""What is refused, with which message, and where the carets are."""

from __future__ import annotations

import pytest

from probee.errors import CompileError, ProbeeError, TypeMismatch, UnknownName, Unsupported
from script_harness import compile_script, shared_target


def report(text: str, **options: object) -> str:
    with pytest.raises(ProbeeError) as found:
        compile_script(text, **options)
    return found.value.report()


IN_BEGIN = [
    # names
    ("print(nonsense);", "nonsense", "Unknown identifier: 'nonsense'"),
    ("nonsense(1);", "nonsense(1)", "Unknown function: 'nonsense'"),
    ("prinft(1);", "prinft(1)", "Unknown function: 'prinft'"),
    ("print($x);", "$x", "Undefined or undeclared variable: $x"),
    ("$x += 1;", "$x", "Undefined or undeclared variable: $x"),
    ("if (1) { $a = 1; } print($a);", "$a", "Undefined or undeclared variable: $a"),
    ("print(@x);", "@x", "Undefined map: @x"),
    ("clear(@x);", "@x", "Undefined map: @x"),
    ("$x = -1; $x = 9223372036854775808;", "$x = 9223372036854775808", "Type mismatch for $x: trying to assign value of type 'uint64'"),
    ("@x[-1] = 1; @x[9223372036854775808] = 1;", "9223372036854775808", "Argument mismatch for @x"),
    ("if (kstack) { }", "kstack", "Invalid condition: kstack_bpftrace_127"),
    ("$a = (int8[4])1; $b = (int16[4])1; print($a == $b);", "$a == $b", "Only arrays of same sized integer support comparison"),
    ("@x[1] = 1; has_key(@x[1], 1);", None, "has_key() expects a map to be provided"),
    ("let $x; print($x);", "$x", "Variable used before it was assigned: $x"),
    ("let $x = 1; let $x = 2;", "let $x", "Variable $x was already declared. Variable shadowing is not allowed."),
    ("let $i = 1; for ($i : 0..5) { }", "$i", "Loop declaration shadows existing variable: $i"),
    ("print(curtask.nope);", "curtask.nope", "Struct/union of type 'struct task_struct' does not contain a field named 'nope'"),
    ("print(((struct nope *)0).x);", None, 'Cannot resolve unknown type "struct nope"'),
    ("print((nope)5);", "nope", 'Cannot resolve unknown type "nope"'),
    ("$t = (1, 2); print($t.5);", "$t.5", "Invalid tuple index: 5. Found 2 elements in tuple."),
    ("$r = (a = 1); print($r.b);", "$r.b", "Record does not contain a field named 'b'"),
    ("print(typeinfo(1));", "typeinfo(1)", "typeinfo feature is not enabled by default. To enable this unstable feature, set the config flag to enable. unstable_typeinfo=enable"),
    ('$x = "foo"; print($x[4]);', "$x[4]", "the index 4 is out of bounds for array of size 4"),
    ("$x = (struct nope *)5;", "struct nope *", 'Cannot resolve unknown type "struct nope"'),
    # operators
    ('print("a" + comm);', '"a" + comm', "The + operator can not be used on expressions of types string[2], string[16]"),
    ('print("a" < comm);', '"a" < comm', "The < operator can not be used on expressions of types string[2], string[16]"),
    ('print("a" == 1);', '"a" == 1', "Type mismatch for '==': comparing string[2] with int8"),
    ("print((1, 2) == 1);", "(1, 2) == 1", "Type mismatch for '==': comparing (int8,int8) with int8"),
    ('print(-"a");', '-"a"', "The - operator can not be used on expressions of type 'string[2]'"),
    ("print(*(1, 2));", None, "Can not dereference type '(int8,int8)'. It is not a pointer."),
    ("$x = curtask; print(1 - $x);", "1 - $x", "The - operator can not be used on expressions of types int8, struct task_struct *"),
    ("print(1 / 0);", "1 / 0", "unable to fold literals due to overflow or underflow"),
    ("print(0xffffffffffffffff + 1);", None, "unable to fold literals due to overflow or underflow"),
    ('$s = "a"; $s++;', "$s++", "The ++ operator can not be used on expressions of type 'string[2]'"),
    ('@s = "a"; @s++;', "@s++", "The ++ operator can not be used on expressions of type 'string[2]'"),
    ("if (comm) { }", "comm", "Invalid condition: string[16]"),
    ("if ((1, 2)) { }", "(1, 2)", "Invalid condition: (int8,int8)"),
    ('print(pid ? 1 : "a");', None, "Branches must return the same type or compatible types: have 'int8' and 'string[2]'"),
    ("$a = (int8[4])1; $b = (int8[2])(int16)1; print($a == $b);", "$a == $b", "Only arrays of same size support comparison operators."),
    # indices
    ("$a = (int8[4])1; print($a[5]);", "$a[5]", "the index 5 is out of bounds for array of size 4"),
    ("print(5[0]);", "5[0]", "The array index operator [] can only be used on arrays, pointers, and tuples, found int8."),
    ("$p = (void *)0; print($p[0]);", "$p[0]", "The array index operator [] cannot be used on a pointer to an unsized type (void *)."),
    ('$a = (int8[4])1; print($a["x"]);', None, "The array index operator [] only accepts non-negative integer indices. Got: string[2]"),
    # assignment
    ('$x = 1; $x = "a";', '$x = "a"', "Type mismatch for $x: trying to assign value of type 'string[2]' when variable already has a type 'int8'"),
    ('@x = 1; @x = "a";', '@x = "a"', "Type mismatch for @x: trying to assign value of type 'string[2]' when map already has a type 'int8'"),
    ("let $x : int8 = 300;", None, "Type mismatch for $x: trying to assign value of type 'int16' when variable already has a type 'int8'"),
    ("@x = count(); @x = 5;", "@x = 5", "Type mismatch for @x: trying to assign value of type 'int8' when map already has a type 'count_t'"),
    ("@x = count(); @x = sum(1);", "@x = sum(1)", "Type mismatch for @x: trying to assign value of type 'sum_t' when map already has a type 'count_t'"),
    ("$x = count();", "count()", "count() must be assigned directly to a map"),
    ("@h = hist(1); $x = @h;", "$x = @h", "Value 'hist_t' cannot be assigned to a scratch variable."),
    ("@h = count(); @x = @h;", "@x = @h", "Map value 'count_t' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `@x = count();`."),
    ("count();", "count()", "count() must be assigned directly to a map"),
    ("$x = printf(\"a\");", '$x = printf("a")', "Value 'void' cannot be assigned to a scratch variable."),
    ("let $x : count_t;", None, "Invalid variable declaration type: count_t"),
    ("@x = 1; @x[1] = 2;", "@x[1]", "@x used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)"),
    ("@x[1] = 1; @x = 2;", "@x", "@x used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)"),
    ('@x[1] = 1; @x["a"] = 2;', '@x["a"]', "Argument mismatch for @x: trying to access with arguments: 'string[2]' when map expects arguments: 'int8'"),
    ("@x[1] = 1; @x[1, 2] = 2;", "@x[1, 2]", "Argument mismatch for @x: trying to access with arguments: '(int8,int8)' when map expects arguments: 'int8'"),
    ("@h = hist(1); @x[@h] = 1;", "@h", "hist_t cannot be part of a map key"),
    ("@h = hist(1); print((1, @h));", "@h", "Map type hist_t cannot exist inside a tuple."),
    # casts
    ('print((int8)"a");', "(int8)", 'Cannot cast from "string[2]" to "int8"'),
    ("print((enum migrate_mode)9);", None, "Enum: migrate_mode doesn't contain a variant value of 9"),
    ("print((string[4])5);", None, 'Cannot cast from "int8" to "string[4]"'),
    # calls
    ("print();", "print()", "print() requires at least one argument (0 provided)"),
    ("count(1);", None, "count() must be assigned directly to a map"),
    ("@ = count(1);", "count(1)", "count() requires no arguments (1 provided)"),
    ("@ = sum();", "sum()", "sum() requires one argument (0 provided)"),
    ('@ = sum("a");', None, "sum() only supports integer arguments (string[2] provided)"),
    ("str();", "str()", "str() requires at least one argument (0 provided)"),
    ("print(str(1, -1));", None, "str() cannot use negative length (-1)"),
    ("print(str((1, 2)));", None, "str() expects a string, integer or a pointer type as first argument ((int8,int8) provided)"),
    ('printf("%d");', 'printf("%d")', "not enough arguments for format string (0 supplied, 1 expected)"),
    ('printf("%d", 1, 2);', None, "too many arguments for format string (2 supplied, 1 expected)"),
    ('printf("%d", "a");', None, "unsupported format specifier for type 'string[2]': d"),
    ('printf("%f", 1);', None, "unsupported format specifier: f"),
    ("printf($x);", None, "Undefined or undeclared variable: $x"),
    ("$x = 1; printf($x);", "$x", "printf() expects a string literal (int8 provided)"),
    ('kaddr("nonsense");', 'kaddr("nonsense")', "Failed to resolve kernel symbol: nonsense"),
    ('reg("ax");', None, "The reg function can not be used with 'begin' probes"),
    ("print(ntop((int8[4])1, 1, 2));", None, "ntop() takes up to 2 arguments (3 provided)"),
    ("print(macaddr((int8[2])(int16)1));", None, "macaddr() argument must be at least 6 bytes in size"),
    ('pton("nonsense");', None, "pton() expects a valid IPv4/IPv6 address, got nonsense"),
    ("kstack(5000);", None, "kstack([int limit]): limit shouldn't exceed 1024, 5000 given"),
    ('system("ls");', 'system("ls")', "system() is an unsafe function being used in safe mode"),
    ("@m = 1; has_key(@m, 1);", None, "call to has_key() expects a map with explicit keys (non-scalar map)"),
    ("@m[1] = 1; delete(@m);", None, "call to delete() with a single argument expects a map without explicit keys (scalar map)"),
    ("@m = 1; len(@m);", None, "call to len() expects a map with explicit keys (non-scalar map)"),
    ("@ = hist(1, 9);", "hist(1, 9)", "hist: bits 9 must be 0..5"),
    ("@ = hist(1); @ = hist(1, 2);", None, "Different bits in a single hist unsupported"),
    ("@ = lhist(1, 10, 5, 1);", None, "lhist() min must be less than max (provided min 10 and max 5)"),
    ("@ = lhist(1, 0, 10000, 1);", None, "lhist() too many buckets, must be <= 1000 (would need 10000)"),
    ("@ = lhist(1, 0, 10, 20);", None, "lhist() step is too large for the given range (provided step 20 for range 10)"),
    ("@ = lhist(1, 0, 10, 0);", None, "lhist() step must be >= 1 (0 provided)"),
    ("@ = hist(1); print(@[1]);", None, "@ used as a map with an explicit key"),
    ("@[1] = hist(1); print(@[1]);", None, "Map type hist_t cannot print the value of individual keys. You must print the whole map."),
    ("strftime(\"%H\", nsecs(monotonic));", None, "strftime() can not take a monotonic timestamp"),
    ("strftime(\"%H\", -1);", None, "strftime() does not accept negative timestamps"),
    ("strcontains(\"foo\", 1);", None, "strcontains() expects a string (int8 provided)"),
    ('fail("stop %d", 5);', 'fail("stop %d", 5)', "stop 5"),
    ('static_assert(1 == 2, "no");', None, "no"),
    # functions of the script
    ("pid(xx);", "xx", "Invalid PID namespace mode: xx"),
    ("pid(5);", "5", "pid() only supports curr_ns and init as the argument"),
    ("debugf(\"%s\", 1);", "1", "Type does not match format specifier: s"),
    # control
    ("break;", "break;", "'break' statement is not allowed in a probe"),
    ("continue;", "continue;", "'continue' statement is not allowed in a probe"),
    ('return "a";', 'return "a";', "Probe return values can only be integers. Found string[2]"),
    ("unroll (0) { }", None, "unroll minimum value is 1"),
    ("unroll (101) { }", None, "unroll maximum value is 100"),
    ("$x = 1; unroll ($x) { }", "$x", "invalid unroll value"),
    ("@m = 1; for ($kv : @m) { }", "@m", "@m has no explicit keys (scalar map), and cannot be used for iteration"),
    ("@m[1] = hist(1); for ($kv : @m) { }", "@m", "Loop expression does not support type: hist_t"),
    # builtins
    ("print(arg0);", "arg0", "The arg0 builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes"),
    ("print(retval);", "retval", "The retval builtin can only be used with 'kretprobe', 'uretprobe' and 'fexit' probes"),
    ("print(args);", "args", "The args builtin can not be used with 'begin' probes"),
    ("print(func);", "func", "The func builtin can not be used with 'begin' probes"),
    ("print(ctx);", "ctx", "The ctx builtin can not be used with 'begin' probes"),
    ("for ($i : 0..1000) { print(kstack); }", "kstack", "'kstack' builtin is not allowed in a for-loop"),
    # not here yet: said so, never ignored
    ("path(1);", "path(1)", "The path function can only be used with 'fentry', 'fexit', 'iter' probes"),
    ("socket_cookie(0);", "socket_cookie(0)", 'socket_cookie() can not be used with "begin" probes'),
    ('skboutput("f", 0, 0, 0);', 'skboutput("f", 0, 0, 0)', 'skboutput() can not be used with "begin" probes'),
    ('uaddr("x");', 'uaddr("x")', "uaddr can not be used for this probetype: special"),
    ("dw_ustack;", "dw_ustack", "dw_ustack is not supported yet: it needs an unwinder in the kernel"),
    ("cpu(3);", "cpu(3)", "cpu() requires no arguments (1 provided)"),
    ('comm("x");', 'comm("x")', "Only integer supported for comm()'s pid"),
    ('memcmp("abc", "abd", 5);', "5", "memcmp() compares at most the 4 bytes that both values have"),
    ("kfunc_exist(comm);", "kfunc_exist(comm)", "kfunc_exist() accepts a string literal only"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "marked", "message"), IN_BEGIN)
def test_a_statement_is_refused(statements: str, marked: str | None, message: str) -> None:
    text = f"begin {{ {statements} }}"
    first, line, under, *_ = report(text).splitlines()
    place, _, said = first.partition(": ERROR: ")
    assert said.startswith(message)
    assert line == text
    column, width = under.index("~"), under.count("~")
    assert place == f"stdin:1:{column + 1}-{column + 1 + width}"
    if marked is not None:
        assert text[column : column + width] == marked


WHOLE = [
    ("kprobe:vfs_nothing { }", "stdin:1:1-19: ERROR: No matches for kprobe vfs_nothing."),
    ("kprobe:nothing_* { }", "ERROR: Probe has no valid attach points."),
    ("nothing:x { }", "stdin:1:1-10: ERROR: Invalid probe type: nothing"),
    ("tracepoint:sched:nothing { }", "stdin:1:1-25: ERROR: No matches for tracepoint sched:nothing."),
    ("kprobe:vfs_read { print(arg6); }", "stdin:1:25-29: ERROR: x86_64 doesn't support arg6"),
    ('kprobe:vfs_read { print(reg("xx")); }', "stdin:1:25-34: ERROR: 'xx' is not a valid register on this architecture (x86_64)"),
    ("tracepoint:sched:sched_switch { print(args.nope); }", "stdin:1:39-48: ERROR: Struct/union of type"),
    ("tracepoint:sched:sched_switch { print(args.common_pid); }",
     "stdin:1:39-54: ERROR: BPF does not support accessing common tracepoint fields"),
    ("tracepoint:sched:sched_switch { print(ctx); }", "stdin:1:39-42: ERROR: Use args instead of ctx in tracepoint"),
    ("interval:x:1 { }", "stdin:1:1-13: ERROR: x is not an accepted unit of time"),
    ("let @m = nothing(5); begin { }", "stdin:1:1-21: ERROR: Invalid bpf map type: nothing"),
    ("let @m = hash(5); begin { @m[1] = count(); }", "ERROR: Incompatible map types."),
    ("config = { nothing = 5 } begin { }", "stdin:1:12-23: ERROR: nothing: not a known configuration option"),
    ('config = { license = "Potato" } begin { }', "ERROR: Invalid value for license. Found: Potato. Valid values: Dual MIT/GPL"),
    ("config = { max_strlen = true } begin { }", "ERROR: max_strlen: expecting a number, got true"),
    ("config = { btf = 5 } begin { }", "ERROR: btf: can only be set as an environment variable"),
    ("macro a(x) { x } begin { a(1, 2); }", "ERROR: Call to a() has arguments that do not match any definition."),
    ("struct A { int x; }; begin { print(((struct A *)0).y); }",
     "ERROR: Struct/union of type 'struct A' does not contain a field named 'y'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WHOLE)
def test_a_program_is_refused(text: str, expected: str) -> None:
    assert expected in report(text)


def test_arguments_with_located_data_are_shown_but_not_copied_as_a_whole() -> None:
    assert compile_script("tracepoint:sched:sched_process_exec { print(args); }").programs
    found = report("tracepoint:sched:sched_process_exec { $x = args; }")
    assert "args as a whole, with data of varying size in it (filename), is not supported yet" in found


def test_the_kind_of_an_error_can_be_caught() -> None:
    for text, kind in (
        ("begin { print(nothing); }", UnknownName),
        ('begin { $x = 1; $x = "a"; }', TypeMismatch),
        ("begin { dw_ustack; }", Unsupported),
        ("begin { break; }", CompileError),
    ):
        with pytest.raises(kind):
            compile_script(text)


def test_what_was_perhaps_meant_is_a_hint() -> None:
    assert "HINT: Did you mean: printf?" in report('begin { printff("a"); }')
    assert "HINT: Did you mean: tgid?" in report("begin { print(curtask.tgit); }")
    assert "HINT: Use str($1) to treat $1 as a string" in report("begin { printf($1); }", parameters=("5",))


def test_errors_of_later_lines_name_the_line() -> None:
    text = "begin {\n  $x = 1;\n\tprint($y);\n}"
    assert report(text).startswith("stdin:3:8-10: ERROR: Undefined or undeclared variable: $y")


def test_errors_in_a_macro_point_into_its_body() -> None:
    assert report("macro bad(x) { x + nothing } begin { print(bad(1)); }").startswith("stdin:1:20-27: ERROR: Unknown identifier")


def test_no_matching_probe_may_be_a_warning() -> None:
    text = "config = { missing_probes = warn } kprobe:vfs_nothing { } begin { }"
    warnings = compile_script(text).warnings
    assert any("WARNING: No matches for kprobe vfs_nothing. Skipping." in warning for warning in warnings)
    assert any("WARNING: Probe has no valid attach points." in warning for warning in warnings)
    quiet = text.replace("warn", "ignore")
    assert compile_script(quiet).warnings == ()


FUNCTIONS = [
    ("fn f(): void { return 1; } begin { }", "stdin:1:16-25: ERROR: Function f is of type void, cannot return int8"),
    ("fn f(): int64 { return; } begin { }", "ERROR: Function f is of type int64, cannot return void"),
    ("fn f(): int64 { $x = 0; } begin { }", "ERROR: Function f is of type int64, cannot return void"),
    ("fn f($x: int64): int64 { if ($x) { return 0; } } begin { }", "ERROR: Function f is of type int64, cannot return void"),
    ("fn f($a: int64): string { return $a; } begin { }", "ERROR: Function f is of type string"),
    ("fn f($a: int64): void { } begin { f(); }", "ERROR: Function `f` requires 1 arguments, got only 0"),
    ('fn f($a: int64): void { } begin { f("x"); }', "ERROR: Expected int64 for argument `$a` got string[2]"),
    ("fn f(): int64 { return arg0; } begin { }", "ERROR: The arg0 builtin can only be used with"),
]


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS)
def test_a_function_is_refused(text: str, expected: str) -> None:
    assert expected in report(text)


WARNED = [
    ("begin { 5; }", "Return value discarded."),
    ("begin { $i = 0; while ($i < 2) { $i++; } }", "While loops are deprecated and may be removed in the future."),
    ("let @m = hash(5); begin { }", "Unused map: @m"),
    ("begin { let $x; }", "Variable $x was never assigned to."),
    ("begin { exit(); print(1); }", "Unreachable statement."),
    ("begin { print(@x + 1); }", "@x is read but never assigned to: it is always 0."),
    ("begin { $x = -1; $x = nsecs; }", "Expression of type: uint64 being cast to type: int64."),
    ("config = { strlen = 64 } begin { }", "strlen has been renamed, please use max_strlen"),
    ("config = { symbol_source = 5 } begin { }", "symbol_source is deprecated and has no effect"),
    ("begin { print($1); }", "Positional parameter $1 is empty or not provided."),
    ("begin { print(str(0, 5000)); }", "length param (5000) is too long and will be shortened to 1024 bytes"),
    ("begin { print((int32 *)1 == (int8 *)2); }", "comparison of distinct pointer types: int32, int8"),
    ("begin { @m[1] = 1; for ($kv : @m) { print(@m); } }", "using 'print()' in a loop"),
    ("begin { @m[1] = stats(1); print(@m, 5); }", "print()'s top and div arguments are ignored when used on stats() maps."),
]


@pytest.mark.parametrize(("text", "expected"), WARNED)
def test_a_program_is_warned_about(text: str, expected: str) -> None:
    assert any(expected in warning for warning in compile_script(text).warnings)


@pytest.mark.parametrize("text", [
    "begin { _ = 5; }",
    "begin { $x = 1; $x++; @m++; }",
    'begin { printf("a"); }',
    "begin { let $x; $x = 1; }",
    "begin { @m[1] = 1; delete(@m, 1); }",
])  # fmt: skip
def test_a_program_is_not_warned_about(text: str) -> None:
    assert compile_script(text).warnings == ()


@pytest.mark.parametrize("text", [
    "begin { print(" + "(" * 3000 + "1" + ")" * 3000 + "); }",
    "begin { print(" + "-" * 3000 + "1); }",
    "begin { $x = 1; print(" + "~" * 3000 + "$x); }",
    "begin { " + "if (1) { " * 3000 + "}" * 3000 + " }",
    "begin { print(" + "1 ? " * 3000 + "1" + " : 2" * 3000 + "); }",
])  # fmt: skip
def test_deep_nesting_ends_in_an_error_or_a_result(text: str) -> None:
    try:
        compile_script(text)
    except CompileError as error:
        assert error.message


class Other:
    """The fixture's kernel, with something else about it."""

    def __init__(self, **other: object) -> None:
        self._other = other

    def __getattr__(self, name: str) -> object:
        return self._other[name] if name in self._other else getattr(shared_target(), name)


def test_long_keys_need_a_kernel_that_takes_them() -> None:
    text = "begin { @[str(0)] = 1; }"
    assert compile_script(text, target=Other(release="5.16.0")).maps[0].key_size == 1024
    refused = report(text, target=Other(release="5.15.9"))
    assert refused.startswith("stdin:1:9-10: ERROR: @ has keys of 1024 bytes, and before Linux 5.16 a map takes 512 at most\n")
    assert compile_script("begin { @[str(0, 63)] = 1; }", target=Other(release="5.15.9")).maps


@pytest.mark.parametrize("text", ["begin { print(((struct nope *)1).x); }", "begin { print((nope_t)5); }"])
def test_without_btf_a_missing_type_says_so(text: str) -> None:
    assert "HINT: types of the kernel come from BTF" in report(text, target=Other(has_btf=False))
    assert "BTF" not in report(text)


def test_a_pattern_without_a_match_says_why() -> None:
    refused = report("rawtracepoint:sched_swich { exit(); }")
    assert "Probe has no valid attach points." in refused
    assert refused.endswith("HINT: Did you mean: sched_switch?")


def test_variables_of_each_cpu_come_from_btf() -> None:
    able = Other(has_feature=lambda name: True)
    text = 'begin { print(*percpu_kaddr("runqueues")); print(percpu_kaddr("runqueues", cpu) + 1); }'
    assert "runqueues" in {relocation.name for relocation in compile_script(text, target=able).programs[0].relocations}
    assert report(text) == (
        "stdin:1:16-41: ERROR: percpu_kaddr() needs bpf_per_cpu_ptr, which this kernel lacks (Linux 5.10)\n"
        f"{text}\n               ~~~~~~~~~~~~~~~~~~~~~~~~~"
    )
    assert 'Could not resolve variable "nonsense" from BTF' in report('begin { percpu_kaddr("nonsense"); }', target=able)
    assert "string literal" in report("begin { percpu_kaddr(0); }", target=able)


def test_a_type_of_the_kernel_that_is_defined_anew_needs_its_members_types() -> None:
    found = report("struct task_struct { struct thread_info x; } begin { print(curtask.x.flags); }")
    assert found.startswith("stdin:1:41-42: ERROR: error: field has incomplete type 'struct thread_info'")
    compile_script("struct thread_info { int a; } struct task_struct { struct thread_info x; } begin { print(curtask.x.a); }")
    compile_script("struct mine { struct thread_info x; } begin { print(sizeof(struct mine)); }")


def test_a_missing_unsafe_is_said_before_a_missing_tracepoint() -> None:
    found = report("tracepoint:no:such { write_user(1, 2, 3); }")
    assert found.startswith("stdin:1:22-41: ERROR: write_user() is unsafe. To use you need the --unsafe flag")
