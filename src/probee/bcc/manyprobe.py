"""ManyProbes: one program on many kernel functions by one BPF link, where a pattern matches them and the kernel can do that.

A link for thousands of functions is made in the time of a few single ones (Linux 5.18).  One function cannot be taken out of
it: the link is made anew for the others.
"""

from __future__ import annotations

from probee.errors import AttachError, KernelError
from probee.model.spec import AttachType, LinkSpec, ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.bcc.module import Module
    from probee.kernel.links.link import Link
    from probee.kernel.programs.program import Program


class ManyProbes:
    """A program that was loaded for many functions, and the link to them; both are its own."""

    def __init__(self, module: Module, kind: str, program_name: str, functions: list[str]) -> None:
        """Attach; raises what attaching raises when none of the functions can be probed."""
        self.kind = kind
        self._module = module
        self.program: Program = module.load(program_name, ProgramType.KPROBE, attach_type=AttachType.TRACE_KPROBE_MULTI)
        try:
            self.link: Link = self._attach(functions)
        except BaseException:
            self.program.close()
            raise
        skipped = {name for name, _ in self.link.skipped}
        self.functions = [name for name in functions if name not in skipped]

    def _attach(self, functions: list[str]) -> Link:
        from probee.kernel.links.attach import attach

        spec = LinkSpec(self.kind, self.program.name, f"{self.kind}:{functions[0]},…", {"functions": functions})
        return attach(spec, self.program, functions=self._module.lookup.functions)

    def leave(self, function: str) -> None:
        """Let one function go; the last one ends it."""
        self.functions.remove(function)
        if not self.functions:
            self.close()
            return
        try:
            link = self._attach(self.functions)
        finally:
            self.link.close()
        self.link = link

    def close(self) -> None:
        """Detach from all."""
        self.functions = []
        self.link.close()
        self.program.close()


def attach_many(module: Module, kind: str, program_name: str, functions: list[str]) -> ManyProbes | None:
    """Attach to many functions by one link; None where that is no gain or cannot be done, and one by one may do.

    BccError when the program itself is refused.
    """
    from probee.kernel.features.feature import has

    if len(functions) < 2 or not has("kprobe_multi"):
        return None
    try:
        return ManyProbes(module, kind, program_name, functions)
    except (AttachError, KernelError):
        return None
