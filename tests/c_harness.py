"""Runs programs of BCC's C without a kernel: compiled for the fixture target, executed by the instruction interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probee.compiler.compile import compile_c
from probee.formats.insn.interpret import Environment, Memory, machine_of, models_of
from probee.formats.target import FileTarget
from probee.model.spec import MapSpec, MapType, ObjectSpec
from probee.probes.register import RegisterLayout
from script_harness import shared_target

REGISTERS = RegisterLayout("x86_64")


class CRun:
    """A compiled program with its maps; `call` runs one of its functions."""

    def __init__(self, text: str, *, target: FileTarget | None = None, kernel: Mapping[int, bytes] | None = None,
                 environment: Environment | None = None, **options: Any) -> None:  # fmt: skip
        self.spec: ObjectSpec = compile_c(text, target or shared_target(), options)
        self.models = models_of([_sized(spec) for spec in self.spec.maps])
        memory = Memory()
        for address, data in (kernel or {}).items():
            memory.add(data, "kernel", at=address)
        self.machines = {
            program.name: machine_of(
                program, self.models, memory=memory, environment=environment or Environment(), faults_read_zero=True
            )
            for program in self.spec.programs
        }

    def call(
        self, function: str, *arguments: int, context: bytes | None = None, packet: bytes | bytearray | None = None
    ) -> int:
        """Return r0.  The arguments are in the registers of a struct pt_regs, unless another context is given."""
        if context is None:
            context = registers(*arguments)
        return self.machines[function].run(bytearray(context), packet=packet).r0

    def entries(self, name: str) -> dict[bytes, bytes]:
        """Return what is in a map; of a per-CPU one, each CPU's value after the other."""
        items = self.models[name].items()
        return {key: value if isinstance(value, bytes) else b"".join(value) for key, value in items.items()}

    def numbers(self, name: str) -> dict[int, int]:
        """Return a map of numbers."""
        return {int.from_bytes(key, "little"): int.from_bytes(value, "little") for key, value in self.entries(name).items()}


def run_c(body: str, *arguments: int, before: str = "", parameters: str = "u64 a, u64 b", **options: Any) -> int:
    """Return what a function's body returns, as an unsigned 64-bit number."""
    text = f"{before}\nu64 f(struct pt_regs *ctx, {parameters}) {{\n{body}\n}}\n"
    return CRun(text, **options).call("f", *arguments)


def registers(*arguments: int) -> bytes:
    """Return a struct pt_regs with a function's arguments."""
    context = bytearray(168)
    for offset, argument in zip(REGISTERS.arguments, arguments, strict=False):
        context[offset : offset + 8] = (argument & (1 << 64) - 1).to_bytes(8, "little")
    return bytes(context)


def _sized(spec: MapSpec) -> MapSpec:
    """Return a spec with the size that a loader fills in."""
    if spec.type == MapType.PERF_EVENT_ARRAY and not spec.max_entries:
        return MapSpec(spec.name, spec.type, spec.key_size, spec.value_size, 4)
    return spec
