"""Functions that the compiler knows: GCC's __builtin_… and __sync_…, offsetof, and BCC's lock_xadd and load_byte family."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.content import compare_bytes, fill
from probee.compiler.ir.type import DIRECT, I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.call import BUILTINS, Builtin, constant, n_arguments
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.expression import lengthen_literal, store_bytes
from probee.compiler.lang.c.literal import string_bytes
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import INT, UNSIGNED, UNSIGNED_LONG, Operand, Place, is_pointer
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import ArrayType, IntType, size_of

_U16 = IntType("unsigned short", 2, signed=False)
_U32 = IntType("unsigned int", 4, signed=False)


def _offsetof(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    from probee.compiler.lang.c.constant import evaluate

    number = evaluate(node, low.scope)
    if number is None:
        raise CompileError("offsetof() takes a type and one of its members", span_of(node))
    return Operand(UNSIGNED_LONG, low.b.const(number))


def _memory_place(low: Lowerer, node: c_ast.Node, size: int) -> Place:
    """Return the bytes that a pointer argument points to."""
    operand = low.operand(node)
    if not is_pointer(operand.type) and not operand.value.type.is_pointer:
        raise TypeMismatch(f"this is '{operand.type.spelling()}', not a pointer", span_of(node))
    byte = IntType("unsigned char", 1, signed=False)
    pointer = convert.pointer_value(low, operand)
    lengthen_literal(low, pointer, size)
    return Place(ArrayType(byte, size), pointer)


def _memcpy(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    n_arguments(node, arguments, "memcpy", 3)
    size = constant(low, arguments[2], "the size")
    to = low.operand(arguments[0])
    if size:
        target = memory.unmoved(Place(ArrayType(INT, 0, size=size), convert.pointer_value(low, to)))
        source = _memory_place(low, arguments[1], size)
        memory.copy(low, target, memory.unmoved(source), span_of(node))
    return to


def _strcpy(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """strcpy(to, "…") and strncpy(to, "…", n), which compilers make copies of a known size of."""
    name = node.name.name
    n_arguments(node, arguments, name, 3 if name.endswith("strncpy") else 2)
    text = arguments[1]
    if not (isinstance(text, c_ast.Constant) and text.type.endswith("string")):
        hint = "bpf_probe_read_kernel_str(to, size, from) copies any text, bpf_probe_read_user_str() one of a process."
        raise Unsupported(f"{name}() takes a literal", span_of(text) or span_of(node), hint=hint)
    data = string_bytes(text.value, span_of(text)) + b"\0"
    size = constant(low, arguments[2], "the size") if len(arguments) == 3 else len(data)
    to = low.operand(arguments[0])
    target = memory.unmoved(Place(ArrayType(INT, 0, size=size), convert.pointer_value(low, to)))
    if size:
        store_bytes(low, memory.writable(low, target, span_of(node)), data[:size].ljust(size, b"\0"), target.offset)
    return to


def _memset(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    n_arguments(node, arguments, "memset", 3)
    size, byte = constant(low, arguments[2], "the size"), constant(low, arguments[1], "the byte") & 0xFF
    to = low.operand(arguments[0])
    place = memory.unmoved(Place(ArrayType(INT, 0, size=size), convert.pointer_value(low, to)))
    base = memory.writable(low, place, span_of(node))
    if byte:
        fill(low.b, base, byte, size, place.offset)
    else:
        low.b.zero(base, size, place.offset)
    return to


def _memcmp(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    n_arguments(node, arguments, "memcmp", 3)
    size = constant(low, arguments[2], "the size")
    left, right = (_readable(low, _memory_place(low, each, size), span_of(each)) for each in arguments[:2])
    return Operand(INT, compare_bytes(low.b, left, right, size))


def _readable(low: Lowerer, place: Place, span: int) -> Value:
    """Return a pointer that plain loads go through: to a copy, where the memory is not of that kind."""
    if place.base.type.is_pointer and place.base.type.space in DIRECT:
        return memory.reachable(low, place, span)
    copied = low.variable(place.type, "copy")
    memory.copy(low, Place(place.type, copied.slot), memory.unmoved(place), span)
    return copied.slot


# -- atomics


def _atomic(operation: str, *, negate: bool = False, after: str = "", ordered: bool = False) -> Builtin:
    """Return the builtin of an atomic read-modify-write; the old value is fetched only where somebody looks at it.

    `after` is the operation that makes the new value of the old one, where that is the result; an `ordered` one has a memory
    order as its last argument, of which BPF has only the strictest.
    """

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand | None:
        n_arguments(node, arguments, node.name.name, 2 + ordered)
        unused = low.unused is node
        target, base = _atomic_target(low, arguments[0])
        value = convert.number(low, convert.convert(low, low.operand(arguments[1]), target.type, span_of(arguments[1])))
        if negate:
            value = low.b.sub(low.b.const(0, value.type), value)
        if unused and operation != "xchg":
            low.b.atomic(operation, base, value, target.offset)
            return None
        old = low.b.atomic(operation, base, value, target.offset, fetch=True)
        return Operand(target.type, low.b.binary(after, old, value) if after else old)

    return build


def _atomic_target(low: Lowerer, node: c_ast.Node) -> tuple[Place, Value]:
    """Return what the first argument of an atomic points to, and the pointer to write through."""
    target = memory.behind(low, low.operand(node), span_of(node))
    if size_of(target.type) not in (4, 8):
        raise TypeMismatch(f"atomics are of 4 or 8 bytes, this is '{target.type.spelling()}'", span_of(node))
    return target, memory.writable(low, target, span_of(node))


def _compare_and_swap(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    n_arguments(node, arguments, node.name.name, 3)
    target, base = _atomic_target(low, arguments[0])
    expected, new = (
        convert.number(low, convert.convert(low, low.operand(each), target.type, span_of(each))) for each in arguments[1:]
    )
    old = low.b.compare_exchange(base, expected, new, target.offset)
    if node.name.name == "__sync_bool_compare_and_swap":
        return convert.from_truth(low, low.b.compare(op.EQ, old, expected))
    return Operand(target.type, old)


def _atomic_load(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """__atomic_load_n(&x, order)"""
    n_arguments(node, arguments, node.name.name, 2)
    return memory.load(low, memory.behind(low, low.operand(arguments[0]), span_of(arguments[0])), span_of(node))


def _atomic_store(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> None:
    """__atomic_store_n(&x, value, order)"""
    n_arguments(node, arguments, node.name.name, 3)
    target = memory.behind(low, low.operand(arguments[0]), span_of(arguments[0]))
    memory.store_into(low, target.type, target, low.operand(arguments[1]), span_of(node))


# -- numbers


def _bswap(size: int) -> Builtin:
    ctype = {2: _U16, 4: _U32, 8: UNSIGNED_LONG}[size]

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        n_arguments(node, arguments, node.name.name, 1)
        operand = convert.convert(low, low.operand(arguments[0]), ctype, span_of(arguments[0]))
        value = convert.number(low, operand)
        if value.op == op.CONST:
            return Operand(ctype, low.b.const(int.from_bytes(value.attr.to_bytes(size, "little"), "big"), int_type(size)))
        return Operand(ctype, low.b.bswap(value))

    return build


def _ones(low: Lowerer, value: Value) -> Value:
    """Return how many bits of an i64 are set: counted in pairs, then in fours, then in bytes, which a product adds up."""
    b = low.b
    pairs = b.sub(value, b.and_(b.lshr(value, 1), 0x5555_5555_5555_5555))
    fours = b.add(b.and_(pairs, 0x3333_3333_3333_3333), b.and_(b.lshr(pairs, 2), 0x3333_3333_3333_3333))
    bytes = b.and_(b.add(fours, b.lshr(fours, 4)), 0x0F0F_0F0F_0F0F_0F0F)
    return b.lshr(b.mul(bytes, 0x0101_0101_0101_0101), 56)


def _count_bits(kind: str, size: int) -> Builtin:
    """__builtin_popcount, __builtin_ctz and __builtin_clz, of 4 or 8 bytes"""

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        n_arguments(node, arguments, node.name.name, 1)
        ctype = UNSIGNED_LONG if size == 8 else UNSIGNED
        b, value = low.b, convert.wide(low, convert.convert(low, low.operand(arguments[0]), ctype, span_of(node)))
        if kind == "ctz":
            value = b.sub(b.and_(value, b.sub(b.const(0), value)), 1)  # the zeros below the lowest one, as ones
        if kind == "clz":
            for by in (1, 2, 4, 8, 16, 32)[: 5 + (size == 8)]:
                value = b.or_(value, b.lshr(value, by))
        count = _ones(low, value)
        return Operand(INT, b.trunc(b.sub(b.const(size * 8), count) if kind == "clz" else count, int_type(4)))

    return build


def _first(n_expected: int) -> Builtin:
    """__builtin_expect(x, y), __builtin_preserve_access_index(x): x"""

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        n_arguments(node, arguments, node.name.name, n_expected)
        return low.operand(arguments[0])

    return build


def _constant_p(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    from probee.compiler.lang.c.constant import evaluate

    n_arguments(node, arguments, node.name.name, 1)
    return Operand(INT, low.b.const(evaluate(arguments[0], low.scope) is not None, int_type(4)))


def _known(n_expected: int, takes: str) -> Builtin:
    """What is known while we compile, or refused: strlen("…"), __builtin_types_compatible_p"""

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        from probee.compiler.lang.c.constant import evaluate_typed

        n_arguments(node, arguments, node.name.name, n_expected)
        found = evaluate_typed(node, low.scope)
        if found is None:
            raise Unsupported(f"{node.name.name}() takes {takes}", span_of(node))
        return Operand(found[1], low.b.const(found[0], int_type(size_of(found[1]))))

    return build


def chosen(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> c_ast.Node:
    """Return the expression that __builtin_choose_expr(constant, x, y) is; the other one is not evaluated."""
    from probee.compiler.lang.c.constant import evaluate

    n_arguments(node, arguments, node.name.name, 3)
    number = evaluate(arguments[0], low.scope)
    if number is None:
        raise CompileError(f"{node.name.name}() chooses by a constant", span_of(arguments[0]) or span_of(node))
    return arguments[1 if number else 2]


def _choose(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand | None:
    return low.value(chosen(low, node, arguments))


def _unreachable(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> None:
    low.b.return_(low.b.const(0))


def _no_equivalent(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    raise Unsupported(f"{node.name.name}() has no equivalent in BPF", span_of(node))


# -- packets, the old way


def _load_packet(size: int) -> Builtin:
    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        from probee.compiler.lang.c.packet import load_big_endian

        n_arguments(node, arguments, node.name.name, 2)
        low.operand(arguments[0])
        offset: Value = low.b.resize(convert.number(low, low.operand(arguments[1])), I64, signed=False)
        return Operand(UNSIGNED_LONG, load_big_endian(low, offset, size))

    return build


def _dext(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """bpf_dext_pkt(skb, offset, first bit, bits)"""
    from probee.compiler.lang.c.packet import load_bits

    n_arguments(node, arguments, node.name.name, 4)
    low.operand(arguments[0])
    offset = convert.wide(low, low.operand(arguments[1]))
    first, count = (constant(low, each, "a bit's number") for each in arguments[2:])
    return Operand(UNSIGNED_LONG, load_bits(low, offset, first, count))


def _dins(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> None:
    """bpf_dins_pkt(skb, offset, first bit, bits, value)"""
    from probee.compiler.lang.c.packet import store_bits

    n_arguments(node, arguments, node.name.name, 5)
    low.operand(arguments[0])
    offset = convert.wide(low, low.operand(arguments[1]))
    first, count = (constant(low, each, "a bit's number") for each in arguments[2:4])
    store_bits(low, offset, first, count, convert.wide(low, low.operand(arguments[4])))


def _checksum(helper: str, n_expected: int) -> Builtin:
    """incr_cksum_l3(&header->checksum, old, new), incr_cksum_l4(…, pseudo): numbers in the order of the host"""

    def build(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
        n_arguments(node, arguments, node.name.name, n_expected)
        b, size = low.b, size_of(low.type_of(arguments[2]))
        if size not in (2, 4):
            raise TypeMismatch("a checksum changes by 2 or 4 bytes", span_of(arguments[2]))
        offset = convert.wide(low, low.operand(arguments[0]))
        old, new = (
            b.resize(b.bswap(b.trunc(convert.wide(low, low.operand(each)), int_type(size))), I64, signed=False)
            for each in arguments[1:3]
        )
        flags = b.const(size)
        if n_expected == 4:
            pseudo = convert.wide(low, low.operand(arguments[3]))
            flags = b.or_(b.shl(b.and_(pseudo, 1), 4), size)
        return Operand(INT, b.trunc(b.helper(helper, low.context, offset, old, new, flags), int_type(4)))

    return build


for _name in ("__builtin_memcpy", "memcpy", "__builtin_memmove", "memmove"):
    BUILTINS[_name] = _memcpy
for _name in ("__builtin_memset", "memset"):
    BUILTINS[_name] = _memset
for _name in ("__builtin_strcpy", "strcpy", "__builtin_strncpy", "strncpy"):
    BUILTINS[_name] = _strcpy
for _name in ("__builtin_memcmp", "memcmp", "__builtin_bcmp"):
    BUILTINS[_name] = _memcmp
for _name in ("popcount", "ctz", "clz"):
    for _suffix, _size in (("", 4), ("l", 8), ("ll", 8)):
        BUILTINS[f"__builtin_{_name}{_suffix}"] = _count_bits(_name, _size)
for _name in ("add", "or", "and", "xor"):
    BUILTINS[f"__sync_fetch_and_{_name}"] = _atomic(_name)
    BUILTINS[f"__sync_{_name}_and_fetch"] = _atomic(_name, after=_name)
    BUILTINS[f"__atomic_fetch_{_name}"] = _atomic(_name, ordered=True)
    BUILTINS[f"__atomic_{_name}_fetch"] = _atomic(_name, after=_name, ordered=True)
BUILTINS.update(
    {
        "offsetof": _offsetof, "__builtin_offsetof": _offsetof,
        "lock_xadd": _atomic("add"), "__sync_fetch_and_sub": _atomic("add", negate=True),
        "__sync_sub_and_fetch": _atomic("add", negate=True, after="add"),
        "__atomic_fetch_sub": _atomic("add", negate=True, ordered=True),
        "__atomic_sub_fetch": _atomic("add", negate=True, after="add", ordered=True),
        "__sync_lock_test_and_set": _atomic("xchg"), "__atomic_exchange_n": _atomic("xchg", ordered=True),
        "__atomic_load_n": _atomic_load, "__atomic_store_n": _atomic_store,
        "__sync_val_compare_and_swap": _compare_and_swap, "__sync_bool_compare_and_swap": _compare_and_swap,
        "__builtin_bswap16": _bswap(2), "__builtin_bswap32": _bswap(4), "__builtin_bswap64": _bswap(8),
        "__builtin_expect": _first(2), "__builtin_preserve_access_index": _first(1), "__builtin_constant_p": _constant_p,
        "__builtin_strlen": _known(1, "a literal"),
        "__builtin_types_compatible_p": _known(2, "two types"), "__builtin_choose_expr": _choose,
        "__builtin_unreachable": _unreachable, "__builtin_trap": _unreachable,
        "__builtin_alloca": _no_equivalent,
        "load_byte": _load_packet(1), "load_half": _load_packet(2), "load_word": _load_packet(4), "load_dword": _load_packet(8),
        "incr_cksum_l3": _checksum("l3_csum_replace", 3), "incr_cksum_l4": _checksum("l4_csum_replace", 4),
        "bpf_dext_pkt": _dext, "bpf_dins_pkt": _dins,
    }
)  # fmt: skip
