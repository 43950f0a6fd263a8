"""Records: what a program tells user space, reserved and built in the ring itself, and the counters of what got lost.

A record is a u64 action number, then the action's fields (model.spec.Action).  When the ring has no room the loss is counted.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.type import I32, I64, VOID, Type, pointer
from probee.compiler.ir.unit import Function, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.model.spec import Action, MapSpec, MapType

RING = "ring"
RING_FULL, NO_SCRATCH, REFUSED, EXIT_STATUS = 0, 1, 2, 3  # indices of the loss map
N_LOSS = 4
SEEN, N_SEEN = "seen", 4096  # the processes whose addresses are known to be wanted
EXITED = "exited"  # one number: not zero once a program has called exit(), or while many are being detached

Writer = Callable[[Place], None]


def add_runtime_maps(low: Lowerer) -> None:
    """Make sure that the unit has the ring and the loss counters."""
    maps = low.unit.maps
    if RING not in maps:
        maps[RING] = MapSpec(RING, MapType.RINGBUF, 0, 0, 0, role="ring")
    if low.script.can_exit and EXITED not in maps:
        maps[EXITED] = MapSpec(EXITED, MapType.ARRAY, 4, 8, 1, role="exited")
    if low.unit.loss_map not in maps:
        maps[low.unit.loss_map] = MapSpec(low.unit.loss_map, MapType.PERCPU_ARRAY, 4, 8, N_LOSS, role="loss")


def emit(
    low: Lowerer,
    kind: str,
    text: str = "",
    fields: list[tuple[Ty, Writer]] | None = None,
    *,
    parameters: tuple[int | str, ...] = (),
    span: int = 0,
) -> None:
    """Send one record; each field comes with what writes it."""
    add_runtime_maps(low)
    b = low.b
    layout: list[tuple[int, Ty]] = []
    at = 8
    for type, _ in fields or []:
        at = -(-at // type.align) * type.align
        layout.append((at, type))
        at += type.size
    size = -(-at // 8) * 8
    number = len(low.unit.actions)
    values = tuple((offset, t.value_type(type)) for offset, type in layout)
    low.unit.actions.append(
        Action(kind, text, fields=values, size=size, parameters=parameters, span=span, parents=low.script.parents())
    )

    room = b.helper("ringbuf_reserve", b.map(RING), b.const(size), b.const(0), type=pointer("ringbuf", nullable=True))

    def fill() -> None:
        record = b.non_null(room)
        b.store(record, b.const(number), 0)
        for (offset, type), (_, write) in zip(layout, fields or [], strict=True):
            write(Place(record, offset, type))
        b.helper("ringbuf_submit", record, b.const(0), type=VOID)

    low.diamond(b.check_null(room), fill, lambda: count_loss(low, RING_FULL))


def emit_exit(low: Lowerer, status: Value, span: int) -> None:
    """End the session: no program runs from now on, and user space is told, by a number when the ring is full."""
    actions = low.unit.actions
    number = next((n for n, action in enumerate(actions) if action.kind == "exit"), len(actions))
    if number == len(actions):
        actions.append(Action("exit", fields=((8, t.value_type(t.UINT8)),), size=16, span=span))
    low.b.call(_subprogram(low, "exit", 2, _build_exit), low.b.const(number), status)


def note_process(low: Lowerer) -> None:
    """Tell user space of a process that is seen for the first time: it may have gone when its addresses are printed."""
    actions = low.unit.actions
    number = next((n for n, action in enumerate(actions) if action.kind == "process"), len(actions))
    if number == len(actions):
        actions.append(Action("process", fields=((8, t.value_type(t.UINT64)),), size=16))
    low.b.call(_subprogram(low, "process", 1, _build_process), low.b.const(number))


def exited(low: Lowerer) -> Value:
    """Return whether a program has called exit(), or the session is ending."""
    return low.b.compare(op.NE, low.b.load(low.b.map_value(EXITED), I64), 0)


def field(low: Lowerer, node: ast.Expr, *, padded: bool = False) -> tuple[Ty, Writer]:
    """Return an expression as a record's field."""
    from probee.compiler.lang.bpftrace.arguments import has_located, shown

    type = node.type
    if has_located(type):
        return shown(low, node)
    if type.kind in t.READABLE:
        type = t.int_of(8, signed=type.signed)
    return type, lambda where: low.into(node, where, padded=padded)


def fields_of(low: Lowerer, nodes: list[ast.Expr]) -> list[tuple[Ty, Writer]]:
    """Return expressions as a record's fields.

    What does something beyond giving a value is done before there is a record, and then so is everything else: in order,
    whether there is room in the ring or not.
    """
    if not any(_has_effect(node) for node in nodes):
        return [field(low, node) for node in nodes]
    return [_evaluated(low, node) for node in nodes]


def _has_effect(node: ast.Expr) -> bool:
    for part in ast.walk(node):
        if isinstance(part, (ast.IncDec, ast.Return, ast.Break, ast.Continue, ast.Assign)):
            return True
        if isinstance(part, ast.Call):
            type = getattr(part, "type", None)  # unset in a branch that is never taken
            if part.name in ("delete", "write_user") or (type is not None and type.kind == "none"):
                return True
    return False


def _evaluated(low: Lowerer, node: ast.Expr) -> tuple[Ty, Writer]:
    type, write = field(low, node)
    if isinstance(node.meaning, Known):
        return type, write
    if type.is_scalar:
        value = low.convert(low.value(node), node.type, type)
        return type, lambda where: place.store(low.b, where, value)
    made = place.alloca(low.b, type)
    low.into(node, made, padded=False)
    return type, lambda where: place.copy(low.b, where, made, padded=False)


def count_loss(low: Lowerer, index: int) -> None:
    """Add one to a loss counter of this CPU."""
    low.b.call(_subprogram(low, "lost", 1, _build_lost), low.b.const(index))


def refuse(low: Lowerer, result: Value, span: int) -> None:
    """Count and report a map update that failed; `result` is the helper's."""
    b = low.b
    number = _failure(low, "map_update_elem", span)

    def failed() -> None:
        b.call(_subprogram(low, "refused", 2, _build_refused, last=I32), b.const(number), b.resize(result, I32, signed=True))

    low.diamond(b.compare(op.NE, result, 0), failed, None)


def warn(low: Lowerer, message: str, span: int) -> None:
    """Have user space print a warning with the place in the script."""
    number = len(low.unit.actions)
    low.unit.actions.append(Action("runtime_warning", message, size=8, span=span, parents=low.script.parents()))
    low.b.call(_subprogram(low, "warn", 1, _build_warn), low.b.const(number))


def warn_of_helper(low: Lowerer, helper: str, result: Value, span: int) -> None:
    """Have user space print what it means that a helper returned `result`."""
    number = low.b.const(_failure(low, helper, span))
    low.b.call(_subprogram(low, "failed", 2, _build_warn), number, low.b.resize(result, I64, signed=True))


def checked_read(low: Lowerer, helper: str, span: int) -> tuple[str, int]:
    """Return the subprogram that reports a read whose result is negative, and the number to call it with."""
    return _subprogram(low, "checked", 2, _build_checked), _failure(low, helper, span)


def _failure(low: Lowerer, helper: str, span: int) -> int:
    """Return the number of the action that reports a helper's failure at a place."""
    fields = ((8, t.value_type(t.INT64)),)
    low.unit.actions.append(
        Action("runtime_warning", "", fields=fields, size=16, parameters=(helper,), span=span, parents=low.script.parents())
    )
    return len(low.unit.actions) - 1


# -- what every program needs in many places is a subprogram of its own, made when first used


def _subprogram(
    low: Lowerer, name: str, n_parameters: int, build: Callable[[Lowerer, list[Value]], None], *, last: Type = I64
) -> str:
    """Return the name of the program's subprogram that takes so many numbers, the last as `last`, and returns 0."""
    full = f"{name}_{low.program_index}"
    if not any(function.name == full for function in low.callbacks):
        function = Function(full, (*(I64,) * (n_parameters - 1), last), I64, kind="subprogram", span=low.instance.probe.span)
        low.callbacks.append(function)
        inner = low.nested(function)
        build(inner, [inner.b.param(index) for index in range(n_parameters)])
        inner.b.return_(inner.b.const(0))
    return full


def _build_lost(low: Lowerer, parameters: list[Value]) -> None:
    add_runtime_maps(low)
    b = low.b
    key = b.alloca(8, 8, "loss")
    b.store(key, b.trunc(parameters[0], I32), 0)
    found = b.helper("map_lookup_elem", b.map(low.unit.loss_map), key, type=pointer("map", nullable=True))
    low.diamond(b.check_null(found), lambda: b.atomic("add", b.non_null(found), b.const(1)), None)


def _build_warn(low: Lowerer, parameters: list[Value]) -> None:
    """A record of the parameters, the action's number first."""
    add_runtime_maps(low)
    b, size = low.b, 8 * len(parameters)
    room = b.helper("ringbuf_reserve", b.map(RING), b.const(size), b.const(0), type=pointer("ringbuf", nullable=True))

    def fill() -> None:
        record = b.non_null(room)
        for index, value in enumerate(parameters):
            b.store(record, value, 8 * index)
        b.helper("ringbuf_submit", record, b.const(0), type=VOID)

    low.diamond(b.check_null(room), fill, lambda: count_loss(low, RING_FULL))


def _build_checked(low: Lowerer, parameters: list[Value]) -> None:
    low.diamond(low.b.compare(op.SLT, parameters[1], 0), lambda: _build_warn(low, parameters), None)


def _build_refused(low: Lowerer, parameters: list[Value]) -> None:
    low.b.call(_subprogram(low, "lost", 1, _build_lost), low.b.const(REFUSED))
    number, error = parameters
    _build_warn(low, [number, low.b.sext(error, I64)])


def _build_process(low: Lowerer, parameters: list[Value]) -> None:
    """A record of the action's number and the process's, once for each process; the map forgets those long unseen."""
    from probee.compiler.lang.bpftrace.lower_context import process_number

    add_runtime_maps(low)
    low.unit.maps.setdefault(SEEN, MapSpec(SEEN, MapType.LRU_HASH, 8, 8, N_SEEN, role="seen"))
    b = low.b
    pid = process_number(low, "pid", "curr_ns")
    key = b.alloca(8, 8, "process")
    b.store(key, pid)
    found = b.helper("map_lookup_elem", b.map(SEEN), key, type=pointer("map", nullable=True))

    def tell() -> None:
        b.helper("map_update_elem", b.map(SEEN), key, key, b.const(0))
        _build_warn(low, [*parameters, pid])

    low.diamond(b.check_null(found), lambda: None, tell)


def _build_exit(low: Lowerer, parameters: list[Value]) -> None:
    """A record of the action's number and the status; without room for it the status goes into the loss map."""
    add_runtime_maps(low)
    b, (number, status) = low.b, parameters
    b.store(b.map_value(EXITED), b.const(1))
    room = b.helper("ringbuf_reserve", b.map(RING), b.const(16), b.const(0), type=pointer("ringbuf", nullable=True))

    def fill() -> None:
        record = b.non_null(room)
        b.store(record, number)
        b.store(record, status, 8)
        b.helper("ringbuf_submit", record, b.const(0), type=VOID)

    def no_room() -> None:
        key = b.alloca(8, 8, "loss")
        b.store(key, b.const(EXIT_STATUS, I32), 0)
        found = b.helper("map_lookup_elem", b.map(low.unit.loss_map), key, type=pointer("map", nullable=True))
        low.diamond(b.check_null(found), lambda: b.store(b.non_null(found), b.add(b.and_(status, 255), 1)), None)

    low.diamond(b.check_null(room), fill, no_room)
