"""Loads compiled programs and runs them once by BPF_PROG_TEST_RUN: what the kernel as a judge of code generation needs."""

from __future__ import annotations

from types import TracebackType

from probee.kernel.maps.create import create_all
from probee.kernel.programs.load import load
from probee.kernel.syscalls.btf import btf_load
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import ObjectSpec, ProgramType


class Loaded:
    """The first program of an object, loaded, with its maps."""

    def __init__(self, object: ObjectSpec, constants: dict[str, int] | None = None) -> None:
        self.object = object
        self.maps = create_all(object.maps)
        self._btf = Descriptor(btf_load(object.btf), "btf")
        try:
            self.program = load(object.programs[0], object, self.maps, constants, btf_fd=self._btf.fd)
        except BaseException:
            self._close_maps()
            raise

    def run(self, data: bytes = bytes(64)) -> int:
        """Run once, as a raw tracepoint without arguments or on a packet; return r0, 32 bits of it."""
        if self.object.programs[0].type == ProgramType.RAW_TRACEPOINT:
            return self.program.test_run().value
        return self.program.test_run(data=data).value

    def table(self, name: str) -> dict[bytes, bytes]:
        return dict(self.maps[name].read_all())

    def _close_maps(self) -> None:
        self._btf.close()
        for map in self.maps.values():
            map.close()

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.program.close()
        self._close_maps()
