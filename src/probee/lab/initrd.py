"""What a guest boots from: a small cpio archive with busybox, modules, an init script and the agent.

Its init mounts the host's root (9p, read-only) under a throw-away overlay, moves there and becomes the agent.  A step
that fails ends init, so that the kernel panics and the boot fails with the reason on its console.
"""

from __future__ import annotations

import os
import stat

MSIZE = 512000  # bytes of one 9p message
ROOT_OPTIONS = f"ro,trans=virtio,version=9p2000.L,msize={MSIZE},cache=loose,noxattr"
RW_OPTIONS = f"trans=virtio,version=9p2000.L,msize={MSIZE},cache=mmap"

INIT = """\
#!/bin/busybox sh
set -e
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
{insmods}
mount -a -T /fstab
echo lab >/proc/sys/kernel/hostname
ip link set lo up
{network}
cp -r /lab /root/run/
mkdir /root/run/lab/bin
cp /bin/busybox /root/run/lab/bin/
cp -P {fallbacks} /root/run/lab/bin/
[ -e /root/sbin/modprobe ] || echo /run/lab/bin/modprobe >/proc/sys/kernel/modprobe
cd /root
mount --move . /
exec chroot . {python} -IS -c 'import sys; sys.path.insert(0, "/run/lab"); import probee.lab.agent as a; a.main()'
"""

APPLETS = ("mount", "insmod", "ip", "chroot", "mkdir", "cp", "rm")
FALLBACKS = ("modprobe", "lsmod", "rmmod", "ip", "ping", "ps", "vi")  # in the guest, where the machine lacks them

NETWORK = """\
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
rm -f /root/etc/resolv.conf
echo nameserver 10.0.2.3 >/root/etc/resolv.conf
"""

FSTAB = f"""\
root /lower 9p {ROOT_OPTIONS}
overlay /root overlay lowerdir=/lower,upperdir=/up,workdir=/work
proc /root/proc proc
sys /root/sys sysfs
dev /root/dev devtmpfs
devpts /root/dev/pts devpts mode=620,gid=5,ptmxmode=666
shm /root/dev/shm tmpfs
run /root/run tmpfs mode=755
tracefs /root/sys/kernel/tracing tracefs
debugfs /root/sys/kernel/debug debugfs
securityfs /root/sys/kernel/security securityfs
bpf /root/sys/fs/bpf bpf
cgroup2 /root/sys/fs/cgroup cgroup2
"""

Entry = tuple[str, int, bytes]  # path, mode, contents or a link's target


def write_cpio(entries: list[Entry]) -> bytes:
    """Return a "newc" archive (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = []
    for number, (path, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = os.fsencode(path) + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields)
        out += [head, name, b"\0" * (-(len(head) + len(name)) % 4), data, b"\0" * (-len(data) % 4)]
    return b"".join(out)


class Layout:
    """What differs from guest to guest."""

    def __init__(self, *, python: str, busybox: bytes, modules: list[tuple[str, bytes]], net: bool) -> None:
        self.python = python
        self.busybox = busybox
        self.modules = modules
        self.net = net
        self.mounts: list[str] = []  # more lines of fstab
        self.mount_points: list[Entry] = []

    def bind_modules(self, source: str, version: str) -> None:
        """Show a modules directory of the cache as the guest's /lib/modules/VERSION.

        A directory of that name that the machine has (headers put one there) stays visible below it.
        """
        place = f"/usr/lib/modules/{version}"
        if os.path.isdir(place):
            how = f"modules /root{place} overlay lowerdir={_escape('/lower' + source)}:/lower{place}"
        else:
            how = f"{_escape('/lower' + source)} /root{place} none bind"
        self._mount(place, how)

    def share(self, index: int, path: str) -> None:
        """Mount a directory read-write and uncached: tag rwN."""
        self._mount(path, f"rw{index} {_escape('/root' + path)} 9p {RW_OPTIONS}")

    def _mount(self, place: str, line: str) -> None:
        self.mounts.append(line)
        while place != "/":
            mode = os.stat(place).st_mode if os.path.isdir(place) else stat.S_IFDIR | 0o755
            self.mount_points.insert(0, ("up" + place, mode, b""))
            place = os.path.dirname(place)

    def archive(self) -> bytes:
        """Return the whole archive."""
        directory, file = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
        folders = ("bin", "dev", "proc", "m", "lower", "up", "work", "root")
        entries: list[Entry] = [(name, directory, b"") for name in folders]
        entries += self.mount_points
        entries.append(("bin/busybox", stat.S_IFREG | 0o755, self.busybox))
        entries += [(f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox") for name in {*APPLETS, *FALLBACKS}]
        entries += [(f"m/{name}.ko", file, data) for name, data in self.modules]
        entries += agent_files()
        entries.append(("fstab", file, (FSTAB + "".join(line + "\n" for line in self.mounts)).encode()))
        entries.append(("init", stat.S_IFREG | 0o755, self.init().encode()))
        return write_cpio(entries)

    def init(self) -> str:
        return INIT.format(
            insmods="\n".join(f"insmod /m/{name}.ko" for name, _ in self.modules),
            network=NETWORK if self.net else "",
            fallbacks=" ".join(f"/bin/{name}" for name in FALLBACKS),
            python=self.python,
        )


def agent_files() -> list[Entry]:
    """The agent as a package of its own, without what it does not import."""
    directory, file = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
    here = os.path.dirname(__file__)
    entries: list[Entry] = [("lab", directory, b""), ("lab/probee", directory, b""), ("lab/probee/lab", directory, b"")]
    entries += [("lab/probee/__init__.py", file, b""), ("lab/probee/lab/__init__.py", file, b"")]
    for name in ("agent.py", "command.py", "frame.py"):
        with open(os.path.join(here, name), "rb") as source:
            entries.append((f"lab/probee/lab/{name}", file, source.read()))
    return entries


def _escape(path: str) -> str:
    """Return a path as fstab writes it (fstab(5))."""
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
