"""Core: what every part of class BPF builds on: the compiled module, its functions and tables, polling, and the end.

The parts (kernelprobe.py, userprobe.py, network.py …) add ways of attaching; program.py puts them together.
"""

from __future__ import annotations

import atexit
import os

from probee.bcc.constant import BPFProgType
from probee.bcc.error import BccError
from probee.bcc.module import Module, is_queue
from probee.bcc.utils import as_bytes, as_text
from probee.kernel.syscalls.poll import wait_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from select import epoll
    from typing import Any

    from probee.bcc.delivery import Delivery, PerfDelivery
    from probee.kernel.links.link import Link
    from probee.kernel.maps.map import Map
    from probee.kernel.programs.program import Program
    from probee.model.spec import ObjectSpec

_LIMIT = 1000  # of probes, unless BCC_PROBE_LIMIT says otherwise
_open_probes = [0]  # in the whole process


def _get_num_open_probes() -> int:
    """Return how many kprobes and uprobes the process has open; for tests."""
    return _open_probes[0]


class Function:
    """A function that was loaded: its name, which is bytes, and the descriptor of the program."""

    def __init__(self, bpf: Core, name: bytes, fd: int, program: Program | None = None) -> None:
        self.bpf = bpf
        self.name = name
        self.fd = fd
        self.program = program


class Core:
    """A compiled object whose maps exist; programs are loaded when somebody asks."""

    def __init__(self, spec: ObjectSpec, *, debug: int = 0, device: str = "") -> None:
        self.debug = debug
        self.funcs: dict[bytes, Function] = {}
        self.tables: dict[bytes, Any] = {}
        self.kprobe_fds: dict[bytes, dict[bytes, int]] = {}
        self.uprobe_fds: dict[bytes, int] = {}
        self.tracepoint_fds: dict[bytes, int] = {}
        self.raw_tracepoint_fds: dict[bytes, int] = {}
        self.kfunc_entry_fds: dict[bytes, int] = {}
        self.kfunc_exit_fds: dict[bytes, int] = {}
        self.fmod_ret_fds: dict[bytes, int] = {}
        self.lsm_fds: dict[bytes, int] = {}
        self.open_perf_events: dict[tuple[int, int], dict[int, int]] = {}
        self.perf_buffers: dict[int, Delivery] = {}  # by the map's number
        self.tracefile: Any = None
        self._ring_buffers: dict[int, Delivery] = {}
        self._polls: dict[str, epoll] = {}
        self._links: list[tuple[tuple[object, ...], Link]] = []
        self.module: Module | None = Module(spec, debug=debug, device=device)
        atexit.register(self.cleanup)  # which also keeps the object, and what it attached, when the program does not

    def module_of(self) -> Module:
        """Return the module; BccError when it was closed."""
        if self.module is None:
            raise BccError("the BPF object is closed")
        return self.module

    # -- functions

    def load_funcs(self, prog_type: int = BPFProgType.KPROBE) -> list[Function]:
        """Load all functions as programs of one type."""
        return [self.load_func(name, prog_type) for name in self.module_of().programs]

    def load_func(
        self, func_name: bytes | str, prog_type: int, device: bytes | str | None = None, attach_type: int = -1
    ) -> Function:
        """Load a function as a program, once: a second call returns the same."""
        name = as_bytes(func_name)
        found = self.funcs.get(name)
        if found is None:
            if as_text(name) not in self.module_of().programs:
                raise BccError(f"Unknown program {name!r}")
            program = self.module_of().load(as_text(name), prog_type, attach_type=attach_type, device=as_text(device))
            found = self.funcs[name] = Function(self, name, program.fd, program)
        return found

    def program_of(self, function: Function) -> Program:
        assert function.program is not None
        return function.program

    def dump_func(self, func_name: bytes | str) -> bytes:
        """Return the instructions of a function."""
        if as_text(func_name) not in self.module_of().programs:
            raise BccError(f"Unknown program {as_bytes(func_name)!r}")
        return self.module_of().instructions(as_text(func_name))

    def disassemble_func(self, func_name: bytes | str) -> str:
        """Return a listing of a function."""
        from probee.bcc.disassembler import disassemble_prog

        return disassemble_prog(as_bytes(func_name), self.dump_func(func_name))

    def decode_table(self, table_name: bytes | str, sizeinfo: bool = False) -> str:
        """Return the layout of a table's keys and leaves as text."""
        from probee.bcc.disassembler import decode_map

        table = self[table_name]
        return decode_map(as_bytes(table_name), table, table.ttype, sizeinfo=sizeinfo)

    # -- tables

    def map_at(self, map_id: int) -> Map:
        return self.module_of().map_at(map_id)

    def get_table(
        self, name: bytes | str, keytype: Any = None, leaftype: Any = None, reducer: Callable[[Any, Any], Any] | None = None
    ) -> Any:
        """Return a table; KeyError when the program has none of that name.  `keytype` and `leaftype` are ctypes classes."""
        from probee.bcc.structure import integer_class
        from probee.bcc.table import Table

        module, text = self.module_of(), as_text(name)
        id = module.map_id(text)
        live = module.map_at(id)
        if keytype is None and not is_queue(live):
            keytype = module.structures.find("key", text) or integer_class(live.key_size)
        if leaftype is None:
            leaftype = module.structures.find("leaf", text) or integer_class(live.value_size)
        return Table(self, id, live.fd, keytype, leaftype, as_bytes(name), reducer=reducer)

    def __getitem__(self, key: bytes | str) -> Any:
        name = as_bytes(key)
        if name not in self.tables:
            self.tables[name] = self.get_table(name)
        return self.tables[name]

    def __setitem__(self, key: bytes | str, leaf: Any) -> None:
        self.tables[as_bytes(key)] = leaf

    def __len__(self) -> int:
        return len(self.tables)

    def __delitem__(self, key: bytes | str) -> None:
        del self.tables[as_bytes(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tables)

    # -- links

    def keep(self, link: Link, *key: object) -> int:
        """Own a link under a key, beside others that have it; return a descriptor of the link."""
        self._links.append((key, link))
        self._count(key, 1)
        return link.descriptors[-1].fd if link.descriptors else -1

    def drop(self, *key: object) -> None:
        """Close the links whose keys begin so."""
        for kept, link in [each for each in self._links if each[0][: len(key)] == key]:
            self._links.remove((kept, link))
            self._count(kept, -1)
            link.close()

    def _count(self, key: tuple[object, ...], change: int) -> None:
        if key[0] in ("kprobe", "uprobe"):
            self.count_probes(change)

    @staticmethod
    def count_probes(change: int) -> None:
        _open_probes[0] += change

    def _check_probe_quota(self, num_new_probes: int) -> None:
        if _open_probes[0] + num_new_probes > self.get_probe_limit():
            raise BccError("Number of open probes would exceed global quota")

    @staticmethod
    def get_probe_limit() -> int:
        """Return how many probes a process may have open."""
        given = os.environ.get("BCC_PROBE_LIMIT", "")
        return int(given) if given.isdigit() else _LIMIT

    # -- buffers

    def add_perf_buffer(self, map_id: int, delivery: PerfDelivery) -> None:
        """Poll a buffer from now on, in the place of the one that the map had."""
        old = self.perf_buffers.get(map_id)
        if old is not None:
            old.close()
        self.perf_buffers[map_id] = delivery
        for fd in delivery.buffer.descriptors:
            self._poll("perf").register(fd, 1)  # EPOLLIN

    def add_ring_buffer(self, map_id: int, delivery: Delivery) -> None:
        """Poll a ring from now on, in the place of what the map had."""
        old = self._ring_buffers.get(map_id)
        if old is not None:
            old.close()
        else:
            self._poll("ring").register(self.map_at(map_id).fd, 1)  # EPOLLIN
        self._ring_buffers[map_id] = delivery

    def delivery_of(self, map_id: int) -> Delivery | None:
        """Return what hands out the records of a map."""
        return self.perf_buffers.get(map_id) or self._ring_buffers.get(map_id)

    def _poll(self, kind: str) -> epoll:
        if kind not in self._polls:
            from select import epoll

            self._polls[kind] = epoll()
        return self._polls[kind]

    def _wait(self, kind: str, timeout: float) -> bool:
        """Wait for a buffer to have something, and only until a signal comes: programs look at what it did."""
        return wait_once(self._poll(kind).fileno(), timeout)

    def _deliver(self, buffers: list[Delivery]) -> None:
        for delivery in buffers:
            if not delivery.closed:
                delivery.deliver()

    def perf_buffer_poll(self, timeout: int = -1) -> None:
        """Wait for records, at most `timeout` milliseconds, and call back for those that are there."""
        buffers = list(self.perf_buffers.values())
        if any(delivery.waiting for delivery in buffers) or self._wait("perf", timeout):
            self._deliver(buffers)

    def perf_buffer_consume(self) -> None:
        """Call back for the records that are there, without waiting."""
        self._deliver(list(self.perf_buffers.values()))

    def kprobe_poll(self, timeout: int = -1) -> None:
        """The old name of perf_buffer_poll."""
        self.perf_buffer_poll(timeout)

    def ring_buffer_poll(self, timeout: int = -1) -> None:
        """Wait for records, at most `timeout` milliseconds, and call back for those that are there."""
        if not self._ring_buffers:
            raise BccError("No ring buffers to poll")
        waits = any(delivery.waiting for delivery in self._ring_buffers.values())
        if waits or self._wait("ring", timeout):
            self._deliver(list(self._ring_buffers.values()))

    def ring_buffer_consume(self) -> None:
        """Call back for the records that are there, without waiting."""
        if not self._ring_buffers:
            raise BccError("No ring buffers to poll")
        self._deliver(list(self._ring_buffers.values()))

    # -- the end

    def close(self) -> None:
        """Close programs and maps; what is attached stays attached."""
        for function in self.funcs.values():
            if function.program is not None:
                function.program.close()
        self.funcs.clear()
        if self.module is not None:
            self.module.close()
            self.module = None

    def cleanup(self) -> None:
        """Detach everything and close it."""
        atexit.unregister(self.cleanup)
        self.drop()
        opened = (self.tracepoint_fds, self.raw_tracepoint_fds, self.kfunc_entry_fds, self.kfunc_exit_fds, self.fmod_ret_fds)
        for kept in (self.kprobe_fds, self.uprobe_fds, *opened, self.lsm_fds, self.open_perf_events):
            kept.clear()
        self.tables.clear()
        for delivery in (*self.perf_buffers.values(), *self._ring_buffers.values()):
            delivery.close()
        self.perf_buffers.clear()
        self._ring_buffers.clear()
        while self._polls:
            self._polls.popitem()[1].close()
        if self.tracefile:
            self.tracefile.close()
            self.tracefile = None
        self.close()

    def donothing(self) -> None:
        """Do nothing."""

    def free_bcc_memory(self) -> int:
        """Return 0: there is nothing to free, no compiler stays in memory."""
        return 0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()
