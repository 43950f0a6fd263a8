"""Functions of the script (`fn`): typed like probes of their own, lowered to static subprograms that are called.

Integers and pointers are passed as numbers; everything else by a pointer to the caller's memory, a result as well.  Each
program gets its own copy of the functions that it calls.  The context of the program is out of a function's reach.
"""

from __future__ import annotations

from probee.compiler.ir.type import I64, Type, pointer
from probee.compiler.ir.unit import Function, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Instance, Known, Script, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, Unsupported

MAX_ARGUMENTS = 5  # registers that a call passes


class FunctionInstance(Instance):
    """A function; `name` is the script's, `node` its definition."""

    __slots__ = ("name", "node")

    def __init__(self, node: ast.Function) -> None:
        probe = ast.Probe(node.span, [], None, node.body)
        super().__init__(probe, None, [], 0)  # type: ignore[arg-type]  # it stands for no probe
        self.name = node.name
        self.node = node

    @property
    def provider(self) -> str:
        return "function"


# -- types


def declare(script: Script, resolver: Resolver) -> None:
    """Enter the script's functions with the types of their parameters and results."""
    for node in script.program.functions:
        if node.name in script.functions:
            raise CompileError(f"Redefinition of function: {node.name}", node.span)
        instance = FunctionInstance(node)
        resolver.instance = instance
        for param in node.params:
            info = VariableInfo(param.variable.name, param.span)
            info.type = resolver.type_of_name(param.declared)
            info.fixed = info.assigned = True
            instance.parameters[param.variable.name] = info
        instance.returns = resolver.type_of_name(node.returns)
        if _n_registers(instance) > MAX_ARGUMENTS:
            message = f"functions take at most {MAX_ARGUMENTS} arguments, a result that is no number counted"
            raise Unsupported(message, node.span)
        script.functions[node.name] = instance


def _n_registers(instance: Instance) -> int:
    assert instance.returns is not None
    return len(instance.parameters) + (not instance.returns.is_scalar and instance.returns.kind != "none")


def check_all_return(instance: Instance) -> None:
    """Raise unless every path through a function with a result ends in a return."""
    assert isinstance(instance, FunctionInstance)
    if instance.returns is not None and instance.returns.kind != "none" and not _ends(instance.node.body):
        message = f"Function {instance.name} is of type {instance.returns}, cannot return void"
        raise TypeMismatch(message, instance.span)


def _ends(node: ast.Node | None) -> bool:
    if isinstance(node, ast.Block):
        return any(_ends(statement) for statement in node.statements)
    if isinstance(node, ast.If):
        return _ends(node.then) and _ends(node.otherwise)
    return isinstance(node, ast.Return)


def check_return(resolver: Resolver, node: ast.Return, type: Ty, wanted: Ty) -> None:
    """Raise unless a return gives what its function says; integers convert when they fit."""
    assert isinstance(resolver.instance, FunctionInstance)
    if type.kind == wanted.kind == "none":
        return
    if node.value is None or not _converts(node.value, type, wanted):
        message = f"Function {resolver.instance.name} is of type {wanted}, cannot return {type}"
        raise TypeMismatch(message, node.span)


def _converts(value: ast.Expr, type: Ty, wanted: Ty) -> bool:
    known = known_int(value)
    if wanted.kind == "int" and known is not None and isinstance(value.meaning, Known) and value.meaning.literal:
        return t.fits(known, wanted)
    return unify(wanted, type) == wanted


def resolve_call(resolver: Resolver, node: ast.Call, instance: Instance) -> Ty:
    """Type a call of a function of the script."""
    wanted = list(instance.parameters.values())
    if len(wanted) != len(node.args):
        message = f"Function `{node.name}` requires {len(wanted)} arguments, got only {len(node.args)}"
        raise CompileError(message, node.span)
    for info, argument in zip(wanted, node.args, strict=True):
        type = resolver.expr(argument)
        assert info.type is not None
        if not _converts(argument, type, info.type):
            raise TypeMismatch(f"Expected {info.type} for argument `${info.name}` got {type}", argument.span)
    assert instance.returns is not None
    return instance.returns


# -- lowering


def lower_call(low: Lowerer, node: ast.Call, target: Place | None) -> Value | None:
    """Call a function, which is lowered for this program when it is first called."""
    instance = low.script.functions[node.name]
    assert isinstance(instance, FunctionInstance) and instance.returns is not None
    b = low.b
    arguments = [_argument(low, argument, info) for argument, info in zip(node.args, instance.parameters.values(), strict=True)]
    in_memory = not instance.returns.is_scalar and instance.returns.kind != "none"
    made = None
    if in_memory:
        made = place.alloca(b, instance.returns, f"result of {node.name}")
        arguments.append(place.address(b, made))
    result = b.call(_function(low, instance), *arguments)
    if low.script.can_exit and low.instance.provider not in ("end", "iter"):
        _leave_too(low)
    if made is not None and target is not None:
        place.copy(b, target, made, padded=False)
        return None
    return b.pointer(result, instance.returns.space or "kernel") if instance.returns.kind == "pointer" else result


def _argument(low: Lowerer, node: ast.Expr, info: VariableInfo) -> Value:
    assert info.type is not None
    if info.type.is_scalar:
        value = low.convert(low.value(node), node.type, info.type)
        return low.b.address(value) if value.type.is_pointer else value
    made = place.alloca(low.b, info.type, f"argument ${info.name}")
    low.into(node, made, padded=False)
    return place.address(low.b, made)


def _leave_too(low: Lowerer) -> None:
    from probee.compiler.lang.bpftrace.lower_record import exited

    low.diamond(exited(low), low.leave, None)


def _function(low: Lowerer, instance: FunctionInstance) -> str:
    """Return the name of the IR function, made at the first call in this program."""
    full = f"fn_{instance.name}_{low.program_index}"
    if any(function.name == full for function in low.callbacks):
        return full
    parameters: list[Type] = []
    for info in instance.parameters.values():
        assert info.type is not None
        parameters.append(I64 if info.type.is_scalar else pointer("stack"))
    assert instance.returns is not None
    in_memory = not instance.returns.is_scalar and instance.returns.kind != "none"
    if in_memory:
        parameters.append(pointer("stack"))
    function = Function(full, tuple(parameters), I64, kind="subprogram", span=instance.span)
    low.callbacks.append(function)
    inner = low.nested(function)
    inner.instance, inner.result, inner.left = instance, 0, None
    for info in instance.variables.values():
        info.place = None
    for index, info in enumerate(instance.parameters.values()):
        info.place = _parameter(inner, index, info)
    if in_memory:
        inner.returned = Place(inner.b.param(len(parameters) - 1), 0, instance.returns)
    inner.block(instance.probe.body)
    if not inner.b.terminated:
        inner.leave()
    return full


def _parameter(low: Lowerer, index: int, info: VariableInfo) -> Place:
    assert info.type is not None
    given = low.b.param(index)
    if not info.type.is_scalar:
        return Place(given, 0, info.type)
    type = t.int_of(8, signed=info.type.signed) if info.type.is_int else info.type
    made = place.alloca(low.b, type, f"${info.name}")
    place.store(low.b, made, given)
    return made


def return_value(low: Lowerer, node: ast.Return) -> Value | None:
    """Return what a function's return gives: a number, or nothing when it was written to the caller's memory."""
    instance = low.instance
    assert instance.returns is not None
    if node.value is None:
        return None
    if low.returned is not None:
        low.into(node.value, low.returned, padded=False)
        return None
    value = low.convert(low.value(node.value), node.value.type, instance.returns)
    return low.b.address(value) if value.type.is_pointer else value
