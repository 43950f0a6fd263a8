"""Stacks: kstack, ustack, by name and as functions.  A stack is taken into a map of its size, and is its number there."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import context_of, process_number
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.type import Ty

STACK_DEPTH = 127
USER_STACK = 1 << 8  # BPF_F_USER_STACK
BUILD_ID_MAP = 1 << 5  # BPF_F_STACK_BUILD_ID


def stack_type(resolver: Resolver, node: ast.Identifier | ast.Call, mode: str = "", depth: int = STACK_DEPTH) -> Ty:
    """Return the type of a stack; stacks of different mode or depth are of different types."""
    kind = "kstack" if node.name == "kstack" else "ustack"
    mode = mode or resolver.script.config.text("stack_mode")
    if mode == "build_id" and kind == "kstack":
        resolver.script.warn("'build_id' stack mode can only be used for ustack. Falling back to 'raw' mode.", node.span)
        mode = "raw"
    return Ty(kind, 8 if kind == "kstack" else 16, mode=mode, count=depth)


def capture_stack(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    """Put the id of the current stack where it is wanted, in the low half; a negative one means that it was not captured.

    All stacks of one mode and size share a map, which the runtime knows by its name.  The high half is how many frames it has
    where a script asks for that of a stored stack, and else nothing.
    """
    from probee.compiler.lang.bpftrace.lower_record import note_process, warn
    from probee.model.spec import MapSpec, MapType

    assert target is not None
    b, type = low.b, node.type
    build_id = type.mode == "build_id"
    size = (32 if build_id else 8) * max(type.count, 1)  # struct bpf_stack_build_id, or an address
    name = f"stack_{'ids_' if build_id else ''}{type.count}"
    if name not in low.unit.maps:
        entries = low.script.config.number("max_map_keys") * 4
        flags = BUILD_ID_MAP if build_id else 0
        low.unit.maps[name] = MapSpec(name, MapType.STACK_TRACE, 4, size, entries, flags=flags, role="stack")
    found = b.helper("get_stackid", context_of(low, node), b.map(name), b.const(0 if type.kind == "kstack" else USER_STACK))
    found = b.resize(found, I64, signed=True)
    kept = b.or_(b.and_(found, 0xFFFF_FFFF), b.shl(stack_length(low, node), 32)) if low.script.stored_lengths else found
    place.store(b, target.at(0, t.INT64), kept)
    message = f"Error reading {type.kind}."
    low.diamond(b.compare("slt", found, 0), lambda: warn(low, message, node.span), None)
    if type.kind == "ustack":
        place.store(b, target.at(8, t.UINT64), process_number(low, "pid", "curr_ns"))
        if type.mode not in ("raw", "build_id"):
            note_process(low)


def stack_length(low: Lowerer, node: ast.Expr) -> Value:
    """Take the stack once more, into memory of ours: the helper returns how many bytes it has."""
    b, depth = low.b, node.type.count
    memory = place.alloca(b, t.array_of(t.UINT64, max(depth, 1)), "stack")
    flags = b.const(0 if node.type.kind == "kstack" else USER_STACK)
    size = b.helper("get_stack", context_of(low, node), place.address(b, memory), b.const(8 * depth), flags)
    size = b.resize(size, I64, signed=True)
    result = place.alloca(b, t.INT64)
    place.store(b, result, b.const(0))
    low.diamond(b.compare(op.SGT, size, 0), lambda: place.store(b, result, b.lshr(size, 3)), None)
    return place.load(b, result)


def plain_stack_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    return stack_type(resolver, node)
