"""A session's events for `async for`: the event loop watches the session's descriptor, nothing blocks it for long."""

from __future__ import annotations

import asyncio

from probee.runtime.loss import LOSS_INTERVAL_S
from probee.runtime.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from probee.model.event import Event


async def stream(session: Session) -> AsyncIterator[Event]:
    """Yield events until the session ends; one that was not entered with `with` is closed then."""
    entered = session.running
    session.start()
    try:
        for event in session.greeting():
            yield event
        while session.running:
            await _readable(session.fileno(), LOSS_INTERVAL_S)
            for batch in session.read(0):
                for event in batch:
                    yield event
            session.end_if_idle()
        for batch in session.finish():
            for event in batch:
                yield event
    finally:
        if not entered:
            session.close()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _readable(fd: int, timeout_s: float) -> None:
    """Return when the descriptor is readable, or after the time."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await asyncio.wait([ready], timeout=timeout_s)
    finally:
        loop.remove_reader(fd)
        ready.cancel()
