"""Where functions of programs find their parameters when they are entered: all of C and C++, floating point included.

Follows the System V AMD64 psABI (3.2.3, and for C++ the Itanium ABI 3.1.2.3) and AAPCS64 (6.8.2) as compilers do.  What lies
in vector registers is told but out of a probe's reach: struct pt_regs has none of them.  Functions of the kernel, which has
no such parameters, are argument.py's.
"""

from __future__ import annotations

from probee.model.ctype import (
    ArrayType,
    CType,
    FloatType,
    ForwardType,
    FunctionType,
    IntType,
    PassedByReference,
    StructType,
    size_of,
    strip,
)
from probee.probes.register import RegisterLayout, registers

REGISTER, VECTOR, STACK = "register", "vector", "stack"  # kinds of pieces
_NAMES = {REGISTER: {"": "arg"}, STACK: {"": "sarg"}, VECTOR: {"x86_64": "xmm", "aarch64": "v"}}
_N_VECTORS = 8
_LARGEST = 16  # bytes of a struct that registers take
_COMPLEX = "complex "
_EXTENDED = ("long double", "_Float64x")  # the x87's: two eightbytes in memory


class Passed:
    """One parameter: its `pieces` are (kind, number) for each 8 bytes of it, none for an empty one.

    Of a vector register, one piece stands for all of it.  With `by_reference` the only piece holds the value's address.
    """

    __slots__ = ("arch", "by_reference", "name", "pieces", "type")

    def __init__(self, name: str, type: CType, pieces: list[tuple[str, int]], arch: str, *, by_reference: bool = False) -> None:
        self.name = name
        self.type = type
        self.pieces = tuple(pieces)
        self.arch = arch
        self.by_reference = by_reference

    @property
    def in_vector(self) -> bool:
        """Whether any of it is where no probe can read it."""
        return any(kind == VECTOR for kind, _ in self.pieces)

    @property
    def where(self) -> str:
        """As scripts name registers and stack slots: "arg0", "sarg0-sarg2", "arg0, xmm1", "at arg1" of what has an address."""
        texts = [_word(kind, number, self.arch) for kind, number in self.pieces]
        if len(texts) > 2 and self.pieces[0][0] == STACK:
            texts = [f"{texts[0]}-{texts[-1]}"]
        return f"at {texts[0]}" if self.by_reference else ", ".join(texts)


def _word(kind: str, number: int, arch: str) -> str:
    names = _NAMES[kind]
    return f"{names.get(arch) or names.get('', kind)}{number}"


class _Free:
    """What is left of the registers, and where the next argument on the stack goes."""

    def __init__(self, layout: RegisterLayout) -> None:
        self.layout = layout
        self.integers = 0
        self.vectors = 0
        self.slots = 0

    def has(self, integers: int, vectors: int) -> bool:
        return self.integers + integers <= len(self.layout.arguments) and self.vectors + vectors <= _N_VECTORS

    def take(self, kinds: list[str]) -> list[tuple[str, int]]:
        pieces = []
        for kind in kinds:
            number = self.integers if kind == REGISTER else self.vectors
            pieces.append((kind, number))
            if kind == REGISTER:
                self.integers += 1
            else:
                self.vectors += 1
        return pieces

    def push(self, type: CType, size: int) -> list[tuple[str, int]]:
        if _alignment(type) >= 16:
            self.slots += self.slots & 1
        first, count = self.slots, -(-size // 8)
        self.slots += count
        return [(STACK, number) for number in range(first, first + count)]


def passed_arguments(function: FunctionType, arch: str) -> tuple[Passed, ...]:
    """Return where each parameter of a program's function is; raises Unsupported for an unknown architecture."""
    layout = registers(arch)
    free = _Free(layout)
    place = _place_x86 if arch == "x86_64" else _place_arm
    if _hides_result(function.result, layout):
        free.take([REGISTER])
    return tuple([_passed(parameter.name, parameter.type, free, place, arch) for parameter in function.parameters])


def _passed(name: str, type: CType, free: _Free, place, arch: str) -> Passed:  # type: ignore[no-untyped-def]
    if isinstance(strip(type), PassedByReference):
        return Passed(name, type, _word_of(free), arch, by_reference=True)
    pieces, by_reference = place(type, free)
    return Passed(name, type, pieces, arch, by_reference=by_reference)


def _word_of(free: _Free) -> list[tuple[str, int]]:
    return free.take([REGISTER]) if free.has(1, 0) else [(STACK, _next(free))]


def _next(free: _Free) -> int:
    free.slots += 1
    return free.slots - 1


def _hides_result(result: CType, layout: RegisterLayout) -> bool:
    """Return whether the address of the result is passed like a first parameter."""
    bare = strip(result)
    if isinstance(bare, PassedByReference):
        return layout.hidden_result_argument
    return layout.hidden_result_argument and isinstance(bare, StructType) and _classes(bare) is None


# -- x86-64


def _place_x86(type: CType, free: _Free) -> tuple[list[tuple[str, int]], bool]:
    bare, size = strip(type), _size(type)
    if not size or _is_empty(bare):
        return [], False
    kinds = _classes(bare)
    if kinds is not None and free.has(kinds.count(REGISTER), kinds.count(VECTOR)):
        return free.take(kinds), False
    return free.push(type, size), False


def _classes(type: CType) -> list[str] | None:
    """Return the class of each eightbyte, None for what is passed in memory; a vector is one piece."""
    if isinstance(type, FloatType):
        return _float_classes(type)
    if isinstance(type, ArrayType):  # C passes no arrays: a vector type
        return [VECTOR]
    if not isinstance(type, StructType):
        return [REGISTER] * max(1, -(-type.size // 8))
    if type.size > _LARGEST:
        return None
    found: list[str] = [""] * -(-type.size // 8)
    return [kind or VECTOR for kind in found] if _classify(type, 0, found) else None


def _float_classes(type: FloatType) -> list[str] | None:
    if type.name in _EXTENDED or type.size > _LARGEST:
        return None
    return [VECTOR] * (2 if type.name.startswith(_COMPLEX) and type.size == _LARGEST else 1)


def _classify(type: CType, offset: int, found: list[str]) -> bool:
    """Note the classes of a part of a struct; False if it must be in memory."""
    bare = strip(type)
    if isinstance(bare, StructType):
        for member in bare.members:
            if member.bit_size:
                for bit in (member.bit_offset, member.bit_offset + member.bit_size - 1):
                    found[(offset + bit // 8) // 8] = REGISTER
            elif not _classify(member.type, offset + member.offset, found):
                return False
        return True
    if isinstance(bare, ArrayType):
        step = size_of(bare.element)
        return all(_classify(bare.element, offset + index * step, found) for index in range(bare.count))
    if offset % (min(bare.size, 8) or 1) or (isinstance(bare, FloatType) and bare.name in _EXTENDED):
        return False
    for at in range(offset // 8, -(-(offset + max(bare.size, 1)) // 8)):
        if at >= len(found):
            return False
        if not isinstance(bare, FloatType) or not found[at]:
            found[at] = VECTOR if isinstance(bare, FloatType) else REGISTER
    return True


# -- aarch64


def _place_arm(type: CType, free: _Free) -> tuple[list[tuple[str, int]], bool]:
    bare, size = strip(type), _size(type)
    if not size or _is_empty(bare):
        return [], False
    vectors = _homogeneous(bare)
    if vectors:
        if free.has(0, vectors):
            return free.take([VECTOR] * vectors), False
        free.vectors = _N_VECTORS
        return free.push(type, size), False
    if isinstance(bare, StructType) and size > _LARGEST:
        return _word_of(free), True
    count = -(-size // 8)
    if _alignment(type) >= 16:
        free.integers += free.integers & 1
    if free.has(count, 0):
        return free.take([REGISTER] * count), False
    free.integers = len(free.layout.arguments)
    return free.push(type, size), False


def _homogeneous(type: CType) -> int:
    """Return how many vector registers a type takes: 1 for a floating-point number, up to 4 for a struct of alike ones."""
    leaves: list[CType] = []
    if not _leaves(type, leaves) or not leaves:
        return 0
    alike = len({leaf.size for leaf in leaves}) == 1
    return len(leaves) if alike and len(leaves) <= 4 else 0


def _leaves(type: CType, found: list[CType]) -> bool:
    bare = strip(type)
    if isinstance(bare, StructType):
        return bare.kind == "struct" and all(_leaves(member.type, found) for member in bare.members)
    if isinstance(bare, ArrayType):
        return 0 < bare.count <= 4 and all(_leaves(bare.element, found) for _ in range(bare.count))
    found.append(bare)
    return isinstance(bare, FloatType)


# -- sizes


def _size(type: CType) -> int:
    bare = strip(type)
    return bare.size or (0 if isinstance(bare, StructType) else 8)


def _is_empty(type: CType) -> bool:
    """Return whether a struct has nothing in it: C++ gives it a byte that nobody passes."""
    if not isinstance(type, StructType) or isinstance(type, ForwardType):
        return False
    return all(isinstance(strip(m.type), StructType) and _is_empty(strip(m.type)) for m in type.members)


def _alignment(type: CType) -> int:
    bare = strip(type)
    if isinstance(bare, ArrayType):
        return _alignment(bare.element)
    if isinstance(bare, StructType):
        return max((1 if member.bit_size else _alignment(member.type) for member in bare.members), default=1)
    if isinstance(bare, (IntType, FloatType)):
        return bare.size or 1
    return min(bare.size, 8) or 1
