"""Methods of maps, as BCC's C has them: counts.lookup(&key), events.perf_submit(ctx, &data, sizeof(data)) …

Each is a helper's call or a few; what a method means for which kind of map is in one table.  docs/reference_guide.md of bcc
describes them.
"""

from __future__ import annotations

from collections.abc import Callable

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.type import DIRECT, I64, int_type, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.call import n_arguments
from probee.compiler.lang.c.complaint import check_method
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.helper import argument, call
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.unit import MapDeclaration
from probee.compiler.lang.c.value import INT, LONG, Operand, Place, Variable, is_aggregate, is_integer, is_pointer, pointee
from probee.errors import CompileError, TypeMismatch, UnknownName, Unsupported
from probee.model.ctype import VOID, CType, PointerType, StructType, size_of, strip
from probee.model.spec import MapType
from probee.probes.candidate import closest

BPF_ANY, BPF_NOEXIST = 0, 1
CURRENT_CPU = 0xFFFF_FFFF  # BPF_F_CURRENT_CPU

Method = Callable[[Lowerer, c_ast.FuncCall, MapDeclaration, "list[c_ast.Node]"], "Operand | None"]
METHODS: dict[str, tuple[Method, int, int]] = {}  # method, fewest and most arguments


def method(low: Lowerer, node: c_ast.FuncCall, callee: c_ast.StructRef, arguments: list[c_ast.Node]) -> Operand | None:
    """Lower NAME.method(…)."""
    declaration = low.source.maps[callee.name.name]
    name = callee.field.name
    if name not in METHODS:
        near = closest(name, METHODS, 1)
        message = f"a map has no method '{name}'"
        raise UnknownName(message, span_of(callee.field) or span_of(callee), did_you_mean=near[0] if near else "")
    check_method(declaration, name, span_of(callee.field) or span_of(callee))
    lower, least, most = METHODS[name]
    n_arguments(node, arguments, f"{declaration.name}.{name}", least, most)
    return lower(low, node, declaration, arguments)


# -- keys and values


def _in_memory(low: Lowerer, node: c_ast.Node, ctype: CType | None, what: str) -> Value:
    """Return a pointer argument that a map helper takes: to the stack, a map's value or a packet; other memory is copied."""
    operand = low.operand(node)
    if not (is_pointer(operand.type) or operand.value.type.is_pointer):
        hint = f"Give its address: &{node.name}" if isinstance(node, c_ast.ID) else ""
        raise TypeMismatch(f"the {what} is given by its address, not as '{operand.type.spelling()}'", span_of(node), hint=hint)
    _check_size(low, operand, ctype, what, span_of(node))
    value = convert.pointer_value(low, operand)
    if value.type.space in DIRECT or ctype is None:
        return low.b.claim_non_null(value)
    copied = low.variable(ctype, what)
    memory.copy(low, Place(ctype, copied.slot), memory.unmoved(Place(ctype, value)), span_of(node))
    return copied.slot


def _check_size(low: Lowerer, operand: Operand, ctype: CType | None, what: str, span: int) -> None:
    """Refuse a pointer to something smaller than what the kernel will read there."""
    target = pointee(operand.type)
    if ctype is None or target is None or strip(target) is VOID or operand.value.type.space != "stack":
        return
    have, want = size_of(low.source.scope.complete(target)), size_of(low.source.scope.complete(ctype))
    if 0 < have < want and operand.value.op == op.ALLOCA:
        message = f"the map's {what} is '{ctype.spelling()}' of {want} bytes, this is '{target.spelling()}' of {have}"
        raise TypeMismatch(message, span)


def _temporary(low: Lowerer, node: c_ast.Node, ctype: CType, what: str) -> Variable:
    """Put a value in memory."""
    variable = low.variable(ctype, what)
    place = Place(ctype, variable.slot, variable=variable)
    from probee.compiler.lang.c.initialise import initialise

    initialise(low, place, node)
    return variable


def _key_by_value(low: Lowerer, node: c_ast.Node, ctype: CType) -> Value:
    """Return where a key is that is given as a value: a struct in our stack as it lies there, anything else in a copy."""
    if isinstance(strip(ctype), StructType) and isinstance(node, (c_ast.ID, c_ast.StructRef, c_ast.CompoundLiteral)):
        place = low.place(node)
        whole = low.source.scope.complete
        if place.base.type.is_pointer and place.base.type.space == "stack" and whole(place.type) is whole(ctype):
            return memory.address(low, place, span_of(node))
    return _temporary(low, node, ctype, "key").slot


def _key(low: Lowerer, node: c_ast.Node, declaration: MapDeclaration) -> Value:
    return _in_memory(low, node, declaration.key, "key")


def _leaf_pointer(declaration: MapDeclaration, value: Value) -> Operand:
    return Operand(PointerType(declaration.leaf if declaration.leaf is not None else VOID), value)


def _find(low: Lowerer, declaration: MapDeclaration, key: Value) -> Value:
    return low.b.helper("map_lookup_elem", low.b.map(declaration.name), key, type=pointer("map", nullable=True))


def _update(low: Lowerer, declaration: MapDeclaration, key: Value, value: Value, flags: int) -> Value:
    return low.b.helper("map_update_elem", low.b.map(declaration.name), key, value, low.b.const(flags))


# -- methods


def _lookup(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    return _leaf_pointer(table, _find(low, table, _key(low, args[0], table)))


def _lookup_or_try_init(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    """Look up; what is not there is put there first."""
    key = _key(low, args[0], table)
    leaf = _in_memory(low, args[1], table.leaf, "value")
    return _leaf_pointer(table, _look_up_or_insert(low, table, key, lambda: leaf, key=("lookup", id(node))))


def _look_up_or_insert(
    low: Lowerer, table: MapDeclaration, key_pointer: Value, initial: Callable[[], Value], *, key: object
) -> Value:
    b = low.b
    result = low.variable(PointerType(VOID), "entry", key=key)
    missing, end = b.new_block(), b.new_block()
    found = _find(low, table, key_pointer)
    b.store(result.slot, found)
    b.branch(b.check_null(found), end, missing)
    b.at(missing)
    _update(low, table, key_pointer, initial(), BPF_NOEXIST)
    b.store(result.slot, _find(low, table, key_pointer))
    b.jump(end)
    b.at(end)
    return b.load(result.slot, pointer("map", nullable=True))


def _lookup_or_init(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    """As lookup_or_try_init(), but where there is no room the program is left."""
    b = low.b
    found = _lookup_or_try_init(low, node, table, args)
    failed, there = b.new_block(), b.new_block()
    b.branch(b.check_null(found.value), there, failed)
    b.at(failed)
    _leave(low)
    b.at(there)
    return found


def _leave(low: Lowerer) -> None:
    """Return 0 from the function that is being lowered."""
    frame = low.frame
    if frame.leave is None:
        low.b.return_(low.b.const(0))
        return
    if frame.result is not None:
        size = size_of(frame.result.type)
        if is_aggregate(frame.result.type):
            low.b.zero(frame.result.slot, size)
        elif is_integer(frame.result.type):
            low.b.store(frame.result.slot, low.b.const(0, int_type(size)))
        else:
            zero = convert.convert(low, Operand(LONG, low.b.const(0)), frame.result.type, 0)
            memory.store(low, Place(frame.result.type, frame.result.slot, variable=frame.result), zero, 0)
    low.b.jump(frame.leave)


def _set(flags: int) -> Method:
    def build(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
        key = _key(low, args[0], table)
        return Operand(LONG, _update(low, table, key, _in_memory(low, args[1], table.leaf, "value"), flags))

    return build


def _delete(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    return Operand(LONG, low.b.helper("map_delete_elem", low.b.map(table.name), _key(low, args[0], table)))


def _increment(*, atomic: bool) -> Method:
    def build(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> None:
        b = low.b
        assert table.key is not None and table.leaf is not None
        if not is_integer(table.leaf):
            raise TypeMismatch(f"increment() needs a map of numbers, this one has '{table.leaf.spelling()}'", span_of(node))
        size = size_of(table.leaf)
        by = b.const(1, int_type(size))
        if len(args) > 1:
            by = convert.number(low, convert.convert(low, low.operand(args[1]), table.leaf, span_of(args[1])))
        key = _key_by_value(low, args[0], table.key)
        entry = _found_or_zero(low, table, key, id(node))
        there, end = b.new_block(), b.new_block()
        b.branch(b.check_null(entry), there, end)
        b.at(there)
        pointer_ = b.claim_non_null(entry)
        if atomic and size in (4, 8):
            b.atomic("add", pointer_, by)
        else:
            b.store(pointer_, b.add(b.load(pointer_, int_type(size)), by))
        b.jump(end)
        b.at(end)

    return build


def _found_or_zero(low: Lowerer, table: MapDeclaration, key: Value, call_id: int) -> Value:
    """Return the entry of a key; hashes get one of zeros where there is none, arrays always have it."""
    assert table.leaf is not None
    if low.unit.maps[table.name].type in (MapType.ARRAY, MapType.PERCPU_ARRAY):
        return _find(low, table, key)
    zeros = low.b.alloca(max(size_of(table.leaf), 8), 8, "zero")
    low.b.zero(zeros, max(size_of(table.leaf), 8))
    return _look_up_or_insert(low, table, key, lambda: zeros, key=("increment", call_id))


def _note_event(low: Lowerer, table: MapDeclaration, operand: Operand) -> None:
    """Keep what is submitted, for Python's .event()."""
    target = pointee(operand.type)
    if target is not None and strip(target) is not VOID:
        low.source.events.setdefault(table.name, low.source.scope.complete(target))


def _perf_submit(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    """perf_submit(ctx, data, size)"""
    context = argument(low, args[0])
    operand = low.operand(args[1])
    _note_event(low, table, operand)
    data = _output(low, operand, args[1], args[2])
    size = convert.wide(low, low.operand(args[2]))
    return call(low, "perf_event_output", context, low.b.map(table.name), low.b.const(CURRENT_CPU), data, size)


def _output(low: Lowerer, operand: Operand, node: c_ast.Node, size: c_ast.Node) -> Value:
    """Return what is sent as a pointer that the helper takes."""
    if not (is_pointer(operand.type) or operand.value.type.is_pointer):
        raise TypeMismatch(f"what is sent is given by its address, not as '{operand.type.spelling()}'", span_of(node))
    value = convert.pointer_value(low, operand)
    if value.type.space != "kernel":
        return low.b.claim_non_null(value)
    from probee.compiler.lang.c.constant import evaluate

    count = evaluate(size, low.scope)
    if count is None:
        raise Unsupported("kernel memory of a size that varies cannot be sent: copy it first", span_of(node))
    slot = low.b.alloca(count, 8, "data")
    low.b.copy(slot, value, count)
    return slot


def _perf_submit_packet(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    """perf_submit_skb(skb, bytes of the packet, data, size)"""
    b = low.b
    context = argument(low, args[0])
    length = convert.wide(low, low.operand(args[1]))
    operand = low.operand(args[2])
    _note_event(low, table, operand)
    data = _output(low, operand, args[2], args[3])
    size = convert.wide(low, low.operand(args[3]))
    flags = b.or_(b.shl(length, 32), CURRENT_CPU)
    return call(low, "perf_event_output", context, b.map(table.name), flags, data, size)


def _ringbuf_output(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    operand = low.operand(args[0])
    _note_event(low, table, operand)
    data = _output(low, operand, args[0], args[1])
    size, flags = (convert.wide(low, low.operand(each)) for each in args[1:])
    return call(low, "ringbuf_output", low.b.map(table.name), data, size, flags)


def _ringbuf_reserve(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    size = convert.wide(low, low.operand(args[0]))
    return call(low, "ringbuf_reserve", low.b.map(table.name), size, low.b.const(0))


def _ringbuf_end(name: str) -> Method:
    def build(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> None:
        operand = low.operand(args[0])
        if name == "ringbuf_submit":
            _note_event(low, table, operand)
        flags = convert.wide(low, low.operand(args[1])) if len(args) > 1 else low.b.const(0)
        low.b.helper(name, low.b.claim_non_null(convert.pointer_value(low, operand)), flags)

    return build


def _plain(helper: str, order: str) -> Method:
    """A method that is a helper's call: `order` is of m (the map), c (the context of the program) and argument numbers."""

    def build(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
        values = []
        for each in order:
            if each == "m":
                values.append(low.b.map(table.name))
            elif each == "c":
                values.append(low.context)
            elif each == "0" and int(each) >= len(args):
                values.append(low.b.const(0))
            else:
                number = int(each)
                values.append(argument(low, args[number]) if number < len(args) else low.b.const(0))
        found = call(low, helper, *values)
        if found.value.type.is_pointer and found.value.type.space == "map":
            return _leaf_pointer(table, found.value)
        return found

    return build


def _tail_call(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> None:
    from probee.compiler.ir.type import VOID as NOTHING

    low.operand(args[0])
    index = low.b.resize(convert.number(low, low.operand(args[1])), I64, signed=False)
    low.b.helper("tail_call", low.context, low.b.map(table.name), index, type=NOTHING)


def _get_stackid(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    if "stack" not in table.kind:
        hint = f"Declare it so: BPF_STACK_TRACE({table.name}, 1024)"
        raise CompileError(f"'{table.name}' is not a map of stack traces", span_of(node), hint=hint)
    context, flags = argument(low, args[0]), convert.wide(low, low.operand(args[1]))
    found = low.b.helper("get_stackid", context, low.b.map(table.name), flags)
    return Operand(INT, low.b.trunc(found, int_type(4)))


def _perf_read(low: Lowerer, node: c_ast.FuncCall, table: MapDeclaration, args: list[c_ast.Node]) -> Operand:
    flags = low.b.resize(convert.number(low, low.operand(args[0])), I64, signed=False)
    return call(low, "perf_event_read", low.b.map(table.name), flags)


METHODS.update(
    {
        "lookup": (_lookup, 1, 1), "lookup_or_try_init": (_lookup_or_try_init, 2, 2), "lookup_or_init": (_lookup_or_init, 2, 2),
        "update": (_set(BPF_ANY), 2, 2), "insert": (_set(BPF_NOEXIST), 2, 2), "delete": (_delete, 1, 1),
        "increment": (_increment(atomic=False), 1, 2), "atomic_increment": (_increment(atomic=True), 1, 2),
        "perf_submit": (_perf_submit, 3, 3), "perf_submit_skb": (_perf_submit_packet, 4, 4),
        "ringbuf_output": (_ringbuf_output, 3, 3), "ringbuf_reserve": (_ringbuf_reserve, 1, 1),
        "ringbuf_submit": (_ringbuf_end("ringbuf_submit"), 1, 2), "ringbuf_discard": (_ringbuf_end("ringbuf_discard"), 1, 2),
        "ringbuf_query": (_plain("ringbuf_query", "m0"), 1, 1),
        "call": (_tail_call, 2, 2), "get_stackid": (_get_stackid, 2, 2),
        "perf_read": (_perf_read, 1, 1), "perf_counter_value": (_plain("perf_event_read_value", "m012"), 3, 3),
        "redirect_map": (_plain("redirect_map", "m01"), 2, 2),
        "push": (_plain("map_push_elem", "m01"), 2, 2), "pop": (_plain("map_pop_elem", "m0"), 1, 1),
        "peek": (_plain("map_peek_elem", "m0"), 1, 1),
        "check_current_task": (_plain("current_task_under_cgroup", "m0"), 1, 1),
        "get_local_storage": (_plain("get_local_storage", "m0"), 1, 1),
        "sk_storage_get": (_plain("sk_storage_get", "m012"), 3, 3),
        "sk_storage_delete": (_plain("sk_storage_delete", "m0"), 1, 1),
        "inode_storage_get": (_plain("inode_storage_get", "m012"), 3, 3),
        "inode_storage_delete": (_plain("inode_storage_delete", "m0"), 1, 1),
        "task_storage_get": (_plain("task_storage_get", "m012"), 3, 3),
        "task_storage_delete": (_plain("task_storage_delete", "m0"), 1, 1),
        "sock_map_update": (_plain("sock_map_update", "0m12"), 3, 3),
        "sock_hash_update": (_plain("sock_hash_update", "0m12"), 3, 3),
        "msg_redirect_map": (_plain("msg_redirect_map", "0m12"), 3, 3),
        "msg_redirect_hash": (_plain("msg_redirect_hash", "0m12"), 3, 3),
        "sk_redirect_map": (_plain("sk_redirect_map", "0m12"), 3, 3),
        "sk_redirect_hash": (_plain("sk_redirect_hash", "0m12"), 3, 3),
    }
)  # fmt: skip
