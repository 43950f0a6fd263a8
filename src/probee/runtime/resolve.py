"""Resolver: makes readable what only the running machine knows: symbols, stacks, user names, cgroup paths, times.

Everything is looked up lazily and remembered; a name that is not found becomes its number, never an error.
"""

from __future__ import annotations

from probee.model.value import Frame, StackValue, ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from probee.kernel.maps.map import Map
    from probee.model.spec import Action

MONOTONIC, BOOT, TAI, SW_TAI = range(4)  # the clocks of timestamps and nsecs()


class Resolver:
    """`stacks` are the live maps of role "stack", one per mode and depth; `actions` hold the formats of timestamps."""

    def __init__(
        self, *, stacks: Sequence[Map] = (), actions: Sequence[Action] = (), symbols: Any = None,
        options: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.stacks = stacks
        self.actions = actions
        self._symbols = symbols
        self._options = options
        self._users: dict[int, str] = {}
        self._clock_offsets: dict[int, int] = {}
        self._cgroups: Any = None

    # -- symbols

    def _symbol_table(self) -> Any:
        if self._symbols is None:
            from probee.runtime.symbol import SymbolTable

            self._symbols = SymbolTable(self._options)
        return self._symbols

    def remember(self, pid: int) -> None:
        """Note what a process has mapped, for addresses of it that come later."""
        self._symbol_table().remember(pid)

    def remember_program(self, path: str) -> None:
        """Note a program whose functions are about to be probed."""
        self._symbol_table().remember_program(path)

    def listen(self, threads: Sequence[int] = ()) -> list[int]:
        """Have the kernel tell what some threads, or all, map from now on; return descriptors after which to `hear`."""
        return list(self._symbol_table().listen(threads))

    def hear(self) -> None:
        """Take in what the kernel told."""
        if self._symbols is not None:
            self._symbols.hear()

    @property
    def unheard(self) -> int:
        """How much of it was lost."""
        return int(self._symbols.unheard) if self._symbols is not None else 0

    def close(self) -> None:
        """Let go of the files whose symbols were read."""
        close = getattr(self._symbols, "close", None)
        if close is not None:
            close()

    def ksym(self, address: int) -> str:
        """Return the name of the kernel function at an address, without offset."""
        frame = self._symbol_table().kernel(address)
        return frame.symbol or f"{address:#x}"

    def usym(self, address: int, pid: int) -> str:
        frame = self._symbol_table().user(pid, address)
        return frame.symbol or f"{address:#x}"

    def kstack(self, type: ValueType, stack_id: int) -> StackValue | None:
        addresses = self._addresses(type, stack_id)
        if addresses is None:
            return None
        table = self._symbol_table()
        return StackValue(tuple([table.kernel(address) for address in addresses]), type.mode or "bpftrace", user=False)

    def ustack(self, type: ValueType, stack_id: int, pid: int) -> StackValue | None:
        if type.mode == "build_id":
            return self._build_ids(type, stack_id)
        addresses = self._addresses(type, stack_id)
        if addresses is None:
            return None
        mode = type.mode or "bpftrace"
        table = self._symbol_table()
        if mode == "raw":
            return StackValue(tuple([Frame(address) for address in addresses]), mode, user=True)
        return StackValue(table.user_stack(pid, addresses), mode, user=True)

    def _stack_bytes(self, type: ValueType, stack_id: int) -> bytes | None:
        stack_id = ((stack_id & 0xFFFF_FFFF) ^ 1 << 31) - (1 << 31)  # the high half may be its length
        if stack_id < 0:  # an errno: there was no stack, or no room for it
            return None
        name = f"stack_{'ids_' if type.mode == 'build_id' else ''}{type.count}"
        for stacks in self.stacks:
            if stacks.spec.name == name:
                found = stacks.lookup(stack_id.to_bytes(stacks.key_size, "little"))
                if found is not None:
                    return found
        return None

    def _addresses(self, type: ValueType, stack_id: int) -> list[int] | None:
        raw = self._stack_bytes(type, stack_id)
        if raw is None:
            return None
        addresses = memoryview(raw[: len(raw) & -8]).cast("Q").tolist()[: type.count or None]
        while addresses and not addresses[-1]:
            addresses.pop()
        return addresses

    def _build_ids(self, type: ValueType, stack_id: int) -> StackValue | None:
        """struct bpf_stack_build_id: s32 status (1 id, 2 address), 20 bytes of id, u64 file offset or address."""
        raw = self._stack_bytes(type, stack_id)
        if raw is None:
            return None
        frames = []
        for at in range(0, len(raw) - 31, 32):
            status = int.from_bytes(raw[at : at + 4], "little")
            number = int.from_bytes(raw[at + 24 : at + 32], "little")
            if status == 1:
                frames.append(Frame(0, raw[at + 4 : at + 24].hex(), number))
            elif status == 2:
                frames.append(Frame(number))
            else:
                break
        return StackValue(tuple(frames[: type.count or None]), "build_id", user=True)

    # -- names

    def username(self, uid: int) -> str:
        """Return the name of a user, its number when there is none."""
        name = self._users.get(uid)
        if name is None:
            import pwd

            try:
                name = pwd.getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                name = str(uid)
            self._users[uid] = name
        return name

    def cgroup_path(self, cgroup_id: int, pattern: int) -> str:
        """Return `hierarchy:/path` of a cgroup; `pattern` is the action that holds a wildcard for the hierarchy, or -1."""
        if self._cgroups is None:
            from probee.runtime.cgroup import CgroupPaths

            self._cgroups = CgroupPaths()
        wanted = self.actions[pattern].text if pattern < len(self.actions) else "*"
        return str(self._cgroups.path(cgroup_id, wanted))

    # -- times

    def timestamp(self, ns: int, clock: int, format: int) -> str:
        """Return a time of one of the clocks in the format that action number `format` holds, in local time."""
        from probee.runtime.clock import format_time

        text = self.actions[format].text if format < len(self.actions) else "%H:%M:%S"
        return format_time(text, ns, self.clock_offset(clock))

    def clock_offset(self, clock: int) -> int:
        """Return what must be added to a reading of the clock to get nanoseconds since 1970."""
        if clock not in self._clock_offsets:
            from probee.runtime.clock import offset_ns

            self._clock_offsets[clock] = offset_ns(clock)
        return self._clock_offsets[clock]

    def tseries_offset_ns(self) -> int:
        """Return the offset of the clock that tseries() uses, sw_tai."""
        return self.clock_offset(SW_TAI)
