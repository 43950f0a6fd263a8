"""Iterators at run time: each is read once, in a thread beside the session, which meanwhile takes what the programs print.

Pinned ones are not read here: whoever reads their file does.
"""

from __future__ import annotations

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from probee.kernel.links.link import Link
    from probee.kernel.syscalls.fd import Descriptor


def iterators(links: Sequence[Link]) -> list[Link]:
    """Return the links that have to be read."""
    return [link for link in links if link.spec.kind == "iter" and not link.spec.parameters.get("pin")]


class Walker:
    """Reads iterators, one after the other; `fileno` polls readable when that is done.

    `problem` is then what went wrong, "" if nothing did.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        from probee.kernel.links.iter import open_iter

        self.problem = ""
        self.running = True
        self._stopping = False
        self._done = os.eventfd(0, os.EFD_CLOEXEC)
        self._over = _thread.allocate_lock()
        self._over.acquire()
        self._open: list[Descriptor] = []
        try:
            for link in links:
                self._open.append(open_iter(link))
        except BaseException:
            self._over.release()
            self.close()
            raise

    def start(self) -> None:
        """Start to read."""
        _thread.start_new_thread(self._walk, ())

    def fileno(self) -> int:
        return self._done

    def _walk(self) -> None:
        from probee.kernel.links.iter import read_piece

        try:
            for iterator in self._open:
                while not self._stopping and read_piece(iterator.fd) != b"":
                    pass
        except OSError as error:
            self.problem = f"an iterator ended early: {error.strerror}"
        finally:
            self.running = False
            os.eventfd_write(self._done, 1)
            self._over.release()

    def stop(self) -> None:
        """Return when nothing is read any more, soon."""
        self._stopping = True
        with self._over:
            pass

    def close(self) -> None:
        for iterator in self._open:
            iterator.close()
        os.close(self._done)
