"""The peer: the newest packaged bpftrace (Debian sid), unpacked into the cache to be measured side by side.

Nothing is installed and no root is needed: the package and the libraries that it needs come from the mirror that this
machine's own apt uses, and run through their own dynamic loader.  When it cannot be had, the reason is said and the
benchmarks go on without it.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile

LIBRARIES = "usr/lib/x86_64-linux-gnu"
SUITE = "sid"
_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


class PeerMissing(Exception):
    """Why there is no peer to compare with."""


def peer_root() -> str:
    """Return where the peer is unpacked."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "probee", "peers", SUITE)


def find_peer(*, fetch: bool = True) -> list[str]:
    """Return the words that start bpftrace; PeerMissing says why there are none."""
    root = peer_root()
    if not os.path.exists(f"{root}/usr/bin/bpftrace"):
        if not fetch:
            raise PeerMissing("bpftrace is not in the cache, and a small run fetches nothing")
        # In a process of its own: its memory would be the floor of what is measured from here (measure.py).
        done = subprocess.run([sys.executable, os.path.abspath(__file__)], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise PeerMissing(done.stdout.strip() or "bpftrace cannot be fetched")
    command = [f"{root}/{LIBRARIES}/ld-linux-x86-64.so.2", "--library-path", f"{root}/{LIBRARIES}", f"{root}/usr/bin/bpftrace"]
    if not version(command):
        raise PeerMissing("the unpacked bpftrace does not run on this machine")
    return command


def version(command: list[str]) -> str:
    """Return what bpftrace calls itself ("bpftrace v0.27.1"), "" when it does not run."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def own_mounts() -> None:
    """Go on with mounts of our own, and tracefs among them: bpftrace needs it even for begin."""
    if os.geteuid() or os.environ.get("PROBEE_BENCH_MOUNTS") or os.path.exists("/sys/kernel/tracing/events"):
        return
    os.environ["PROBEE_BENCH_MOUNTS"] = "1"
    script = 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec "$@"'
    unshare = shutil.which("unshare")
    if unshare is not None:
        os.execv(unshare, [unshare, "--mount", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def _fetch(root: str) -> None:
    from probee.errors import ProbeeError

    if os.uname().machine != "x86_64":
        raise PeerMissing("the peer is fetched for x86-64 only")
    try:
        _unpack(root)
    except (ProbeeError, OSError) as error:
        raise PeerMissing(f"bpftrace cannot be fetched: {error}") from None


def _unpack(root: str) -> None:
    """Download bpftrace with everything that it depends on, as if nothing were installed, and unpack it."""
    from probee.lab import deb
    from probee.lab.apt import Apt, find_keyring, find_mirror

    os.makedirs(os.path.dirname(root), mode=0o700, exist_ok=True)
    apt = Apt(f"peer-{SUITE}", report=_report)
    apt.use(f"deb [signed-by={find_keyring()}] {find_mirror()} {SUITE} main\n")
    with tempfile.TemporaryDirectory(prefix="peer-", dir=os.path.dirname(root)) as work:
        archives, tree = f"{work}/archives", f"{work}/tree"
        os.makedirs(f"{archives}/partial")
        os.mkdir(tree)
        _report(f"fetching bpftrace from {SUITE}")
        apt.run("apt-get", "install", "--yes", "--download-only", "--no-install-recommends",
                "-o", f"Dir::Cache::archives={archives}", "base-files", "bpftrace")  # fmt: skip
        for package in sorted(glob.glob(f"{archives}/*.deb")):
            deb.unpack(package, tree, lambda path: not path.startswith(_NOT_NEEDED))
        shutil.rmtree(root, ignore_errors=True)
        os.rename(tree, root)


def _report(message: str) -> None:
    print(f"peer: {message}", file=sys.stderr)


if __name__ == "__main__":
    try:
        _fetch(peer_root())
    except PeerMissing as error:
        print(error)
        sys.exit(1)
