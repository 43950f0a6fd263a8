"""Session: runs one ObjectSpec from loading it to reading its maps at the end.

Life: maps, late constants, programs, links in bpftrace's order, `begin` by test run, the ring until something ends it; then
detach, wait for programs that still run, drain the ring, run `end`, drain again, read the maps.  Everything closes with it.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from probee.errors import Source
from probee.kernel.lookup import KernelLookup
from probee.model.event import Attached, Event, MapsAtExit, Problem, Text
from probee.model.loss import Loss
from probee.model.snapshot import MapSnapshot
from probee.model.spec import ObjectSpec
from probee.runtime.installation import Installation
from probee.runtime.resolve import Resolver
from probee.runtime.ring import Batch, RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from typing import Any

    from probee.kernel.maps.map import Map
    from probee.runtime.actions import Handler
    from probee.runtime.child import Child, Follower
    from probee.runtime.snapshot import MapReader
    from probee.runtime.walk import Walker

LOSS_INTERVAL_S = 0.1
PATIENCE_S = 1.0  # for what programs left in the ring when the end was asked for


class Session:
    """Runs `spec`; a context manager, and an iterator of events, also with `async for`.

    `verbose` has the verifier keep a log of programs that it accepts, too, as long as the script's log_size.
    `command` (words) is started as a child and ends the session with it; `pid` ends it with that process.  `parameters` are the
    positional ones.
    """

    def __init__(
        self, spec: ObjectSpec, *, parameters: Sequence[str] = (), command: Sequence[str] = (), pid: int = 0,
        warnings: bool = True, verbose: bool = False, symbols: Any = None,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.source = Source(spec.source_name, spec.source_text, spec.source_parts)
        self.warnings = warnings
        self.trailer = str(spec.options.get("str_trunc_trailer", ".."))
        self.exit_status = 0
        self._lookup = KernelLookup()
        self.installed = Installation(spec, functions=self._lookup.functions, find_btf=self._lookup.find_btf, verbose=verbose)
        self._parameters = parameters
        self._command = list(command)
        self._pid = pid
        self._symbols = symbols
        self.resolver = Resolver()
        self._readers: dict[str, MapReader] = {}
        self._handlers: list[Handler | None] = [None] * len(spec.actions)
        self._child: Child | None = None
        self._follower: Follower | None = None
        self._walker: Walker | None = None
        self._leaves = False  # when the iterators have walked
        self._ring: Any = None
        self._reader: RingReader | None = None
        self._wake = -1
        self._poll: select.epoll | None = None
        self._state = "new"  # → running → ending or exited → ended → closed
        self._signalled = False
        self._stopped_s = 0.0
        self.left_out = 0  # commands of system() that were not run any more
        self._next_loss_s = 0.0
        self._last_maps: dict[str, MapSnapshot] = {}
        self._last_loss = Loss()

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

        self._state = "running"
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._follow()
        installed = self.installed
        installed.create_maps()
        for ring in installed.of_role("ring"):
            self._ring = ring.open()  # type: ignore[attr-defined]  # a RingMap
            self._reader = RingReader(self._ring)
            self._poll.register(ring.fd, select.EPOLLIN)
        self.resolver = Resolver(
            stacks=installed.of_role("stack"), actions=self.spec.actions, symbols=self._symbols, options=self.spec.options
        )
        self._loss = LossReader(next(iter(installed.of_role("loss")), None))
        installed.load(self.constants())
        installed.run_once("begin")  # before any other probe is attached, so that what it sets up is there for them
        if any(action.kind == "process" for action in self.spec.actions):
            self._remember_programs()
        installed.attach(self._child.pid if self._child is not None else self._pid)
        if self._child is not None:
            self._child.release()
        self._walk()

    def _walk(self) -> None:
        """Have iterators walk, beside us: what their programs print is taken as it comes."""
        from probee.runtime.walk import Walker, iterators

        links = iterators(self.installed.links)
        if links:
            self._walker = Walker(links)
            assert self._poll is not None
            self._poll.register(self._walker.fileno(), select.EPOLLIN)
            self._walker.start()

    def _remember_programs(self) -> None:
        """Addresses of programs will be printed: look at those that are probed before they can have gone."""
        for path in dict.fromkeys(str(link.parameters["path"]) for link in self.spec.links if "path" in link.parameters):
            self.resolver.remember_program(path)
        if self._pid:
            self.resolver.remember(self._pid)

    def _follow(self) -> None:
        if not self._command and not self._pid:
            return
        from probee.runtime.child import Child, Follower

        if self._command:
            self._child = Child(self._command)
        self._follower = self._child or Follower(self._pid)
        assert self._poll is not None
        self._poll.register(self._follower.fileno(), select.EPOLLIN)

    def constants(self) -> dict[str, int]:
        """Return what the late constants are in this run."""
        if not self.spec.constants:
            return {}
        from probee.runtime.constants import Run, resolve_constants

        child = self._child.pid if self._child is not None else 0
        run = Run(parameters=self._parameters, child_pid=child, filter_pid=self._pid, source=self.source)
        return resolve_constants(self.spec.constants, run)

    # -- running

    def stop(self) -> None:
        """Make the session end soon; may be called from another thread or a signal handler, and twice."""
        if self._state == "running":
            self._state = "ending"
            self._stopped_s = monotonic()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    @property
    def hurries(self) -> bool:
        """True when the end was asked for some time ago: what takes long is left out from then on, and counted."""
        return self._stopped_s > 0 and monotonic() - self._stopped_s > PATIENCE_S

    def exit(self, status: int) -> None:
        """End the session with this status and throw away what follows: what the script's exit() does.

        Iterators walk to their end before that.
        """
        self.exit_status = status
        if self._walker is None:
            self._state = "exited"
        else:
            self._leaves = True

    def signal(self) -> None:
        """Have the probes on SIGUSR1 run soon; for a signal handler."""
        self._signalled = bool(self.installed.of_kind("self"))
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    @property
    def running(self) -> bool:
        return self._state == "running"

    def batches(self) -> Iterator[list[Event]]:
        """Yield lists of events until the session ends; starts it when that was not done; the maps come last."""
        self.start()
        yield self.greeting()
        if self.mode:
            from probee.runtime.trial import trials

            yield from trials(self)
            self.stop()
        while self._state == "running":
            yield from self.read()
            self.end_if_idle()
        yield from self.finish()

    def greeting(self) -> list[Event]:
        """Return what is told first: probes that were skipped, and how many are attached."""
        count: list[Event] = [] if self.mode else [Attached(self.installed.probe_count)]
        pinned = [Text("pin", f"Program pinned to {path}\n") for path in self.installed.pinned()]
        return [*self.installed.problems, *count, *pinned]

    @property
    def mode(self) -> str:
        """Return "test" or "bench" when that is all that is run."""
        return str(self.spec.options.get("mode", ""))

    def end_if_idle(self) -> None:
        """With only begin and end, nothing more can come."""
        if self._state == "running" and not self._waits:
            self.stop()

    @property
    def _waits(self) -> bool:
        if self._walks or self.installed.of_kind("self"):
            return True
        return any(link.spec.kind != "iter" for link in self.installed.links)

    @property
    def _walks(self) -> bool:
        return self._walker is not None and self._walker.running

    def __iter__(self) -> Iterator[Event]:
        """Yield events; a session that was not entered with `with` is closed at the end, its maps stay readable."""
        entered = self._state != "new"
        try:
            for batch in self.batches():
                yield from batch
        finally:
            if not entered:
                self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        from probee.runtime.stream import stream

        return stream(self)

    @property
    def events(self) -> Iterator[Event]:
        """The events from now on, the same as iterating over the session."""
        return iter(self)

    def fileno(self) -> int:
        """A descriptor that polls readable when `read(0)` has something to give."""
        assert self._poll is not None
        return self._poll.fileno()

    def read(self, timeout_s: float = LOSS_INTERVAL_S) -> Iterator[list[Event]]:
        """Wait for records, at most so long, and yield what there is, in lists of events."""
        assert self._poll is not None
        wait = self._waits and not self._signalled and not (self._reader is not None and self._reader.pending)
        for fd, _ in self._poll.poll(timeout_s if wait else 0):
            if self._follower is not None and fd == self._follower.fileno():
                self.stop()
            if self._walker is not None and fd == self._walker.fileno():
                self._poll.unregister(fd)
                if self._walker.problem:
                    yield [Problem(self._walker.problem)]
        if self._signalled:
            self._signalled = False
            os.eventfd_read(self._wake)
            self.installed.run_once("self")
        before = 0 if self._ring is None else self._ring.consumer_position
        yield from self._drain()
        if self._reader is not None and self._reader.pending and self._ring.consumer_position == before:
            os.sched_yield()  # the next record is being written by a program that was interrupted
        lost = self._new_losses()
        if lost:
            yield lost
        if self._leaves and self._state == "running" and not self._walks and not (self._reader and self._reader.pending):
            self._state = "exited"

    def _drain(self) -> Iterator[list[Event]]:
        """Yield what is in the ring now, as long as nothing asks for the end."""
        reader = self._reader
        if reader is None:
            return
        budget = 2 * int(self._ring.size)  # who writes faster than we read must not keep us here
        while budget > 0 and self._state != "exited":
            batch = reader.read()
            if not batch.runs:
                return
            budget -= len(batch.data)
            found = self._dispatch(batch)
            if found:
                yield found

    def _dispatch(self, batch: Batch) -> list[Event]:
        """Carry out the actions of a batch; after an exit action the rest is thrown away."""
        handlers, data = self._handlers, batch.data
        found: list[Event] = []
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

    def collect(self) -> tuple[list[Event], int]:
        """Return all that the ring holds now, and the status that exit() left; the session goes on."""
        said = [event for found in self._drain_all() for event in found]
        self._discard()
        status, self.exit_status = self.exit_status, 0
        if self._state == "exited":
            self._state = "running"
        for live in self.installed.of_role("exited"):
            live.zero()
        return said, status

    def _make_handler(self, number: int) -> Handler:
        from probee.runtime.actions import make_handler

        handler = make_handler(self.spec.actions[number], self)
        self._handlers[number] = handler
        return handler

    def _new_losses(self) -> list[Event]:
        now = monotonic()
        if now < self._next_loss_s:
            return []
        self._next_loss_s = now + LOSS_INTERVAL_S
        status = self._loss.exit_status()
        if status is not None and self._state == "running":
            self.exit(status)
        return list(self._loss.news())

    # -- ending

    def finish(self) -> Iterator[list[Event]]:
        """Detach, yield what is still in the ring, run `end`, yield its events, what was lost, and the maps."""
        if self._state in ("ended", "closed"):
            return
        exited = self._state == "exited"
        self._state = "ending"
        if self._walker is not None:
            self._walker.stop()
        self._loss.remember_missed(self.installed.links)
        self.installed.detach()
        if exited:
            self._discard()
        else:
            yield from self._drain_all()
        self._stopped_s = 0.0  # what `end` asks for is done, however long that takes
        self.installed.run_once("end")
        yield from self._drain_all()
        self._state = "ended"
        self._last_maps, self._last_loss = self._read_maps(), self._loss.loss()
        lost: list[Event] = [] if self.mode == "bench" else list(self._loss.news())
        if self._last_loss.missed:
            lost.append(Problem(missed_text(self._last_loss.missed), severity="warning"))
        if self.left_out:
            text = f"{self.left_out} commands of system() were not run: the session ended with so many of them waiting"
            lost.append(Problem(text, severity="warning"))
        if lost:
            yield lost
        wanted = self.spec.options.get("print_maps_on_exit", True) and not self.mode
        yield [MapsAtExit(list(self._last_maps.values()) if wanted else [])]

    def _drain_all(self) -> Iterator[list[Event]]:
        """Like _drain, but until the ring is empty: nobody writes any more."""
        while self._reader is not None and self._reader.pending and self._state != "exited":
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
        if self._reader is not None:
            self._reader.close()
        if self._ring is not None:
            self._ring.close()
        if self._walker is not None:
            self._walker.stop()
            self._walker.close()
        self.installed.close()
        self.resolver.close()
        self._lookup.close()
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
        """The script's maps by name, sorted by name: as they are now, or as they were at the end."""
        return self._last_maps if self._state in ("ended", "closed") else self._read_maps()

    def _read_maps(self) -> dict[str, MapSnapshot]:
        return {live.name: self.snapshot(live.name) for live in sorted(self.installed.of_role("user"), key=lambda m: m.name)}

    def live_map(self, name: str) -> Map:
        """Return the live map of that name; KeyError when there is none."""
        return self.installed.maps[name]

    def snapshot(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return one of the maps as it is now."""
        live, reader = self.installed.maps[name], self._readers.get(name)
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
        return self._last_loss if self._state in ("new", "ended", "closed") else self._loss.loss()

    @property
    def drops(self) -> int:
        """How many records were dropped so far."""
        return self.loss.dropped


def missed_text(count: int) -> str:
    """Return what to say of hits on which the kernel did not run a program."""
    return f"{count} hits were missed: the kernel does not run a program inside of itself, or had no room to track the call"
