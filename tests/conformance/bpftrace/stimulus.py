"""What makes each ready-made tool print something, and what that has to look like.

A tool that only needs kernel probes is attached in a guest, stimulated, ended by SIGINT, and what it printed is compared.
Tools whose stimulus a guest without disks cannot give (swapping, XFS, a software RAID) are only listed and attached.
"""

from __future__ import annotations

from pathlib import Path

from case import Case

# A disk that forgets; the block layer's tracepoints need requests, which a RAM disk has none of.
BLOCK_DEVICE = "modprobe null_blk nr_devices=1 gb=1 && until [ -b /dev/nullb0 ]; do sleep 0.1; done"
WRITE = f"{BLOCK_DEVICE} && dd if=/dev/zero of=/dev/nullb0 bs=4k count=20 oflag=direct status=none"
LOOPBACK = "ip link set lo up"
CONNECT = (
    f"{LOOPBACK}; python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 4242)); "
    "c = socket.create_connection((\"127.0.0.1\", 4242)); a, _ = s.accept(); c.send(b\"x\" * 5000); a.recv(9000); "
    "c.close(); a.close()'"
)
NOBODY = "ip link add dummy0 type dummy; ip addr add 192.0.2.2/24 dev dummy0; ip link set dummy0 up"
RETRANSMIT = (
    f"modprobe dummy; {NOBODY}; ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev dummy0; "
    "timeout 4 python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80))'"
)
OUT_OF_MEMORY = (
    "(echo 1000 > /proc/self/oom_score_adj; exec sleep 100) & sleep 0.5; echo f > /proc/sysrq-trigger"
)
UNIX = "python3 -c 'import socket; a, b = socket.socketpair(); a.send(b\"herring\"); b.recv(9)'"
HISTOGRAM = r"^[\[(].*\) +[1-9]\d* \|@+ *\|$"

# tool → a shell command, a regular expression
STIMULI = {
    "biolatency": (WRITE, HISTOGRAM),
    "biosnoop": (WRITE, r"^\d+ .*\bdd +\d+ "),
    "biostacks": (WRITE, r"^@usecs\[$(.|\n)*blk_"),
    "bitesize": (WRITE, r"^\[4K, 8K\) +[1-9]"),
    "capable": ("chroot / /bin/true", r"\bCAP_SYS_CHROOT\b"),
    "cpuwalk": ("sleep 1", r"^\[\d\] +[1-9]\d* \|@+"),
    "dcsnoop": ("cat /no-such-file", r"\bcat\b.*no-such-file"),
    "execsnoop": ("/bin/echo herring", r"/bin/echo herring$"),
    "killsnoop": ("sleep 9 & kill -WINCH $!", r"SIGWINCH +\d+ +0$"),
    "loads": ("sleep 1.5", r"load averages: \d+\.\d\d\d \d+\.\d\d\d \d+\.\d\d\d"),
    "naptime": ("sleep 0.1", r"\bsleep +0\.1\d*"),
    "oomkill": (OUT_OF_MEMORY, r"OOM kill of PID \d+ \(\"?sleep\"?\)"),
    "opensnoop": ("cat /etc/hostname", r"\bcat\b.* /etc/hostname$"),
    "pidpersec": ("for i in 1 2 3 4; do /bin/true; done; sleep 1.5", r"PIDs/sec: @: [1-9]"),
    "runqlat": ("/bin/true", HISTOGRAM),
    "setuids": ("python3 -c 'import os; os.setuid(0)'", r"\bpython3 +\d+ +setuid +uid=0 \(0\)$"),
    "statsnoop": ("stat /etc/hostname", r"\bstat\b.* /etc/hostname$"),
    "syncsnoop": ("sync", r"\bsync\b.* tracepoint:syscalls:sys_enter_sync$"),
    "syscount": ("cat /etc/hostname", r"^@.*\[.*\]: [1-9]"),
    "tcpaccept": (CONNECT, r"127\.0\.0\.1 +\d+ +127\.0\.0\.1 +4242 +0/128$"),
    "tcpconnect": (CONNECT, r"\bpython3.* 127\.0\.0\.1 +\d+ +127\.0\.0\.1 +4242 *$"),
    "tcplife": (CONNECT, r"\bpython3.* 127\.0\.0\.1 +\d+ 127\.0\.0\.1 +\d+"),
    "tcpretrans": (RETRANSMIT, r"192\.0\.2\.2:\d+ +192\.0\.2\.1:80 +SYN_SENT"),
    "tcpsynbl": (CONNECT, r"^\[0\] +[1-9]"),
    "undump": (UNIX, r"\bpython3\b.*herring"),
    "vfscount": ("cat /etc/hostname", r"^@\[vfs_read\]: [1-9]"),
    "vfsstat": ("cat /etc/hostname; sleep 1.5", r"^@\[vfs_read\]: [1-9]"),
}


def stimulated(tools: Path) -> list[Case]:
    """Return a case for each tool that can be made to print."""
    return [_case(tools / f"{name}.bt", *STIMULI[name]) for name in sorted(STIMULI) if (tools / f"{name}.bt").exists()]


def _case(path: Path, stimulus: str, wanted: str) -> Case:
    case = Case("tools")
    case.given = {
        "NAME": f"{path.name} prints", "RUN": f"{{{{BPFTRACE}}}} --unsafe {path}", "TIMEOUT": "5",
        "AFTER": f"{stimulus}; sleep 1; pkill -INT bpftrace",
    }  # fmt: skip
    case.script = path.read_text()
    case.expects = [("EXPECT_REGEX", wanted)]
    return case
