"""Run in a guest: print the ids of all programs, maps and links in the kernel, as `kind:id` words."""

from __future__ import annotations

from probee.kernel.syscalls.info import ids

print(" ".join(f"{kind}:{number}" for kind in ("prog", "map", "link") for number in ids(kind)))
