"""Makes reads of kernel and user memory explicit: `load` and `copy` become calls of probe_read_kernel or probe_read_user.

A failing probe read fills its destination with zeros (bpf_probe_read_kernel_common in kernel/trace/bpf_trace.c), so
nothing is cleared beforehand, and a read from address 0 is how a tracing program clears much memory at once.  Copies of much
memory that is the program's own go the same way.  All loads of a function share one 8-byte buffer, each uses it up at once.
The offset of a kernel field stays an instruction's immediate of its own, for the loader to change.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, Type, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Unit, Value
from probee.model.spec import ProgramType

_READ_KERNEL = ("probe_read_kernel", "probe_read")  # Linux commit 6ae08ae3dea2 "bpf: Add probe_read_{user, kernel} …" (in v5.5)
_READ_USER = ("probe_read_user", "probe_read")
_INDIRECT = ("kernel", "user")
ZERO_INLINE = 64  # bytes that are cleared by plain stores: 8 instructions, of which a call takes 5
COPY_INLINE = 128  # bytes that are copied by plain loads and stores
_LARGE = frozenset(("stack", "map", "ringbuf"))  # spaces that a helper may write to
# Program types that may call probe_read_kernel (tracing_prog_func_proto in kernel/trace/bpf_trace.c)
_TRACING = frozenset((
    ProgramType.KPROBE, ProgramType.TRACEPOINT, ProgramType.PERF_EVENT, ProgramType.RAW_TRACEPOINT, ProgramType.TRACING,
))  # fmt: skip


def memory(unit: Unit) -> Unit:
    """Rewrite every load and copy from kernel or user space, and large ones of memory of ours, in place."""
    gpl = "GPL" in str(unit.options.get("license", "GPL"))
    for program in unit.programs:
        for function in program.functions:
            _Lowering(function, unit.features, by_helper=gpl and program.type in _TRACING).run()
    return unit


class _Lowering:
    def __init__(self, function: Function, features: frozenset[str], *, by_helper: bool) -> None:
        self._function = function
        self._by_helper = by_helper
        self._choice = 0 if "probe_read_kernel" in features else 1
        self._buffer: Value | None = None
        self._out: list[Value] = []
        self._span = 0

    def run(self) -> None:
        for block in self._function.blocks:
            if any(_is_indirect(value) or self._is_large(value) for value in block.values):
                self._rewrite(block)
        if self._buffer is not None:
            self._function.entry.values.insert(0, self._buffer)

    def _rewrite(self, block: Block) -> None:
        self._out = []
        for value in block.values:
            self._span = value.span
            if self._is_large(value):
                self._at_once(value)
            elif not _is_indirect(value):
                self._out.append(value)
            elif value.op == op.LOAD:
                self._load(value)
            else:
                self._copy(value)
        block.values = self._out

    def _is_large(self, value: Value) -> bool:
        """Return whether a zero or copy of memory of ours takes fewer instructions as a call."""
        if not self._by_helper or value.op not in (op.ZERO, op.COPY):
            return False
        limit = ZERO_INLINE if value.op == op.ZERO else COPY_INLINE
        return value.attr[-1] > limit and all(arg.type.space in _LARGE for arg in value.args)

    def _at_once(self, value: Value) -> None:
        """Clear by a read that fails, copy by one that does not."""
        to = self._at(value.args[0], value.attr[0])
        size = value.attr[-1]
        source = self._const(0) if value.op == op.ZERO else self._at(value.args[1], value.attr[1])
        self._read(to, size, source, "kernel")

    def _load(self, value: Value) -> None:
        """Read into the buffer; the load itself becomes one from there."""
        if self._buffer is None:
            self._buffer = Value(op.ALLOCA, pointer("stack"), [], Slot(8, 8, ""), value.span)
        field = self._function.fields.pop(value, None)
        source = self._at(value.args[0], value.attr, keep=field is not None)
        if field is not None:
            self._function.fields[source] = field
        self._read(self._buffer, value.type.size, source, value.args[0].type.space)
        value.args = [self._buffer]
        value.attr = 0
        self._out.append(value)

    def _copy(self, value: Value) -> None:
        to_offset, from_offset, size = value.attr
        to, source = value.args
        self._read(self._at(to, to_offset), size, self._at(source, from_offset), source.type.space)

    def _read(self, to: Value, size: int, source: Value, space: str) -> None:
        helper = (_READ_KERNEL if space == "kernel" else _READ_USER)[self._choice]
        self._emit(op.HELPER, I64, [to, self._const(size), source], helper)

    def _at(self, base: Value, offset: int, *, keep: bool = False) -> Value:
        """Return base + offset; `keep` leaves an addition even of 0, as the place of a relocation."""
        if not offset and not keep:
            return base
        return self._emit(op.OFFSET, pointer(base.type.space), [base, self._const(offset)])

    def _const(self, number: int) -> Value:
        return self._emit(op.CONST, I64, [], number & 0xFFFF_FFFF_FFFF_FFFF)

    def _emit(self, operation: str, type: Type, args: list[Value], attr: object = None) -> Value:
        value = Value(operation, type, args, attr, self._span)
        self._out.append(value)
        return value


def _is_indirect(value: Value) -> bool:
    if value.op == op.LOAD:
        return value.args[0].type.space in _INDIRECT
    return value.op == op.COPY and value.args[1].type.space in _INDIRECT
