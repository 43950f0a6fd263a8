"""`--emit` and `-d`: the stages of a compile as text, instead of running the program."""

from __future__ import annotations

import sys

from probee.cli.options import BadOption, Options
from probee.errors import Source, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from probee.model.spec import ObjectSpec, ProgramSpec

# bpftrace's names of stages, and what they are here
STAGES = {
    "parse": ("ast",), "ast": ("ast",), "codegen": ("lower",), "codegen-opt": ("ir",), "dis": ("asm",),
    "all": ("ast", "lower", "ir", "asm", "btf"),
}  # fmt: skip
_NOT_YET = ("types", "libbpf", "verifier")


def show_stages(text: str, target: Any, chosen: dict[str, Any], options: Options) -> None:
    """Write the stages that the options ask for to stdout."""
    wanted = list(_wanted(options))
    if "ast" in wanted:
        _show_tree(Source(chosen["name"], text))
    if wanted == ["ast"]:
        return
    from probee.compiler.compile import compile
    from probee.compiler.ir.show import show_unit

    stages: dict[str, str] = {}
    spec = compile(text, target, chosen, after=lambda stage, unit: stages.__setitem__(stage, show_unit(unit)))
    for stage in wanted:
        if stage == "lower":
            _section("IR as lowered", stages["lower"])
        elif stage == "ir":
            _section("IR", list(stages.values())[-1])
        elif stage == "asm":
            _section("instructions", "\n".join(_listings(spec)))
        elif stage == "btf":
            _section("BTF", _btf(spec))


def _wanted(options: Options) -> Iterable[str]:
    if options.emit:
        return (options.emit,)
    found: dict[str, None] = {}
    for name in options.debug.split(","):
        if name in _NOT_YET:
            raise Unsupported(f"-d {name} is an option of bpftrace that probee does not have yet")
        if name not in STAGES:
            raise BadOption(f"invalid option for -d: {name}")
        found.update(dict.fromkeys(STAGES[name]))
    return found


def _section(title: str, text: str) -> None:
    sys.stdout.write(f"# {title}\n{text.rstrip()}\n\n")


def _show_tree(source: Source) -> None:
    from probee.compiler.lang.bpftrace.parser import parse
    from probee.compiler.lang.bpftrace.show import show
    from probee.errors import CompileError

    try:
        _section("syntax tree", show(parse(source)))
    except CompileError as error:
        raise error.at(source) from None


def _listings(spec: ObjectSpec) -> Iterable[str]:
    for program in spec.programs:
        yield f"program {program.name} ({program.probe}), {len(program.instructions) // 8} slots"
        yield f"{listing(program)}\n"


def listing(program: ProgramSpec) -> str:
    """Return a program's instructions, one a line, with the names that the loader will put numbers for."""
    from probee.formats.insn.disassemble import disassemble
    from probee.formats.insn.encode import decode
    from probee.formats.insn.insn import slot_offsets

    insns = decode(program.instructions)
    by_slot = dict(zip(slot_offsets(insns), insns, strict=False))
    for relocation in program.relocations:
        insn = by_slot.get(relocation.slot)
        if insn is not None:
            insn.ref = _reference(relocation.kind, relocation.name, relocation.addend)
    return disassemble(insns)


def _reference(kind: str, name: str, addend: int) -> object:
    from probee.formats.insn import ref

    if kind == "map":
        return ref.MapRef(name)
    if kind == "map_value":
        return ref.MapValueRef(name, addend)
    if kind == "constant":
        return ref.ConstRef(name)
    if kind == "function":
        return ref.FuncRef(name)
    return ref.BtfIdRef(name, "func" if kind == "btf_kfunc" else "var")


def _btf(spec: ObjectSpec) -> str:
    if not spec.btf:
        return "none"
    from probee.formats.btf.reader import Btf
    from probee.formats.btf.show import show_blob

    return "\n".join(show_blob(Btf(spec.btf)))
