"""A QEMU process: its command line, its start, its console, its end.

It lives no longer than the process that started it: the kernel kills it when the thread that forked it ends (that
thread reads the port all along), and the guest powers itself off when its port closes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass

from probee.errors import LabError
from probee.lab import frame
from probee.lab.cache import GuestDir
from probee.lab.emulator import Emulator
from probee.lab.qmp import Monitor
from probee.lab.wire import Wire

TAIL_LINES = 40
TROUBLE = ("Kernel panic", "BUG:", "Oops", "general protection fault", "sysrq: Trigger a crash")
COMMAND_LINE = (
    "console=ttyS0 loglevel=4 panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check random.trust_cpu=on "
    "nowatchdog rcupdate.rcu_expedited=1 init_on_alloc=0 apparmor=0 audit=0 cryptomgr.notests i8042.noaux "
    "8250.nr_uarts=1 net.ifnames=0 rdinit=/init"
)
# Asks to be killed with the thread that forked it, checks that its process still is there, becomes the command.
LAUNCHER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "  # PR_SET_PDEATHSIG, SIGKILL
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execvp(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What a machine is made of."""

    emulator: Emulator
    kernel: str  # the file to boot
    initrd: str
    kvm: bool
    cpus: int = 0  # 0: what is safe
    memory: str = "2G"
    rw: tuple[str, ...] = ()
    net: bool = False
    append: str = ""

    def options(self, console: str, port_fd: int, monitor_fd: int) -> list[str]:
        """Return QEMU's command line."""
        firmware = self.emulator.firmware()
        return [
            self.emulator.program, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "pc",
            *self.emulator.accelerator(kvm=self.kvm, cpus=self.cpus), "-m", self.memory,
            *(["-bios", firmware] if firmware else []),
            "-kernel", self.kernel, "-initrd", self.initrd, "-append", f"{COMMAND_LINE} {self.append}".strip(),
            "-chardev", f"file,id=console,path={_quote(console)},append=on", "-serial", "chardev:console",
            "-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=lab,fd={port_fd}", "-device", "virtserialport,chardev=lab,name=lab",
            *_share("root", "/", "security_model=none,readonly=on"),
            *[word for index, path in enumerate(self.rw) for word in _share(f"rw{index}", path, _ownership())],
            *(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="] if self.net else []),
        ]  # fmt: skip


def _share(tag: str, path: str, how: str) -> list[str]:
    return [
        "-fsdev", f"local,id={tag},path={_quote(path)},multidevs=remap,{how}",
        "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
    ]  # fmt: skip


def _ownership() -> str:
    """Files made by the guest belong to whom the guest says, which only root can do; else to this user."""
    return f"security_model={'passthrough' if os.geteuid() == 0 else 'none'}"


def _quote(value: str) -> str:
    return value.replace(",", ",,")


class Machine:
    """A started QEMU. `wire` carries jobs once `booted` is set; `ended` is set when the process is gone."""

    version = ""  # of the kernel; set by boot()
    boot_s = 0.0

    def __init__(self, spec: MachineSpec, directory: GuestDir) -> None:
        self._spec = spec
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._reason = ""
        self._ends: list[socket.socket] = []
        ours, port = socket.socketpair()
        ours_monitor, monitor = socket.socketpair()
        self._ends = [port, monitor]
        self._sock = ours
        self.console = directory.file("console")
        self.log = directory.file("qemu.log")
        self.wire = Wire(ours, control=self._control, explain=self.obituary)
        self.monitor = Monitor(ours_monitor)
        self.booted = threading.Event()
        self.ended = threading.Event()
        self.news = threading.Event()  # booted, or ended
        self._spawned = threading.Event()
        threading.Thread(target=self._live, name="lab-guest", daemon=True).start()
        self._spawned.wait()

    @property
    def kvm(self) -> bool:
        return self._spec.kvm

    @property
    def alive(self) -> bool:
        return not self.ended.is_set()

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid if self._process is not None else 0

    def kill(self, reason: str = "") -> None:
        """End the process now, and wait until it is gone."""
        self._reason = self._reason or reason
        if self._process is not None:
            self._process.kill()
        self.ended.wait()

    def close(self) -> None:
        """End the process and remove its files."""
        self.kill("the guest was stopped")
        self._directory.close()

    def press(self, keys: str) -> None:
        """Press keys; see qmp.parse_keys."""
        self.monitor.press(keys)

    # What it said.

    def console_size(self) -> int:
        try:
            return os.path.getsize(self.console)
        except OSError:
            return 0

    def console_since(self, offset: int) -> str:
        """Return what the kernel has printed after an offset of console_size()."""
        try:
            with open(self.console, "rb") as file:
                file.seek(offset)
                return file.read().decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError:
            return ""

    def tail(self) -> str:
        """Return the last lines of the guest's console and of QEMU's own messages, from a crash's first line on."""
        lines = []
        for path in (self.console, self.log):
            try:
                with open(path, errors="replace") as file:
                    lines += file.read().splitlines()
            except OSError:
                pass
        return "\n".join(last_words([line for line in lines if line.strip()]))

    def obituary(self) -> str:
        """Return why the guest is gone, with its last words."""
        return str(LabError(self._reason or "the guest died", self.tail()))

    # In the machine's thread.

    def _live(self) -> None:
        try:
            self._spawn()
        except OSError as error:
            self._reason = f"QEMU cannot be started: {error}"
        finally:
            for end in self._ends:
                end.close()
            self._spawned.set()
        self.wire.read()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.wire.finish()
        self.ended.set()
        self.news.set()
        self._sock.close()
        self.monitor.close()

    def _spawn(self) -> None:
        ends = tuple(end.fileno() for end in self._ends)
        command = self._spec.options(self.console, *ends)
        environment = {**os.environ, **self._spec.emulator.environment()}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-ISc", LAUNCHER, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=ends, env=environment, cwd="/",
                start_new_session=True,  # a Ctrl-C in this terminal is for the guest's command
            )  # fmt: skip

    def _control(self, kind: bytes, payload: bytes) -> None:
        if kind == frame.BOOTED:
            self.booted.set()
            self.news.set()
        elif kind == frame.KEYS:
            threading.Thread(target=self._press_from_inside, args=(payload,), daemon=True).start()
        elif kind == frame.ERROR:
            with open(self.log, "ab") as log:
                log.write(payload + b"\n")

    def _press_from_inside(self, payload: bytes) -> None:
        try:
            self.press(payload.decode("utf-8", "replace"))
        except LabError as error:
            with open(self.log, "a") as log:
                log.write(f"/run/lab/keys: {error}\n")


def last_words(lines: list[str]) -> list[str]:
    """Return what tells best why a kernel ended: a crash's beginning, which a call trace may have moved far up."""
    for number, line in enumerate(lines):
        if any(word in line for word in TROUBLE):
            return lines[number : number + TAIL_LINES]
    return lines[-TAIL_LINES:]
