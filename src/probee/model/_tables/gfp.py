"""Names of memory allocation flags: include/linux/gfp_types.h and __def_gfpflag_names of include/trace/events/mmflags.h.

Written by hand from those two headers (Linux 6.12).  The order matters: compound masks are tried first.
"""

from __future__ import annotations

_BIT_NAMES = ["DMA", "HIGHMEM", "DMA32", "MOVABLE", "RECLAIMABLE", "HIGH", "IO", "FS", "ZERO", "UNUSED", "DIRECT_RECLAIM", "KSWAPD_RECLAIM", "WRITE", "NOWARN", "RETRY_MAYFAIL", "NOFAIL", "NORETRY", "MEMALLOC", "COMP", "NOMEMALLOC", "HARDWALL", "THISNODE", "ACCOUNT", "ZEROTAGS", "SKIP_ZERO", "SKIP_KASAN", "NO_OBJ_EXT"]
_BITS = {name: 1 << index for index, name in enumerate(_BIT_NAMES)}


def _mask(*names: str) -> int:
    return sum(_BITS[name] for name in names)


_RECLAIM = _mask("DIRECT_RECLAIM", "KSWAPD_RECLAIM")
_KERNEL = _RECLAIM | _mask("IO", "FS")
_USER = _KERNEL | _BITS["HARDWALL"]
_MOVABLE = _USER | _mask("HIGHMEM", "MOVABLE", "SKIP_KASAN")
_LIGHT = (_MOVABLE | _mask("COMP", "NOMEMALLOC", "NOWARN")) & ~_RECLAIM

_MASKS = (
    (_LIGHT | _BITS["DIRECT_RECLAIM"], "GFP_TRANSHUGE"),
    (_LIGHT, "GFP_TRANSHUGE_LIGHT"),
    (_MOVABLE, "GFP_HIGHUSER_MOVABLE"),
    (_USER | _BITS["HIGHMEM"], "GFP_HIGHUSER"),
    (_USER, "GFP_USER"),
    (_KERNEL | _BITS["ACCOUNT"], "GFP_KERNEL_ACCOUNT"),
    (_KERNEL, "GFP_KERNEL"),
    (_RECLAIM | _BITS["IO"], "GFP_NOFS"),
    (_mask("HIGH", "KSWAPD_RECLAIM"), "GFP_ATOMIC"),
    (_RECLAIM, "GFP_NOIO"),
    (_mask("KSWAPD_RECLAIM", "NOWARN"), "GFP_NOWAIT"),
    (_BITS["DMA"], "GFP_DMA"),
    (_BITS["HIGHMEM"], "__GFP_HIGHMEM"),
    (_BITS["DMA32"], "GFP_DMA32"),
    *((_BITS[name], f"__GFP_{name}") for name in _BIT_NAMES
      if name not in ("DMA", "HIGHMEM", "DMA32", "UNUSED", "MOVABLE", "RECLAIMABLE")),
)  # fmt: skip


def flag_names(flags: int) -> str:
    """Return the names joined by `|`, bits without a name in hexadecimal at the end; "0" for none."""
    names = []
    for mask, name in _MASKS:
        if flags & mask == mask:
            names.append(name)
            flags &= ~mask
    if flags or not names:
        names.append(f"{flags:#x}" if flags else "0")
    return "|".join(names)
