"""After the scan: machine registers into the instructions, and moves to where a value changes its place.

A value changes its place within a block, at a split, or on an edge between blocks, where the two ends may disagree.  All
moves of one such point happen at once: stores first, then copies between registers, then loads and remade values.
Stores of a value that its slot already holds on every path are removed at the end, unless a branch has looked at the
register since: then the store is what carries the verifier's knowledge.
"""

from __future__ import annotations

from collections import Counter

from probee.compiler.codegen.interval import IN_MEMORY, Home, Interval
from probee.compiler.codegen.liveness import Liveness
from probee.compiler.codegen.machine import (
    FIRST_VIRTUAL,
    MOV64,
    FrameSlot,
    MachineBlock,
    MachineFunction,
    MachineInsn,
    is_no_copy,
)
from probee.formats.insn import opcode as o

Move = tuple[Interval, Interval]


class Resolver:
    def __init__(self, function: MachineFunction, liveness: Liveness, homes: dict[int, Home]) -> None:
        self._function = function
        self._liveness = liveness
        self._homes = homes
        self._split = {register: home for register, home in homes.items() if len(home.parts) > 1}
        self._whole = {register: home.parts[0].place for register, home in homes.items() if len(home.parts) == 1}
        self.slots: dict[int, FrameSlot] = {}
        for home in self._split.values():
            home.parts.sort(key=lambda part: part.start)

    def run(self) -> None:
        inside = self._moves_inside()
        edges = self._moves_on_edges()
        position = 0
        for block in self._function.blocks:
            result: list[MachineInsn] = []
            for insn in block.insns:
                if position in inside:
                    result += self._sequence(inside[position], insn.span)
                position += 2
                if is_no_copy(insn):
                    continue
                self._rename(insn, position - 2)
                if not is_no_copy(insn):
                    result.append(insn)
            block.insns = result
        entered = Counter(after for block in self._function.blocks for after in set(block.successors)) if edges else Counter()
        for before, after, moves in edges:
            self._place_on_edge(before, after, moves, alone=entered[after] == 1)

    def _rename(self, insn: MachineInsn, position: int) -> None:
        if insn.src >= FIRST_VIRTUAL:
            insn.src = self._register(insn.src, position, insn.op)
        if insn.dst >= FIRST_VIRTUAL:
            insn.dst = self._register(insn.dst, position, insn.op, written=True)

    def _register(self, register: int, position: int, opcode: int, *, written: bool = False) -> int:
        whole = self._whole.get(register)
        if whole is not None:
            return whole
        home = self._split[register]
        for at in (position + 1, position) if written else (position, position + 1):
            for part in home.parts:
                if part.start <= at < part.end and part.covers(at):
                    assert part.place >= 0, f"opcode {opcode:#x} at {position} wants r{register} from memory"
                    return part.place
        raise AssertionError(f"r{register} is not alive at {position}")

    # -- which moves

    def _moves_inside(self) -> dict[int, list[Move]]:
        """Return the moves at splits that are not at a block's start."""
        starts = set(self._liveness.start)
        moves: dict[int, list[Move]] = {}
        for home in self._split.values():
            for before, after in zip(home.parts, home.parts[1:], strict=False):
                if before.end == after.start and after.start not in starts and before.place != after.place:
                    moves.setdefault(after.start, []).append((before, after))
        return moves

    def _moves_on_edges(self) -> list[tuple[MachineBlock, MachineBlock, list[Move]]]:
        edges: list[tuple[MachineBlock, MachineBlock, list[Move]]] = []
        if not self._split:
            return edges
        starts = self._liveness.start
        for block in self._function.blocks:
            end = starts[block.number + 1]
            for successor in dict.fromkeys(block.successors):
                moves = []
                begin = starts[successor.number]
                for register in sorted(self._liveness.live_in[successor.number]):
                    home = self._split.get(register)
                    if home is not None:
                        before, after = home.part_at(end - 1), home.part_at(begin)
                        if before.place != after.place:
                            moves.append((before, after))
                if moves:
                    edges.append((block, successor, moves))
        return edges

    # -- moves as instructions

    def _place_on_edge(self, before: MachineBlock, after: MachineBlock, moves: list[Move], *, alone: bool) -> None:
        """Put moves at the end of the one block, at the start of the other (if only this edge enters it), or between them."""
        last = before.insns[-1] if before.insns else None
        span = last.span if last is not None else 0
        code = self._sequence(moves, span)
        if last is None or last.target is None:
            before.insns += code
            return
        if alone:
            after.insns[:0] = code
            return
        between = MachineBlock(min(before.depth, after.depth))
        between.insns = code
        between.next = after
        if before.next is after:
            before.next = between
        if last.target is after:
            last.target = between
        blocks = self._function.blocks
        blocks.insert(blocks.index(before) + 1, between)

    def _sequence(self, moves: list[Move], span: int) -> list[MachineInsn]:
        code: list[MachineInsn] = []
        copies: dict[int, int] = {}
        loads: list[MachineInsn] = []
        for before, after in moves:
            home = before.home
            if before.place == IN_MEMORY:
                loads.append(self._fetch(home, after.place, span))
            elif after.place != IN_MEMORY:
                copies[after.place] = before.place
            elif home.maker is None:
                code.append(MachineInsn(o.STX | o.MEM | o.DW, o.R10, before.place, 0, 0, span, slot=self._slot(home)))
        self._copy(copies, code, span)
        return code + loads

    def _fetch(self, home: Home, dst: int, span: int) -> MachineInsn:
        maker = home.maker
        if maker is None:
            return MachineInsn(o.LDX | o.MEM | o.DW, dst, o.R10, 0, 0, span, slot=self._slot(home))
        return MachineInsn(maker.op, dst, maker.src, maker.off, maker.imm, span, maker.ref, maker.slot)

    def _copy(self, copies: dict[int, int], code: list[MachineInsn], span: int) -> None:
        """Copy between registers as if at once; a cycle goes through the stack, since no register need be free."""
        while copies:
            sources = set(copies.values())
            ready = [dst for dst in copies if dst not in sources]
            for dst in ready:
                code.append(MachineInsn(MOV64, dst, copies.pop(dst), span=span))
            if not ready:
                dst = next(iter(copies))
                spare = self._spare()
                code.append(MachineInsn(o.STX | o.MEM | o.DW, o.R10, copies.pop(dst), 0, 0, span, slot=spare))
                self._copy(copies, code, span)
                code.append(MachineInsn(o.LDX | o.MEM | o.DW, dst, o.R10, 0, 0, span, slot=spare))

    def _spare(self) -> FrameSlot:
        spare = FrameSlot(8, 8)
        self._function.slots.append(spare)
        return spare

    def _slot(self, home: Home) -> FrameSlot:
        slot = self.slots.get(home.register)
        if slot is None:
            slot = self.slots[home.register] = FrameSlot(8, 8)
            slot.ranges = home.ranges
            self._function.slots.append(slot)
        return slot
