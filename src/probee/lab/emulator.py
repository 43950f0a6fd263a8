"""Which QEMU runs a guest, with how many CPUs, and whether KVM works here.

QEMU before 10 with several CPUs crashes guests under emulation as soon as kernel text is patched (kprobes, ftrace,
static keys: "Oops: int3", 6 of 6 runs with 7.2; 0 of 7 with 10.0), so there it gets one.  Whether KVM works is found
by booting: /dev/kvm may exist on machines where no stock kernel gets past its boot stub.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from probee.errors import LabError
from probee.lab import cache

PROGRAM = "qemu-system-x86_64"
SAFE_SMP = 10  # the first major version without the defect above
KVM_TRIAL_S = 12.0  # a stock kernel takes two with KVM
MISSING = "QEMU is missing: run `probee lab setup`"


@dataclass(frozen=True, slots=True)
class Emulator:
    """A QEMU program that was found."""

    program: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def root(self) -> str:
        """The tree it was unpacked in; "" for the system's."""
        tools = cache.tools_dir()
        return tools if self.program.startswith(tools + os.sep) else ""

    def environment(self) -> dict[str, str]:
        """What a QEMU that was unpacked, not installed, needs to find its parts."""
        if not self.root:
            return {}
        libraries = [os.path.join(self.root, *part, "lib", "x86_64-linux-gnu") for part in (("usr",), ())]
        return {
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "QEMU_MODULE_DIR": os.path.join(libraries[0], "qemu"),
        }

    def firmware(self) -> str:
        """The path of qboot, which is 0.4 s quicker than QEMU's default; "" when it is not there."""
        for root in (self.root or "/", "/"):
            path = os.path.join(root, "usr/share/qemu/qboot.rom")
            if os.path.exists(path):
                return path
        return ""

    def accelerator(self, *, kvm: bool, cpus: int) -> list[str]:
        """Return QEMU's options for how the CPU is made, and how many; cpus 0 means what is safe."""
        if kvm:
            return ["-accel", "kvm", "-cpu", "host", "-smp", str(cpus or 2)]
        safe = self.major >= SAFE_SMP
        thread = "multi" if safe else "single"
        return ["-accel", f"tcg,thread={thread}", "-cpu", "max,-la57", "-smp", str(cpus or (2 if safe else 1))]


def find_emulator() -> Emulator:
    """Return $PROBEE_LAB_QEMU, what setup unpacked, or the system's; LabError when there is none."""
    if os.uname().machine != "x86_64":
        raise LabError(f"the lab runs x86_64 kernels with this machine's files, and this is {os.uname().machine}")
    unpacked = os.path.join(cache.tools_dir(), "usr", "bin", PROGRAM)
    for program in (os.environ.get("PROBEE_LAB_QEMU"), unpacked, shutil.which(PROGRAM)):
        if program and os.path.exists(program):
            return Emulator(program, _version(program))
    raise LabError(MISSING)


def _version(program: str) -> str:
    environment = {**os.environ, **Emulator(program, "0").environment()}
    try:
        done = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(f"{program}: {error.strerror}; run `probee lab setup`") from None
    match = re.search(r"version (\d+[.\d]*)", done.stdout)
    if match is None:
        raise LabError(f"{program} does not run: {done.stderr.strip()[:500]}")
    return match[1]


# What trying KVM showed.


def kvm_verdict(version: str) -> bool | None:
    """Whether KVM booted this kernel since the machine's last boot; None: not tried. No access to it: False."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    return _read_verdicts().get(_verdict_key(version))


def keep_kvm_verdict(version: str, *, works: bool) -> None:
    """Remember for this boot of the machine; a cache that cannot be written is tried again next time."""
    verdicts = _read_verdicts()
    verdicts = {key: value for key, value in verdicts.items() if key.startswith(_boot_id())}
    verdicts[_verdict_key(version)] = works
    try:
        path = os.path.join(cache.make_dir(), "kvm.json")
        with open(f"{path}.{os.getpid()}", "w") as file:
            json.dump(verdicts, file)
        os.rename(file.name, path)
    except (OSError, LabError):
        pass


def _read_verdicts() -> dict[str, bool]:
    try:
        with open(os.path.join(cache.cache_dir(), "kvm.json")) as file:
            verdicts = json.load(file)
    except (OSError, ValueError):
        return {}
    return {str(key): bool(value) for key, value in verdicts.items()} if isinstance(verdicts, dict) else {}


def _verdict_key(version: str) -> str:
    return f"{_boot_id()} {version}"


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
