"""The interpreter: a program, its maps and its helpers made into steps, and the loop that runs them.

It stands in for kernel/bpf/core.c (___bpf_prog_run) with every pointer checked and unset registers refused, so that a
program which runs here without InterpretError is sane; it is no verifier, since it sees one path at a time.  Counts one
per instruction executed, the 64-bit immediate load also once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from probee.formats.insn import opcode as o
from probee.formats.insn.insn import U64, Insn
from probee.formats.insn.interpret.environment import Environment
from probee.formats.insn.interpret.link import Program, link
from probee.formats.insn.interpret.map import MapModel
from probee.formats.insn.interpret.memory import InterpretError, Memory, Region
from probee.formats.insn.interpret.memory_step import atomic_step, load_step, store_step
from probee.formats.insn.interpret.ring import RingBuf
from probee.formats.insn.interpret.step import Registers, Step, alu_step, constant_step, jump_step
from probee.model.helper import helper_name, n_arguments

MAX_FRAMES = 8  # MAX_CALL_FRAMES
_EXIT = -1
_POISON = b"\xa5" * o.STACK_BYTES  # what a fresh stack holds, to make reads of unset bytes visible
_UNSET: Registers = [None] * 11  # type: ignore[list-item]  # None stands for "unset"
_VARIADIC = frozenset({"trace_printk"})

Helper = Callable[..., int]


class Result:
    """What one run did: r0 (unsigned), instructions executed, and how often each helper was called."""

    __slots__ = ("helper_calls", "n_executed", "r0")

    def __init__(self, r0: int, n_executed: int, helper_calls: dict[str, int]) -> None:
        self.r0 = r0
        self.n_executed = n_executed
        self.helper_calls = helper_calls

    def __repr__(self) -> str:
        return f"Result(r0={self.r0:#x}, n_executed={self.n_executed}, helper_calls={self.helper_calls})"


class Machine:
    """A program that is ready to run, again and again, on maps that keep their contents.

    `maps` are known by name or by the number in place of a file descriptor; `functions` are further functions by name;
    `constants` the late constants; `symbols` addresses of BTF-typed variables; `helpers` replaces or adds helpers and
    kfuncs by name, each called as helper(machine, r1, r2, r3, r4, r5).  Maps that are in a machine already bring its
    memory along, so that several programs share them.
    """

    def __init__(
        self,
        insns: Sequence[Insn],
        maps: Mapping[str, MapModel] | Mapping[int, MapModel] | None = None,
        helpers: Mapping[str, Helper] | None = None,
        *,
        functions: Mapping[str, Sequence[Insn]] | None = None,
        constants: Mapping[str, int] | None = None,
        symbols: Mapping[str, int] | None = None,
        environment: Environment | None = None,
        memory: Memory | None = None,
        max_insns: int = 10_000_000,
        faults_read_zero: bool = False,
    ) -> None:
        self.environment = environment or Environment()
        self.maps: dict[str | int, MapModel] = {name: model for name, model in (maps or {}).items()}  # noqa: C416  # widens the key
        bound = next((model.bound_to for model in self.maps.values() if model.bound_to), None)
        self.memory = memory or bound or Memory()
        for name, model in self.maps.items():
            model.bind(self.memory, str(name), self.environment.n_cpus)
        self.r: Registers = _UNSET[:]
        self.n_executed = 0
        self.max_insns = max_insns
        self.helper_calls: dict[str, int] = {}
        self._frames: list[Region] = []
        self._depth = 0
        self._helpers = dict(helpers or {})
        self._faults_read_zero = faults_read_zero
        program = Program(list(insns), dict(functions or {}))
        self._insns = program.insns
        self._slots = program.slots
        values = link(program, self.maps, constants or {}, symbols or {})
        self._steps = self._make_steps(values)

    def run(self, ctx: bytes | bytearray = b"", *, packet: bytes | bytearray | None = None) -> Result:
        """Run from the first instruction with r1 = address of `ctx`, which a bytearray lets the program write.

        `packet` becomes packet memory; 4-byte loads at ctx offsets 0 and 4 then give its start and end (struct xdp_md).
        """
        self.n_executed = 0
        self.helper_calls = {}
        region = self.memory.add(ctx, "ctx")
        regions = [region]
        if packet is not None:
            regions.append(self.memory.add(packet, "packet"))
            start = regions[1].base
            region.pointers = {0: start, 4: start + len(packet), 8: start}
        try:
            r0 = self.call(0, (region.base,))
        finally:
            for region in regions:
                self.memory.remove(region)
            self.memory.end_run()
            self._depth = 0
        for model in self.maps.values():
            if isinstance(model, RingBuf):
                model.check_released()
        return Result(r0, self.n_executed, self.helper_calls)

    def call(self, slot: int, arguments: tuple[int, ...]) -> int:
        """Run the function at `slot` in a new frame and return its r0; helpers use it for callbacks."""
        r = self.r
        saved = r[6:11]
        if self._depth == MAX_FRAMES:
            raise InterpretError(f"more than {MAX_FRAMES} frames", slot)
        r[:] = _UNSET
        r[1 : 1 + len(arguments)] = arguments
        r[10] = self._new_frame()
        self._depth += 1
        self._execute(slot)
        self._depth -= 1
        r[6:11] = saved
        result = r[0]
        r[:6] = _UNSET[:6]
        return result

    def _new_frame(self) -> int:
        """Return the frame pointer of a stack with nothing on it yet."""
        if self._depth == len(self._frames):
            self._frames.append(self.memory.add(bytearray(_POISON), "stack", f"of frame {self._depth}"))
        region = self._frames[self._depth]
        assert isinstance(region.data, bytearray)
        region.data[:] = _POISON
        return region.base + o.STACK_BYTES

    def _execute(self, slot: int) -> None:
        steps = self._steps
        budget = self.max_insns - self.n_executed
        here = slot
        done = 0
        try:
            for done in range(1, budget + 1):  # noqa: B007  # read in finally
                here = slot
                slot = steps[slot]()
                if slot < 0:
                    break
            else:
                raise InterpretError(f"still running after {self.max_insns} instructions")
        except InterpretError as error:
            raise error if error.slot >= 0 else self._at(here, str(error)) from None
        except TypeError as error:
            raise self._at(here, f"a register or argument is unset ({error})") from error
        finally:
            self.n_executed += done

    def _at(self, slot: int, message: str) -> InterpretError:
        from probee.formats.insn.disassemble import format_insn

        insn = self._insns[self._slots[slot]]
        return InterpretError(f"slot {slot}: {format_insn(insn)}: {message}", slot)

    def _make_steps(self, values: dict[int, int]) -> list[Step]:
        steps: list[Step] = []
        for insn in self._insns:
            following = len(steps) + insn.n_slots
            steps.append(self._make_step(insn, following, values.get(len(steps), 0)))
            if insn.n_slots == 2:
                steps.append(steps[-1])  # never entered: link() refuses jumps to it
        return steps

    def _make_step(self, insn: Insn, following: int, value: int) -> Step:
        cls = insn.op & 7
        if cls in (o.ALU, o.ALU64):
            return alu_step(self.r, insn, following)
        if cls == o.LDX:
            return load_step(self.r, self.memory, insn, following, faults_read_zero=self._faults_read_zero)
        if cls in (o.ST, o.STX):
            make = atomic_step if insn.op & 0xE0 == o.ATOMIC else store_step
            return make(self.r, self.memory, insn, following)
        if insn.op == o.OP_LD_IMM64:
            return constant_step(self.r, insn.dst, value, following)
        if insn.op == o.OP_EXIT:
            return self._exit_step()
        if insn.op == o.OP_CALL:
            return self._call_step(insn, following, value)
        if cls == o.LD:
            raise InterpretError("legacy packet loads are not modelled")
        return jump_step(self.r, insn, following)

    def _exit_step(self) -> Step:
        r = self.r

        def step() -> int:
            r[0] += 0  # an unset r0 is an error
            return _EXIT

        return step

    def _call_step(self, insn: Insn, following: int, value: int) -> Step:
        r = self.r
        if insn.src == o.PSEUDO_CALL:

            def call_function() -> int:
                arguments = tuple(r[1:6])
                r[0] = self.call(value, arguments)
                return following

            return call_function
        kfunc = insn.src == o.PSEUDO_KFUNC_CALL
        name = str(getattr(insn.ref, "name", insn.imm)) if kfunc else helper_name(insn.imm) or f"helper#{insn.imm}"
        checked = 0 if kfunc or name in _VARIADIC or name in self._helpers else n_arguments(insn.imm)
        function = self._find_helper(name)

        def call_helper() -> int:
            self.helper_calls[name] = self.helper_calls.get(name, 0) + 1
            arguments = r[1:6]
            for argument in arguments[:checked]:
                argument + 0  # an unset argument is an error
            result = function(self, *arguments)
            r[0] = result & U64
            r[1:6] = _UNSET[1:6]
            return following

        return call_helper

    def _find_helper(self, name: str) -> Helper:
        from probee.formats.insn.interpret.helper import HELPERS

        function = self._helpers.get(name) or HELPERS.get(name)
        if function is not None:
            return function

        def missing(*_: object) -> int:
            raise InterpretError(f"helper {name} is not modelled; give the machine one of that name")

        return missing

    # For helpers.

    def map_at(self, address: int) -> MapModel:
        """Return the map whose handle is at an address."""
        region = self.memory.kernel.get(address >> 20)
        if region is None or region.kind != "handle" or address != region.base or not isinstance(region.owner, MapModel):
            raise InterpretError(f"{address:#x} is no map")
        return region.owner

    def callback(self, address: int) -> Callable[..., int]:
        """Return the function that a 64-bit load of PSEUDO_FUNC gave the address of."""
        from probee.formats.insn.interpret.link import FUNCTION_BASE

        slot = address - FUNCTION_BASE
        if not 0 <= slot < len(self._steps):
            raise InterpretError(f"{address:#x} is no function of the program")
        return lambda *arguments: self.call(slot, arguments)
