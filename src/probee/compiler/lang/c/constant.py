"""Integer constant expressions, and the constants that a kernel's headers have.

`evaluate` works with C's types: what an operator yields has the width and signedness that C gives it.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.lang.c import basic
from probee.compiler.lang.c.literal import integer_constant, string_bytes
from probee.compiler.lang.c.scope import Scope
from probee.errors import make_span
from probee.model.ctype import ArrayType, CType, EnumType, ForwardType, IntType, PointerType, StructType, VoidType, strip
from probee.model.target import Target

Number = "tuple[int, CType]"


def span_of(node: c_ast.Node | None) -> int:
    """Return the span of a node: the token that its coordinates name."""
    coord = getattr(node, "coord", None)
    if coord is None or not isinstance(coord.line, int):
        return 0
    return make_span(coord.line, coord.line + (coord.column or 0))


def first_span(node: c_ast.Node) -> int:
    """Return the span of a node, or of the first one in it that has one."""
    span = span_of(node)
    for _, child in () if span else node.children():
        span = span or first_span(child)
    return span


def evaluate(node: c_ast.Node | None, scope: Scope) -> int | None:
    """Return the value of an integer constant expression, None when it is none."""
    found = evaluate_typed(node, scope)
    return None if found is None else found[0]


def evaluate_typed(node: c_ast.Node | None, scope: Scope) -> tuple[int, CType] | None:
    """Return (value, type) of an integer constant expression, None when it is none."""
    evaluator = _EVALUATORS.get(type(node))
    return evaluator(node, scope) if evaluator is not None else None


def convert(value: int, ctype: CType) -> int:
    """Return a value as an integer type holds it."""
    ctype = strip(ctype)
    if isinstance(ctype, IntType) and ctype.encoding == "bool":
        return int(value != 0)
    bits = (ctype.size or 8) * 8
    value &= (1 << bits) - 1
    signed = isinstance(ctype, (IntType, EnumType)) and ctype.signed
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def promote(ctype: CType) -> IntType:
    """Return the type that an integer has in an expression."""
    ctype = strip(ctype)
    if isinstance(ctype, EnumType):
        return basic.INT if ctype.signed or ctype.size < 4 else basic.UNSIGNED_INT if ctype.size == 4 else _wide(ctype)
    if not isinstance(ctype, IntType):
        return basic.UNSIGNED_LONG  # an address
    return basic.INT if ctype.size < 4 else ctype


def _wide(ctype: EnumType) -> IntType:
    return basic.LONG_LONG if ctype.signed else basic.UNSIGNED_LONG_LONG


def common_type(left: CType, right: CType) -> IntType:
    """Return the type that two integers are computed in."""
    a, b = promote(left), promote(right)
    if a.size != b.size:
        return a if a.size > b.size else b
    return a if not a.signed else b


def compatible(left: CType, right: CType) -> bool:
    """Return whether two types are one, whatever they are called: `unsigned long` and BTF's `long unsigned int`."""
    a, b = strip(left), strip(right)
    if isinstance(a, EnumType) != isinstance(b, EnumType):
        a, b = _underlying(a), _underlying(b)
    if isinstance(a, IntType) and isinstance(b, IntType):
        return a.size == b.size and _words(a) == _words(b)
    if isinstance(a, PointerType) and isinstance(b, PointerType):
        return compatible(a.target, b.target)
    if isinstance(a, ArrayType) and isinstance(b, ArrayType):
        return compatible(a.element, b.element) and (a.count == b.count or not a.count or not b.count)  # `extern int t[];`
    return a is b or a.spelling() == b.spelling()


def _underlying(ctype: CType) -> CType:
    """Return the integer type that GNU C makes an enum of: unsigned unless it has negative enumerators."""
    if not isinstance(ctype, EnumType) or ctype.size not in _ENUMS:
        return ctype
    return _ENUMS[ctype.size][ctype.signed]


_ENUMS = {  # size → (unsigned, signed)
    1: (basic.UNSIGNED_CHAR, basic.SIGNED_CHAR), 2: (basic.UNSIGNED_SHORT, basic.SHORT),
    4: (basic.UNSIGNED_INT, basic.INT), 8: (basic.UNSIGNED_LONG, basic.LONG),
}  # fmt: skip


def _words(ctype: IntType) -> list[str]:
    words = sorted(word for word in ctype.name.split() if word != "int")
    return words if "char" in words else [word for word in words if word != "signed"]


def _constant(node: c_ast.Constant, scope: Scope) -> tuple[int, CType] | None:
    if node.type == "bool":
        return int(node.value == "true"), basic.INT
    if node.type == "string" or "float" in node.type or "double" in node.type or node.type == "nullptr_t":
        return None
    return integer_constant(node.value, node.type, span_of(node))


def _name(node: c_ast.ID, scope: Scope) -> tuple[int, CType] | None:
    return scope.constant(node.name)


def _unary(node: c_ast.UnaryOp, scope: Scope) -> tuple[int, CType] | None:
    operator = node.op
    if operator in ("sizeof", "_Alignof"):
        size = _size(node, scope)
        return None if size is None else (size, basic.UNSIGNED_LONG)
    if operator == "&":
        return _address(node.expr, scope)
    inner = evaluate_typed(node.expr, scope)
    if inner is None or operator not in ("-", "+", "~", "!"):
        return None
    value, ctype = inner
    if operator == "!":
        return int(not value), basic.INT
    wide = promote(ctype)
    return convert({"-": -value, "+": value, "~": ~value}[operator], wide), wide


def _size(node: c_ast.UnaryOp, scope: Scope) -> int | None:
    """Return what sizeof or _Alignof says; None when the type is incomplete or unknown."""
    from probee.compiler.lang.c.infer import type_of_expression
    from probee.compiler.lang.c.layout import alignment_of

    operand = node.expr
    if isinstance(operand, c_ast.Typename):
        ctype: CType | None = scope.type_of(operand)
    elif isinstance(operand, c_ast.Constant) and operand.type == "string":
        return len(string_bytes(operand.value, span_of(operand))) + 1
    else:
        ctype = type_of_expression(operand, scope)
    if ctype is None:
        return None
    ctype = scope.complete(ctype)
    if isinstance(ctype, ForwardType):
        return None
    if node.op == "_Alignof":
        return alignment_of(ctype)
    return 1 if isinstance(ctype, VoidType) else ctype.size


def _address(node: c_ast.Node, scope: Scope) -> tuple[int, CType] | None:
    """Return the address of a place at a constant address: offsetof in its oldest spelling."""
    found = _place(node, scope)
    return None if found is None else (found[0], PointerType(found[1]))


def _place(node: c_ast.Node, scope: Scope) -> tuple[int, CType] | None:
    """Return (address, type) of an lvalue behind a constant pointer."""
    if isinstance(node, c_ast.StructRef):
        outer = evaluate_typed(node.name, scope) if node.type == "->" else _place(node.name, scope)
        if outer is None:
            return None
        struct = scope.pointee(outer[1]) if node.type == "->" else outer[1]
        path = scope.member_path(struct, node.field.name) if struct is not None else ()
        if not path:
            return None
        return outer[0] + sum(member.bit_offset for member in path) // 8, path[-1].type
    if isinstance(node, c_ast.ArrayRef):
        base, index = _place(node.name, scope), evaluate(node.subscript, scope)
        if base is None or index is None:
            return None
        array = strip(base[1])
        return (base[0] + index * scope.complete(array.element).size, array.element) if isinstance(array, ArrayType) else None
    if isinstance(node, c_ast.UnaryOp) and node.op == "*":
        pointer = evaluate_typed(node.expr, scope)
        target = scope.pointee(pointer[1]) if pointer is not None else None
        return None if pointer is None or target is None else (pointer[0], target)
    return None


def _binary(node: c_ast.BinaryOp, scope: Scope) -> tuple[int, CType] | None:
    operator = node.op
    left = evaluate_typed(node.left, scope)
    if left is None:
        return None
    if operator in ("&&", "||") and bool(left[0]) == (operator == "||"):
        return int(operator == "||"), basic.INT
    right = evaluate_typed(node.right, scope)
    if right is None:
        return None
    return apply(operator, left, right)


def apply(operator: str, left: tuple[int, CType], right: tuple[int, CType]) -> tuple[int, CType] | None:
    """Return what a binary operator yields for two constants; None where C leaves it undefined (division by zero, ...)."""
    a, b = left[0], right[0]
    if operator in ("&&", "||"):
        return int(bool(a and b) if operator == "&&" else bool(a or b)), basic.INT
    if operator in ("<<", ">>"):
        wide = promote(left[1])
        if not 0 <= b < wide.size * 8:
            return None
        a = convert(a, wide)
        return convert(a << b if operator == "<<" else a >> b, wide), wide
    wide = common_type(left[1], right[1])
    a, b = convert(a, wide), convert(b, wide)
    if operator in _COMPARISONS:
        return int(_COMPARISONS[operator](a, b)), basic.INT
    if operator in ("/", "%"):
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return convert(quotient if operator == "/" else a - b * quotient, wide), wide
    if operator not in _ARITHMETIC:
        return None
    return convert(_ARITHMETIC[operator](a, b), wide), wide


_COMPARISONS = {"==": int.__eq__, "!=": int.__ne__, "<": int.__lt__, ">": int.__gt__, "<=": int.__le__, ">=": int.__ge__}
_ARITHMETIC = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "&": int.__and__, "|": int.__or__, "^": int.__xor__,
}  # fmt: skip


def _cast(node: c_ast.Cast, scope: Scope) -> tuple[int, CType] | None:
    inner = evaluate_typed(node.expr, scope)
    if inner is None:
        return None
    ctype = scope.type_of(node.to_type)
    plain = strip(ctype)
    if not isinstance(plain, (IntType, EnumType, PointerType)):
        return None
    return convert(inner[0], plain), ctype


def _ternary(node: c_ast.TernaryOp, scope: Scope) -> tuple[int, CType] | None:
    condition = evaluate_typed(node.cond, scope)
    if condition is None:
        return None
    if node.iftrue is None:  # x ?: y
        return condition if condition[0] else evaluate_typed(node.iffalse, scope)
    chosen = evaluate_typed(node.iftrue if condition[0] else node.iffalse, scope)
    other = evaluate_typed(node.iffalse if condition[0] else node.iftrue, scope)
    if chosen is None or other is None or not isinstance(strip(chosen[1]), IntType):
        return chosen
    wide = common_type(chosen[1], other[1])
    return convert(chosen[0], wide), wide


def _call(node: c_ast.FuncCall, scope: Scope) -> tuple[int, CType] | None:
    """Evaluate the calls that are constants: offsetof, and builtins of constants."""
    name = node.name.name if isinstance(node.name, c_ast.ID) else ""
    arguments = node.args.exprs if node.args is not None else []
    if name == "offsetof" and len(arguments) == 2:
        offset = offset_of(scope.type_of(arguments[0]), arguments[1], scope)
        return None if offset is None else (offset, basic.UNSIGNED_LONG)
    if name in _SWAPS and len(arguments) == 1:
        inner = evaluate_typed(arguments[0], scope)
        size, ctype = _SWAPS[name]
        masked = None if inner is None else inner[0] & ((1 << size * 8) - 1)
        return None if masked is None else (int.from_bytes(masked.to_bytes(size, "little"), "big"), ctype)
    if name in ("strlen", "__builtin_strlen") and len(arguments) == 1 and getattr(arguments[0], "type", "") == "string":
        text = string_bytes(arguments[0].value, span_of(node))
        return len(text.partition(b"\0")[0]), basic.UNSIGNED_LONG
    if name == "__builtin_constant_p" and len(arguments) == 1:
        return int(evaluate(arguments[0], scope) is not None), basic.INT
    if (name, len(arguments)) in (("__builtin_expect", 2), ("__builtin_choose_expr", 3)):
        first = evaluate_typed(arguments[0], scope)
        if name == "__builtin_expect" or first is None:
            return first
        return evaluate_typed(arguments[1 if first[0] else 2], scope)
    if name == "__builtin_types_compatible_p" and len(arguments) == 2:
        return int(compatible(*(scope.type_of(argument) for argument in arguments))), basic.INT
    return None


_SWAPS = {
    "__builtin_bswap16": (2, basic.UNSIGNED_SHORT), "__builtin_bswap32": (4, basic.UNSIGNED_INT),
    "__builtin_bswap64": (8, basic.UNSIGNED_LONG_LONG),
}  # fmt: skip


def offset_of(struct: CType, designator: c_ast.Node, scope: Scope) -> int | None:
    """Return the offset in bytes of `a.b[2].c` in a struct; None when there is no such member, or it is a bit field."""
    if isinstance(designator, c_ast.ID):
        path = scope.member_path(struct, designator.name)
        return None if not path or path[-1].bit_size else sum(member.bit_offset for member in path) // 8
    found = _designated(struct, designator, scope)
    return None if found is None else found[0]


def _designated(struct: CType, node: c_ast.Node, scope: Scope) -> tuple[int, CType] | None:
    if isinstance(node, c_ast.ID):
        path = scope.member_path(struct, node.name)
        return (sum(member.bit_offset for member in path) // 8, path[-1].type) if path else None
    if isinstance(node, c_ast.StructRef) and node.type == ".":
        outer = _designated(struct, node.name, scope)
        path = scope.member_path(outer[1], node.field.name) if outer is not None else ()
        if outer is None or not path:
            return None
        return outer[0] + sum(member.bit_offset for member in path) // 8, path[-1].type
    if isinstance(node, c_ast.ArrayRef):
        outer, index = _designated(struct, node.name, scope), evaluate(node.subscript, scope)
        array = strip(outer[1]) if outer is not None else None
        if outer is None or index is None or not isinstance(array, ArrayType):
            return None
        return outer[0] + index * scope.complete(array.element).size, array.element
    return None


_EVALUATORS = {
    c_ast.Constant: _constant, c_ast.ID: _name, c_ast.UnaryOp: _unary, c_ast.BinaryOp: _binary, c_ast.Cast: _cast,
    c_ast.TernaryOp: _ternary, c_ast.FuncCall: _call,
}  # fmt: skip


def undeclared(node: c_ast.Node, scope: Scope) -> c_ast.ID | None:
    """Return the first name in an expression that nothing declares."""
    if isinstance(node, c_ast.ID):
        return node if scope.find(node.name) is None and scope.constant(node.name) is None else None
    return next((found for _, child in node.children() if (found := undeclared(child, scope)) is not None), None)


def kernel_constant(name: str, target: Target) -> tuple[int, CType] | None:
    """Return (value, type) of a constant of the kernel: an enumerator of BTF, else what our table has."""
    found = target.enumerator(name)
    if found is not None:
        return found
    from probee.compiler.lang.c._tables.constant import CONSTANTS

    known = CONSTANTS.get(name)
    if known is not None:
        return known[0], _TYPES[known[1]]
    computed = _COMPUTED.get(name)
    value = computed(target) if computed is not None else None
    return None if value is None else (value, basic.INT)


_TYPES: dict[str, CType] = {
    "": basic.INT, "u": basic.UNSIGNED_INT, "l": basic.LONG, "ul": basic.UNSIGNED_LONG, "ull": basic.UNSIGNED_LONG_LONG,
}  # fmt: skip


def _inline_name_length(target: Target) -> int | None:
    """DNAME_INLINE_LEN: the bytes of a short name in a dentry (40 since Linux 6.13, 32 or 36 before)."""
    for kind, tag, member in (("union", "shortname_store", "string"), ("struct", "dentry", "d_iname")):
        struct = target.type_named(kind, tag)
        path = struct.find(member) if isinstance(struct, StructType) else ()
        array = strip(path[-1].type) if path else None
        if isinstance(array, ArrayType):
            return array.count
    return None


_COMPUTED = {"DNAME_INLINE_LEN": _inline_name_length}
