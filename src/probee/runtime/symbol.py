"""Symbols for printed addresses: the kernel's by kallsyms, user programs' by their files and what they had mapped."""

from __future__ import annotations

from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probee.kernel.symbols.stack import KernelResolver
    from probee.kernel.symbols.user import UserResolver
    from probee.model.spec import ObjectSpec

# What is attached to one process with -c and -p; what asks for it with -p; what has none of interest.
OF_THE_PROCESS = frozenset(("uprobe", "uretprobe", "usdt", "watchpoint", "asyncwatchpoint"))
FILTERED = frozenset((
    "kprobe", "kretprobe", "tracepoint", "rawtracepoint", "fentry", "fexit", "profile", "software", "hardware",
))  # fmt: skip
WITHOUT_PROCESS = frozenset(("begin", "end", "self", "test", "bench", "interval", "iter"))
MOST_DEBUG_BYTES = 32 << 20  # of a file that lines are shown from without being asked for: it is all read into memory
MOST_THREADS = 64  # of a process that is listened to by its threads; each needs a descriptor on every CPU


class SymbolTable:
    """One per session; both halves are made when they are first needed.

    `options` are the configuration's: cache_user_symbols (PER_PID, PER_PROGRAM or NONE), cpp_demangle, show_debug_info.
    """

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        self._options = options or {}
        self._kernel: KernelResolver | None = None
        self._user: UserResolver | None = None

    def kernel(self, address: int) -> Frame:
        if self._kernel is None:
            from probee.kernel.symbols.stack import KernelResolver

            self._kernel = KernelResolver()
        return self._kernel.frame(address)

    def user(self, pid: int, address: int) -> Frame:
        """Return what lies at an address of a process; a Frame without a symbol where nobody knows."""
        return self._users().frame(pid, address)

    def user_stack(self, pid: int, addresses: list[int]) -> tuple[Frame, ...]:
        """Return the frames of a stack, innermost first, with those of inlined functions and lines if they are wanted."""
        users = self._users()
        return users.source_frames(pid, addresses) if self._options.get("show_debug_info") else users.frames(pid, addresses)

    def remember(self, pid: int) -> None:
        """Note what a process has mapped now: it may have gone when its addresses are printed."""
        self._users().remember(pid)

    def remember_program(self, path: str) -> None:
        """Note a program that is about to be probed, and what its processes have mapped."""
        self._users().remember_program(path)

    def listen(self, threads: Sequence[int]) -> list[int]:
        """Have the kernel tell what processes map from now on; see UserResolver.listen."""
        return self._users().listen(threads)

    def hear(self) -> None:
        """Take in what the kernel told, when a descriptor of `listen` can be read, and now and then."""
        if self._user is not None:
            self._user.hear()

    @property
    def unheard(self) -> int:
        """How many of the kernel's reports were lost."""
        return self._user.unheard if self._user is not None else 0

    def _users(self) -> UserResolver:
        if self._user is None:
            from probee.kernel.symbols.user import UserResolver

            mode = str(self._options.get("cache_user_symbols") or "PER_PID")
            self._user = UserResolver(
                mode, demangles=bool(self._options.get("cpp_demangle", True)), debug_directories=self._directories(),
                most_debug_bytes=0 if self._options.get("debug_info_wanted") else MOST_DEBUG_BYTES,
            )  # fmt: skip
        return self._user

    def _directories(self) -> tuple[str, ...]:
        """Return where separate debug files are; `debug_directories` are those of the command line, colons between them."""
        from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES

        given = str(self._options.get("debug_directories") or "")
        return (*filter(None, given.split(":")), *DEBUG_DIRECTORIES)

    def close(self) -> None:
        if self._user is not None:
            self._user.close()


def missing_lines(spec: ObjectSpec) -> str:
    """Return why the lines that a script wants in its stacks (show_debug_info) will be missing; "" when they will not."""
    wanted = spec.options.get("debug_info_wanted") and spec.options.get("show_debug_info")
    if not wanted or not any(each.role == "stack" for each in spec.maps):
        return ""
    from importlib.util import find_spec

    if find_spec("elftools") is not None:
        return ""
    from probee.kernel.symbols.debuginfo import MISSING

    return f"stacks will be without lines and inlined functions: {MISSING}"


def threads_to_hear(spec: ObjectSpec, child: int, pid: int) -> list[int] | None:
    """Return the threads whose addresses alone a script can print, [] when it may be anyone's, None for nobody's but ours."""
    kinds = {link.kind for link in spec.links} - WITHOUT_PROCESS
    if not kinds:
        return None
    if child and kinds <= OF_THE_PROCESS:
        return [child]
    if pid and kinds <= OF_THE_PROCESS | FILTERED:
        threads = _threads_of(pid)
        return threads if len(threads) <= MOST_THREADS else []
    return []


def _threads_of(pid: int) -> list[int]:
    import os

    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return [pid]
