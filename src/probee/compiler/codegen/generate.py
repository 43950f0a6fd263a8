"""Code generation from end to end: a unit of legal IR, all its passes run, becomes an ObjectSpec.

The phases per function, each in its own file: select → remove dead → thread → allocate → frame → thread → finish; then
emit strings a program's functions together.
"""

from __future__ import annotations

from probee.compiler.codegen.allocate import allocate
from probee.compiler.codegen.dead import remove_dead
from probee.compiler.codegen.emit import Stream, expand_frame_addresses
from probee.compiler.codegen.frame import callees, check_depth, lay_out
from probee.compiler.codegen.layout import finish, merge_ends, thread
from probee.compiler.codegen.lineinfo import Debug
from probee.compiler.codegen.linkage import verified_alone
from probee.compiler.codegen.machine import MachineFunction
from probee.compiler.codegen.select import select
from probee.compiler.ir.unit import Function, Program, Unit
from probee.errors import CompileError, Source
from probee.model.spec import ObjectSpec, ProgramSpec


def generate_object(
    unit: Unit, *, source_name: str, source_text: str, source_parts: tuple[tuple[int, str], ...] = (), license: str = "GPL"
) -> ObjectSpec:
    """Return the object of a unit.  CompileError where a program does not fit the machine's limits."""
    source = Source(source_name, source_text, source_parts)
    debug = Debug(source)
    try:
        programs = tuple(generate(program, unit, debug) for program in unit.programs)
    except CompileError as error:
        raise error.at(source) from None
    types = debug.add_types(unit.types)
    return ObjectSpec(
        programs=programs,
        maps=tuple(unit.maps.values()),
        links=tuple(unit.links),
        actions=tuple(unit.actions),
        constants=tuple(unit.constants.values()),
        btf=debug.blob(),
        source_name=source_name,
        source_text=source_text,
        source_parts=source_parts,
        options=dict(unit.options),
        warnings=tuple(unit.warnings),
        license=license,
        types=types,
    )


def generate(program: Program, unit: Unit, debug: Debug) -> ProgramSpec:
    """Return one program: its entry function, then the callbacks and subprograms."""
    stream = Stream()
    machines: list[MachineFunction] = []
    starts: list[tuple[int, Function]] = []
    for function, machine in _reached(program, unit.features):
        machines.append(machine)
        starts.append((stream.n_slots, function))
        stream.function(function.name, finish(machine))
    check_depth(machines)
    return ProgramSpec(
        program.name,
        program.type,
        stream.encode(),
        probe=program.probe,
        attach_type=program.attach_type,
        attach_target=program.attach_target,
        sleepable=program.sleepable,
        relocations=tuple(stream.relocations),
        field_relocations=tuple(stream.field_relocations),
        lines=tuple(stream.lines),
        func_info=debug.func_info(starts, verified_alone(program.functions) if len(starts) > 1 else set()),
        line_info=debug.line_info(stream.lines),
    )


def _reached(program: Program, features: frozenset[str]) -> list[tuple[Function, MachineFunction]]:
    """Return the machine code of the entry and of what it calls or passes on, in the program's order.

    The verifier refuses functions that nothing refers to.
    """
    entry = program.functions[0]
    by_name = {function.name: function for function in program.functions}
    found: dict[str, MachineFunction] = {}
    work = [entry.name]
    while work:
        name = work.pop()
        if name not in found and name in by_name:
            found[name] = machine_code(by_name[name], features)
            work += callees(found[name])
    return [(function, found[function.name]) for function in program.functions if function.name in found]


def machine_code(function: Function, features: frozenset[str]) -> MachineFunction:
    """Return one function over machine registers, its frame laid out, not yet linear."""
    machine = select(function, features)
    thread(machine)
    remove_dead(machine)
    thread(machine)  # allocation wants no empty blocks
    allocate(machine)
    lay_out(machine)
    expand_frame_addresses(machine)
    merge_ends(machine)
    thread(machine)
    return machine
