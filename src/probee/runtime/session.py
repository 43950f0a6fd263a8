"""Session: runs one ObjectSpec from loading it to reading its maps at the end.

Life: maps, late constants, programs, links in bpftrace's order, `begin` by test run, the ring until something ends it; then
detach, wait for programs that still run, drain the ring, run `end`, drain again, read the maps.  Everything closes with it.
"""

from __future__ import annotations

import os
from time import monotonic

from probee.errors import Source
from probee.kernel.lookup import KernelLookup
from probee.model.event import Attached, Event, MapsAtExit, Problem, Text
from probee.model.loss import Loss
from probee.model.snapshot import MapSnapshot
from probee.model.spec import ObjectSpec
from probee.runtime.companion import Companions
from probee.runtime.contents import Contents
from probee.runtime.installation import Installation
from probee.runtime.intake import Intake
from probee.runtime.loss import LOSS_INTERVAL_S, LossReader, left_undone
from probee.runtime.resolve import Resolver
from probee.runtime.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from typing import Any

    from probee.kernel.maps.map import Map

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
        self.contents = Contents(self.installed, self.resolver)
        self._intake = Intake(self)
        self._watch = Watch()
        self._companions = Companions(self._watch)
        self._hears: list[int] = []  # descriptors
        self._leaves = False  # when the iterators have walked
        self._state = "new"  # → running → ending → ended → closed
        self.exited = False  # what is still in the ring is thrown away: the script called exit()
        self._signalled = False
        self._stopped_s = 0.0
        self.left_out = 0  # commands of system() that were not run any more
        self._loss = LossReader(None)
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
        self._state = "running"
        watch, companions = self._watch, self._companions
        watch.open()
        companions.follow(self._command, self._pid)
        installed = self.installed
        installed.create_maps()
        for ring in installed.of_role("ring"):
            watch.add(self._intake.open(ring))
        self.resolver = Resolver(
            stacks=installed.of_role("stack"), actions=self.spec.actions, symbols=self._symbols, options=self.spec.options
        )
        self.contents = Contents(installed, self.resolver)
        self._loss = LossReader(next(iter(installed.of_role("loss")), None))
        installed.load(self.constants())
        for live in installed.of_role("packets"):
            watch.add(*self._intake.open_packets(live))
        installed.run_once("begin")  # before any other probe is attached, so that what it sets up is there for them
        if any(action.kind == "process" for action in self.spec.actions):
            self._prepare_symbols()
        installed.attach(companions.child_pid or self._pid)
        companions.release()
        companions.walk(installed.links)

    def _prepare_symbols(self) -> None:
        """Addresses of programs will be printed: look at those that are probed, and listen to what starts, before they go."""
        from probee.runtime.symbol import threads_to_hear

        threads = threads_to_hear(self.spec, self._companions.child_pid, self._pid)
        self._hears = self.resolver.listen(threads) if threads is not None else []
        self._watch.add(*self._hears)
        for path in dict.fromkeys(str(link.parameters["path"]) for link in self.spec.links if "path" in link.parameters):
            self.resolver.remember_program(path)
        if self._pid:
            self.resolver.remember(self._pid)

    def constants(self) -> dict[str, int]:
        """Return what the late constants are in this run."""
        if not self.spec.constants:
            return {}
        from probee.runtime.constants import Run, resolve_constants

        run = Run(parameters=self._parameters, child_pid=self._companions.child_pid, filter_pid=self._pid, source=self.source)
        return resolve_constants(self.spec.constants, run)

    # -- running

    def stop(self) -> None:
        """Make the session end soon; may be called from another thread or a signal handler, and twice."""
        if self._state == "running":
            self._state = "ending"
            self._stopped_s = monotonic()
        self._watch.wake()

    @property
    def hurries(self) -> bool:
        """True when the end was asked for some time ago: what takes long is left out from then on, and counted."""
        return self._stopped_s > 0 and monotonic() - self._stopped_s > PATIENCE_S

    def exit(self, status: int) -> None:
        """End the session with this status and throw away what follows: what the script's exit() does.

        Iterators walk to their end before that.
        """
        self.exit_status = status
        if self._companions.has_walker:
            self._leaves = True
        else:
            self._leave()

    def _leave(self) -> None:
        self._state = "ending"
        self.exited = True

    def signal(self) -> None:
        """Have the probes on SIGUSR1 run soon; for a signal handler."""
        self._signalled = bool(self.installed.of_kind("self"))
        self._watch.wake()

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
        from probee.runtime.symbol import missing_lines

        missing = missing_lines(self.spec) if self.warnings and not self.mode else ""
        without = [Problem(missing, severity="warning")] if missing else []
        return [*self.installed.problems, *without, *count, *pinned]

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
        if self._companions.walking or self.installed.of_kind("self"):
            return True
        return any(link.spec.kind != "iter" for link in self.installed.links)

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
        return self._watch.fileno()

    def read(self, timeout_s: float = LOSS_INTERVAL_S) -> Iterator[list[Event]]:
        """Wait for records, at most so long, and yield what there is, in lists of events."""
        intake = self._intake
        wait = self._waits and not self._signalled and not intake.pending
        for fd in self._watch.wait(timeout_s if wait else 0):
            yield from self._came(fd)
        if self._signalled:
            self._signalled = False
            self._watch.awake()
            self.installed.run_once("self")
        before = intake.position
        yield from intake.take()
        if intake.pending and intake.position == before:
            os.sched_yield()  # the next record is being written by a program that was interrupted
        lost = self._new_losses()
        if lost:
            yield lost
        if self._leaves and self._state == "running" and not self._companions.walking and not intake.pending:
            self._leave()

    def _came(self, fd: int) -> Iterator[list[Event]]:
        """Deal with a descriptor that can be read: a process has ended, or the iterators have walked."""
        if fd in self._hears:
            self.resolver.hear()
        if self._companions.process_ended(fd):
            self.stop()
        problem = self._companions.problem(fd)
        if problem:
            yield [Problem(problem)]

    def collect(self) -> tuple[list[Event], int]:
        """Return all that the ring holds now, and the status that exit() left; the session goes on."""
        said = [event for found in self._intake.take_all() for event in found]
        self._intake.discard()
        status, self.exit_status = self.exit_status, 0
        if self.exited:
            self._state, self.exited = "running", False
        for live in self.installed.of_role("exited"):
            live.zero()
        return said, status

    def _new_losses(self) -> list[Event]:
        if not self._loss.due:
            return []
        if self._hears:
            self.resolver.hear()
        status = self._loss.exit_status()
        if status is not None and self._state == "running":
            self.exit(status)
        return list(self._loss.news())

    # -- ending

    def finish(self) -> Iterator[list[Event]]:
        """Detach, yield what is still in the ring, run `end`, yield its events, what was lost, and the maps."""
        if self._state in ("ended", "closed"):
            return
        exited, self.exited = self.exited, False
        self._state = "ending"
        self._companions.stop()
        self._loss.remember_missed(self.installed.links)
        self.installed.detach()
        yield from self._intake.take_packets(last=True)
        if exited:
            self._intake.discard()
        else:
            yield from self._intake.take_all()
        self._stopped_s = 0.0  # what `end` asks for is done, however long that takes
        self.installed.run_once("end")
        yield from self._intake.take_all()
        self._state = "ended"
        self._last_maps, self._last_loss = self.contents.all(), self._loss.loss()
        lost: list[Event] = [] if self.mode == "bench" else list(self._loss.news())
        lost += [Problem(text, severity="warning") for text in self._left_undone()]
        if lost:
            yield lost
        wanted = self.spec.options.get("print_maps_on_exit", True) and not self.mode
        yield [MapsAtExit(list(self._last_maps.values()) if wanted else [])]

    def _left_undone(self) -> list[str]:
        return left_undone(self._last_loss.missed or 0, self.left_out, self.resolver.unheard if self._hears else 0)

    def close(self) -> None:
        """Detach and free everything; what was not read is lost.  Closing twice is nothing."""
        if self._state == "closed":
            return
        self._state = "closed"
        self._intake.close()
        self._companions.stop()
        self.installed.close()
        self.resolver.close()
        self._lookup.close()
        self._companions.close()
        self._watch.close()

    def __enter__(self) -> Session:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what there is to see

    @property
    def maps(self) -> dict[str, MapSnapshot]:
        """The script's maps by name, sorted by name: as they are now, or as they were at the end."""
        return self._last_maps if self._state in ("ended", "closed") else self.contents.all()

    def live_map(self, name: str) -> Map:
        """Return the live map of that name; KeyError when there is none."""
        return self.installed.maps[name]

    def snapshot(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return one of the maps as it is now."""
        return self.contents.snapshot(name, top=top, div=div)

    def printed(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return what print() shows of one of the maps now."""
        return self.contents.printed(name, top=top, div=div)

    @property
    def loss(self) -> Loss:
        """What was missed, dropped and refused so far."""
        return self._last_loss if self._state in ("new", "ended", "closed") else self._loss.loss()

    @property
    def drops(self) -> int:
        """How many records were dropped so far."""
        return self.loss.dropped
