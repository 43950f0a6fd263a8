"""The lines of -l and -lv."""

from __future__ import annotations

import pytest

from btf_from_c import Declarations
from probee.errors import ProbeeError, UnknownName, Unsupported
from probee.formats.target import FileTarget
from probee.formats.target_image import TargetImage, encode_image
from probee.probes.list import list_probe, list_probes
from probee.probes.parse import parse
from target_fixture import build_target

LISTINGS: list[tuple[str, list[str]]] = [
    ("kprobe:vfs_r*", ["kprobe:vfs_read", "kprobe:vfs_read_untyped"]),
    ("k:demo_*", ["kprobe:demo_mod:demo_open", "kprobe:demo_mod:demo_untyped"]),
    ("kprobe:vmlinux:vfs_read", ["kprobe:vmlinux:vfs_read"]),
    ("kretprobe:do_exit", ["kretprobe:do_exit"]),
    ("tracepoint:raw_syscalls:*", ["tracepoint:raw_syscalls:sys_enter", "tracepoint:raw_syscalls:sys_exit"]),
    ("tracepoint:sched_switch", ["tracepoint:sched:sched_switch"]),
    ("t:kmem:", ["tracepoint:kmem:kmalloc"]),
    ("rawtracepoint:sched_*", [
        "rawtracepoint:vmlinux:sched_process_exec", "rawtracepoint:vmlinux:sched_switch",
        "rawtracepoint:vmlinux:sched_wakeup"]),
    ("rt:demo_mod:*", ["rawtracepoint:demo_mod:demo_event"]),
    ("fentry:vfs_r*", ["fentry:vmlinux:vfs_read"]),
    ("fexit:demo_*", ["fexit:demo_mod:demo_open"]),
    ("interval:*", ["interval:hz:", "interval:ms:", "interval:s:", "interval:us:"]),
    ("profile:hz", ["profile:hz:"]),
    ("software:cpu*", ["software:cpu:", "software:cpu-clock:", "software:cpu-migrations:"]),
    ("hardware:cache-misses:", ["hardware:cache-misses:"]),
    ("self:*", ["self:signal:SIGUSR1"]),
    ("begin", ["begin"]),
    ("end:", ["end"]),
    ("*do_nanosleep*", ["fentry:vmlinux:do_nanosleep", "kprobe:do_nanosleep"]),
    ("*sched_switch*", ["rawtracepoint:vmlinux:sched_switch", "tracepoint:sched:sched_switch"]),
    ("vfs_read", ["fentry:vmlinux:vfs_read", "kprobe:vfs_read"]),
    ("*ware:c*s", [
        "hardware:cache-misses:", "hardware:cache-references:", "hardware:cpu-cycles:", "hardware:cycles:",
        "software:context-switches:", "software:cpu-migrations:", "software:cs:"]),
    ("kprobe:vfs_read,kprobe:vfs_write", ["kprobe:vfs_read", "kprobe:vfs_write"]),
    ("struct qstr", ["struct qstr"]),
    ("struct bpf_m*", ["struct bpf_map"]),
    ("struct demo_*", ["struct demo_state"]),
    ("struct nothing", []),
    ("kprobe:nothing*", []),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "lines"), LISTINGS)
def test_a_pattern_lists_what_the_kernel_has(pattern: str, lines: list[str], target: FileTarget) -> None:
    assert list(list_probes(pattern, target)) == lines


VERBOSE: list[tuple[str, list[str]]] = [
    ("tracepoint:sched:sched_process_exec", [
        "__data_loc char[] filename", "pid_t pid", "pid_t old_pid"]),
    ("tracepoint:sched:sched_wakeup", ["char comm[16]", "pid_t pid", "int prio", "int target_cpu"]),
    ("rawtracepoint:vmlinux:sys_enter", ["struct pt_regs * regs", "long int id"]),
    ("fentry:vmlinux:vfs_open", ["const struct path * path", "struct file * file"]),
    ("fexit:vmlinux:filp_close", ["struct file * filp", "void * id", "int retval"]),
    ("kretprobe:filp_close", ["int retval"]),
    ("kprobe:filp_close", ["struct file * filp    (arg0)", "void * id    (arg1)"]),
    ("kprobe:asm_helper", []),
    ("interval:s:", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "details"), VERBOSE)
def test_a_verbose_listing_adds_fields_and_parameters(name: str, details: list[str], target: FileTarget) -> None:
    lines = list(list_probes(name, target, verbose=True))
    assert lines == [name, *(f"    {detail}" for detail in details)]


def test_a_verbose_kprobe_says_which_parameters_are_on_the_stack(target: FileTarget) -> None:
    lines = list(list_probes("kprobe:arp_create", target, verbose=True))
    assert [line.split()[-1] for line in lines[1:]] == [
        "(arg0)", "(arg1)", "(arg2)", "(arg3)", "(arg4)", "(arg5)", "(sarg0)", "(sarg1)",
    ]  # fmt: skip
    assert lines[7] == "    const unsigned char * src_hw    (sarg0)"


def test_iterators_are_listed_with_the_arguments_that_scripts_see() -> None:
    kernel = Declarations()
    kernel.parse("""
        struct task_struct { int pid; }; struct bpf_iter_meta { int seq; };
        struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
        int bpf_iter_task(struct bpf_iter_meta *meta, struct task_struct *task);
        int bpf_iter_reg_target(int which);
    """)
    target = FileTarget(encode_image(TargetImage("x86_64", "6.12", btf={"vmlinux": kernel.blob()})))
    assert list(list_probes("iter:*", target, verbose=True)) == ["iter:task", "    struct task_struct * task"]


def test_without_btf_there_are_no_iterators_and_no_fentry_probes() -> None:
    target = FileTarget(encode_image(TargetImage("x86_64", "5.4", functions=[("vfs_read", "")])))
    assert list(list_probes("iter:*,fentry:*,kprobe:*", target, verbose=True)) == ["kprobe:vfs_read"]


def test_a_verbose_struct_is_its_definition(target: FileTarget) -> None:
    lines = list(list_probes("struct qstr", target, verbose=True))
    assert lines[0] == "vmlinux: struct qstr {"
    assert lines[-1] == "};"
    assert any(line.strip().startswith("u32 hash;") for line in lines)
    assert next(iter(list_probes("enum pid_type", target, verbose=True))) == "vmlinux: enum pid_type {"


def test_a_struct_of_a_module_says_which_module(target: FileTarget) -> None:
    assert next(iter(list_probes("struct demo_*", target, verbose=True))) == "demo_mod: struct demo_state {"


def test_an_empty_pattern_lists_every_kernel_provider(target: FileTarget) -> None:
    providers = {line.partition(":")[0] for line in list_probes("", target)}
    assert providers == {"fentry", "hardware", "kprobe", "rawtracepoint", "software", "tracepoint"}


def test_an_unknown_provider_is_an_error_and_one_without_a_list_too(target: FileTarget) -> None:
    with pytest.raises(UnknownName):
        list(list_probes("kprob:vfs_read", target))
    with pytest.raises(Unsupported, match="watchpoint probes cannot be listed"):
        list(list_probes("watchpoint:*", target))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("hardware:cache-misses:10", ["hardware:cache-misses:"]),
        ("interval:ms:100", ["interval:ms:"]),
        ("fentry:vmlinux:vfs_read", ["fentry:vmlinux:vfs_read"]),
        ("rawtracepoint:sys_enter", ["rawtracepoint:vmlinux:sys_enter"]),
        ("tracepoint:sched:sched_switch", ["tracepoint:sched:sched_switch"]),
        ("kprobe:vfs_re*", ["kprobe:vfs_read", "kprobe:vfs_read_untyped"]),
        ("begin", []),
        ("self:signal:SIGUSR1", []),
    ],
)
def test_the_probes_of_a_script_are_listed_without_the_special_ones(text: str, lines: list[str], target: FileTarget) -> None:
    (probe,) = parse(text.split(":"))
    assert list(list_probe(probe, target)) == lines


def noted(pattern: str, target: FileTarget) -> tuple[list[str], list[str]]:
    """Return the providers listed, and the notes."""
    notes: list[str] = []
    return sorted({line.partition(":")[0] for line in list_probes(pattern, target, note=notes.append)}), notes


def test_functions_of_bpf_programs_are_listed_with_their_ids(target: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "bpf_functions", lambda: [(7, "count"), (7, "helper"), (31, "count")])
    assert list(list_probes("fentry:bpf:*", target)) == ["fentry:bpf:7:count", "fentry:bpf:7:helper", "fentry:bpf:31:count"]
    assert list(list_probes("fexit:bpf:c*", target)) == ["fexit:bpf:7:count", "fexit:bpf:31:count"]
    assert list(list_probes("fentry:bpf:31:*", target)) == ["fentry:bpf:31:count"]
    assert noted("fentry:bpf:nothing", target)[1] == ["nothing matches 'fentry:bpf:nothing'"]


def test_what_a_wildcard_covers_and_the_kernel_has_not_is_noted(target: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ProbeeError("tracefs is not mounted")

    monkeypatch.setattr(target, "tracepoints", fail)
    found, notes = noted("", target)
    assert {"kprobe", "rawtracepoint"} <= set(found)
    assert "tracepoint" not in found
    assert notes == ["tracepoint probes are missing here: tracefs is not mounted"]
    with pytest.raises(ProbeeError, match="tracefs is not mounted"):
        noted("tracepoint:*", target)


@pytest.mark.parametrize("pattern", ["", "kprobe:*", "kretprobe:vfs_read", "*vfs_read"])
def test_a_kernel_without_kprobes_is_noted(pattern: str, target: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "traceable_functions", list)
    found, notes = noted(pattern, target)
    assert "kprobe" not in found
    assert [note.partition(":")[0] for note in notes] == ["this kernel has no function that could be probed"]


@pytest.mark.parametrize("pattern", ["kprobe:nothing*", "struct nothing", "nothing", "tracepoint:no:*"])
def test_a_pattern_that_nothing_matches_is_noted(pattern: str, target: FileTarget) -> None:
    assert noted(pattern, target) == ([], [f"nothing matches '{pattern}'"])


def test_a_kernel_without_btf_is_noted(target: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "has_btf", False)
    found, notes = noted("", target)
    assert "fentry" not in found
    assert "this kernel has no BTF" in notes[0]


@pytest.mark.parametrize(
    "pattern, said",
    [
        ("kprobe:vfs_raed", "nothing matches 'kprobe:vfs_raed'. Did you mean: kprobe:vfs_read?"),
        ("t:sched:sched_swich", "nothing matches 't:sched:sched_swich'. Did you mean: t:sched:sched_switch?"),
        ("struct fiel", "nothing matches 'struct fiel'. Did you mean: struct file?"),
        ("kprobe:*nothing*", "nothing matches 'kprobe:*nothing*'"),
        ("nothing", "nothing matches 'nothing'"),
    ],
)
def test_what_was_perhaps_meant_is_noted(pattern: str, said: str) -> None:
    notes: list[str] = []
    assert list(list_probes(pattern, build_target(), note=notes.append)) == []
    assert notes == [said]
