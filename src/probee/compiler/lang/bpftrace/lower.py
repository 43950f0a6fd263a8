"""Typed tree to IR: whole bodies and the dispatch over statements and expressions.

A scalar (int, bool, enum, pointer) becomes one IR value: an i64 extended by its type's sign, or a pointer.  Everything else
is written `into` a Place.  Operators are in lower_value.py, maps in lower_map.py, loops in lower_loop.py, records that go
to user space in lower_record.py; names and calls bring their own lowering (builtin.py, function.py).
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Block, Function, Unit, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Instance, Known, Script, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported


class Loop:
    """Where break and continue go; in a callback `done` ends the iteration by returning."""

    __slots__ = ("end", "next")

    def __init__(self, next: Block | None, end: Block | None) -> None:
        self.next = next
        self.end = end


class Lowerer:
    """Lowers one probe instance into one IR function (and its callbacks)."""

    def __init__(self, script: Script, unit: Unit, instance: Instance, function: Function) -> None:
        self.script = script
        self.unit = unit
        self.instance = instance
        self.function = function
        self.callbacks: list[Function] = []
        self.b = Builder(function)
        self.context = self.b.param(0) if function.kind == "program" else None
        self.loops: list[Loop] = []
        self.result = 1 if instance.provider == "tracepoint" else 0
        self.left: Place | None = None  # in a callback: where it notes that the whole program ends, and with what
        self.returned: Place | None = None  # in a function: where its result goes, when it is no number
        self.program_index = instance.index
        self.walked: Value | None = None  # in an iterator: what it walks over, known not to be null
        self.always_zero = False  # whatever the script returns, the program's result is 0

    @property
    def pinned(self) -> bool:
        """True in an iterator that stays when the session is over."""
        return self.instance.returns is None and bool(self.instance.point.pin)

    def nested(self, function: Function) -> Lowerer:
        """Return a lowerer for a callback of this function; the context of the program is out of its reach."""
        inner = Lowerer(self.script, self.unit, self.instance, function)
        inner.callbacks = self.callbacks
        inner.program_index = self.program_index
        return inner

    # -- whole bodies

    def body(self) -> None:
        """Lower predicate and block."""
        b = self.b
        probe = self.instance.probe
        if self.script.can_exit and self.instance.provider not in ("end", "iter"):  # a walk goes on after exit(), as upstream's
            self._leave_if_exited()
        if probe.predicate is not None:
            b.span = probe.predicate.span
            run, leave = b.new_block(), b.new_block()
            b.branch(self.condition(probe.predicate), run, leave)
            b.at(leave)
            self.leave()
            b.at(run)
        self.block(probe.body)
        if not b.terminated:
            self.leave()

    def _leave_if_exited(self) -> None:
        """What comes after exit() does not happen, however long user space takes to detach."""
        from probee.compiler.lang.bpftrace.lower_record import exited

        b = self.b
        run, leave = b.new_block(), b.new_block()
        b.branch(exited(self), leave, run)
        b.at(leave)
        self.leave()
        b.at(run)

    def filter_pid(self) -> None:
        """Leave at once unless the process is the one that `-p` names."""
        from probee.compiler.lang.bpftrace.lower_context import late

        b = self.b
        pid = b.lshr(b.helper("get_current_pid_tgid"), 32)
        run, leave = b.new_block(), b.new_block()
        b.branch(b.compare(op.EQ, pid, late(self, "filter_pid")), run, leave)
        b.at(leave)
        self.leave()
        b.at(run)

    def leave(self, value: Value | None = None) -> None:
        """End the program with a result, the default one if there is none; in a callback, have its caller do so."""
        b = self.b
        value = value if value is not None and not self.always_zero else b.const(self.result)
        if self.left is not None:
            place.store(b, self.left.at(0, t.UINT64), b.const(1))
            place.store(b, self.left.at(8, t.UINT64), value)
            value = b.const(1)
        b.return_(value)

    def block(self, node: ast.Block) -> None:
        for statement in node.statements:
            if self.b.terminated:
                self.script.warn("Unreachable statement.", statement.span)
                return
            self.statement(statement)

    def statements_of(self, node: ast.Block) -> ast.Expr:
        """Lower what precedes a block's value; returns the value's expression."""
        self.block(node)
        if self.b.terminated:
            self.b.at(self.b.new_block())  # nothing leads there: the value is never made
        assert node.value is not None
        return node.value

    def statement(self, node: ast.Node) -> None:
        from probee.compiler.lang.bpftrace.lower_statement import STATEMENTS

        self.b.span = node.span
        handler = STATEMENTS.get(type(node))
        if handler is None:
            raise Unsupported(f"{type(node).__name__} is not supported yet", node.span)
        handler(self, node)

    # -- pieces of lowering

    def diamond(self, condition: Value, then: Callable[[], object], otherwise: Callable[[], object] | None) -> None:
        """Emit if/else around two pieces of lowering."""
        b = self.b
        yes, end = b.new_block(), b.new_block()
        no = b.new_block() if otherwise is not None else end
        b.branch(condition, yes, no)
        for block, action in ((yes, then), (no, otherwise)):
            if action is not None:
                b.at(block)
                action()
                if not b.terminated:
                    b.jump(end)
        b.at(end)

    def variable_place(self, info: VariableInfo) -> Place:
        """Return where a variable lives, made at its first use."""
        if info.type is None:
            raise CompileError(f"Variable ${info.name} was never assigned to.", info.span)
        if not isinstance(info.place, Place):
            # a scalar keeps its full width in its slot, so that it can become a plain value
            type = info.type if not info.type.is_int else t.int_of(8, signed=info.type.signed)
            info.place = place.alloca(self.b, type, f"${info.name}")
        return info.place

    # -- expressions

    def value(self, node: ast.Expr) -> Value:
        """Return a scalar expression's IR value."""
        b, span = self.b, self.b.span
        b.span = node.span
        try:
            known = node.meaning
            if isinstance(known, Known) and isinstance(known.value, int) and node.type.is_int:
                return b.const(int(known.value))
            from probee.compiler.lang.bpftrace.lower_value import VALUES

            handler = VALUES.get(type(node))
            if handler is None:
                return place.load(b, self.place(node))
            return handler(self, node)
        finally:
            b.span = span

    def condition(self, node: ast.Expr) -> Value:
        """Return a bool: the expression is not zero."""
        from probee.compiler.lang.bpftrace.lower_value import condition

        span, self.b.span = self.b.span, node.span
        try:
            return condition(self, node)
        finally:
            self.b.span = span

    def place(self, node: ast.Expr) -> Place:
        """Return where an expression's value lies; it is put into new memory when it lies nowhere yet."""
        from probee.compiler.lang.bpftrace.lower_place import PLACES

        handler = PLACES.get(type(node))
        if handler is not None:
            found = handler(self, node)
            if found is not None:
                return found
        made = place.alloca(self.b, node.type)
        self.into(node, made, padded=False)
        return made

    def into(self, node: ast.Expr, target: Place, *, padded: bool) -> None:
        """Write an expression's value into memory, converted to the memory's type."""
        b, span = self.b, self.b.span
        b.span = node.span
        try:
            if target.type.is_scalar:
                place.store(b, target, self.convert(self.value(node), node.type, target.type))
                return
            from probee.compiler.lang.bpftrace.lower_write import WRITERS

            writer = WRITERS.get(type(node))
            if writer is not None and writer(self, node, target, padded):
                return
            if node.type.kind == "struct" and node.type.space == "context":
                _check_whole(node)
            place.copy(b, target, self.place(node), padded=padded)
        finally:
            b.span = span

    def convert(self, value: Value, source: Ty, target: Ty) -> Value:
        """Return a scalar as another scalar type."""
        b = self.b
        if target.kind == "pointer":
            space = target.space if target.space in ("kernel", "user") else "kernel"
            return value if value.type.is_pointer else b.pointer(value, space)
        if value.type.is_pointer:
            value = b.address(value)
        if target.kind == "bool" and source.kind != "bool":
            return b.zext(b.compare(op.NE, value, 0), I64)
        if target.size >= 8 or (source.is_int and _inside(source, target)):
            return value
        from probee.compiler.ir.type import int_type

        return b.resize(b.trunc(value, int_type(target.size)), I64, signed=target.signed)

    def pointer(self, node: ast.Expr) -> Value:
        """Return an address as a pointer; a plain number points where the probe's numbers do, a value in memory to itself."""
        if not node.type.is_scalar:
            return place.address(self.b, place.readable(self.b, self.place(node)))
        value = self.value(node)
        return value if value.type.is_pointer else self.b.pointer(value, self.instance.space)

    def number(self, node: ast.Expr) -> Value:
        """Return a scalar as an i64, pointers as their address."""
        value = self.value(node)
        return self.b.address(value) if value.type.is_pointer else value

    def feature(self, name: str) -> bool:
        """Ask the target for a kernel feature; remembered in the unit for the passes."""
        found = self.script.has_feature(name)
        if found:
            self.unit.features |= {name}
        return found


def _check_whole(node: ast.Expr) -> None:
    """`args` as a value is its record; what lies behind the record would be left out."""
    from probee.compiler.lang.bpftrace.arguments import LocatedMember

    located = [m.name for m in node.type.ctype.members if isinstance(m, LocatedMember)]
    if located:
        message = f"args as a whole, with data of varying size in it ({', '.join(located)}), is not supported yet"
        raise Unsupported(message, node.span, hint="Use the fields one by one.")


def _inside(source: Ty, target: Ty) -> bool:
    """True when every value of an int type is a value of the other."""
    if source.kind == "bool" or (source.signed == target.signed and source.size <= target.size):
        return True
    return not source.signed and target.signed and source.size < target.size
