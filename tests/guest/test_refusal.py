"""What a kernel or a mount that is missing gets: a list of the rest, an error at its place, never a traceback."""

from __future__ import annotations

import shlex

from probee.lab import Guest, Result
from session import PROBEE, ROOT

NO_TRACEFS = "umount /sys/kernel/tracing; umount /sys/kernel/debug"
# an idle guest reads nothing by itself
A_READ = ["-q", "-c", "cat /etc/hostname", "-e", 'kprobe:vfs_read /pid == cpid/ { printf("seen\\n"); exit(); }']
NO_BTF = "mount -t tmpfs none /sys/kernel/btf"


def probee(guest: Guest, *words: str, prepare: str = "true") -> Result:
    """Run probee in the guest in a mount namespace of its own, which `prepare` changes first."""
    inside = f"{prepare}; exec {shlex.join([*PROBEE, *words])}"
    result = guest.run(["unshare", "-m", "sh", "-c", inside], cwd=str(ROOT), timeout_s=120)
    assert "Traceback" not in result.stderr
    return result


def test_tracepoints_and_kprobes_that_do_not_exist_get_a_suggestion(guest: Guest) -> None:
    for probe, meant in (("tracepoint:syscalls:sys_enter_opennat", "sys_enter_openat"), ("kprobe:vfs_raed", "vfs_read")):
        result = probee(guest, "-e", f"{probe} {{ }}")
        place, line, _, hint, *_ = result.stderr.splitlines()  # behind the error of a kprobe its warning
        assert place.startswith(f"stdin:1:1-{len(probe) + 1}: ERROR: No matches for ")
        assert (line, meant in hint, result.status) == (f"{probe} {{ }}", True, 1)


def test_without_tracefs_the_rest_is_listed_and_a_tracepoint_is_an_error_at_its_place(guest: Guest) -> None:
    listed = probee(guest, "-l", "*vfs_read,*sched_switch", prepare=NO_TRACEFS)
    assert listed.status == 0
    assert {"kprobe:vfs_read", "rawtracepoint:vmlinux:sched_switch"} <= set(listed.stdout.splitlines())
    assert "tracepoint probes are missing here: tracepoints are in tracefs, which is not mounted" in listed.stderr
    result = probee(guest, "-e", "tracepoint:sched:sched_switch { exit(); }", prepare=NO_TRACEFS)
    assert result.stderr.startswith("stdin:1:1-30: ERROR: tracepoints are in tracefs, which is not mounted: mount -t tracefs")
    assert result.status == 1


def test_without_tracefs_a_kprobe_still_works(guest: Guest) -> None:
    result = probee(guest, *A_READ, prepare=NO_TRACEFS)
    assert ("seen" in result.stdout.split(), result.status) == (True, 0)


def test_without_btf_the_rest_is_listed_and_scripts_without_structs_run(guest: Guest) -> None:
    listed = probee(guest, "-l", "*vfs_read", prepare=NO_BTF)
    assert "kprobe:vfs_read" in listed.stdout.splitlines()
    assert "this kernel has no BTF" in listed.stderr
    result = probee(guest, *A_READ, prepare=NO_BTF)
    assert ("seen" in result.stdout.split(), result.status) == (True, 0)
    refused = probee(guest, "-e", "kprobe:vfs_read { print(((struct file *)arg0)->f_flags); }", prepare=NO_BTF)
    assert refused.stderr.startswith("stdin:1:")
    assert refused.status == 1


def test_lists_are_as_long_as_tracefss(guest: Guest) -> None:
    text = guest.run("cat /sys/kernel/tracing/available_events").check().stdout
    assert probee(guest, "-l", "tracepoint:*").stdout.split() == sorted(f"tracepoint:{event}" for event in text.split())
