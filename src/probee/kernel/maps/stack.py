"""STACK_TRACE: stacks by the number that bpf_get_stackid gave.  kernel/bpf/stackmap.c."""

from __future__ import annotations

from struct import pack, unpack

from probee.kernel.maps.map import Map


class StackTraceMap(Map):
    """Stacks of up to value_size / 8 addresses; the map holds no order and no counts."""

    def frames(self, stack_id: int) -> tuple[int, ...] | None:
        """Return a stack's addresses, innermost first; None for a number without a stack (negative ones are errors)."""
        raw = self.lookup(pack("=I", stack_id)) if stack_id >= 0 else None
        if raw is None:
            return None
        addresses = unpack(f"={len(raw) // 8}Q", raw)
        end = addresses.index(0) if 0 in addresses else len(addresses)
        return addresses[:end]
