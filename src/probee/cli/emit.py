"""`--emit` and `-d`: the stages of a compile as text; --emit leaves then, -d runs the program as well, as bpftrace does."""

from __future__ import annotations

import sys

from probee.cli.options import Options
from probee.errors import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from probee.model.spec import MapSpec, ObjectSpec, ProgramSpec
    from probee.runtime.session import Session

# bpftrace's names of stages, and what they are here; libbpf and verifier are stages of loading, see show_loaded
STAGES = {
    "parse": ("ast",), "ast": ("ast",), "types": ("types",), "codegen": ("lower",), "codegen-opt": ("ir",), "dis": ("asm",),
    "libbpf": (), "verifier": (), "all": ("ast", "types", "lower", "ir", "asm", "btf"),
}  # fmt: skip


def show_stages(text: str, target: Any, chosen: dict[str, Any], options: Options) -> ObjectSpec | None:
    """Write the stages that the options ask for to stdout; returns the object when it is to be run."""
    wanted = list(_wanted(options))
    if "ast" in wanted:
        _show_tree(Source(chosen["name"], text))
    if options.emit and wanted == ["ast"]:
        return None
    from probee.compiler.compile import compile
    from probee.compiler.ir.show import show_unit

    stages: dict[str, str] = {}
    spec = compile(text, target, chosen, after=lambda stage, unit: stages.__setitem__(stage, show_unit(unit)))
    for stage in wanted:
        if stage == "types":
            _section("types", _types(Source(chosen["name"], text), target, chosen, spec))
        elif stage == "lower":
            _section("IR as lowered", stages["lower"])
        elif stage == "ir":
            _section("IR", list(stages.values())[-1])
        elif stage == "asm":
            _section("instructions", "\n".join(_listings(spec)))
        elif stage == "btf":
            _section("BTF", _btf(spec))
    sys.stdout.flush()
    return None if options.emit else spec


def _wanted(options: Options) -> Iterable[str]:
    if options.emit:
        return (options.emit,)
    return dict.fromkeys(stage for name in options.debug_stages for stage in STAGES[name])


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


def _types(source: Source, target: Any, chosen: dict[str, Any], spec: ObjectSpec) -> str:
    """Return what each variable and map turned out to hold."""
    from probee.compiler.lang.bpftrace.instance import find_probes
    from probee.compiler.lang.bpftrace.program import read
    from probee.compiler.lang.bpftrace.resolve import Resolver

    words = language_options(chosen)
    script = read(source, target, words)
    find_probes(script, words)
    Resolver(script).run()
    lines = [f"@{info.name}{f'[{info.key}]' if info.keyed else ''} : {info.value}" for info in script.maps.values()]
    for instance in script.instances:
        names = {info.name: str(info.type) for info in instance.variables.values()}
        lines += [f"{instance.point.name} ${name} : {type}" for name, type in names.items()]
    return "\n".join(lines) or "no variables and no maps"


def language_options(chosen: dict[str, Any]) -> Any:
    """Return the front end's options from those of compile()."""
    from probee.compiler.lang.bpftrace.option import Options as LanguageOptions

    taken: Any = {name: chosen[name] for name in LanguageOptions.__slots__ if name in chosen}
    for name, value in taken.items():
        taken[name] = tuple(value) if isinstance(value, list) else value
    return LanguageOptions(**taken)


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


# -- stages of loading


def listen(stages: Iterable[str]) -> None:
    """Have the verifier's log of every program written, if the stages ask for it; called before anything is loaded."""
    if {"verifier", "all"}.isdisjoint(stages):
        return
    from probee.kernel.programs import load

    load.on_log = lambda spec, log: _section(f"verifier: {spec.probe or spec.name}", log)


def show_loaded(session: Session, stages: Iterable[str]) -> None:
    """Write what was made in the kernel, if the stages ask for it."""
    if {"libbpf", "all"}.isdisjoint(stages):
        return
    installed = session.installed
    lines = [_live_map(live.spec, live.fd) for live in installed.maps.values()]
    for program in installed.programs.values():
        info = program.info()
        walked = f", verifier walked {info.verified_instructions}" if info.verified_instructions is not None else ""
        lines.append(
            f"program {info.id} {program.name}: type {info.type}, {info.translated_size // 8} instructions, "
            f"{info.jited_size} bytes of machine code{walked}"
        )
    lines += [f"link {link.probe}: {link.targets} targets" for link in installed.links]
    _section("loaded", "\n".join(lines))
    sys.stdout.flush()


def _live_map(spec: MapSpec, fd: int) -> str:
    from probee.kernel.syscalls.info import MapInfo

    info = MapInfo(fd)
    sizes = f"key {info.key_size}, value {info.value_size} bytes, at most {info.max_entries}"
    return f"map {info.id} {spec.name} ({spec.role}): type {info.type}, {sizes}"
