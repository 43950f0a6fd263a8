"""A BCC program in the guest, run by our bcc; or, to try the tests themselves, by the real one.

BCC_PEER names a root directory with Debian's python3-bpfcc and the headers of a kernel like the guest's (on kernels that it has
none for, nothing compiles).
"""

from __future__ import annotations

import os
import re
import shlex
import sys

from probee.lab import Guest, Job
from session import ROOT

PROGRAMS = ROOT / "examples" / "bcc"
PEER = os.environ.get("BCC_PEER", "")
START_S = 600.0 if PEER else 200.0  # clang takes a minute or more under emulation

# The peer's root sees this one as /host, and its headers by the running kernel's name.
_PREPARE = """
set -e
cd {peer}
[ -d proc/self ] && exit 0
mkdir -p host lib/modules/$(uname -r)
mount --rbind / host
for place in proc sys dev; do mount --rbind /$place $place; done
ln -sfn /usr/src/$(ls usr/src | grep -- -amd64 | grep headers) lib/modules/$(uname -r)/build
ln -sfn /usr/src/$(ls usr/src | grep -- -common | grep headers) lib/modules/$(uname -r)/source
"""


def seen(path: str) -> str:
    """Return how the program sees a file of the guest."""
    return f"/host{path}" if PEER else path


def start(guest: Guest, name: str, *arguments: str, ready: str | re.Pattern[str]) -> Job:
    """Start one of the programs and wait until it says that it is ready."""
    job = guest.start(command(guest, name, *arguments), cwd=str(ROOT), timeout_s=START_S * 2)
    try:
        job.wait_for(ready, timeout_s=START_S)
    except BaseException:
        job.kill()
        raise
    return job


def command(guest: Guest, name: str, *arguments: str) -> list[str]:
    path = str(PROGRAMS / name)
    if not PEER:
        return [sys.executable, "-m", "probee", "bcc", path, *arguments]
    guest.run(["unshare", "--help"]).check()
    guest.run(_PREPARE.format(peer=shlex.quote(PEER))).check()
    return ["chroot", PEER, "python3", seen(path), *arguments]
