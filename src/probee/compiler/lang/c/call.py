"""Calls: static functions, written out at each call; what the compiler knows by itself (intrinsic.py); helpers; map methods."""

from __future__ import annotations

from collections.abc import Callable

from pycparser import c_ast

from probee.compiler.ir.type import int_type
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.constant import evaluate_typed, span_of
from probee.compiler.lang.c.lower import OPERANDS, PLACES, Frame, Lowerer
from probee.compiler.lang.c.unit import FunctionDeclaration
from probee.compiler.lang.c.value import Operand, Place, is_aggregate, is_function, pointee
from probee.errors import CompileError, TypeMismatch, UnknownName, Unsupported
from probee.model.ctype import VOID, CType, size_of, strip
from probee.probes.candidate import closest

Builtin = Callable[[Lowerer, c_ast.FuncCall, "list[c_ast.Node]"], "Operand | None"]
BUILTINS: dict[str, Builtin] = {}
MAX_INLINED = 32  # static functions in each other


def _call(low: Lowerer, node: c_ast.FuncCall) -> Operand | None:
    callee = node.name
    arguments = list(node.args.exprs) if node.args is not None else []
    if isinstance(callee, c_ast.StructRef) and isinstance(callee.name, c_ast.ID):
        symbol = low.scope.find(callee.name.name)
        if symbol is not None and symbol.kind == "map":
            from probee.compiler.lang.c.table import method

            return method(low, node, callee, arguments)
        if symbol is None and low.scope.constant(callee.name.name) is None:
            from probee.compiler.lang.c.expression import unknown

            raise unknown(low, callee.name)
    if not isinstance(callee, c_ast.ID):
        raise Unsupported("only functions can be called, and only by name", span_of(callee))
    name = callee.name
    declaration = low.source.functions.get(name)
    if declaration is not None:
        place = _inline(low, node, declaration, arguments)
        if place is None:
            return None
        if is_aggregate(place.type):
            return low.in_memory(node, place)
        return memory.load(low, place, span_of(node))
    if name in BUILTINS:
        return BUILTINS[name](low, node, arguments)
    if name.startswith("bpf_"):
        from probee.compiler.lang.c.helper import helper

        return helper(low, node, name, arguments)
    if name == "strlen":  # not in the table, for it is no good guess at what strnlen() and others should have been
        return BUILTINS["__builtin_strlen"](low, node, arguments)
    known = evaluate_typed(node, low.scope)  # of calls that are constants
    if known is not None:
        return Operand(known[1], low.b.const(known[0], int_type(size_of(known[1]))))
    raise _unknown(low, callee)


def _unknown(low: Lowerer, callee: c_ast.ID) -> CompileError:
    from probee.compiler.lang.c.suggest import similar_function

    symbol = low.scope.find(callee.name)
    if symbol is not None and symbol.kind == "function":
        return CompileError(f"'{callee.name}' is declared, but defined nowhere", span_of(callee))
    if symbol is not None and symbol.type is not None:
        target = pointee(symbol.type)
        if target is not None and is_function(target):
            return Unsupported("BPF has no calls through pointers to functions: call the function by its name", span_of(callee))
        return TypeMismatch(f"'{callee.name}' is a '{symbol.type.spelling()}', not a function", span_of(callee))
    if low.target.function(callee.name) is not None:
        message = f"'{callee.name}' is a function of the kernel, which no BPF program can call"
        helper = f"bpf_{callee.name}"
        return CompileError(message, span_of(callee), hint=f"{helper}() is a helper." if helper in _helpers() else "")
    near = similar_function(low, callee.name)
    return UnknownName(f"there is no function '{callee.name}'", span_of(callee), did_you_mean=near)


def _helpers() -> set[str]:
    from probee.model.helper import helper_names

    return {f"bpf_{name}" for name in helper_names()}


def _place_of_call(low: Lowerer, node: c_ast.FuncCall) -> Place:
    """f(x).member"""
    name = node.name.name if isinstance(node.name, c_ast.ID) else ""
    declaration = low.source.functions.get(name)
    if declaration is None and name == "__builtin_choose_expr":
        from probee.compiler.lang.c.intrinsic import chosen

        return low.place(chosen(low, node, list(node.args.exprs) if node.args is not None else []))
    if declaration is None or not is_aggregate(declaration.result):
        raise CompileError("this has no address", span_of(node))
    place = _inline(low, node, declaration, list(node.args.exprs) if node.args is not None else [])
    assert place is not None
    return place


def _inline(low: Lowerer, node: c_ast.FuncCall, declaration: FunctionDeclaration, arguments: list[c_ast.Node]) -> Place | None:
    """Lower a function's body here; return where its result is."""
    _check_call(low, node, declaration, arguments)
    frame = Frame(declaration, (*low.frame.path, id(node)), low.b.new_block())
    scope, parameters = low.scope, []
    for (name, ctype, _), argument in zip(declaration.parameters, arguments, strict=True):
        parameters.append((name, ctype, _argument(low, ctype, argument)))
    caller, span = (low.scope, low.loops, low.cases), low.b.span
    low.frames.append(frame)
    low.scope, low.loops, low.cases = low.source.scope.child(), [], []
    for name, ctype, value in parameters:
        bind(low, name, ctype, value, span_of(node))
    if strip(declaration.result) is not VOID:
        frame.result = low.variable(declaration.result, f"{declaration.name}()", key="result")
    for item in declaration.node.body.block_items or ():
        low.statement(item)
    check_labels(low)
    assert frame.leave is not None
    if not low.b.terminated:
        low.b.jump(frame.leave)
    low.b.at(frame.leave)
    low.frames.pop()
    low.scope, low.loops, low.cases = caller
    low.b.span = span
    assert low.scope is scope
    return Place(declaration.result, frame.result.slot, variable=frame.result) if frame.result is not None else None


def _check_call(low: Lowerer, node: c_ast.FuncCall, declaration: FunctionDeclaration, arguments: list[c_ast.Node]) -> None:
    span, name = span_of(node), declaration.name
    if not (declaration.static or declaration.inline):
        hint = f"Declare it 'static inline': '{name}' is a BPF program of its own as it stands."
        raise CompileError(f"'{name}' is a program: it cannot be called", span, hint=hint)
    if any(frame.declaration is declaration for frame in low.frames):
        raise CompileError(f"'{name}' calls itself, which a BPF program cannot", span)
    if len(low.frames) > MAX_INLINED:
        raise CompileError("functions call each other too deeply", span)
    expected = len(declaration.parameters)
    if len(arguments) != expected:
        raise CompileError(f"'{name}' takes {expected} argument{'s' * (expected != 1)}, not {len(arguments)}", span)


def _argument(low: Lowerer, ctype: CType, argument: c_ast.Node) -> Operand | Place:
    if is_aggregate(ctype):
        found = low.type_of(argument)
        return low.place(argument) if is_aggregate(found) else low.operand(argument)
    return convert.convert(low, low.operand(argument), ctype, span_of(argument))


def bind(low: Lowerer, name: str, ctype: CType, value: Operand | Place, span: int) -> None:
    """Make a parameter a variable with a value; the context's pointer stays what it is."""
    if not name:
        return
    from probee.compiler.lang.c.scope import Symbol

    if isinstance(value, Operand) and value.value.type.is_pointer and value.value.type.space == "context":
        symbol = Symbol("variable", name, ctype)
        symbol.meaning = Operand(ctype, value.value)
        low.scope.declare(name, symbol)
        return
    variable = low.variable(ctype, name)
    low.declare(name, variable)
    place = Place(variable.type, variable.slot, variable=variable)
    if isinstance(value, Place):
        memory.copy(low, place, value, span)
    elif is_aggregate(variable.type):
        from probee.compiler.lang.c.wide import store

        store(low, place, value, span)
    else:
        memory.store(low, place, value, span)


def check_labels(low: Lowerer) -> None:
    """Refuse a goto to a label that the function does not have."""
    frame = low.frame
    for name in frame.labels:
        if (frame.path, name) not in low.labels_met:
            span = frame.gotos.get(name, frame.declaration.span)
            near = closest(name, (known for path, known in low.labels_met if path == frame.path), 1)
            message = f"there is no label '{name}' in '{frame.declaration.name}'"
            raise UnknownName(message, span, did_you_mean=near[0] if near else "")


def constant(low: Lowerer, node: c_ast.Node, what: str) -> int:
    """Return a constant argument's number."""
    from probee.compiler.ir import op
    from probee.compiler.lang.c.constant import evaluate

    number = evaluate(node, low.scope)
    if number is None:
        operand = low.operand(node)
        if operand.value.op != op.CONST:
            raise CompileError(f"{what} must be a constant", span_of(node))
        number = operand.value.attr
    return int(number)


def n_arguments(node: c_ast.FuncCall, arguments: list[c_ast.Node], name: str, least: int, most: int | None = None) -> None:
    """Check how many arguments a call has."""
    most = least if most is None else most
    if not least <= len(arguments) <= most:
        takes = str(least) if least == most else f"{least} to {most}"
        plural = "" if takes == "1" else "s"
        raise TypeMismatch(f"{name}() takes {takes} argument{plural}, not {len(arguments)}", span_of(node))


OPERANDS[c_ast.FuncCall] = _call
PLACES[c_ast.FuncCall] = _place_of_call
