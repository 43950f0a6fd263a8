"""BCC's macros: maps in all their forms, probes, and their mistakes."""

from __future__ import annotations

import pytest
from c_text import read, refused, underlined

from probee.compiler.lang.c.dialect import MAPS
from probee.compiler.lang.c.unit import MapDeclaration


def one(text: str, *cflags: str) -> MapDeclaration:
    (found,) = read(text, *cflags).maps.values()
    return found


def described(found: MapDeclaration) -> tuple[str, str, str, int, int]:
    key = found.key.spelling() if found.key is not None else "-"
    leaf = found.leaf.spelling() if found.leaf is not None else "-"
    return found.kind, key, leaf, found.max_entries, found.flags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BPF_HASH(m);", ("hash", "u64", "u64", 10240, 0)),
        ("BPF_HASH(m, u32);", ("hash", "u32", "u64", 10240, 0)),
        ("BPF_HASH(m, u32, int *);", ("hash", "u32", "int *", 10240, 0)),
        ("BPF_HASH(m, u32, u8, 2 * 8);", ("hash", "u32", "u8", 16, 0)),
        ("BPF_PERCPU_HASH(m, int);", ("percpu_hash", "int", "u64", 10240, 0)),
        ("BPF_ARRAY(m);", ("array", "int", "u64", 10240, 0)),
        ("BPF_ARRAY(m, u8, 3);", ("array", "int", "u8", 3, 0)),
        ("BPF_PERCPU_ARRAY(m, u32, 1);", ("percpu_array", "int", "u32", 1, 0)),
        ("BPF_HISTOGRAM(m);", ("histogram", "int", "u64", 64, 0)),
        ("BPF_HISTOGRAM(m, u64, 100);", ("histogram", "u64", "u64", 100, 0)),
        ("BPF_LPM_TRIE(m, u64, int, 8);", ("lpm_trie", "u64", "int", 8, 1)),
        ("BPF_STACK_TRACE(m, 1000);", ("stacktrace", "int", "struct bpf_stacktrace", 1024, 0)),
        ("BPF_PERF_OUTPUT(m);", ("perf_output", "int", "u32", 0, 0)),
        ("BPF_RINGBUF_OUTPUT(m, 8);", ("ringbuf", "int", "u32", 8, 0)),
        ("BPF_PERF_ARRAY(m, 4);", ("perf_array", "int", "u32", 4, 0)),
        ("BPF_PROG_ARRAY(m, 4);", ("prog", "u32", "u32", 4, 0)),
        ("BPF_QUEUE(m, u32, 10);", ("queue", "-", "u32", 10, 0)),
        ("BPF_STACK(m, u32, 10, 1);", ("stack", "-", "u32", 10, 1)),
        ("BPF_DEVMAP(m, 4);", ("devmap", "u32", "int", 4, 0)),
        ("BPF_SOCKHASH(m, u64, 4);", ("sockhash", "u64", "int", 4, 0)),
        ("BPF_TASK_STORAGE(m, u32);", ("task_storage", "int", "u32", 0, 1)),
        ('BPF_TABLE("lru_hash", u32, u64, m, 7);', ("lru_hash", "u32", "u64", 7, 0)),
        ('BPF_F_TABLE("hash", u32, u64, m, 7, 1);', ("hash", "u32", "u64", 7, 1)),
    ],
)
def test_map_has_what_bcc_gives_it(text: str, expected: tuple[str, str, str, int, int]) -> None:
    assert described(one(text)) == expected


def test_build_id_stacks_say_so() -> None:
    text = "struct bpf_stack_build_id { int status; u8 id[20]; u64 offset; };\nBPF_STACK_TRACE_BUILDID(m, 3);"
    found = read(text).maps["m"]
    assert (found.kind, found.max_entries, found.flags) == ("stacktrace", 4, 32)


def test_pinned_table_has_its_path() -> None:
    found = one('BPF_TABLE_PINNED("hash", u64, u32, m, 1024, "/sys/fs/" "bpf/x");')
    assert (found.kind, found.pin) == ("hash", "/sys/fs/bpf/x")
    older = one('BPF_TABLE("hash:/sys/fs/bpf/y", u64, u32, m, 1024);')
    assert (older.kind, older.pin) == ("hash", "/sys/fs/bpf/y")


def test_shared_tables_say_how() -> None:
    assert one('BPF_TABLE_PUBLIC("hash", u64, u32, m, 1);').sharing == "public"
    assert one('BPF_TABLE_SHARED("hash", u64, u32, m, 1);').sharing == "shared"
    assert one('BPF_TABLE("extern", u64, u32, m, 1);').sharing == "extern"


def test_map_of_maps_names_its_template() -> None:
    unit = read('BPF_HASH(inner);\nBPF_ARRAY_OF_MAPS(a, "inner", 10);\nBPF_HASH_OF_MAPS(h, u32, "inner", 10);')
    assert [(m.kind, m.inner, m.max_entries) for m in unit.maps.values()][1:] == [
        ("array_of_maps", "inner", 10), ("hash_of_maps", "inner", 10),
    ]  # fmt: skip


def test_types_of_a_map_may_be_defined_in_its_macro() -> None:
    found = one("BPF_HASH(m, struct { u32 pid; char comm[TASK_COMM_LEN]; }, struct leaf_t { u64 a, b; });")
    assert found.key is not None and found.key.size == 20
    assert found.leaf is not None and found.leaf.size == 16


def test_type_of_table_may_come_from_a_flag() -> None:
    assert one("BPF_TABLE(KIND, u32, u64, m, 1);", '-DKIND="percpu_hash"').kind == "percpu_hash"


def test_macro_that_expands_to_a_map_declares_it() -> None:
    unit = read("#define PAIR(n) BPF_HASH(n##_a, u32); BPF_HASH(n##_b, u32)\nPAIR(x);")
    assert list(unit.maps) == ["x_a", "x_b"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("BPF_HASH();", "BPF_HASH takes 1 to 4 arguments, not 0", "BPF_HASH"),
        ("BPF_PERF_OUTPUT(a, 1);", "BPF_PERF_OUTPUT takes 1 argument, not 2", "BPF_PERF_OUTPUT"),
        ("BPF_HASH(a, , u64);", "argument 2 of BPF_HASH is empty", "BPF_HASH"),
        ("BPF_HASH(3);", "the map's name must be a name", "3"),
        ("BPF_TABLE(hash, u32, u64, a, 1);", "must be a string", "hash"),
        ("BPF_HASH(a);\nBPF_ARRAY(a);", "map 'a' is declared twice", "a"),
        ("BPF_HASH(a, struct none);", "incomplete type struct none", "a"),
        ("BPF_HASH(a, u32, void);", "incomplete type void", "a"),
        ("BPF_HASH(a, u32, u64, n);", "'n' is not defined: the size of map 'a' must be a constant", "n"),
        ("int n; BPF_HASH(a, u32, u64, n);", "the size of map 'a' must be a constant", "n"),
        ("BPF_HASH(a)\nint f(void *ctx) { return 0; }", "missing ';' after the BPF_HASH", "BPF_HASH"),
        ("int a;\nBPF_HASH(a);", "'a' is a variable already", "a"),
        ("TRACEPOINT_PROBE(sched) { return 0; }", "takes 2 arguments, not 1", "TRACEPOINT_PROBE"),
        ("KFUNC_PROBE() { return 0; }", "takes at least 1 argument, not 0", "KFUNC_PROBE"),
    ],
)
def test_mistakes_in_macros_are_named(text: str, message: str, place: str) -> None:
    error = refused(text)
    assert message in str(error)
    assert underlined(error) == place


def test_every_form_of_every_macro_is_read() -> None:
    for macro, forms in MAPS.items():
        for count, form in forms.items():
            arguments = ["1"] * count
            arguments[form.name] = "m"
            for position in (form.key, form.leaf):
                if isinstance(position, int):
                    arguments[position] = "u32"
            for position in (form.kind, form.pin, form.inner):
                if isinstance(position, int):
                    arguments[position] = '"hash"'
            extra = "struct bpf_stack_build_id { u64 offset; }; struct bpf_cgroup_storage_key { u64 id; u32 type; };"
            assert list(read(f"{extra} {macro}({', '.join(arguments)});").maps) == ["m"], (macro, count)


def test_probe_macros_are_functions_with_a_target() -> None:
    unit = read(
        "TRACEPOINT_PROBE(sched, sched_switch) { return args->next_pid; }\n"
        "RAW_TRACEPOINT_PROBE(sched_wakeup) { return 0; }\n"
        "KFUNC_PROBE(vfs_read, struct file *file, char __user *buf) { return 0; }\n"
        "KRETFUNC_PROBE(vfs_read, struct file *file, int ret) { return 0; }\n"
        "MODULE_KFUNC_PROBE(kvm, x86_emulate) { return 0; }\n"
        "KMOD_RET(bpf_modify, int a) { return 0; }\nLSM_PROBE(bpf, int cmd) { return 0; }\nBPF_ITER(task) { return 0; }\n"
    )
    found = {f.name: (f.probe.kind, f.probe.target, [p[0] for p in f.parameters]) for f in unit.functions.values() if f.probe}
    assert found == {
        "tracepoint__sched__sched_switch": ("tracepoint", ("sched", "sched_switch"), ["args"]),
        "raw_tracepoint__sched_wakeup": ("raw_tracepoint", ("sched_wakeup",), ["ctx"]),
        "kfunc__vmlinux__vfs_read": ("kfunc", ("vmlinux", "vfs_read"), ["ctx", "file", "buf"]),
        "kretfunc__vmlinux__vfs_read": ("kretfunc", ("vmlinux", "vfs_read"), ["ctx", "file", "ret"]),
        "kfunc__kvm__x86_emulate": ("kfunc", ("kvm", "x86_emulate"), ["ctx"]),
        "kmod_ret__bpf_modify": ("fmod_ret", ("bpf_modify",), ["ctx", "a"]),
        "lsm__bpf": ("lsm", ("bpf",), ["ctx", "cmd"]),
        "bpf_iter__task": ("iter", ("task",), ["ctx"]),
    }
