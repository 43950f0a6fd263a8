"""Prints, per program of the corpus, our code beside LLVM's: instructions, executed instructions, verifier work, time.

`python benchmarks/compare.py` needs llvmlite; the verifier's columns appear for root on a kernel that has BPF.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

sys.path[:0] = [str(Path(__file__).parent.parent / "tests"), str(Path(__file__).parent.parent / "tests/kernel")]

from llvm import LlvmRefused, compile_unit  # noqa: E402

from ir_corpus import CASES, PACKET, Case  # noqa: E402
from probee.compiler.codegen.generate import generate_object  # noqa: E402
from probee.compiler.ir.passes.memory import memory  # noqa: E402
from probee.compiler.ir.pipeline import optimise  # noqa: E402
from probee.errors import ProbeeError  # noqa: E402
from probee.formats.insn.encode import encode, relocations  # noqa: E402
from probee.formats.insn.insn import Insn  # noqa: E402
from probee.formats.insn.interpret import Machine, models_of  # noqa: E402
from probee.formats.insn.ref import ConstRef, MapRef, MapValueRef  # noqa: E402
from probee.formats.insn.symbolic import symbolic  # noqa: E402
from probee.model.spec import ObjectSpec, ProgramSpec, ProgramType, Relocation  # noqa: E402


def ours(case: Case) -> tuple[ObjectSpec, list[Insn], float]:
    """Return our object, its instructions, and the seconds it took from the lowered IR."""
    unit, _ = case.build()
    start = time.perf_counter()
    object = generate_object(optimise(unit), source_name=case.name, source_text="")
    return object, symbolic(object.programs[0]), time.perf_counter() - start


def theirs(case: Case, base: ObjectSpec) -> tuple[ObjectSpec, list[Insn]]:
    unit, _ = case.build()
    insns = compile_unit(memory(unit))
    kinds = {MapRef: "map", MapValueRef: "map_value", ConstRef: "constant"}
    places = tuple(
        Relocation(slot, kinds[type(ref)], ref.name, getattr(ref, "offset", 0))  # type: ignore[index,attr-defined]
        for slot, ref in relocations(insns)
    )
    program = ProgramSpec("main", base.programs[0].type, encode(insns), relocations=places)
    return ObjectSpec(programs=(program,), maps=base.maps, links=(), btf=base.btf), insns


def executed(case: Case, insns: list[Insn], type: int) -> tuple[int, int]:
    """Return (instructions executed, r0) in the interpreter."""
    unit, _ = case.build()
    models = models_of(unit.maps.values())
    machine = Machine(insns, models, faults_read_zero=True)
    models["data"].update(bytes(4), case.data)
    result = machine.run(bytes(64), packet=PACKET if type == ProgramType.XDP else None)
    return result.n_executed, result.r0


def verified(object: ObjectSpec) -> int:
    """Return how many instructions the verifier processed, 0 where it cannot be asked, -1 where it refuses."""
    try:
        from codegen_run import Loaded
        from probee.kernel.syscalls.info import ProgramInfo
    except ImportError:
        return 0
    try:
        with Loaded(object) as loaded:
            return ProgramInfo(loaded.program.fd).verified_instructions or 0
    except ProbeeError:
        return -1


def main() -> None:
    print(f"{'':28}{'instructions':>14}{'executed':>14}{'verified':>16}{'ms':>7}")
    ratios: list[float] = []
    work: list[float] = []
    for case in CASES:
        object, insns, seconds = ours(case)
        kind = object.programs[0].type
        run, value = executed(case, insns, kind)
        line = f"{case.name:28}{len(insns):7}"
        try:
            their_object, their_insns = theirs(case, object)
            their_run, their_value = executed(case, their_insns, kind)
            ratios.append(run / their_run)
            note = "" if value == their_value else f" LLVM: {their_value}"
            own, other = verified(object), verified(their_object)
            if own > 0 and other > 0:
                work.append(own / other)
            line += f"{len(their_insns):7}{run:7}{their_run:7}{own:8}{other:8}{note}"
        except LlvmRefused as error:
            line += f"{'-':>7}{run:7}{'-':>7}{verified(object):8}{'-':>8} {error}"
        print(line, f"{seconds * 1e3:6.2f}")
    for title, found in (("executed", ratios), ("verified where both are accepted", work)):
        if found:
            print(f"{title}, ours / LLVM: median {median(found):.2f}, worst {max(found):.2f}, best {min(found):.2f}")


if __name__ == "__main__":
    main()
