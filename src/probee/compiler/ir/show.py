"""IR as text, for `--emit ir`, for dumps between passes and for failing tests."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import VOID
from probee.compiler.ir.unit import Function, Unit, Value, number


def show_unit(unit: Unit) -> str:
    """Return the text of every function of every program, maps first."""
    lines = [
        f"map {spec.name} type={spec.type} key={spec.key_size} value={spec.value_size} entries={spec.max_entries}"
        for spec in unit.maps.values()
    ]
    for program in unit.programs:
        lines.append(f"\nprogram {program.name} type={program.type} probe={program.probe}")
        lines += [show_function(function) for function in program.functions]
    return "\n".join(lines) + "\n"


def show_function(function: Function) -> str:
    """Return one function's text: `%3 = add i64 %1, %2` per line."""
    number(function)
    for index, block in enumerate(function.blocks):
        block.id = index
    head = ", ".join(str(type) for type in function.parameters)
    lines = [f"{function.kind} {function.name}({head}) -> {function.result} {{"]
    for block in function.blocks:
        lines.append(f"b{block.id}:")
        lines += [f"    {show_value(value)}" for value in block.values]
    return "\n".join([*lines, "}"])


def show_value(value: Value) -> str:
    """Return one value's text."""
    parts = [f"%{arg.id}" if arg.op != op.CONST else _constant(arg) for arg in value.args]
    if value.op == op.JUMP:
        parts.append(f"b{value.attr.id}")
    elif value.op == op.BRANCH:
        parts += [f"b{block.id}" for block in value.attr]
    elif value.op == op.CONST:
        parts.append(_constant(value))
    elif value.attr is not None:
        parts.append(f"[{value.attr}]")
    text = f"{value.op} {', '.join(parts)}".rstrip()
    return text if value.type is VOID else f"%{value.id}: {value.type} = {text}"


def _constant(value: Value) -> str:
    bits = value.type.bits
    signed = value.attr - (1 << bits) if bits > 1 and value.attr >> (bits - 1) else value.attr
    return str(signed)
