"""What -l lists is what the kernel says it has: tracefs's own lists and BTF, counted here by other means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from probee.kernel import target
from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.syscalls.tracefs import tracefs_root
from probee.kernel.target import LiveTarget
from probee.probes.list import list_probes

pytestmark = pytest.mark.kernel

BTF = Path("/sys/kernel/btf")


@pytest.fixture(scope="module")
def live() -> LiveTarget:
    return LiveTarget()


@pytest.fixture(scope="module")
def tracefs() -> Path:
    root = tracefs_root()
    if root is None:
        pytest.skip("tracefs is not mounted here")
    return Path(root)


@pytest.fixture(scope="module")
def functions(tracefs: Path) -> list[str]:
    """The lines of available_filter_functions that are no leftovers."""
    path = tracefs / "available_filter_functions"
    if not path.exists() or not Path("/sys/bus/event_source/devices/kprobe").exists():
        pytest.skip("this kernel has no kprobes, or no ftrace")
    return [line for line in path.read_text().splitlines() if "__ftrace_invalid_address__" not in line]


def listed(pattern: str, live: LiveTarget, *, verbose: bool = False) -> list[str]:
    return list(list_probes(pattern, live, verbose=verbose))


def blacklist() -> set[str]:
    path = Path("/sys/kernel/debug/kprobes/blacklist")
    return {line.split()[-1] for line in path.read_text().splitlines()} if path.exists() else set()


def dangerous(name: str) -> bool:
    return name.startswith("rcu_") or ".part." in name or name in ("arch_cpu_idle", "default_idle", "bpf_dispatcher_xdp_func")


def test_kprobes_are_ftraces_functions_without_the_refused_ones(live: LiveTarget, functions: list[str]) -> None:
    refused = blacklist()
    expected = set()
    for line in functions:
        name, _, module = line.partition(" ")
        if name not in refused and not dangerous(name):
            expected.add(f"kprobe:{module[1:-1]}:{name}" if module else f"kprobe:{name}")
    assert len(expected) > 20_000
    assert listed("kprobe:*", live) == sorted(expected, key=lambda line: line.partition(":")[2])


def test_the_functions_of_one_module_are_listed_by_its_name(live: LiveTarget, functions: list[str]) -> None:
    lines = [line for line in functions if line.endswith("]")]
    if not lines:
        pytest.skip("no module is loaded")
    module = lines[0].partition("[")[2][:-1]
    names = {line.partition(" ")[0] for line in lines if line.endswith(f" [{module}]")}
    expected = {f"kprobe:{module}:{name}" for name in names if not dangerous(name)}
    assert set(listed(f"kprobe:{module}:*", live)) == expected


def test_tracepoints_are_tracefss_events(live: LiveTarget, tracefs: Path) -> None:
    events = (tracefs / "available_events").read_text().split()
    assert listed("tracepoint:*", live) == [f"tracepoint:{event}" for event in sorted(events)]
    assert len(events) > 500


def test_the_fields_of_every_tracepoint_are_those_of_its_format_file(live: LiveTarget, tracefs: Path) -> None:
    events = sorted((tracefs / "available_events").read_text().split())
    expected = list(_fields_of(tracefs, [event for event in events if event.startswith(("sched:", "block:", "irq:"))]))
    assert listed("t:sched:*,t:block:*,t:irq:*", live, verbose=True) == sorted_by_pattern(expected)
    assert any("    pid_t prev_pid" in block for block in expected)


def _fields_of(tracefs: Path, events: list[str]) -> Iterator[list[str]]:
    for event in events:
        text = (tracefs / "events" / event.replace(":", "/") / "format").read_text()
        fields = text.partition("format:")[2].partition("\n\n")[2].partition("print fmt")[0]
        yield [
            f"tracepoint:{event}",
            *(f"    {line.split('field:')[1].partition(';')[0]}" for line in fields.splitlines() if "field:" in line),
        ]


def sorted_by_pattern(blocks: list[list[str]]) -> list[str]:
    order = ("sched", "block", "irq")
    ordered = sorted(blocks, key=lambda block: order.index(block[0].split(":")[1]))
    return [line for block in ordered for line in block]


def test_raw_tracepoints_are_the_btf_trace_types_of_vmlinux(live: LiveTarget) -> None:
    if not live.has_btf:
        pytest.skip("this kernel has no BTF")
    strings = (BTF / "vmlinux").read_bytes().split(b"\0")
    names = {string[len(b"btf_trace_") :].decode() for string in strings if string.startswith(b"btf_trace_")}
    expected = sorted(f"rawtracepoint:vmlinux:{name}" for name in names)
    assert listed("rawtracepoint:vmlinux:*", live) == expected
    assert len(expected) > 500


def test_every_tracepoint_of_kallsyms_that_has_an_event_is_in_btf(live: LiveTarget) -> None:
    """A tracepoint has a function `__traceiter_NAME`; bare ones, whose names end in _tp, have no type in some kernels."""
    if not live.has_btf:
        pytest.skip("this kernel has no BTF")
    prefix = "__traceiter_"
    names = {name[len(prefix) :] for name, _, module in Kallsyms().symbols() if name.startswith(prefix) and not module}
    raw = {line.rpartition(":")[2] for line in listed("rawtracepoint:vmlinux:*", live)}
    assert len(names) > 500
    assert {name for name in names ^ raw if not name.endswith("_tp")} == set()


def test_without_btf_raw_tracepoints_come_from_kallsyms(live: LiveTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name for module, name in live.raw_tracepoints() if module == "vmlinux"}
    monkeypatch.setattr(target, "BTF_DIRECTORY", "/nothing")
    found = {name for module, name in LiveTarget().raw_tracepoints() if module == "vmlinux"}
    assert {name for name in found ^ expected if not name.endswith("_tp")} == set()


def test_fentry_lists_only_functions_that_btf_describes(live: LiveTarget, functions: list[str]) -> None:
    traceable = {line.partition(" ")[0] for line in functions}
    lines = listed("fentry:vmlinux:vfs_*", live, verbose=True)
    names = [line.rpartition(":")[2] for line in lines if not line.startswith(" ")]
    assert "vfs_read" in names
    assert set(names) <= traceable
    assert any(line.strip() == "struct file * file" for line in lines)


def test_every_verbose_kprobe_of_the_network_stack_can_be_described(live: LiveTarget, functions: list[str]) -> None:
    lines = listed("kprobe:arp_*", live, verbose=True)
    at = lines.index("kprobe:arp_create")
    assert [line.split()[-1] for line in lines[at + 1 : at + 9]] == [
        *(f"(arg{n})" for n in range(6)), "(sarg0)", "(sarg1)",
    ]  # fmt: skip
    assert "src_hw    (sarg0)" in lines[at + 7]


def test_iterators_are_those_that_have_a_context_in_btf(live: LiveTarget) -> None:
    if not live.has_btf:
        pytest.skip("this kernel has no BTF")
    strings = (BTF / "vmlinux").read_bytes().split(b"\0")
    names = {string[len(b"bpf_iter__") :].decode() for string in strings if string.startswith(b"bpf_iter__")}
    found = {line.partition(":")[2] for line in listed("iter:*", live)}
    assert "task" in found
    assert found <= names
    assert {"task", "task_file", "bpf_map"} <= found


def test_a_verbose_struct_shows_its_members(live: LiveTarget) -> None:
    if not live.has_btf:
        pytest.skip("this kernel has no BTF")
    lines = listed("struct task_struct", live, verbose=True)
    assert lines[0] == "vmlinux: struct task_struct {"
    assert any(line.strip().startswith("char comm[16];") for line in lines)
