"""Session: runs one ObjectSpec, from creating its maps to reading them at the end, and owns all that is live meanwhile.

Life: maps, late constants, programs, links in bpftrace's order, `begin` by test run, the ring until something ends it; then
detach, wait for programs that still run, drain the ring, run `end`, drain again, read the maps.  Everything closes with it.
"""

from __future__ import annotations

import os
import select

from probee.errors import AttachError, Source
from probee.model import event as events
from probee.model.loss import Loss
from probee.model.snapshot import MapSnapshot
from probee.model.spec import LinkSpec, MapSpec, MapType, ObjectSpec
from probee.runtime.ring import Batch, RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from probee.kernel.links.kprobe import FunctionList
    from probee.kernel.links.link import Link
    from probee.kernel.maps.map import Map
    from probee.kernel.programs.program import Program
    from probee.kernel.programs.relocate import BtfLookup
    from probee.runtime.actions import Handler
    from probee.runtime.child import Child, Follower
    from probee.runtime.snapshot import MapReader

# Attached in the order of declaration; all others in reverse, so that several programs on one hook run in that order.
IN_ORDER = frozenset(("kretprobe", "tracepoint", "profile", "interval", "watchpoint", "hardware", "rawtracepoint", "software"))
ONCE = ("begin", "end")  # run by us, never attached
LOSS_INTERVAL_S = 0.1
RING_BYTES = 8 << 20  # its two mappings count twice in our resident size
_ADDED_REASON = "If this is expected, set the 'missing_probes' config variable to 'warn'."


class Session:
    """Runs `spec`; a context manager, and an iterator of events.

    `command` (words) is started as a child and ends the session with it; `pid` ends it with that process.  `parameters` are the
    positional ones.  `functions()` lists what is traceable, `find_btf` finds BTF ids for programs that need them.
    """

    def __init__(
        self, spec: ObjectSpec, *, parameters: Sequence[str] = (), command: Sequence[str] = (), pid: int = 0,
        warnings: bool = True, functions: FunctionList | None = None, find_btf: BtfLookup | None = None, symbols: Any = None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.source = Source(spec.source_name, spec.source_text)
        self.warnings = warnings
        self.trailer = str(spec.options.get("str_trunc_trailer", ".."))
        self.exit_status = 0
        self.problems: list[events.Problem] = []
        self.probe_count = 0
        self._parameters = parameters
        self._command = list(command)
        self._pid = pid
        self._functions = functions
        self._find_btf = find_btf
        self._symbols = symbols
        self._maps: dict[str, Map] = {}
        self._programs: dict[str, Program] = {}
        self._links: list[Link] = []
        self._readers: dict[str, MapReader] = {}
        self._handlers: list[Handler | None] = [None] * len(spec.actions)
        self._child: Child | None = None
        self._follower: Follower | None = None
        self._ring: Any = None
        self._reader: RingReader | None = None
        self._wake = -1
        self._poll: select.epoll | None = None
        self._state = "new"  # → running → ending → ended → closed
        self._next_loss_s = 0.0

    # -- starting

    def start(self) -> Session:
        """Create, load and attach everything and run `begin`; on failure nothing stays behind."""
        if self._state != "new":
            return self
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        from probee.runtime.loss import LossReader
        from probee.runtime.resolve import Resolver

        self._state = "running"
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._follow()
        self._create_maps()
        self.resolver = Resolver(
            stacks=self._of_role("stack"), actions=self.spec.actions, symbols=self._symbols
        )
        self._loss = LossReader(next(iter(self._of_role("loss")), None))
        self._load_programs()
        self._attach_all()
        self._run_once("begin")
        if self._child is not None:
            self._child.release()

    def _follow(self) -> None:
        if not self._command and not self._pid:
            return
        from probee.runtime.child import Child, Follower

        if self._command:
            self._child = Child(self._command)
        self._follower = self._child or Follower(self._pid)
        assert self._poll is not None
        self._poll.register(self._follower.fileno(), select.EPOLLIN)

    def _create_maps(self) -> None:
        from probee.kernel.maps.create import create

        for spec in self.spec.maps:
            self._maps[spec.name] = create(self._sized(spec))
        for ring in self._of_role("ring"):
            self._ring = ring.open()  # type: ignore[attr-defined]  # a RingMap
            self._reader = RingReader(self._ring)
            assert self._poll is not None
            self._poll.register(ring.fd, select.EPOLLIN)

    def _sized(self, spec: MapSpec) -> MapSpec:
        """Return the spec with the ring's size filled in: max_entries in bytes, or perf_rb_pages, or our default."""
        if spec.type != MapType.RINGBUF:
            return spec
        from probee.kernel.syscalls.ring import PAGE_SIZE

        pages = int(self.spec.options.get("perf_rb_pages", 0))
        size = pages * PAGE_SIZE or spec.max_entries or RING_BYTES
        return MapSpec(spec.name, spec.type, 0, 0, size, flags=spec.flags, role=spec.role)

    def _of_role(self, role: str) -> list[Map]:
        return [live for live in self._maps.values() if live.spec.role == role]

    def _load_programs(self) -> None:
        from probee.kernel.programs.load import load

        constants = self._constants()
        btf = self._load_btf()
        try:
            for spec in self.spec.programs:
                self._programs[spec.name] = load(
                    spec, self.spec, self._maps, constants, btf_fd=btf.fd if btf else 0, find_btf=self._find_btf
                )
        finally:
            if btf:
                btf.close()

    def _constants(self) -> dict[str, int]:
        if not self.spec.constants:
            return {}
        from probee.runtime.constants import Run, resolve_constants

        child = self._child.pid if self._child is not None else 0
        run = Run(parameters=self._parameters, child_pid=child, filter_pid=self._pid, source=self.source)
        return resolve_constants(self.spec.constants, run)

    def _load_btf(self) -> Any:
        """Load the object's own BTF; a kernel that takes none of it runs the programs without."""
        if not self.spec.btf:
            return None
        from probee.kernel.syscalls.btf import btf_load
        from probee.kernel.syscalls.fd import Descriptor

        return Descriptor(btf_load(self.spec.btf), "BTF of the script")

    def _attach_all(self) -> None:
        declared = [link for link in self.spec.links if link.kind not in ONCE]
        for link in [link for link in declared if link.kind in IN_ORDER]:
            self._attach(link)
        for link in reversed([link for link in declared if link.kind not in IN_ORDER]):
            self._attach(link)
        self.probe_count += len(self.spec.links) - len(declared)
        if declared and not self._links:
            raise AttachError("", "Attachment failed for all probes.")

    def _attach(self, spec: LinkSpec) -> None:
        from probee.kernel.links.attach import attach

        try:
            link = attach(spec, self._programs[spec.program], functions=self._functions)
        except AttachError as error:
            self._missing(spec, error)
            return
        self._links.append(link)
        self.probe_count += link.targets if spec.kind in ("kprobe", "kretprobe") else 1

    def _missing(self, spec: LinkSpec, error: AttachError) -> None:
        """A probe that cannot be attached: fatal, a warning, or nothing, as the script says."""
        wanted = self.spec.options.get("missing_probes", "error")
        cause = str(error).removeprefix(f"Unable to attach probe: {spec.probe}").removeprefix(": ")
        if wanted == "warn":
            self.problems.append(
                events.Problem(f"Unable to attach probe: {spec.probe}. Skipping.\n{cause}".rstrip(), severity="warning")
            )
        elif wanted != "ignore":
            text = f"Unable to attach probe: {spec.probe}. {_ADDED_REASON}\n{cause}"
            raise AttachError(spec.probe, text.rstrip()) from error

    def _run_once(self, kind: str) -> None:
        for link in self.spec.links:
            if link.kind == kind:
                self._programs[link.program].test_run()

    # -- running

    def stop(self) -> None:
        """Make the session end soon; may be called from another thread or a signal handler, and twice."""
        if self._state == "running":
            self._state = "ending"
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    @property
    def running(self) -> bool:
        return self._state == "running"

    def batches(self) -> Iterator[list[events.Event]]:
        """Yield lists of events until the session ends; starts it when that was not done; the maps come last."""
        self.start()
        yield [*self.problems, events.Attached(self.probe_count)]
        while self._state == "running":
            yield from self.read()
            if not self._links and self._state == "running":  # only begin and end: nothing more can come
                self.stop()
        yield from self.finish()

    def __iter__(self) -> Iterator[events.Event]:
        for batch in self.batches():
            yield from batch

    def read(self, timeout_s: float = LOSS_INTERVAL_S) -> Iterator[list[events.Event]]:
        """Wait for records, at most so long, and yield what there is, in lists of events."""
        assert self._poll is not None
        if self._reader is None or not self._reader.pending:
            self._poll_once(timeout_s if self._links else 0)
        yield from self._drain()
        lost = self._new_losses()
        if lost:
            yield lost

    def _poll_once(self, timeout_s: float) -> None:
        assert self._poll is not None
        for fd, _ in self._poll.poll(timeout_s):
            if self._follower is not None and fd == self._follower.fileno():
                self.stop()

    def _drain(self) -> Iterator[list[events.Event]]:
        """Yield what is in the ring now; an exit action ends it and the rest is thrown away."""
        reader = self._reader
        if reader is None:
            return
        budget = 2 * int(self._ring.size)  # who writes faster than we read must not keep us here
        while budget > 0:
            batch = reader.read()
            if not batch.runs:
                return
            budget -= len(batch.data)
            found = self._dispatch(batch)
            if found:
                yield found
            if self._state == "exited":
                return

    def _dispatch(self, batch: Batch) -> list[events.Event]:
        """Carry out the actions of a batch; after an exit action the rest is thrown away."""
        handlers, data = self._handlers, batch.data
        found: list[events.Event] = []
        append = found.append
        for number, offset, length, count, stride in batch.runs:
            handler = handlers[number] or self._make_handler(number)
            if handler.many is not None and count > 1:
                found += handler.many(data, offset, count)
                continue
            one = handler.one
            for at in range(offset, offset + count * stride, stride):
                event = one(data, at, length)
                if event is not None:
                    append(event)
                if self._state == "exited":
                    return found
        return found

    def exit(self, status: int) -> None:
        """End the session with this status: what the exit action does."""
        self.exit_status = status
        self._state = "exited"

    def _make_handler(self, number: int) -> Handler:
        from probee.runtime.actions import make_handler

        handler = make_handler(self.spec.actions[number], self)
        self._handlers[number] = handler
        return handler

    def _new_losses(self) -> list[events.Event]:
        import time

        now = time.monotonic()
        if now < self._next_loss_s:
            return []
        self._next_loss_s = now + LOSS_INTERVAL_S
        return list(self._loss.news())

    # -- ending

    def finish(self) -> Iterator[list[events.Event]]:
        """Detach, yield what is still in the ring, run `end`, yield its events, what was lost, and the maps."""
        if self._state in ("ended", "closed"):
            return
        exited = self._state == "exited"
        self._state = "ending"
        self._detach()
        if exited:
            self._discard()
        else:
            yield from self._drain_all()
        self._run_once("end")
        yield from self._drain_all()
        self._state = "ended"
        lost: list[events.Event] = list(self._loss.news())
        if lost:
            yield lost
        wanted = self.spec.options.get("print_maps_on_exit", True)
        yield [events.MapsAtExit(list(self.maps.values()) if wanted else [])]

    def _detach(self) -> None:
        self._loss.remember_missed(self._links)
        for link in self._links:
            link.close()
        if self._links:
            wait_for_programs()

    def _drain_all(self) -> Iterator[list[events.Event]]:
        """Like _drain, but until the ring is empty: nobody writes any more."""
        while self._reader is not None and self._reader.pending:
            before = self._ring.consumer_position
            yield from self._drain()
            if self._ring.consumer_position == before:  # a record that its writer never finished
                return

    def _discard(self) -> None:
        while self._reader is not None and self._reader.read().runs:
            pass

    def close(self) -> None:
        """Detach and free everything; what was not read is lost.  Closing twice is nothing."""
        if self._state == "closed":
            return
        self._state = "closed"
        for link in self._links:
            link.close()
        for program in self._programs.values():
            program.close()
        if self._reader is not None:
            self._reader.close()
        if self._ring is not None:
            self._ring.close()
        for live in self._maps.values():
            live.close()
        if self._follower is not None:
            self._follower.close()
        if self._poll is not None:
            self._poll.close()
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    def __enter__(self) -> Session:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what there is to see

    @property
    def maps(self) -> dict[str, MapSnapshot]:
        """Return the script's maps as they are now, by name, sorted by name."""
        return {name: self.snapshot(name) for name in sorted(self._maps) if self._maps[name].spec.role == "user"}

    def live_map(self, name: str) -> Map:
        """Return the live map of that name; KeyError when there is none."""
        return self._maps[name]

    def snapshot(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return one of the maps as it is now."""
        live, reader = self._maps[name], self._readers.get(name)
        if reader is None:
            from probee.kernel.syscalls.cpu import possible_cpus
            from probee.runtime.snapshot import MapReader

            reader = self._readers[name] = MapReader(live.spec, self.resolver, possible_cpus())
        return reader.snapshot(live.read_all(), top=top, div=div)

    def printed(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return what print() shows of a map: a scalar map that was never written shows its zero."""
        found = self.snapshot(name, top=top, div=div)
        if found.scalar and not found.rows and found.form in ("map", "stats"):
            found.rows = [(None, self._readers[name].unset())]
        return found

    @property
    def loss(self) -> Loss:
        """What was missed, dropped and refused so far."""
        return self._loss.loss()

    @property
    def drops(self) -> int:
        """How many records were dropped so far."""
        return self.loss.dropped


def wait_for_programs() -> None:
    """Return when no program that has been detached runs any more: after an RCU grace period."""
    from probee.kernel.syscalls.libc import syscall

    number = {"x86_64": 324}.get(os.uname().machine, 283)  # membarrier(2)
    if syscall(number, 1) < 0:  # MEMBARRIER_CMD_GLOBAL; kernels with nohz_full CPUs refuse it
        import time

        time.sleep(0.02)
