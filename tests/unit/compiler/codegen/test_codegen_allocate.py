"""Liveness, intervals, allocation, stores and the frame, on small machine code written by hand."""

from __future__ import annotations

import pytest

from probee.compiler.codegen.allocate import allocate
from probee.compiler.codegen.frame import lay_out
from probee.compiler.codegen.interval import Home
from probee.compiler.codegen.lifetime import find_lifetimes
from probee.compiler.codegen.liveness import NEVER, Liveness, first_intersection, intersect, merge
from probee.compiler.codegen.machine import FRAME, MOV64, FrameSlot, MachineBlock, MachineFunction, MachineInsn
from probee.compiler.codegen.store import remove_known_stores
from probee.errors import CompileError
from probee.formats.insn import opcode as o

LOAD, STORE, IMM, ADD = o.LDX | o.MEM | o.DW, o.STX | o.MEM | o.DW, o.ALU64 | o.MOV | o.K, o.ALU64 | o.ADD | o.X
CALL, EXIT = o.OP_CALL, o.OP_EXIT
A, B, C = 16, 17, 18


def function(*blocks: list[MachineInsn]) -> MachineFunction:
    """Blocks in a row, each going on to the next; the last ends."""
    result = MachineFunction("f")
    result.n_registers = 64
    for insns in blocks:
        block = MachineBlock()
        block.insns = insns
        if result.blocks:
            result.blocks[-1].next = block
        result.blocks.append(block)
    return result


def insn(op: int, dst: int = 0, src: int = 0, **fields: object) -> MachineInsn:
    made = MachineInsn(op, dst, src)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_a_range_runs_from_the_write_to_the_last_read() -> None:
    code = function([insn(IMM, A), insn(IMM, B), insn(ADD, B, A), insn(MOV64, 0, B), insn(EXIT)])
    ranges = Liveness(code).ranges
    assert ranges[A] == [(1, 5)]
    assert ranges[B] == [(3, 7)]
    assert ranges[0] == [(7, 9)]


def test_a_rewritten_register_has_a_hole() -> None:
    rest = [insn(IMM, C), insn(IMM, A), insn(ADD, B, A), insn(MOV64, 0, B), insn(EXIT)]
    code = function([insn(IMM, A), insn(MOV64, B, A), *rest])
    assert Liveness(code).ranges[A] == [(1, 3), (7, 9)]


def test_what_a_loop_reads_lives_through_the_whole_loop() -> None:
    code = function(
        [insn(IMM, A), insn(IMM, B)],
        [insn(ADD, B, A), insn(o.JMP | o.JLT | o.K, B, imm=9)],
        [insn(MOV64, 0, B), insn(EXIT)],
    )
    code.blocks[1].insns[-1].target = code.blocks[1]
    liveness = Liveness(code)
    assert liveness.ranges[A] == [(1, 8)]
    assert liveness.live_in[1] == {A, B}
    assert liveness.live_out[1] == {A, B}


def test_a_call_writes_all_that_it_may_clobber() -> None:
    code = function([insn(IMM, 1), insn(CALL, off=1), insn(EXIT)])
    ranges = Liveness(code).ranges
    assert ranges[1] == [(1, 4)]
    assert all((3, 4) in ranges[register] for register in (2, 3, 4, 5))
    assert ranges[0] == [(3, 5)]


@pytest.mark.parametrize(
    ("left", "right", "meeting"),
    [([(0, 4)], [(4, 8)], NEVER), ([(0, 4), (9, 12)], [(4, 9), (11, 13)], 11), ([(2, 9)], [(0, 3)], 2)],
)
def test_intersection(left: list[tuple[int, int]], right: list[tuple[int, int]], meeting: int) -> None:
    assert intersect(left, right) is (meeting < NEVER)
    assert first_intersection(left, right, 0) == meeting


def test_merged_ranges_touch() -> None:
    assert merge([(0, 3), (8, 9)], [(3, 5)]) == [(0, 5), (8, 9)]


def test_a_split_interval_keeps_its_uses_apart() -> None:
    home = Home(A, [(1, 20)], [1, 8, 19], [])
    tail = home.parts[0].split(8)
    assert (home.parts[0].ranges, home.parts[0].uses) == ([(1, 8)], [1])
    assert (tail.ranges, tail.uses) == ([(8, 20)], [8, 19])
    assert tail.next_use(9) == 19
    assert tail.last_use(19) == 8


def test_a_value_across_a_call_goes_to_a_register_that_survives() -> None:
    code = function([insn(LOAD, A, 1), insn(CALL, off=0), insn(ADD, A, 0), insn(MOV64, 0, A), insn(EXIT)])
    allocate(code)
    first = code.blocks[0].insns[0]
    assert first.dst in (6, 7, 8, 9)
    assert not code.slots


def test_the_fifth_value_across_a_call_is_stored_before_it_and_loaded_after_it() -> None:
    loads = [insn(LOAD, A + n, 1, off=8 * n) for n in range(5)]
    sums = [insn(ADD, A, A + n) for n in range(1, 5)]
    code = function([*loads, insn(CALL, off=0), *sums, insn(MOV64, 0, A), insn(EXIT)])
    allocate(code)
    insns = code.blocks[0].insns
    call = next(index for index, each in enumerate(insns) if each.op == CALL)
    assert [each.op for each in insns[:call]].count(STORE) == 1
    assert insns[call - 1].op == STORE
    assert [each.op for each in insns[call:]].count(LOAD) == 1


def test_a_constant_across_a_call_is_made_anew_instead() -> None:
    loads = [insn(LOAD, A + n, 1, off=8 * n) for n in range(4)]
    sums = [insn(ADD, A, A + n) for n in range(1, 5)]
    code = function([insn(o.OP_LD_IMM64, A + 4, imm=1 << 40), *loads, insn(CALL, off=0), *sums, insn(MOV64, 0, A), insn(EXIT)])
    allocate(code)
    assert not code.slots
    assert sum(each.op == o.OP_LD_IMM64 for each in code.blocks[0].insns) == 2


def test_a_store_of_what_the_slot_holds_is_dropped() -> None:
    slot = FrameSlot(8, 8)
    code = function([insn(STORE, 10, 6, slot=slot), insn(LOAD, 1, 10, slot=slot), insn(STORE, 10, 1, slot=slot), insn(EXIT)])
    remove_known_stores(code, {slot})
    assert [each.op for each in code.blocks[0].insns] == [STORE, LOAD, EXIT]


def test_a_store_after_a_check_stays() -> None:
    """What the verifier learned of the register has to get into the slot."""
    slot = FrameSlot(8, 8)
    check = insn(o.JMP | o.JGT | o.K, 6, imm=9)
    code = function([insn(STORE, 10, 6, slot=slot), check], [insn(STORE, 10, 6, slot=slot)], [insn(EXIT)])
    check.target = code.blocks[2]
    remove_known_stores(code, {slot})
    assert [each.op for each in code.blocks[1].insns] == [STORE]


def frame(*slots: FrameSlot) -> MachineFunction:
    code = function([insn(EXIT)])
    code.slots = list(slots)
    return code


def slot(size: int, *ranges: tuple[int, int], name: str = "") -> FrameSlot:
    made = FrameSlot(size, 8, name)
    made.ranges = list(ranges) if ranges else None
    return made


def test_slots_that_take_turns_share_their_place() -> None:
    first, second, third = slot(64, (0, 10)), slot(64, (10, 20)), slot(8, (5, 15))
    code = frame(first, second, third)
    lay_out(code)
    assert first.at == second.at == -64
    assert third.at == -72
    assert code.frame_size == 72


def test_slots_that_always_matter_share_nothing() -> None:
    code = frame(slot(16), slot(16), slot(3))
    lay_out(code)
    assert code.frame_size == 40
    assert len({each.at for each in code.slots}) == 3


def test_more_than_512_bytes_are_refused_by_name() -> None:
    with pytest.raises(CompileError, match=r"600 bytes.*big \(600 bytes\)"):
        lay_out(frame(slot(600, name="big")))


def test_a_slot_matters_until_the_call_that_gets_its_address() -> None:
    used = FrameSlot(8, 8)
    code = function([insn(FRAME, 2, slot=used), insn(IMM, 3), insn(CALL, off=2), insn(EXIT)])
    code.slots = [used]
    find_lifetimes(code, Liveness(code))
    assert used.ranges == [(0, 6)]


def test_a_slot_whose_address_is_stored_matters_always() -> None:
    used, other = FrameSlot(8, 8), FrameSlot(8, 8)
    code = function([insn(FRAME, A, slot=used), insn(STORE, 10, A, slot=other), insn(EXIT)])
    code.slots = [used, other]
    find_lifetimes(code, Liveness(code))
    assert used.ranges is None
    assert other.ranges == [(2, 4)]
