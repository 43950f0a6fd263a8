"""An interpreter of BPF programs with maps and helpers: one judge of compiled code, and a counter of instructions.

    machine = Machine(insns, maps={"counts": HashMap(8, 8, 100)})
    result = machine.run(ctx)
    result.r0, result.n_executed, result.helper_calls, machine.maps["counts"].items()

Test equipment: nothing on the way of a running script imports it.
"""

from __future__ import annotations

from probee.formats.insn.interpret.environment import Environment
from probee.formats.insn.interpret.machine import Machine, Result
from probee.formats.insn.interpret.make_map import make_map
from probee.formats.insn.interpret.map import (
    ArrayMap,
    HashMap,
    MapModel,
    MapOfMaps,
    PerCpuArrayMap,
    PerCpuHashMap,
)
from probee.formats.insn.interpret.memory import InterpretError, Memory, Region
from probee.formats.insn.interpret.program import machine_of, models_of
from probee.formats.insn.interpret.ring import PerfEventArray, RingBuf, StackTraceMap

__all__ = [
    "ArrayMap",
    "Environment",
    "HashMap",
    "InterpretError",
    "Machine",
    "MapModel",
    "MapOfMaps",
    "Memory",
    "PerCpuArrayMap",
    "PerCpuHashMap",
    "PerfEventArray",
    "Region",
    "Result",
    "RingBuf",
    "StackTraceMap",
    "machine_of",
    "make_map",
    "models_of",
]
