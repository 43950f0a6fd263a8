"""Prints, per program of the scripts here, our code beside LLVM's: instructions and the verifier's work.

    python benchmarks/compare_scripts.py [DIRECTORY OR SCRIPT ...]

Compiles for the stock kernel of compile_time.py and loads on the running one: for root, on a kernel that has BPF.  LLVM gets
each program's IR as the front end wrote it, with reads of kernel memory made calls, so that both call the same helpers.
"""

from __future__ import annotations

import glob
import os
import sys
from statistics import median

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests")]

from compile_time import SCRIPTS, stock_target  # noqa: E402
from llvm import LlvmRefused, compile_unit  # noqa: E402

from probee.compiler.compile import compile, lower  # noqa: E402
from probee.compiler.ir.passes.memory import memory  # noqa: E402
from probee.errors import ProbeeError, Source  # noqa: E402
from probee.formats.insn.encode import encode, relocations  # noqa: E402
from probee.formats.insn.ref import ConstRef, MapRef, MapValueRef  # noqa: E402
from probee.formats.target import FileTarget  # noqa: E402
from probee.model.spec import ObjectSpec, ProgramSpec, Relocation  # noqa: E402

_KINDS = {MapRef: "map", MapValueRef: "map_value", ConstRef: "constant"}


def main(paths: list[str]) -> int:
    target = FileTarget(stock_target())
    patterns = [os.path.join(path, "*.bt") if os.path.isdir(path) else path for path in paths]
    patterns = patterns or [os.path.join(ROOT, each) for each in SCRIPTS]
    files = [file for pattern in patterns for file in sorted(glob.glob(pattern))]
    print(f"{'':60}{'instructions':>14}{'verified':>16}")
    size: list[float] = []
    work: list[float] = []
    for file in files:
        for line, shorter, less in compared(file, target):
            print(line)
            size += shorter
            work += less
    for title, ratios in (("instructions", size), ("verified where both are accepted", work)):
        if ratios:
            print(f"{title}, ours / LLVM: median {median(ratios):.2f}, worst {max(ratios):.2f}, best {min(ratios):.2f}")
    return 0


def compared(file: str, target: FileTarget) -> list[tuple[str, list[float], list[float]]]:
    """Return (line to print, ratio of instructions, ratio of verifier work) per program."""
    with open(file) as opened:
        text = opened.read()
    name = os.path.basename(file)
    try:
        ours = compile(text, target, {"name": name, "local": True})
    except ProbeeError as error:
        return [(f"{name}: {str(error).splitlines()[0]}", [], [])]
    rows: list[tuple[str, list[float], list[float]]] = []
    for index, program in enumerate(ours.programs):
        n_ours = len(program.instructions) // 8
        head = f"{name:24}{program.probe[:36]:36}{n_ours:7}"
        try:
            theirs = _theirs(text, name, target, index, ours)
        except LlvmRefused:
            rows.append((f"{head}{'-':>7}{_verified(ours, index):8}{'-':>8}", [], []))
            continue
        n_theirs = len(theirs.programs[0].instructions) // 8
        own, other = _verified(ours, index), _verified(theirs, 0)
        ratio = [own / other] if own > 0 and other > 0 else []
        rows.append((f"{head}{n_theirs:7}{own:8}{other:8}", [n_ours / n_theirs], ratio))
    return rows


def _theirs(text: str, name: str, target: FileTarget, index: int, ours: ObjectSpec) -> ObjectSpec:
    """Return an object with LLVM's code for one program."""
    unit = lower(Source(name, text), target, {"local": True})
    unit.programs = [unit.programs[index]]
    insns = compile_unit(memory(unit))
    places = tuple(
        Relocation(slot, _KINDS[type(ref)], ref.name, getattr(ref, "offset", 0))  # type: ignore[attr-defined]
        for slot, ref in relocations(insns)
    )
    like = ours.programs[index]
    program = ProgramSpec(
        "main", like.type, encode(insns), relocations=places, attach_type=like.attach_type, attach_target=like.attach_target
    )
    maps = {spec.name: spec for spec in (*ours.maps, *unit.maps.values())}
    return ObjectSpec(
        programs=(program,), maps=tuple(maps.values()), links=(), constants=ours.constants, btf=ours.btf
    )  # fmt: skip


def _verified(object: ObjectSpec, index: int) -> int:
    """Return how many instructions the verifier processed, 0 where it cannot be asked, -1 where it refuses."""
    from probee.kernel.maps.create import create_all
    from probee.kernel.programs.load import load
    from probee.kernel.syscalls.btf import btf_load
    from probee.kernel.syscalls.fd import Descriptor
    from probee.kernel.syscalls.info import ProgramInfo

    if os.geteuid():
        return 0
    maps = create_all(object.maps)
    btf = Descriptor(btf_load(object.btf), "btf")
    try:
        constants = {constant.name: 0 for constant in object.constants}
        with load(object.programs[index], object, maps, constants, btf_fd=btf.fd) as program:
            return ProgramInfo(program.fd).verified_instructions or 0
    except ProbeeError:
        return -1
    finally:
        btf.close()
        for map in maps.values():
            map.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
