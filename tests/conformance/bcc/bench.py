"""Runs cases where it is called: each in a fork of an interpreter that has everything imported, within time limits.

The limits are upstream's, times a factor for slow machines.  A command that upstream ends by a signal after some seconds
gets it as soon as it has attached something and then waits, so that a slow machine need not be idle for minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import mmap
import os
import pkgutil
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from child import run_method
from process import end, usage
from tool import run_tool
from upstream import Case

from probee.errors import ProbeeError

METHOD_S = 30.0  # of a method, × factor
IDLE_S = 60.0  # after which a method that does nothing is given up
_ROOMS = ("bcc", "compiler", "kernel", "model", "runtime", "formats")
_NAMESPACE = """
ip netns add {0} && ip link add {0}.in type veth peer name {0}.out && ip link set {0}.in netns {0} &&
ip -n {0} link set {0}.in name eth0 && ip -n {0} addr add dev eth0 172.16.1.2/24 && ip -n {0} link set eth0 up &&
ip addr add dev {0}.out 172.16.1.1/24 && ip link set {0}.out up
"""
_WARM = """
#include <linux/sched.h>
BPF_HASH(h, u32);
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(sched, sched_switch) { u32 pid = args->next_pid; h.increment(pid); return 0; }
int kprobe__vfs_read(struct pt_regs *ctx, struct file *file) {
    struct { u32 k; char comm[TASK_COMM_LEN]; } e = {};
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    e.k = file->f_flags + task->pid;
    bpf_get_current_comm(&e.comm, sizeof(e.comm));
    events.perf_submit(ctx, &e, sizeof(e));
    return 0;
}
"""


class Shared:
    """Numbers that forked processes write and this one reads: links made, programs loaded."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)

    def add(self, index: int) -> None:
        struct.pack_into("I", self._memory, index * 4, self[index] + 1)

    def __getitem__(self, index: int) -> int:
        return int(struct.unpack_from("I", self._memory, index * 4)[0])

    def clear(self) -> None:
        self._memory[:64] = bytes(64)


class Bench:
    """A scratch copy of the checkout's tests, and what all cases share."""

    def __init__(self, checkout: Path, scratch: Path, *, factor: float) -> None:
        self.factor = factor
        self.shared = Shared()
        self.tests = scratch / "tests" / "python"
        shutil.copytree(checkout / "tests" / "python", self.tests)
        shutil.copytree(checkout / "tools", scratch / "tools")
        self.environment = dict(os.environ)
        programs = Path(os.environ.get("BCC_SITE", "")).parent / "bcc-bin"
        found = ":".join([str(_write_python(scratch)), f"{programs}/bin", f"{programs}/usr/bin"])
        self.environment["PATH"] = f"{found}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.environment.setdefault("TERM", "linux")
        if os.environ.get("LAB"):
            _furnish(scratch / "bin" / "python3")
        preload()

    def run(self, case: Case) -> dict[str, object]:
        """Run a case; return its result."""
        started = time.monotonic()
        self.shared.clear()
        with self._surroundings(case) as namespace:
            result = self._run(case, namespace)
        result.update(seconds=round(time.monotonic() - started, 1), links=self.shared[0], programs=self.shared[1])
        return result

    @contextlib.contextmanager
    def _surroundings(self, case: Case):
        for module in case.modules if os.environ.get("LAB") else ():
            _load_last(module)
        if case.shared:
            with _alone(self.tests / case.shared):
                yield ""
            return
        if case.kind != "namespace":
            yield ""
            return
        name = "py" + case.suite.removeprefix("test_")[:8]
        subprocess.run(_NAMESPACE.format(name), shell=True, check=True, capture_output=True)
        try:
            yield f"/run/netns/{name}"
        finally:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def _run(self, case: Case, namespace: str) -> dict[str, object]:
        told, tell = os.pipe()
        printed, prints = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(told)
                self._become(case, tell, prints, namespace)
            except BaseException as error:
                os.write(tell, json.dumps({"status": "failed", "why": f"the runner's: {error!r}"}).encode())
            os._exit(99)
        os.close(tell)
        os.close(prints)
        return self._watch(pid, told, printed)

    def _become(self, case: Case, tell: int, prints: int, namespace: str) -> None:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(prints, 1)
        os.dup2(prints, 2)
        os.chdir(self.tests)
        os.environ.clear()
        os.environ.update(self.environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        if namespace:
            import ctypes

            if ctypes.CDLL(None).setns(os.open(namespace, os.O_RDONLY), 0x40000000):  # CLONE_NEWNET
                raise OSError("setns")
        run = run_tool if case.suite == "tools" else run_method
        os.write(tell, json.dumps(run(case, self.tests, self.shared, self.factor)).encode())
        sys.stdout.flush()
        os._exit(0)

    def _watch(self, pid: int, told: int, printed: int) -> dict[str, object]:
        """Collect what a case tells and prints until it is done, or its time is up."""
        limit = time.monotonic() + METHOD_S * self.factor
        texts = {told: b"", printed: b""}
        why, ended, spent, changed = "", False, 0, time.monotonic()
        while not ended:
            for fd in select.select([told, printed], [], [], 0.5)[0]:
                chunk = os.read(fd, 65536)
                texts[fd] = (texts[fd] + chunk)[-200_000:]
                if fd == told:
                    ended = True  # all at once, or the end
            now, before = time.monotonic(), spent
            spent = usage(pid)
            changed = now if spent != before else changed
            if now > limit or now - changed > IDLE_S:
                why, ended = f"time is up after {METHOD_S * self.factor:.0f} s" if now > limit else "hangs", True
        end(pid)
        while select.select([printed], [], [], 0.2)[0] and (chunk := os.read(printed, 65536)):
            texts[printed] += chunk
        os.close(told)
        os.close(printed)
        result = json.loads(texts[told]) if texts[told] else {"status": "failed", "why": why or "died"}
        result["output"] = texts[printed].decode("utf-8", "backslashreplace")[-6000:]
        return result


def preload() -> None:
    """Import what a program may need, and let the compiler see this kernel's types once."""
    import gc

    for room in _ROOMS:
        package = importlib.import_module(f"probee.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"probee.{room}."):
            if "lang.bpftrace" not in module.name:
                importlib.import_module(module.name)
    import probee.kernel.target
    from probee.compiler.compile import compile_c

    target = probee.kernel.target.LiveTarget()
    with contextlib.suppress(ProbeeError):  # a kernel that has not all of it
        compile_c(_WARM, target, {"name": "/virtual/main.c"})
    probee.kernel.target.LiveTarget = lambda *_, **__: target  # type: ignore[misc,assignment]  # each fork has its own copy
    gc.collect()
    gc.freeze()


def _furnish(python: Path) -> None:
    """Put into a throw-away guest what a distribution has: file systems, devices, /usr/bin/python."""
    for module in ("ext4", "xfs", "btrfs", "f2fs", "nfs", "md_mod", "kvm_amd", "kvm_intel", "rdma_ucm", "brd"):
        subprocess.run(["modprobe", module], check=False, capture_output=True)
    link = Path("/usr/bin/python")
    if link.is_symlink() and not link.exists():
        link.unlink()  # an earlier run's
    with contextlib.suppress(OSError):
        link.symlink_to(python)


@contextlib.contextmanager
def _alone(path: Path):
    """Keep other processes that ask for the same file out of the block."""
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _load_last(module: str) -> None:
    """Load a module anew: upstream looks only at the one that was loaded last."""
    for command in (["modprobe", "-r", module], ["modprobe", module]):
        subprocess.run(command, check=False, capture_output=True)


def _write_python(scratch: Path) -> Path:
    """Write a `python3` for commands that are run by a shell: this interpreter, for which `bcc` is ours."""
    import probee

    source = Path(probee.__file__).parents[1]
    there = scratch / "bin"
    there.mkdir()
    path = ":".join([str(source), str(source.parent / "packaging" / "bcc"), os.environ.get("BCC_SITE", "")])
    for name in ("python3", "python"):
        program = there / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} "$@"\n')
        program.chmod(0o755)
    return there
