"""Booting: from what a caller wants to a machine that takes commands.

Finds the kernel and QEMU, builds the initrd, tries KVM where that was not tried since the machine's boot, and waits for
the agent's first frame.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from probee.errors import LabError
from probee.lab import emulator, image, initrd, module
from probee.lab.cache import GuestDir
from probee.lab.kernel import DEFAULT, Kernel, Report, need_kernel
from probee.lab.machine import Machine, MachineSpec
from probee.lab.requirement import find_busybox


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """What a guest is to be; see Guest."""

    kernel: str = DEFAULT
    rw: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    net: bool = False
    memory: str = "2G"
    cpus: int = 0
    append: str = ""
    mirror: str = ""
    accel: str = ""  # "kvm", "tcg", or what works
    boot_timeout_s: float = 90.0


def boot(spec: GuestSpec, report: Report) -> Machine:
    """Boot a guest and return it when it takes commands; LabError with the console's end when it does not."""
    qemu = emulator.find_emulator()
    kernel = need_kernel(spec.kernel, mirror=spec.mirror, report=report)
    if spec.accel:
        return _start(spec, qemu, kernel, kvm=spec.accel == "kvm", limit_s=spec.boot_timeout_s)
    verdict = emulator.kvm_verdict(kernel.version)
    if verdict is None:
        try:
            machine = _start(spec, qemu, kernel, kvm=True, limit_s=emulator.KVM_TRIAL_S)
        except LabError:
            report("KVM does not boot this kernel here; emulating, which is slower")
            emulator.keep_kvm_verdict(kernel.version, works=False)
        else:
            emulator.keep_kvm_verdict(kernel.version, works=True)
            return machine
    return _start(spec, qemu, kernel, kvm=bool(verdict), limit_s=spec.boot_timeout_s)


def _start(spec: GuestSpec, qemu: emulator.Emulator, kernel: Kernel, *, kvm: bool, limit_s: float) -> Machine:
    directory = GuestDir()
    try:
        version, bootable = image.bootable(kernel.image, directory.path)
        archive = directory.file("initrd")
        image.write_file(archive, _layout(spec, kernel, version).archive())
        machine = Machine(
            MachineSpec(qemu, bootable, archive, kvm=kvm, cpus=spec.cpus, memory=spec.memory, rw=spec.rw, net=spec.net,
                        append=spec.append),
            directory,
        )  # fmt: skip
    except BaseException:
        directory.close()
        raise
    try:
        _wait(machine, limit_s, version)
    except BaseException:
        machine.close()
        raise
    machine.version = version
    return machine


def _wait(machine: Machine, limit_s: float, version: str) -> None:
    started = time.monotonic()
    machine.news.wait(limit_s)
    machine.boot_s = time.monotonic() - started
    if not machine.booted.is_set():
        how = "died while booting" if machine.ended.is_set() else f"did not boot in {limit_s:g} s"
        machine.kill()
        raise LabError(f"kernel {version} {how}", machine.tail())


def _layout(spec: GuestSpec, kernel: Kernel, version: str) -> initrd.Layout:
    busybox = find_busybox()
    if busybox is None:
        raise LabError("a static busybox is missing: run `probee lab setup`")
    names = module.BOOT_MODULES + (module.NET_MODULES if spec.net else ())
    with open(busybox, "rb") as file:
        layout = initrd.Layout(
            python=os.path.realpath(sys.executable), busybox=file.read(), net=spec.net,
            modules=module.load_order(kernel.modules, names) if kernel.modules else [],
        )  # fmt: skip
    if kernel.modules and kernel.modules != os.path.realpath(f"/lib/modules/{version}"):
        layout.bind_modules(kernel.modules, version)
    for index, path in enumerate(spec.rw):
        layout.share(index, path)
    return layout
