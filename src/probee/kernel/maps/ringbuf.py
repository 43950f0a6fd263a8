"""RINGBUF: the buffer that all CPUs share and user space reads through memory.  kernel/bpf/ringbuf.c, Linux 5.8."""

from __future__ import annotations

from probee.errors import MapError
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_create
from probee.kernel.syscalls.ring import PAGE_SIZE, RingMemory
from probee.model.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


LARGEST = 1 << 31  # the largest power of two that fits into max_entries


class RingMap(Map):
    """A ring buffer; `open()` maps it.  It is no key-value store: the operations on elements fail.

    `max_entries` becomes what the kernel takes: a power of two, at least one page.
    """

    def __init__(self, spec: MapSpec, descriptor: Descriptor) -> None:
        super().__init__(spec, descriptor)
        self.max_entries = ring_size(spec.max_entries)

    @classmethod
    def _create(cls, spec: MapSpec) -> int:
        size = ring_size(spec.max_entries)
        if size > LARGEST:
            raise MapError(f"a ring of {spec.max_entries} bytes is too large, {LARGEST} are the most: lower perf_rb_pages")
        return map_create(spec.type, 0, 0, size, flags=spec.flags, name=spec.name)

    def open(self) -> RingMemory:
        """Map the ring into memory; the caller closes it.  The descriptor polls readable when there are records."""
        return RingMemory(self.fd, self.max_entries)

    def keys(self) -> Iterator[bytes]:
        raise MapError(f"map {self.name} is a ring buffer: it has no keys")


def ring_size(wanted: int) -> int:
    """Return the smallest size that a ring may have and that is at least `wanted`."""
    size = PAGE_SIZE
    while size < wanted:
        size *= 2
    return size
