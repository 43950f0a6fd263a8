"""Functions that read and convert: str, buf, ksym, kaddr, reg, ntop, macaddr, strftime, nsecs(mode), kstack(…) and others."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I8, I32, I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, builtin, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int, literal_text
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model import ctype as c
from probee.model.spec import Action

AF_INET, AF_INET6 = 2, 10
MAX_STACK = 1024
CLOCKS = {"monotonic": 0, "boot": 1, "tai": 2, "sw_tai": 3}


def _text(node: ast.Expr) -> str:
    """Return a literal string argument that check has seen."""
    assert isinstance(node.meaning, Known) and isinstance(node.meaning.value, bytes)
    return node.meaning.value.decode("utf-8", "replace")


def _pointer(low: Lowerer, node: ast.Expr) -> Value:
    """Return an address as a pointer; a plain number points where the probe's numbers do."""
    if not node.type.is_scalar:
        return place.address(low.b, low.place(node))
    value = low.value(node)
    return value if value.type.is_pointer else low.b.pointer(value, low.instance.space)


# -- str, buf


def _check_str(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    first = node.args[0]
    type = resolver.expr(first)
    if isinstance(first, ast.Positional):
        return _positional_text(resolver, node, first)
    if not (type.is_int or type.kind in ("pointer", "string", "array")):
        raise TypeMismatch(f"str() expects an integer or a pointer type as first argument ({type} provided)", first.span)
    limit = resolver.script.config.number("max_strlen")
    if len(node.args) > 1:
        resolver.expr(node.args[1])
        expect(node, node.args[1], ("int", "enum", "bool"), "integer")
        known = known_int(node.args[1])
        if known is not None and known < 0:
            raise CompileError(f"str() cannot use negative length ({known})", node.args[1].span)
        if known is not None and known > limit:
            message = f"length param ({known}) is too long and will be shortened to {limit} bytes (see BPFTRACE_MAX_STRLEN)"
            resolver.script.warn(message, node.span)
    if type.kind == "string" and len(node.args) == 1 and type.size <= limit:
        return type
    return t.string(limit)


def _positional_text(resolver: Resolver, node: ast.Call, parameter: ast.Positional) -> Ty:
    """str($1) is the parameter's text, number or not."""
    parameters = resolver.script.parameters
    text = parameters[parameter.index - 1] if parameter.index <= len(parameters) else ""
    data = text.encode()
    if len(node.args) > 1:
        data = data[: max(0, literal_int(resolver, node, 1))]
    node.meaning = Known(data)
    return t.string(len(data) + 1)


def _lower_str(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, first = low.b, node.args[0]
    if isinstance(node.meaning, Known):
        from probee.compiler.lang.bpftrace.builtin import _known_text

        _known_text(low, node, target)
        return
    size = min(target.type.size, low.script.config.number("max_strlen"))
    pointer = _pointer(low, first)
    length: int | Value = size
    if len(node.args) > 1:
        known = known_int(node.args[1])
        length = min(known + 1, size) if known is not None else b.bound(b.add(low.number(node.args[1]), 1), size)
    elif first.type.kind == "array":
        length = min(size, first.type.size + 1)
    _clear(low, target)
    space = pointer.type.space
    place.read_string(b, target, length, pointer, "user" if space == "user" else "kernel")


def _clear(low: Lowerer, target: Place) -> None:
    """Make a failing read an empty string."""
    if target.type.size <= place.LONG:
        place.zero(low.b, target)
    else:
        low.b.store(target.base, low.b.const(0, I8), target.offset)


def _check_buf(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    type = resolver.expr(node.args[0])
    limit = resolver.script.config.number("max_strlen")
    if len(node.args) > 1:
        resolver.expr(node.args[1])
        expect(node, node.args[1], ("int", "enum", "bool"), "integer")
        known = known_int(node.args[1])
        if known is not None and known < 0:
            raise CompileError(f"buf() cannot use negative length ({known})", node.args[1].span)
        return t.buffer(min(known, limit) if known is not None else limit)
    if type.kind in ("array", "string"):
        return t.buffer(min(type.size, limit))
    if type.kind == "pointer" and t.pointee(type).kind == "array":
        return t.buffer(min(t.pointee(type).size, limit))
    raise CompileError("buf() expects a length argument for non-array type", node.span)


def _lower_buf(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, capacity = low.b, target.type.count
    pointer = _pointer(low, node.args[0])
    known = known_int(node.args[1]) if len(node.args) > 1 else target.type.count
    size = b.const(min(known, capacity)) if known is not None else b.bound(low.number(node.args[1]), capacity)
    b.store(target.base, b.trunc(size, I32), target.offset)
    helper = "probe_read_user" if pointer.type.space == "user" else "probe_read_kernel"
    b.helper(helper, b.offset(target.base, target.offset + 4), size, pointer)


# -- symbols and registers


def _check_ksym(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    if not (type.is_int or type.kind == "pointer"):
        raise TypeMismatch(f"ksym() only supports int and pointer arguments ({type} provided)", node.args[0].span)
    return t.KSYM


def _lower_word(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    place.store(low.b, target.at(0, t.UINT64), low.number(node.args[0]))


def _check_kaddr(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    name = literal_text(resolver, node, 0)
    if not resolver.script.target.has_symbol(name):
        raise CompileError(f"Failed to resolve kernel symbol: {name}", node.span)
    return t.UINT64


def _lower_kaddr(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return builtin.late(low, "kaddr", _text(node.args[0]), node.span)


def _check_reg(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    name = literal_text(resolver, node, 0)
    if resolver.instance.provider not in builtin.REGISTERS:
        raise CompileError(f"The reg function can not be used with '{resolver.instance.provider}' probes", node.span)
    from probee.probes.register import registers

    registers(resolver.script.target.arch).offset(name, node.span)
    return t.UINT64


def _lower_reg(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    from probee.probes.register import registers

    return builtin.register_value(low, node, registers(low.script.target.arch).offset(_text(node.args[0])))


# -- network


def _check_ntop(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    for argument in node.args:
        resolver.expr(argument)
    data = node.args[-1]
    if len(node.args) == 2:
        expect(node, node.args[0], ("int", "enum"), "integer")
    if data.type.kind in ("array", "string") and data.type.size not in (4, 16):
        raise TypeMismatch("ntop() argument must be 4 or 16 bytes in size", data.span)
    expect(node, data, ("int", "array", "string", "pointer", "struct"), "integer or array")
    return t.INET


def _lower_ntop(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, data = low.b, node.args[-1]
    size = data.type.size if data.type.kind in ("array", "string", "struct") else (t.pointee(data.type).size or 4 if data.type.kind == "pointer" else 4)
    place.zero(b, target)
    if len(node.args) == 2:
        family = low.number(node.args[0])
        size = 16 if data.type.kind in ("pointer", "array", "string", "struct") and size >= 16 else size
    else:
        family = b.const(AF_INET if size == 4 else AF_INET6)
    b.store(target.base, family, target.offset)
    size = min(size, 16)
    if data.type.is_int:
        b.store(target.base, b.trunc(low.number(data), I32), target.offset + 8)
        return
    source = Place(low.value(data), 0, data.type) if data.type.kind == "pointer" else _readable(low, low.place(data))
    b.copy(target.base, source.base, size, to_offset=target.offset + 8, from_offset=source.offset)


def _readable(low: Lowerer, where: Place) -> Place:
    """A place in the program's context is read as kernel memory, which it is."""
    if where.space != "context":
        return where
    b = low.b
    return Place(b.pointer(b.add(b.address(where.base), where.offset), "kernel"), 0, where.type)


def _check_macaddr(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "array", "string", "pointer"), "array or pointer")
    if type.kind in ("array", "string") and type.size < 6:
        raise TypeMismatch("macaddr() argument must be at least 6 bytes in size", node.args[0].span)
    return t.MACADDR


def _lower_macaddr(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, data = low.b, node.args[0]
    source = Place(_pointer(low, data), 0, data.type) if data.type.is_scalar else _readable(low, low.place(data))
    b.store(target.base, b.const(0), target.offset)
    b.copy(target.base, source.base, 6, to_offset=target.offset, from_offset=source.offset)


def _check_bswap(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    resolver.expr(node.args[0])
    type = expect(node, node.args[0], ("int",), "integer")
    return t.int_of(type.size, signed=False)


def _lower_bswap(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    b, size = low.b, node.type.size
    value = low.number(node.args[0])
    return value if size == 1 else b.zext(b.bswap(b.trunc(value, int_type(size))), I64)


# -- time


def _check_nsecs(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 0, 1)
    if node.args:
        mode = _mode(node)
        if mode not in CLOCKS:
            raise CompileError(f"Invalid timestamp mode: {mode}", node.args[0].span)
        if mode == "tai" and not resolver.script.target.has_feature("ktime_get_tai_ns"):
            message = "nsecs(tai) needs bpf_ktime_get_tai_ns, which this kernel lacks (Linux 6.1)"
            raise Unsupported(message, node.span, hint="Use nsecs(sw_tai).")
    return t.UINT64


def _mode(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    if first is not None and not isinstance(first, ast.Identifier):
        raise CompileError(f"{node.name}() expects the name of a mode", first.span)
    return first.name if first is not None else "boot"


def _lower_nsecs(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    mode = _mode(node)
    if mode == "sw_tai":
        return low.b.add(builtin.boot_ns(low), builtin.late(low, "sw_tai_offset_ns"))
    return low.b.helper({"monotonic": "ktime_get_ns", "boot": "ktime_get_boot_ns", "tai": "ktime_get_tai_ns"}[mode])


def _check_strftime(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 2)
    literal_text(resolver, node, 0)
    resolver.expr(node.args[1])
    expect(node, node.args[1], ("int",), "integer")
    known = known_int(node.args[1])
    if known is not None and known < 0:
        raise CompileError("strftime() can not take a negative timestamp", node.span)
    if isinstance(node.args[1], ast.Call) and node.args[1].name == "nsecs" and _mode(node.args[1]) == "monotonic":
        raise CompileError("strftime() can not take a monotonic timestamp", node.span)
    return t.TIMESTAMP


def _lower_strftime(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, source = low.b, node.args[1]
    mode = _mode(source) if isinstance(source, ast.Call) and source.name == "nsecs" else "boot"
    text = _text(node.args[0])
    actions = low.unit.actions
    number = next((i for i, a in enumerate(actions) if a.kind == "strftime" and a.text == text), len(actions))
    if number == len(actions):
        actions.append(Action("strftime", text))
    b.store(target.base, low.number(source), target.offset)
    b.store(target.base, b.const(CLOCKS[mode], I32), target.offset + 8)
    b.store(target.base, b.const(number, I32), target.offset + 12)


# -- stacks, pointers, strings


def _check_stack(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 0, 2)
    if node.name == "ustack":
        raise Unsupported("ustack is not supported yet", node.span)
    mode, depth = "", 127
    for index, argument in enumerate(node.args):
        if isinstance(argument, ast.Identifier):
            if argument.name not in ("bpftrace", "perf", "raw"):
                raise CompileError(f"Invalid stack mode: {argument.name}", argument.span)
            mode = argument.name
        else:
            depth = literal_int(resolver, node, index)
    if not 1 <= depth <= MAX_STACK:
        raise CompileError(f"{node.name}([int limit]): limit shouldn't exceed {MAX_STACK}, {depth} given", node.span)
    return builtin.stack_type(resolver, node.name, mode, depth)


def _check_space(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "pointer"), "integer or pointer")
    space = "user" if node.name == "uptr" else "kernel"
    return t.pointer_to(type.target if type.target is not None else c.VOID, space)


def _lower_space(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return low.b.pointer(low.number(node.args[0]), node.type.space)


def _check_strncmp(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 3)
    for argument in node.args[:2]:
        resolver.expr(argument)
        expect(node, argument, ("string", "array"), "string")
    length = literal_int(resolver, node, 2)
    if length < 0:
        raise CompileError("Builtin strncmp requires a non-negative length", node.span)
    return t.UINT64


def _lower_strncmp(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """0 when the first n bytes are equal, up to a NUL, else 1."""
    from probee.compiler.lang.bpftrace.lower_compare import compare_prefix

    length = known_int(node.args[2])
    assert length is not None
    equal = compare_prefix(low, node.args[0], node.args[1], length)
    return low.b.xor(equal, 1)


def _check_strlen(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    resolver.expr(node.args[0])
    expect(node, node.args[0], ("string", "pointer"), "string")
    known = node.args[0].meaning
    if isinstance(known, Known) and isinstance(known.value, bytes):
        node.meaning = Known(len(known.value.split(b"\0")[0]))
    return t.UINT64


def _lower_strlen(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """Read it once more: the helper returns how long it was, NUL included."""
    b, first = low.b, node.args[0]
    size = first.type.size if first.type.kind == "string" else low.script.config.number("max_strlen")
    copy = place.alloca(b, t.string(size))
    pointer = _pointer(low, first)
    read = place.read_string(b, copy, size, pointer, "user" if pointer.type.space == "user" else "kernel")
    result = place.alloca(b, t.UINT64)
    place.store(b, result, b.const(0))
    low.diamond(b.compare(op.SGT, read, 0), lambda: place.store(b, result, b.sub(read, 1)), None)
    return place.load(b, result)


def _check_cgroupid(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    literal_text(resolver, node, 0)
    return t.UINT64


def _lower_cgroupid(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return builtin.late(low, "cgroup_id", _text(node.args[0]), node.span)


TABLE = {
    "str": (_check_str, _lower_str),
    "buf": (_check_buf, _lower_buf),
    "ksym": (_check_ksym, _lower_word),
    "kaddr": (_check_kaddr, _lower_kaddr),
    "reg": (_check_reg, _lower_reg),
    "ntop": (_check_ntop, _lower_ntop),
    "macaddr": (_check_macaddr, _lower_macaddr),
    "bswap": (_check_bswap, _lower_bswap),
    "nsecs": (_check_nsecs, _lower_nsecs),
    "strftime": (_check_strftime, _lower_strftime),
    "kstack": (_check_stack, builtin.capture_stack),
    "ustack": (_check_stack, builtin.capture_stack),
    "kptr": (_check_space, _lower_space),
    "uptr": (_check_space, _lower_space),
    "strncmp": (_check_strncmp, _lower_strncmp),
    "strlen": (_check_strlen, _lower_strlen),
    "cgroupid": (_check_cgroupid, _lower_cgroupid),
}

