"""From C to an ObjectSpec: kept from the last time if possible, else compiled.

What is kept is told from other texts by the text, its own headers, its options and the files of its USDT probes; a start
from it imports no compiler.  Warnings go to standard error, and so does what is wrong with the text, before BccError is raised.
"""

from __future__ import annotations

import sys

from probee.bcc.error import BccError
from probee.bcc.header import own_headers
from probee.errors import CompileError, PermissionMissing, ProbeeError
from probee.objectcache import keep_object, kept_object, object_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from probee.model.spec import ObjectSpec
    from probee.model.usdt import UsdtPlace


TEXT = "/virtual/main.c"  # what messages call a text that is of no file


def compiled(
    text: str, *, name: str = TEXT, cflags: Sequence[str] = (),
    usdt: Mapping[str, Sequence[UsdtPlace]] | None = None, identity: str = "",
) -> ObjectSpec:  # fmt: skip
    """Compile for the running kernel.

    `usdt` says for each function which places of programs it is attached to; `identity` changes when their files do.
    """
    headers = own_headers(text, source="" if name == TEXT else name, cflags=cflags)
    options = {"name": name, "cflags": list(cflags), "headers": headers}
    path = object_path(text, {"language": "c", **options, "usdt": identity})
    spec = kept_object(path) if path else None
    if spec is None:
        spec = _compile(text, name, {**options, "usdt": dict(usdt or {})}, path)
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
        shown = "<text>" if name == TEXT else name.encode()
        raise BccError(f"Failed to compile BPF module {shown!s}") from None
    if path:
        keep_object(path, spec, target.reads)
    return spec
