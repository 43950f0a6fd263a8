"""Register allocation as a whole: which values are remade instead of stored, the scan, the moves, and the stores that
turn out to be superfluous.
"""

from __future__ import annotations

from probee.compiler.codegen.interval import homes
from probee.compiler.codegen.lifetime import find_lifetimes
from probee.compiler.codegen.liveness import Liveness
from probee.compiler.codegen.machine import FRAME, MachineFunction, MachineInsn, operands
from probee.compiler.codegen.resolve import Resolver
from probee.compiler.codegen.scan import Scan
from probee.compiler.codegen.store import remove_known_stores
from probee.formats.insn import opcode as o

_CHEAP = frozenset((o.ALU64 | o.MOV | o.K, o.ALU | o.MOV | o.K, o.OP_LD_IMM64, FRAME))


def allocate(function: MachineFunction) -> None:
    """Replace every virtual register by a machine register; slots, old and new, get the ranges in which they matter."""
    liveness = Liveness(function)
    find_lifetimes(function, liveness)
    records = homes(function, liveness, _makers(function))
    Scan(function, liveness, records).run()
    resolver = Resolver(function, liveness, records)
    resolver.run()
    if resolver.slots:
        remove_known_stores(function, set(resolver.slots.values()))


def _makers(function: MachineFunction) -> dict[int, MachineInsn]:
    """Return the only writer of each register whose value can be made anew: immediates, handles, frame addresses."""
    makers: dict[int, MachineInsn] = {}
    several: set[int] = set()
    for block in function.blocks:
        for insn in block.insns:
            for register in operands(insn)[1]:
                if register in makers:
                    several.add(register)
                makers[register] = insn
    return {register: insn for register, insn in makers.items() if register not in several and insn.op in _CHEAP}
