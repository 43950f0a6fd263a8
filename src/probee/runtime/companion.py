"""Companions: what runs beside a session, the process that it follows (child.py) and the iterators that walk (walk.py)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from probee.kernel.links.link import Link
    from probee.runtime.child import Child, Follower
    from probee.runtime.walk import Walker
    from probee.runtime.watch import Watch


class Companions:
    """At most one process and one Walker; each has a descriptor in the Watch, which says when it has ended."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._child: Child | None = None
        self._follower: Follower | None = None
        self._walker: Walker | None = None

    def follow(self, command: Sequence[str], pid: int) -> None:
        """Start a command, held until `release`, or else watch another's process, if a pid is given."""
        if not command and not pid:
            return
        from probee.runtime.child import Child, Follower

        if command:
            self._child = Child(list(command))
        self._follower = self._child or Follower(pid)
        self._watch.add(self._follower.fileno())

    @property
    def child_pid(self) -> int:
        """The pid of the command, 0 without one."""
        return self._child.pid if self._child is not None else 0

    def release(self) -> None:
        """Let the command run."""
        if self._child is not None:
            self._child.release()

    def walk(self, links: Sequence[Link]) -> None:
        """Have the iterators among the links walk; what their programs print is taken meanwhile."""
        from probee.runtime.walk import Walker, iterators

        found = iterators(links)
        if found:
            self._walker = Walker(found)
            self._watch.add(self._walker.fileno())
            self._walker.start()

    @property
    def has_walker(self) -> bool:
        return self._walker is not None

    @property
    def walking(self) -> bool:
        return self._walker is not None and self._walker.running

    def process_ended(self, fd: int) -> bool:
        """Return whether a descriptor, which polls readable, is that of the process."""
        return self._follower is not None and fd == self._follower.fileno()

    def problem(self, fd: int) -> str:
        """Return what went wrong with the iterators, if a descriptor, which polls readable, is theirs; else ""."""
        if self._walker is None or fd != self._walker.fileno():
            return ""
        self._watch.remove(fd)
        return self._walker.problem

    def stop(self) -> None:
        """Return when nothing walks any more."""
        if self._walker is not None:
            self._walker.stop()

    def close(self) -> None:
        """End the command if it still runs, and close everything."""
        if self._walker is not None:
            self._walker.stop()
            self._walker.close()
        if self._follower is not None:
            self._follower.close()
