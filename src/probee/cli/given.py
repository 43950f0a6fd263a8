"""The running kernel, but for what a file says: BPFTRACE_BTF and `--traceable-functions FILE`.

The file of functions is like tracefs's available_filter_functions: `NAME` or `NAME [MODULE]` per line.  Nothing else can
then be probed; patterns are expanded here, since the kernel's list is not asked when they are attached.
"""

from __future__ import annotations

from probee.errors import UsageError
from probee.formats.btf.reader import Btf
from probee.formats.target import VMLINUX
from probee.kernel.target import LiveTarget
from probee.kernel.traceable import split_lines
from probee.model.spec import LinkSpec, ObjectSpec
from probee.probes.match import select_functions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class OtherTypesTarget(LiveTarget):
    """The running kernel with type information from a file: BPFTRACE_BTF."""

    def __init__(self, path: str, *, pid: int = 0) -> None:
        super().__init__(pid=pid)
        try:
            with open(path, "rb") as file:
                self._types = file.read()
        except OSError as error:
            raise UsageError(f"BPFTRACE_BTF: failed to open file '{path}': {error.strerror}", exit_status=2) from None
        self.has_btf = True

    def load_btf(self, module: str) -> Btf | None:
        return Btf(self._types) if module == VMLINUX else super().load_btf(module)


class GivenTarget(LiveTarget):
    """The running kernel, but for its list of functions."""

    functions_are_given = True

    def __init__(self, path: str, *, pid: int = 0) -> None:
        super().__init__(pid=pid)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = sorted({line.rstrip("\n") for line in file if not line.isspace()})
        except OSError as error:
            raise UsageError(f"Failed to open kernel function info: '{path}': {error.strerror}") from None
        self._given = split_lines(lines)

    def traceable_functions(self) -> Iterable[tuple[str, str]]:
        return self._given


def settled(spec: ObjectSpec, target: GivenTarget) -> ObjectSpec:
    """Return the object with its patterns replaced by the functions that they mean here."""
    links = tuple(_settled(link, target) for link in spec.links)
    fields = {name: getattr(spec, name) for name in ObjectSpec.__slots__}
    return ObjectSpec(**{**fields, "links": links})


def _settled(link: LinkSpec, target: GivenTarget) -> LinkSpec:
    pattern = link.parameters.get("pattern")
    if pattern is None:
        return link
    found = select_functions(str(link.parameters.get("module", "")), str(pattern), target.traceable_functions())
    names: list[str] = sorted({name for name, _ in found})
    return LinkSpec(link.kind, link.program, link.probe, {"functions": names}, span=link.span)
