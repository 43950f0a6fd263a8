"""Functions that tell user space something: printf and its relatives, print, time, join, cat, system, exit."""

from __future__ import annotations

from probee.compiler.ir.type import I32, I64
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int, literal_text
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import kernel_name
from probee.compiler.lang.bpftrace.lower_record import Writer, emit, emit_exit, fields_of
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import MapInfo, Unresolved
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, UnknownName
from probee.model.printf import complaint, parse_format

MAX_FORMAT_ARGUMENTS = 128
JOIN_COUNT, JOIN_SIZE = 16, 1024


# -- printf, errorf, warnf, system, cat


def _check_format(resolver: Resolver, node: ast.Call) -> Ty:
    if not node.args:
        raise CompileError(f"{node.name}() requires at least one argument (0 provided)", node.span)
    if len(node.args) > MAX_FORMAT_ARGUMENTS:
        raise CompileError(f"{node.name}() takes up to {MAX_FORMAT_ARGUMENTS} arguments ({len(node.args)} provided)", node.span)
    text = literal_text(resolver, node, 0) if not isinstance(node.args[0], ast.StringLiteral) else _format_text(node.args[0])
    types = [resolver.expr(argument) for argument in node.args[1:]]
    for type, argument in zip(types, node.args[1:], strict=True):
        if type.kind in ("hist", "lhist", "tseries", "stats"):
            raise TypeMismatch(f"{node.name}() can not print a value of type '{type}'", argument.span)
    problem = complaint(parse_format(text), [(_shown_kind(type), str(type)) for type in types])
    if problem:
        raise TypeMismatch(problem, node.span)
    if node.name == "system" and not resolver.script.options.get("unsafe"):
        raise CompileError("system() is an unsafe function being used in safe mode", node.span, hint="run with --unsafe")
    return t.NONE


def _format_text(node: ast.StringLiteral) -> str:
    node.type = t.string(len(node.value) + 1)  # formats may be longer than max_strlen
    return node.value.decode("utf-8", "surrogateescape")


def _shown_kind(type: Ty) -> str:
    return {"cgroup_path": "cgroup", "named": "string"}.get(type.kind, type.kind)


def _lower_format(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.scope import Known

    first = node.args[0]
    if isinstance(first, ast.StringLiteral):
        text = first.value
    else:
        assert isinstance(first.meaning, Known) and isinstance(first.meaning.value, bytes)
        text = first.meaning.value
    if low.pinned and node.name == "printf":
        from probee.compiler.lang.bpftrace.seqprint import lower_printf

        lower_printf(low, node, text.decode("utf-8", "surrogateescape"))
        return
    fields = fields_of(low, node.args[1:])
    emit(low, node.name, text.decode("utf-8", "surrogateescape"), fields, span=node.span)


# -- print


def _check_print(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 3)
    first = node.args[0]
    if isinstance(first, ast.MapRef):
        info = resolver.script.maps.get(first.name)
        if info is None or info.value is None:
            raise Unresolved(UnknownName(f"Undefined map: @{first.name}", first.span))
        info.read = True
        node.meaning = tuple(literal_int(resolver, node, index) for index in range(1, len(node.args)))
        _warn_of_map(resolver, node, info)
        return t.NONE
    if len(node.args) > 1:
        raise CompileError("print() of a value takes one argument: top and div are for whole maps", node.span)
    type = resolver.expr(first)
    if isinstance(first, ast.MapAccess) and type.kind in ("hist", "lhist", "stats", "tseries", "min", "max", "avg"):
        if type.kind in ("hist", "lhist", "stats", "tseries"):
            message = f"Map type {type} cannot print the value of individual keys. You must print the whole map."
            raise TypeMismatch(message, first.span)
    elif type.kind == "none":
        raise TypeMismatch("print() cannot print a value that is void", first.span)
    return t.NONE


def _warn_of_map(resolver: Resolver, node: ast.Call, info: MapInfo) -> None:
    if resolver.loops:
        message = (
            "Due to it's asynchronous nature using 'print()' in a loop can lead to unexpected behavior. "
            "The map will likely be updated before the runtime can 'print' it."
        )
        resolver.script.warn(message, node.span)
    if len(node.args) > 1 and info.value is not None and info.value.kind == "stats":
        resolver.script.warn("print()'s top and div arguments are ignored when used on stats() maps.", node.span)
        node.meaning = ()


def _lower_print(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    first = node.args[0]
    if isinstance(first, ast.MapRef):
        info = low.script.maps[first.name]
        assert isinstance(node.meaning, tuple)
        emit(low, "print_map", kernel_name(info), parameters=node.meaning, span=node.span)
    else:
        emit(low, "print", "", fields_of(low, [first]), span=node.span)


# -- clear, zero


def _check_whole_map(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    first = node.args[0]
    if not isinstance(first, ast.MapRef):
        raise TypeMismatch(f"{node.name}() expects a map to be provided", first.span)
    info = resolver.script.maps.get(first.name)
    if info is None or info.value is None:
        raise Unresolved(UnknownName(f"Undefined map: @{first.name}", first.span))
    return t.NONE


def _lower_whole_map(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert isinstance(node.args[0], ast.MapRef)
    emit(low, node.name, kernel_name(low.script.maps[node.args[0].name]), span=node.span)


# -- exit, time, join


def _check_exit(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 0, 1)
    if node.args:
        resolver.expr(node.args[0])
        expect(node, node.args[0], ("int", "enum", "bool"), "integer")
    return t.NONE


def _lower_exit(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    status = low.number(node.args[0]) if node.args else low.b.const(0)
    emit_exit(low, status, node.span)
    low.leave()


def _check_time(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 0, 1)
    if node.args:
        literal_text(resolver, node, 0)
    return t.NONE


def _lower_time(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.scope import Known

    text = "%H:%M:%S\n"
    if node.args:
        known = node.args[0].meaning
        assert isinstance(known, Known) and isinstance(known.value, bytes)
        text = known.value.decode("utf-8", "surrogateescape")
    emit(low, "time", text, span=node.span)


def _check_join(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    type = resolver.expr(node.args[0])
    if not (type.is_int or type.kind == "pointer"):
        raise TypeMismatch(f"join() only supports int or pointer arguments ({type} provided)", node.args[0].span)
    if len(node.args) > 1:
        literal_text(resolver, node, 1)
    return t.NONE


def _lower_join(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    """The strings are read in order until a null pointer."""
    from probee.compiler.lang.bpftrace.scope import Known

    b = low.b
    separator = " "
    if len(node.args) > 1:
        known = node.args[1].meaning
        assert isinstance(known, Known) and isinstance(known.value, bytes)
        separator = known.value.decode("utf-8", "surrogateescape")
    array = low.value(node.args[0])
    if not array.type.is_pointer:
        array = b.pointer(array, low.instance.space)
    space = array.type.space
    going = place.alloca(b, t.UINT64, "join")
    place.store(b, going, b.const(1))

    def write(index: int, where: Place) -> None:
        b.store(where.base, b.const(0, I32), where.offset)

        def read() -> None:
            address = b.load(array, I64, 8 * index)
            place.store(b, going, address)

            def text() -> None:
                place.read_string(b, where, JOIN_SIZE, b.pointer(address, space), space)

            low.diamond(b.compare("ne", address, 0), text, None)

        low.diamond(b.compare("ne", place.load(b, going), 0), read, None)

    def writer(index: int) -> Writer:
        return lambda where: write(index, where)

    fields = [(t.string(JOIN_SIZE), writer(index)) for index in range(JOIN_COUNT)]
    emit(low, "join", separator, fields, span=node.span)


TABLE = {
    "printf": (_check_format, _lower_format),
    "errorf": (_check_format, _lower_format),
    "warnf": (_check_format, _lower_format),
    "system": (_check_format, _lower_format),
    "cat": (_check_format, _lower_format),
    "print": (_check_print, _lower_print),
    "clear": (_check_whole_map, _lower_whole_map),
    "zero": (_check_whole_map, _lower_whole_map),
    "exit": (_check_exit, _lower_exit),
    "time": (_check_time, _lower_time),
    "join": (_check_join, _lower_join),
}

