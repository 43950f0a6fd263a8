"""Arguments: where a kernel function finds each of its parameters when it is entered.

Follows the C calling conventions (System V AMD64 psABI 3.2.3, AAPCS64 6.8.2) for what kernel functions have: integers,
pointers, structs and unions by value, 128-bit integers.  The kernel passes nothing in vector registers, so floating point
is left out.  Numbers count as the language does: `arg0` … are registers, `sarg0` … are 8-byte stack slots.
"""

from __future__ import annotations

from probee.model.ctype import ArrayType, CType, FunctionType, IntType, StructType, size_of, strip
from probee.probes.register import RegisterLayout, registers


class Argument:
    """One parameter: in `slots` registers from `register` on, or in `slots` 8-byte stack slots from `stack` on.

    The one that does not apply is -1.  `by_reference` is true where a register or slot holds the address of a struct.
    """

    __slots__ = ("by_reference", "name", "register", "slots", "stack", "type")

    def __init__(
        self, name: str, type: CType, *, register: int = -1, stack: int = -1, slots: int = 1, by_reference: bool = False
    ) -> None:
        self.name = name
        self.type = type
        self.register = register
        self.stack = stack
        self.slots = slots
        self.by_reference = by_reference

    @property
    def where(self) -> str:
        """Which registers or slots: "arg0", "sarg2", or a range ("sarg0-sarg2") for what needs several."""
        word, first = ("arg", self.register) if self.register >= 0 else ("sarg", self.stack)
        if self.slots == 0:
            return ""
        return f"{word}{first}" if self.slots == 1 else f"{word}{first}-{word}{first + self.slots - 1}"

    def __repr__(self) -> str:
        return f"<Argument {self.type.spelling(self.name)} in {self.where}>"


def function_arguments(function: FunctionType, arch: str) -> tuple[Argument, ...]:
    """Return where each parameter of a function is; raises Unsupported for an unknown architecture."""
    layout = registers(arch)
    taken = int(layout.hidden_result_argument and _in_memory(function.result))
    stack = 0
    found = []
    for parameter in function.parameters:
        argument = _place(parameter.name, parameter.type, layout, taken, stack)
        if argument.register >= 0:
            taken = argument.register + argument.slots
        elif argument.slots:
            stack = argument.stack + argument.slots
            if layout.stack_argument_aligned:
                taken = len(layout.arguments)
        found.append(argument)
    return tuple(found)


def _place(name: str, type: CType, layout: RegisterLayout, taken: int, stack: int) -> Argument:
    size = size_of(type) or _incomplete_size(type)
    in_memory = _in_memory(type)
    by_reference = in_memory and layout.large_by_reference
    slots = 1 if by_reference else (size + 7) // 8
    wide = not by_reference and _alignment(type) >= 16
    first = taken + (taken & 1) if wide and layout.stack_argument_aligned else taken
    if slots == 0:  # an empty struct takes no room
        return Argument(name, type, slots=0)
    if (by_reference or not in_memory) and first + slots <= len(layout.arguments):
        return Argument(name, type, register=first, slots=slots, by_reference=by_reference)
    return Argument(name, type, stack=stack + (stack & 1) if wide else stack, slots=slots, by_reference=by_reference)


def _incomplete_size(type: CType) -> int:
    """Size in registers of what has none in the model: 0 for an empty struct, a register for all else."""
    return 0 if isinstance(strip(type), StructType) else 8


def _in_memory(type: CType) -> bool:
    """True for a struct or union that is too large, or too badly aligned, for registers."""
    bare = strip(type)
    return isinstance(bare, StructType) and (bare.size > 16 or _misaligned(bare))


def _misaligned(struct: StructType) -> bool:
    """True when a packed member lies at an offset that its type does not divide."""
    for member in struct.members:
        alignment = _alignment(member.type)
        if not member.bit_size and member.offset % alignment:
            return True
        inner = strip(member.type)
        if isinstance(inner, StructType) and _misaligned(inner):
            return True
    return False


def _alignment(type: CType) -> int:
    bare = strip(type)
    if isinstance(bare, ArrayType):
        return _alignment(bare.element)
    if isinstance(bare, StructType):
        return max((1 if member.bit_size else _alignment(member.type) for member in bare.members), default=1)
    if isinstance(bare, IntType):
        return bare.size or 1
    return min(bare.size, 8) or 1
