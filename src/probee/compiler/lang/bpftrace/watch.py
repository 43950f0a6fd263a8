"""`-k`: every read of kernel or user memory is looked after, and one that fails is reported with its place in the script.

Loads and copies become the calls that the memory pass would make of them, each followed by a call of a subprogram that
looks at the result.  Nothing of this happens without `-k`.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Value
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_record import checked_read

_INDIRECT = ("kernel", "user")
_READS = (
    "probe_read", "probe_read_kernel", "probe_read_user", "probe_read_str", "probe_read_kernel_str", "probe_read_user_str",
)  # fmt: skip


def watch_reads(low: Lowerer, functions: list[Function]) -> None:
    """Rewrite the reads in a program's functions."""
    for function in functions:
        _Watch(low, function).run()


class _Watch:
    def __init__(self, low: Lowerer, function: Function) -> None:
        self._low = low
        self._function = function
        self._out: list[Value] = []
        self._buffer: Value | None = None

    def run(self) -> None:
        for block in self._function.blocks:
            self._rewrite(block)
        if self._buffer is not None:
            self._function.entry.values.insert(0, self._buffer)

    def _rewrite(self, block: Block) -> None:
        self._out = []
        for value in block.values:
            if value.op == op.LOAD and value.args[0].type.space in _INDIRECT:
                self._load(value)
            elif value.op == op.COPY and value.args[1].type.space in _INDIRECT:
                self._copy(value)
            else:
                self._out.append(value)
                if value.op == op.HELPER and value.attr in _READS:
                    self._look_at(value, value.attr)
        block.values = self._out

    def _load(self, value: Value) -> None:
        """Read into the function's buffer; the load itself becomes one from there."""
        if self._buffer is None:
            self._buffer = Value(op.ALLOCA, pointer("stack"), [], Slot(8, 8, "read"), value.span)
        field = self._function.fields.pop(value, None)
        source = self._at(value.args[0], value.attr, value.span, keep=field is not None)
        if field is not None:
            self._function.fields[source] = field
        self._read(self._buffer, value.type.size, source, value.span)
        value.args, value.attr = [self._buffer], 0
        self._out.append(value)

    def _copy(self, value: Value) -> None:
        to_offset, from_offset, size = value.attr
        to, source = value.args
        to = self._at(to, to_offset, value.span)
        self._read(to, size, self._at(source, from_offset, value.span), value.span)

    def _read(self, to: Value, size: int, source: Value, span: int) -> None:
        by_space = self._low.feature("probe_read_kernel")
        helper = f"probe_read_{source.type.space}" if by_space else "probe_read"
        result = self._emit(op.HELPER, [to, self._const(size, span), source], helper, span)
        self._look_at(result, helper)

    def _look_at(self, result: Value, helper: str) -> None:
        name, number = checked_read(self._low, helper, result.span)
        self._emit(op.CALL, [self._const(number, result.span), result], name, result.span)

    def _at(self, base: Value, offset: int, span: int, *, keep: bool = False) -> Value:
        if not offset and not keep:
            return base
        value = Value(op.OFFSET, pointer(base.type.space), [base, self._const(offset, span)], None, span)
        self._out.append(value)
        return value

    def _const(self, number: int, span: int) -> Value:
        return self._emit(op.CONST, [], number & 0xFFFF_FFFF_FFFF_FFFF, span)

    def _emit(self, operation: str, args: list[Value], attr: object, span: int) -> Value:
        value = Value(operation, I64, args, attr, span)
        self._out.append(value)
        return value
