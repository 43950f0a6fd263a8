"""Compiled programs kept between runs: where an object lies, whether it still holds for the running kernel, keeping it.

The key and the bytes of an entry are compiler/cache.py's; what the kernel says now is kernel/answer.py's.  Both faces, the
command line and bcc's, start from here without importing the compiler.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probee.model.spec import ObjectSpec


def object_path(text: str, options: Mapping[str, object]) -> str:
    """Return where the object of a text, compiled with these options, is kept; "" without a directory to trust."""
    from probee.compiler.cache import cache_key
    from probee.kernel.cachedir import cache_directory

    directory = cache_directory("objects")
    return f"{directory}/{cache_key(text, dict(options))}.object" if directory is not None else ""


def kept_object(path: str, holds: Callable[[dict[str, str], str], bool] | None = None) -> ObjectSpec | None:
    """Return an object that is kept and still holds; `holds(reads, boot id)` decides that, the running kernel by default."""
    from probee.compiler.cache import read_entry
    from probee.kernel.answer import still_holds

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(fd, "rb", buffering=0) as file:
        return read_entry(file.readall(), holds or still_holds)


def keep_object(path: str, spec: ObjectSpec, reads: dict[str, str]) -> None:
    """Keep an object for the next run; not being able to is no error."""
    from probee.compiler.cache import KEPT, write_entry
    from probee.kernel.answer import boot_id
    from probee.kernel.cachedir import keep_newest, write_whole

    data = write_entry(spec, reads, boot_id())
    if data is not None and write_whole(path, data):
        keep_newest(os.path.dirname(path), ".object", KEPT)
