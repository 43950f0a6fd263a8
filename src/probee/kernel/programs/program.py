"""Program: a loaded program, which owns its descriptor."""

from __future__ import annotations

from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.program import TestRunResult, program_test_run
from probee.model.spec import ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.syscalls.info import ProgramInfo


class Program:
    """A live program.  Links keep the kernel's program alive by themselves: closing this one does not detach anything."""

    def __init__(self, spec: ProgramSpec, descriptor: Descriptor, *, attach_type: int = 0) -> None:
        self.spec = spec
        self.attach_type = attach_type  # what it was loaded for; not always the spec's, see load.py
        self.name = spec.name
        self.descriptor = descriptor

    @property
    def fd(self) -> int:
        return self.descriptor.fd

    def test_run(
        self, *, data: bytes = b"", context: bytes = b"", repeat: int = 0, cpu: int | None = None,
        data_out_size: int = 0, context_out_size: int = 0,
    ) -> TestRunResult:  # fmt: skip
        """Run the program now, in this thread; see syscalls/program.py for what each type takes."""
        return program_test_run(
            self.fd, data=data, context=context, repeat=repeat, cpu=cpu, data_out_size=data_out_size,
            context_out_size=context_out_size,
        )  # fmt: skip

    def info(self) -> ProgramInfo:
        """Return what the kernel tells about the program now: runs, misses, sizes."""
        from probee.kernel.syscalls.info import ProgramInfo

        return ProgramInfo(self.fd)

    def missed(self) -> int | None:
        """Return how many runs were left out because the program was running on that CPU, None if nobody counts."""
        return self.info().recursion_misses

    def close(self) -> None:
        self.descriptor.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.descriptor.closed else f"fd {self.fd}"
        return f"<Program {self.name} {state}>"
