"""Expressions that only compute: names, constants, members, elements, operators, casts.  ISO C 6.5."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import arithmetic, convert, memory
from probee.compiler.lang.c.choice import logical, truth
from probee.compiler.lang.c.constant import evaluate_typed, span_of
from probee.compiler.lang.c.layout import alignment_of
from probee.compiler.lang.c.literal import string_bytes
from probee.compiler.lang.c.lower import OPERANDS, PLACES, Lowerer
from probee.compiler.lang.c.provenance import root
from probee.compiler.lang.c.value import (
    CHAR,
    NO_FLOATS,
    UNSIGNED_LONG,
    Operand,
    Place,
    Variable,
    is_aggregate,
    is_pointer,
    is_wide,
)
from probee.errors import CompileError, UnknownName, Unsupported
from probee.model.ctype import VOID, ArrayType, FloatType, ForwardType, PointerType, StructType, size_of, strip

# -- names and constants


def _name(low: Lowerer, node: c_ast.ID) -> Operand | None:
    symbol = low.scope.find(node.name)
    if symbol is not None and symbol.kind == "variable" and isinstance(symbol.meaning, Operand):
        return symbol.meaning
    if symbol is None or symbol.kind == "enumerator":
        constant = low.scope.constant(node.name)
        if constant is not None:
            number, ctype = constant
            return Operand(ctype, low.b.const(number, int_type(size_of(ctype) or 4)))
    return _loaded(low, node)


def _name_place(low: Lowerer, node: c_ast.ID) -> Place:
    symbol = low.scope.find(node.name)
    if symbol is None or symbol.kind in ("typedef", "function", "enumerator"):
        raise unknown(low, node)
    if symbol.kind == "map":
        raise CompileError(f"'{node.name}' is a map: call one of its methods, as in {node.name}.lookup(&key)", span_of(node))
    meaning = symbol.meaning
    if isinstance(meaning, Variable):
        return Place(meaning.type, meaning.slot, variable=meaning)
    if isinstance(meaning, Place):
        return meaning
    if isinstance(meaning, Operand):
        raise CompileError(f"'{node.name}' is this program's context, which has no address of its own", span_of(node))
    from probee.compiler.lang.c.globals import global_place

    return global_place(low, symbol, node)


def unknown(low: Lowerer, node: c_ast.ID) -> CompileError:
    """A name that nothing declares, or that is none of a value."""
    from probee.compiler.lang.c.suggest import similar

    symbol = low.scope.find(node.name)
    if symbol is not None and symbol.kind == "function":
        message = f"'{node.name}' is a function, which can only be called: BPF has no pointers to functions"
        return Unsupported(message, span_of(node))
    if low.scope.constant(node.name) is not None:
        return CompileError(f"'{node.name}' is a constant, which has no address", span_of(node))
    error = UnknownName(f"'{node.name}' is not declared", span_of(node), did_you_mean=similar(low, node.name))
    if node.name == "current":
        error.hint = "The task that runs is (struct task_struct *)bpf_get_current_task()."
    elif node.name.isupper() and not error.hint:
        error.hint = "Define it, or replace it in the text before BPF() gets that, if it stands for something."
    return error


def _constant(low: Lowerer, node: c_ast.Constant) -> Operand | None:
    if node.type.endswith("string"):
        return _loaded(low, node)
    if node.type in ("float", "double", "long double"):
        number = float(node.value.rstrip("fFlL"))
        if not number.is_integer():
            raise Unsupported(NO_FLOATS, span_of(node))
        return Operand(UNSIGNED_LONG, low.b.const(int(number)))
    found = evaluate_typed(node, low.scope)
    if found is None:
        return Operand(PointerType(VOID), low.b.const(0))  # nullptr
    number, ctype = found
    return Operand(ctype, low.b.const(number, int_type(size_of(ctype))))


def _string_place(low: Lowerer, node: c_ast.Constant) -> Place:
    """Put a literal on the stack; programs that copy a fixed number of bytes from it find zeros behind it."""
    if not node.type.endswith("string"):
        raise CompileError("a constant has no address", span_of(node))
    data = string_bytes(node.value, span_of(node)) + b"\0"
    whole = data + bytes(-len(data) % 8)
    variable = low.variable(ArrayType(CHAR, len(whole)), "literal")
    store_bytes(low, variable.slot, whole)
    low.literals.add(variable.slot)
    return Place(ArrayType(CHAR, len(data)), variable.slot, variable=variable)


def lengthen_literal(low: Lowerer, pointer: Value, size: int) -> None:
    """Put zeros behind the literal that a pointer points into, if `size` bytes from there are more than it has."""
    slot, at = root(pointer)
    known = low.target_of(pointer)
    if known is not None and known[0] in low.variables:
        slot, at = low.variables[known[0]].slot, known[1]
    if slot in low.literals and at + size > slot.attr.size:
        before, slot.attr.size = slot.attr.size, at + size
        low.b.zero(slot, slot.attr.size - before, before)


def store_bytes(low: Lowerer, base: Value, data: bytes, offset: int = 0) -> None:
    """Store constant bytes, in pieces as wide as they go."""
    at = 0
    while at < len(data):
        size = next(n for n in (8, 4, 2, 1) if (offset + at) % n == 0 and n <= len(data) - at)
        low.b.store(base, low.b.const(int.from_bytes(data[at : at + size], "little"), int_type(size)), offset + at)
        at += size


def _loaded(low: Lowerer, node: c_ast.Node) -> Operand | None:
    """Return what lies at a place; None for a struct, which has no value but its place."""
    place = low.place(node)
    return low.in_memory(node, place) if is_aggregate(place.type) else memory.load(low, place, span_of(node))


# -- members and elements


def _member_place(low: Lowerer, node: c_ast.StructRef) -> Place:
    if node.type == "->":
        pointer = low.value(node.name)
        if pointer is None or not is_pointer(pointer.type):
            from probee.compiler.lang.c.complaint import no_pointer

            raise no_pointer(low, node)
        outer = memory.behind(low, pointer, span_of(node.name))
    else:
        outer = low.place(node.name)
    return find_member(low, outer, node.field.name, span_of(node.field) or span_of(node))


def find_member(low: Lowerer, outer: Place, name: str, span: int) -> Place:
    """Return a member of the struct at a place."""
    struct = low.source.scope.complete(strip(outer.type))
    if not isinstance(struct, StructType):
        from probee.compiler.lang.c.complaint import no_members

        raise no_members(low, outer.type, span)
    path = low.source.scope.member_path(struct, name)
    if not path:
        from probee.compiler.lang.c.complaint import no_such_member

        raise no_such_member(struct, name, span)
    whole = Place(struct, outer.base, outer.offset, variable=outer.variable, packet_header=outer.packet_header)
    return memory.member(low, whole, path)


def _element_place(low: Lowerer, node: c_ast.ArrayRef, *, behind: bool = False) -> Place:
    """`behind` allows the one behind the last, which has an address."""
    if _is_array_lvalue(low, node.name):
        place = low.place(node.name)
        if isinstance(strip(place.type), ArrayType):
            return memory.element(low, place, low.operand(node.subscript), span_of(node), behind=behind)
        pointer = memory.load(low, place, span_of(node.name))
    else:
        pointer = low.operand(node.name)
    index = low.operand(node.subscript)
    if is_pointer(index.type) and not is_pointer(pointer.type):
        pointer, index = index, pointer  # 2[array]
    target = memory.behind(low, pointer, span_of(node.name))
    size = size_of(target.type)
    if index.value.op == op.CONST:
        target.offset += memory._signed(index) * size
        return target
    return Place(target.type, memory.moved(low, memory.movable(low, target, span_of(node)), index, size))


def _is_array_lvalue(low: Lowerer, node: c_ast.Node) -> bool:
    if isinstance(node, c_ast.ID):
        symbol = low.scope.find(node.name)
        return symbol is not None and symbol.kind == "variable" and not isinstance(symbol.meaning, Operand)
    return isinstance(node, (c_ast.StructRef, c_ast.ArrayRef)) or (isinstance(node, c_ast.Constant) and "string" in node.type)


# -- unary operators


def _unary(low: Lowerer, node: c_ast.UnaryOp) -> Operand | None:
    operator = node.op
    if operator in ("sizeof", "_Alignof"):
        return _sizeof(low, node)
    if operator == "&":
        return _address_of(low, node)
    if operator == "*":
        return _loaded(low, node)
    if operator in ("++", "--", "p++", "p--"):
        from probee.compiler.lang.c.assign import increment

        return increment(low, node)
    if operator == "!":
        return convert.from_truth(low, low.b.xor(truth(low, node.expr), low.b.const(1, BOOL)))
    operand = low.value(node.expr)
    if operand is None:
        from probee.compiler.lang.c.wide import changed

        return low.in_memory(node, changed(low, node))
    return arithmetic.unary(low, operator, operand, span_of(node))


def _sizeof(low: Lowerer, node: c_ast.UnaryOp) -> Operand:
    ctype = low.scope.type_of(node.expr) if isinstance(node.expr, c_ast.Typename) else low.type_of(node.expr)
    complete = low.source.scope.complete(strip(ctype))
    if isinstance(complete, ForwardType):
        from probee.compiler.lang.c.complaint import unknown_tag

        raise unknown_tag(low, complete, span_of(node.expr) or span_of(node))
    size = alignment_of(complete) if node.op == "_Alignof" else 1 if complete is VOID else size_of(complete)
    return Operand(UNSIGNED_LONG, low.b.const(size))


def _address_of(low: Lowerer, node: c_ast.UnaryOp) -> Operand:
    inner = node.expr
    if isinstance(inner, c_ast.ID):
        symbol = low.scope.find(inner.name)
        if symbol is not None and symbol.kind == "map":
            return Operand(PointerType(VOID), low.b.map(inner.name))
    place = _element_place(low, inner, behind=True) if isinstance(inner, c_ast.ArrayRef) else low.place(inner)
    return Operand(PointerType(place.type), memory.address(low, place, span_of(node)))


def _dereference(low: Lowerer, node: c_ast.UnaryOp) -> Place:
    if node.op != "*":
        from probee.compiler.lang.c.wide import changed

        return changed(low, node)
    return memory.behind(low, low.operand(node.expr), span_of(node.expr))


# -- binary operators


def _binary(low: Lowerer, node: c_ast.BinaryOp) -> Operand | None:
    if node.op in ("&&", "||"):
        return logical(low, node)
    left, right = low.value(node.left), low.value(node.right)
    if left is None or right is None:
        from probee.compiler.lang.c.wide import binary

        return binary(low, node, left, right)
    return arithmetic.binary(low, node.op, left, right, span_of(node))


def _cast(low: Lowerer, node: c_ast.Cast) -> Operand | None:
    ctype = low.scope.type_of(node.to_type)
    if isinstance(strip(ctype), FloatType):
        raise Unsupported(NO_FLOATS, span_of(node))
    if is_wide(ctype):
        return low.in_memory(node, _cast_place(low, node))
    operand = low.value(node.expr)
    if strip(ctype).size == 0 and not is_pointer(ctype):
        return None  # (void)x
    if operand is None:
        from probee.compiler.lang.c.wide import low_half

        operand = low_half(low, node.expr, ctype)
    return convert.convert(low, operand, ctype, span_of(node))


def _comma(low: Lowerer, node: c_ast.ExprList) -> Operand | None:
    found: Operand | None = None
    for each in node.exprs:
        found = low.value(each)
    return found if found is not None else _same(low, node, node.exprs[-1])


def _comma_place(low: Lowerer, node: c_ast.ExprList) -> Place:
    for each in node.exprs[:-1]:
        low.value(each)
    return low.place(node.exprs[-1])


def _same(low: Lowerer, node: c_ast.Node, inner: c_ast.Node) -> Operand | None:
    """Note that an expression's value is what another one has made, if that has made something."""
    made = low.made.get((low.frame.path, inner))
    return low.in_memory(node, made) if made is not None else None


# -- expressions with statements in them


def _statement_expression(low: Lowerer, node: c_ast.Compound) -> Operand | None:
    """({ …; value; })"""
    outer = low.scope
    low.scope = outer.child()
    items = node.block_items or []
    for item in items[:-1]:
        low.statement(item)
    result: Operand | None = None
    if items:
        last = items[-1]
        if type(last) in OPERANDS and not isinstance(last, c_ast.Compound):
            result = low.value(last)
            if result is None:
                _same(low, node, last)
        else:
            low.statement(last)
    low.scope = outer
    return result


def _statement_place(low: Lowerer, node: c_ast.Compound) -> Place:
    """({ …; struct; }).member"""
    if _statement_expression(low, node) is None:
        made = low.made.get((low.frame.path, node))
        if made is not None:
            return made
    raise CompileError("this has no address", span_of(node))


def _compound_literal(low: Lowerer, node: c_ast.CompoundLiteral) -> Place:
    from probee.compiler.lang.c.initialise import complete_array, initialise

    ctype = complete_array(low, low.scope.type_of(node.type), node.init)
    variable = low.variable(ctype, "literal")
    place = Place(ctype, variable.slot, variable=variable)
    initialise(low, place, node.init)
    return place


def _cast_place(low: Lowerer, node: c_ast.Cast) -> Place:
    """A cast of a 128-bit integer, which lives in memory, to the other sign."""
    ctype = low.scope.type_of(node.to_type)
    if not is_wide(ctype):
        raise CompileError("a cast has no address", span_of(node))
    if is_wide(low.type_of(node.expr)):
        place = low.place(node.expr)
        return Place(ctype, place.base, place.offset, variable=place.variable)
    from probee.compiler.lang.c.assign import store_aggregate

    variable = low.variable(ctype, "wide")
    result = Place(ctype, variable.slot, variable=variable)
    store_aggregate(low, result, node.expr)
    return result


OPERANDS.update(
    {
        c_ast.ID: _name, c_ast.Constant: _constant, c_ast.StructRef: _loaded, c_ast.ArrayRef: _loaded,
        c_ast.UnaryOp: _unary, c_ast.BinaryOp: _binary, c_ast.Cast: _cast,
        c_ast.ExprList: _comma, c_ast.Compound: _statement_expression, c_ast.CompoundLiteral: _loaded,
    }
)  # fmt: skip


def _computed_place(low: Lowerer, node: c_ast.BinaryOp) -> Place:
    from probee.compiler.lang.c.wide import computed

    return computed(low, node)


PLACES.update(
    {
        c_ast.BinaryOp: _computed_place,
        c_ast.ID: _name_place, c_ast.Constant: _string_place, c_ast.StructRef: _member_place, c_ast.ArrayRef: _element_place,
        c_ast.UnaryOp: _dereference, c_ast.Compound: _statement_place, c_ast.CompoundLiteral: _compound_literal,
        c_ast.Cast: _cast_place, c_ast.ExprList: _comma_place,
    }
)  # fmt: skip
