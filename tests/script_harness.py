"""Runs bpftrace scripts without a kernel: compiled for the fixture target, executed by the instruction interpreter.

`run_script(text)` gives what the command line would print.  Programs run in this order: every `begin`, then each other
probe once (with the context it is given), then every `end`; records go through the runtime's own actions and the text
output.  What only a running kernel has is in `World`: memory, the current process, the context of each probe.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

from probee.compiler.compile import compile
from probee.errors import Source
from probee.formats.insn.interpret import Environment, Memory, PerfEventArray, RingBuf, StackTraceMap, machine_of, models_of
from probee.formats.target import FileTarget
from probee.model import event as events
from probee.model.snapshot import MapSnapshot
from probee.model.spec import LateConstant, MapSpec, ObjectSpec
from probee.model.value import Frame
from probee.outputs.text import TextOutput
from probee.runtime.actions import make_handler
from probee.runtime.resolve import Resolver
from probee.runtime.snapshot import MapReader
from target_fixture import build_target

RING_BYTES = 1 << 20
SYMBOLS = {0xFFFF_FFFF_8100_0000: "vfs_read", 0xFFFF_FFFF_8100_1000: "do_sys_openat2", 0xFFFF_FFFF_8100_2000: "ksys_read"}
# What the fixture's kernel lacks and scripts need.
_FEATURES = frozenset(("map_lookup_percpu_elem", "jiffies64", "kfuncs"))


class World:
    """What the programs meet: memory by address (multiples of 1 MB), the process, contexts by the probe's name.

    `contexts` maps the full name of a probe to bytes; probes without one get `context`.
    """

    def __init__(
        self,
        *,
        context: bytes = bytes(512),
        contexts: dict[str, bytes] | None = None,
        kernel: dict[int, bytes] | None = None,
        user: dict[int, bytes] | None = None,
        environment: Environment | None = None,
        constants: dict[str, int] | None = None,
    ) -> None:
        self.context = context
        self.contexts = contexts or {}
        self.kernel = kernel or {}
        self.user = user or {}
        self.environment = environment or Environment()
        self.constants = {"start_boot_ns": 5_000_000_000, "self_pid": 1200, **(constants or {})}

    def memory(self) -> Memory:
        memory = Memory()
        for address, data in self.kernel.items():
            memory.add(data, "kernel", at=address)
        for address, data in self.user.items():
            memory.add(data, "user", at=address)
        return memory


class Outcome:
    """What a script did: `out` and `err` as written, the exit status, the maps as they were at the end, records of packets."""

    def __init__(
        self, spec: ObjectSpec, out: str, err: str, status: int, maps: dict[str, MapSnapshot], packets: list[bytes]
    ) -> None:
        self.spec = spec
        self.out = out
        self.err = err
        self.status = status
        self.maps = maps
        self.packets = packets


class _Target(FileTarget):
    """The fixture's kernel, with a few features more."""

    def has_feature(self, name: str) -> bool:
        return name in _FEATURES or super().has_feature(name)


@cache
def shared_target() -> FileTarget:
    """Return one target for all scripts: reading it again for each is slow, and nothing in it changes."""
    target = build_target()
    target.__class__ = _Target
    return target


def compile_script(text: str, *, target: FileTarget | None = None, **options: Any) -> ObjectSpec:
    """Compile for the fixture's kernel."""
    return compile(text, target or shared_target(), options)


def run_script(text: str, world: World | None = None, *, target: FileTarget | None = None, **options: Any) -> str:
    """Return what a script prints on standard output, without the blank lines before the maps at exit."""
    return run(text, world, target=target, **options).out


def run(text: str, world: World | None = None, *, target: FileTarget | None = None, **options: Any) -> Outcome:
    """Compile and run a script."""
    return run_object(compile_script(text, target=target, **options), world or World())


def run_object(spec: ObjectSpec, world: World) -> Outcome:
    """Run a compiled script."""
    return _Run(spec, world).run()


class _Symbols:
    """Two kernel functions, and nobody else's."""

    def kernel(self, address: int) -> Frame:
        base = max((start for start in SYMBOLS if start <= address), default=0)
        return Frame(address, SYMBOLS[base], address - base) if base and address - base < 0x1000 else Frame(address)

    def user(self, pid: int, address: int) -> Frame:
        return Frame(address)

    def user_stack(self, pid: int, addresses: list[int]) -> tuple[Frame, ...]:
        return tuple([Frame(address) for address in addresses])

    def remember(self, pid: int) -> None:
        self.seen = pid

    def remember_program(self, path: str) -> None:
        self.probed = path


class _LiveMap:
    """A map model with the face of a live map."""

    def __init__(self, spec: MapSpec, model: Any) -> None:
        self.spec = spec
        self.model = model
        self.key_size = spec.key_size
        self.value_size = spec.value_size

    def read_all(self) -> list[tuple[bytes, bytes]]:
        return [(key, value if isinstance(value, bytes) else b"".join(value)) for key, value in self.model.items().items()]

    def clear(self) -> None:
        for key in list(self.model.items()):
            self.model.delete(key)
        self.model.memory.end_run()

    def zero(self) -> None:
        for key in self.model.items():
            for cpu in range(self.model.n_cpus):
                self.model.memory.write(self.model.lookup(key, cpu), bytes(self.model.value_size))

    def lookup(self, key: bytes) -> bytes | None:
        assert isinstance(self.model, StackTraceMap)
        stack = self.model.stacks.get(int.from_bytes(key, "little"))
        if stack is None:
            return None
        return b"".join(frame.to_bytes(8, "little") for frame in stack).ljust(self.spec.value_size, b"\0")


class _Run:
    """Stands in for runtime.session.Session, for the actions that ask it."""

    warnings = True
    hurries = False

    def __init__(self, spec: ObjectSpec, world: World) -> None:
        self.spec = spec
        self.world = world
        self.source = Source(spec.source_name, spec.source_text, spec.source_parts)
        self.trailer = str(spec.options.get("str_trunc_trailer", ".."))
        sized = [s if s.role != "ring" else MapSpec(s.name, s.type, 0, 0, RING_BYTES, role="ring") for s in spec.maps]
        self.models = models_of(sized)
        self.live = {s.name: _LiveMap(s, self.models[s.name]) for s in spec.maps}
        stacks = [live for live in self.live.values() if live.spec.role == "stack"]
        self.resolver = Resolver(stacks=stacks, actions=spec.actions, symbols=_Symbols())  # type: ignore[arg-type]
        self.memory = world.memory()
        self.status = 0
        self.exited = False
        self.out, self.err = io.BytesIO(), io.BytesIO()
        self.writer = TextOutput(self.out, self.err, self.source, trailer=self.trailer)
        self.handlers = [make_handler(action, self) for action in spec.actions]  # type: ignore[arg-type]

    def run(self) -> Outcome:
        programs = {program.name: program for program in self.spec.programs}
        constants = {constant.name: self._constant(constant) for constant in self.spec.constants}
        self.machines = {
            name: machine_of(
                program, self.models, memory=self.memory, environment=self.world.environment, constants=constants,
                faults_read_zero=True,
            )
            for name, program in programs.items()
        }  # fmt: skip
        first = [link for link in self.spec.links if link.kind == "begin"]
        last = [link for link in self.spec.links if link.kind == "end"]
        others = [link for link in self.spec.links if link.kind not in ("begin", "end")]
        for link in [*first, *others]:
            if not self.exited:
                self._fire(link)
        self.exited = False
        for link in last:
            self._fire(link)
        maps = {name: self.printed(name) for name in sorted(self.live) if self.live[name].spec.role == "user"}
        at_exit = [self.snapshot(name) for name in maps] if self.spec.options.get("print_maps_on_exit", True) else []
        before = len(self.out.getvalue())
        self.writer.write([events.MapsAtExit([found for found in at_exit if found.rows])])
        text = self.out.getvalue()
        out = text[:before] + text[before:].removeprefix(b"\n\n")
        buffer = self.models.get("packets")
        packets = [data for _, data in buffer.records] if isinstance(buffer, PerfEventArray) else []
        return Outcome(
            self.spec, out.decode("utf-8", "surrogateescape"), self.err.getvalue().decode(), self.status, maps, packets
        )

    def _fire(self, link: Any) -> None:
        context = self.world.contexts.get(link.probe, self.world.context)
        self.result = self.machines[link.program].run(bytearray(context))
        for model in self.models.values():
            if isinstance(model, RingBuf):
                self._dispatch(model.drain())

    def _dispatch(self, records: list[bytes]) -> None:
        for record in records:
            event = self.handlers[int.from_bytes(record[:8], "little")].one(record, 0, len(record))
            if event is not None:
                self.writer.write([event])
            if self.exited:
                return

    def _constant(self, constant: LateConstant) -> int:
        if constant.kind == "kaddr":
            known = {name: address for address, name in SYMBOLS.items()}
            return known.get(constant.argument, 0xFFFF_FFFF_8200_0000)
        if constant.kind == "possible_cpus":
            return self.world.environment.n_cpus
        return self.world.constants.get(constant.name, self.world.constants.get(constant.kind, 0))

    # -- what the actions ask of a session

    def exit(self, status: int) -> None:
        self.status, self.exited = status, True

    def live_map(self, name: str) -> _LiveMap:
        return self.live[name]

    def snapshot(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        live = self.live[name]
        reader = MapReader(live.spec, self.resolver, self.world.environment.n_cpus)
        return reader.snapshot(live.read_all(), top=top, div=div)

    def printed(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        found = self.snapshot(name, top=top, div=div)
        if found.scalar and not found.rows and found.form in ("map", "stats"):
            found.rows = [(None, MapReader(self.live[name].spec, self.resolver, self.world.environment.n_cpus).unset())]
        return found

