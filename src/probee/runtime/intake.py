"""Intake: takes records out of the ring and carries out their actions, which make the events.

An object has one ring, or none: then there is never anything to take; and one that sends packets has a perf buffer beside it.
What they lost is loss.py's business.
"""

from __future__ import annotations

from probee.runtime.ring import Batch, RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from probee.model.event import Event
    from probee.runtime.actions import Handler
    from probee.runtime.packet import PacketWriter
    from probee.runtime.session import Session


class Intake:
    """`open` maps the ring; the actions are the session's, and its `exited` ends what is being taken."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._handlers: list[Handler | None] = [None] * len(session.spec.actions)
        self._ring: Any = None
        self._reader: RingReader | None = None
        self._packets: PacketWriter | None = None

    def open(self, ring: Any) -> int:
        """Map the memory of a RingMap; return the descriptor that polls readable when there is a record."""
        self._ring = ring.open()
        self._reader = RingReader(self._ring)
        return int(ring.fd)

    def open_packets(self, live: Any) -> list[int]:
        """Map the rings of a PerfEventArrayMap and create the files; return what polls readable when there are packets."""
        from probee.runtime.packet import PacketWriter

        spec = self._session.spec
        self._packets = PacketWriter(live, spec.actions, pages=int(spec.options.get("perf_rb_pages", 0)))
        self._packets.open(self._session.source)
        return self._packets.descriptors

    def close(self) -> None:
        if self._packets is not None:
            self._packets.close()
        if self._reader is not None:
            self._reader.close()
        if self._ring is not None:
            self._ring.close()

    @property
    def pending(self) -> bool:
        """True while there is something that was not taken, a record that is being written included."""
        return (self._reader is not None and self._reader.pending) or (self._packets is not None and self._packets.pending)

    @property
    def position(self) -> int:
        """Return how far the ring was read, to see whether anything came."""
        return 0 if self._ring is None else int(self._ring.consumer_position)

    def take(self) -> Iterator[list[Event]]:
        """Yield what is in the ring now, as long as nothing asks for the end; packets go to their files."""
        yield from self.take_packets()
        reader, session = self._reader, self._session
        if reader is None:
            return
        budget = 2 * int(self._ring.size)  # who writes faster than we read must not keep us here
        while budget > 0 and not session.exited:
            batch = reader.read()
            if not batch.runs:
                return
            budget -= len(batch.data)
            found = self._dispatch(batch)
            if found:
                yield found

    def take_all(self) -> Iterator[list[Event]]:
        """Like take, but until the ring is empty: nobody writes any more."""
        while self.pending and not self._session.exited:
            before = self.position
            yield from self.take()
            if self.position == before:  # a record that its writer never finished
                return

    def take_packets(self, *, last: bool = False) -> Iterator[list[Event]]:
        """Write the packets that have come, the `last` ones when nobody sends any more; yield what went wrong."""
        if self._packets is not None:
            problems = self._packets.finish() if last else self._packets.drain()
            if problems:
                yield problems

    def discard(self) -> None:
        """Throw away what is in the ring."""
        while self._reader is not None and self._reader.read().runs:
            pass

    def _dispatch(self, batch: Batch) -> list[Event]:
        """Carry out the actions of a batch; after an exit action the rest is thrown away."""
        handlers, data, session = self._handlers, batch.data, self._session
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
                if session.exited:
                    return found
        return found

    def _make_handler(self, number: int) -> Handler:
        from probee.runtime.actions import make_handler

        handler = make_handler(self._session.spec.actions[number], self._session)
        self._handlers[number] = handler
        return handler
