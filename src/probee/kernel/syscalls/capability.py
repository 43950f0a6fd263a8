"""What this process may do: capabilities, resource limits, sysctls; and the words when it may not.

Reads /proc/self/status, /proc/sys and /sys/kernel/security.  Nothing here is asked before something was refused.
"""

from __future__ import annotations

import os
import sys

from probee.errors import PermissionMissing
from probee.kernel.syscalls.pseudofile import read_text

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_PERFMON": 38, "CAP_BPF": 39}
NEEDED = ("CAP_BPF", "CAP_PERFMON")

_memlock_tried: list[bool] = []


def has_capability(name: str) -> bool:
    """Return whether a capability is effective; CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON."""
    effective = int(status("CapEff") or "0", 16)
    if effective >> CAPABILITIES[name] & 1:
        return True
    return name in NEEDED and bool(effective >> CAPABILITIES["CAP_SYS_ADMIN"] & 1)


def status(field: str) -> str:
    """Return a field of /proc/self/status, "" if there is none."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(f"{field}:"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def sysctl(name: str) -> str:
    """Return the value of kernel.<name>, "" if it is unknown."""
    return read_text(f"/proc/sys/kernel/{name}")


def lockdown() -> str:
    """Return the kernel's lockdown level: "none", "integrity", "confidentiality", or "" without lockdown."""
    text = read_text("/sys/kernel/security/lockdown")
    return text.partition("[")[2].partition("]")[0]


def raise_memlock() -> bool:
    """Lift RLIMIT_MEMLOCK as far as allowed; True if that changed it.  Tried once per process."""
    if _memlock_tried:
        return False
    _memlock_tried.append(True)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY:
        return False
    for wanted in ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, wanted)
        except (ValueError, OSError):
            continue
        return wanted[0] != soft
    return False


def raise_open_files() -> bool:
    """Lift the soft limit of open files to the hard one; True if that changed it.  A probe takes two descriptors."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return False
    return True


def root_only(errno: int, call: str, what: str) -> PermissionMissing:
    """Return the error for something that only root may read, with the command to type."""
    return PermissionMissing(errno, call, f"{what}\n{remedy()}" if os.geteuid() else f"{what}: {_other_reason()}")


def permission_missing(errno: int, call: str, needed: tuple[str, ...] = NEEDED) -> PermissionMissing:
    """Return the error for a call that was not permitted: why, and the command that would be."""
    missing = [name for name in needed if not has_capability(name)]
    if missing:
        message = f"this needs {' and '.join(missing)}, which this process does not have (to {call})\n{remedy()}"
    else:
        message = f"{call}: not permitted, although the process has {' and '.join(needed)}: {_other_reason()}"
    return PermissionMissing(errno, call, message)


def remedy() -> str:
    """Return the lines that tell how to get the permission, with the command to type."""
    return f"Run it as root:      {sudo_command()}\nor in a lab guest:   {lab_command()}"


def sudo_command() -> str:
    """Return this very command under sudo.  The interpreter's path is absolute: sudo sees no virtual environment."""
    return f"sudo {_environment()}{_interpreter()} {_own_command('-m probee')}"


def lab_command() -> str:
    """Return this very command in a lab guest, which has our files and directory; with probee as it was called here."""
    probee = "probee" if _called_by_name() else f"{_interpreter()} -m probee"
    return f"{probee} lab run -- {_own_command(probee)}"


def _interpreter() -> str:
    return _quoted([os.path.abspath(sys.executable)])


def _environment() -> str:
    """Return what must be said of the environment: sudo drops PYTHONPATH, where probee may have been found."""
    path = os.environ.get("PYTHONPATH", "")
    found = [part for part in path.split(os.pathsep) if part and __file__.startswith(os.path.abspath(part) + os.sep)]
    return f"env {_quoted([f'PYTHONPATH={os.path.abspath(found[0])}'])} " if found else ""


def _called_by_name() -> bool:
    """Whether the user typed `probee` and the shell found it in PATH."""
    if not sys.argv or os.path.basename(sys.argv[0]) != "probee":
        return False
    directory = os.path.dirname(os.path.abspath(sys.argv[0]))
    return directory in os.environ.get("PATH", "").split(os.pathsep)


def _own_command(probee: str) -> str:
    """Return the arguments of this process's command; `probee` is how to call it when this is probee's own command."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    package = os.path.basename(os.path.dirname(sys.argv[0])) if sys.argv else ""
    if program == "probee" or (program == "__main__.py" and package == "probee"):
        return f"{probee} {_quoted(sys.argv[1:])}".strip()
    arguments = _quoted(getattr(sys, "orig_argv", sys.argv)[1:])
    return arguments if probee.startswith("-") else f"{_quoted([os.path.abspath(sys.executable)])} {arguments}"


def _quoted(words: list[str]) -> str:
    import shlex

    return shlex.join(words)


def _other_reason() -> str:
    level = lockdown()
    if level and level != "none":
        return f"the kernel is locked down ({level}); boot without lockdown (often: turn secure boot off)"
    if status("Seccomp") == "2":
        return "a seccomp filter (a container's?) forbids it; start the container with --privileged, or run outside"
    if read_text("/proc/self/uid_map").split() != ["0", "0", "4294967295"]:
        return "the process is in a user namespace; run it outside of the container"
    return "a security module may forbid it; see `dmesg | tail`"
