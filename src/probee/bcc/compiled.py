"""From C to an ObjectSpec: kept from the last time if possible, else compiled.

What is kept is told from other texts by the text, its options and the files of its USDT probes; a start from it imports no
compiler.  Warnings go to standard error, and so does what is wrong with the text, before BccError is raised.
"""

from __future__ import annotations

import os
import sys

from probee.bcc.error import BccError
from probee.errors import CompileError, PermissionMissing, ProbeeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from probee.model.spec import ObjectSpec
    from probee.model.target import Target
    from probee.model.usdt import UsdtPlace


def compiled(
    text: str, *, name: str = "/virtual/main.c", cflags: Sequence[str] = (),
    usdt: Mapping[str, Sequence[UsdtPlace]] | None = None, identity: str = "",
) -> ObjectSpec:  # fmt: skip
    """Compile for the running kernel.

    `usdt` says for each function which places of programs it is attached to; `identity` changes when their files do.
    """
    path = _cache_path(text, {"language": "c", "name": name, "cflags": list(cflags), "usdt": identity})
    spec = _cached(path) if path else None
    if spec is None:
        spec = _compile(text, name, {"name": name, "cflags": list(cflags), "usdt": dict(usdt or {})}, path)
    for warning in spec.warnings:
        sys.stderr.write(f"{warning}\n")
    return spec


def _compile(text: str, name: str, options: dict[str, Any], path: str) -> ObjectSpec:
    from probee.compiler.compile import compile_c
    from probee.kernel.target import LiveTarget

    target = LiveTarget()
    try:
        spec: ObjectSpec = compile_c(text, target, options)
    except ProbeeError as error:
        report = error.report()
        sys.stderr.write(f"{report}\n")
        sys.stderr.flush()
        if isinstance(error, PermissionMissing):
            raise BccError("Need super-user privileges to run") from None
        if not isinstance(error, CompileError):  # a kernel that does not tell what is needed: no fault of the text
            raise
        shown = "<text>" if name == "/virtual/main.c" else name.encode()
        raise BccError(f"Failed to compile BPF module {shown!s}") from None
    if path:
        _keep(path, spec, target)
    return spec


def _cache_path(text: str, options: dict[str, object]) -> str:
    from probee.compiler.cache import cache_key
    from probee.kernel.cachedir import cache_directory

    directory = cache_directory("objects")
    return f"{directory}/{cache_key(text, options)}.object" if directory is not None else ""


def _cached(path: str) -> ObjectSpec | None:
    from probee.compiler.cache import read_entry
    from probee.kernel.answer import still_holds

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(fd, "rb", buffering=0) as file:
        return read_entry(file.readall(), still_holds)


def _keep(path: str, spec: ObjectSpec, target: Target) -> None:
    """Keep an object for the next run; not being able to is no error."""
    from probee.compiler.cache import KEPT, write_entry
    from probee.kernel.answer import boot_id
    from probee.kernel.cachedir import keep_newest, write_whole

    data = write_entry(spec, target.reads, boot_id())
    if data is not None and write_whole(path, data):
        keep_newest(os.path.dirname(path), ".object", KEPT)
