"""Makes reads that lead to an argument whose type the kernel must know plain loads.

Some helpers take a pointer only when the verifier saw where it came from: out of the context of a typed program, or of another
helper, by loads that BTF can follow (`ctx->meta->seq` for bpf_seq_write).  What a probe read brings is a number to it.  Only
reads on such a way are changed; all else is still read by helpers, which no odd pointer can fault.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Function, Unit, Value
from probee.model.spec import ProgramType

# helper → its arguments that are BTF-typed (ARG_PTR_TO_BTF_ID…, kernel/trace/bpf_trace.c and others)
WANTED: dict[str, tuple[int, ...]] = {
    "seq_printf": (0,), "seq_write": (0,), "seq_printf_btf": (0,), "d_path": (0,), "get_task_stack": (0,),
    "sk_storage_get": (1,), "sk_storage_delete": (1,), "inode_storage_get": (1,), "inode_storage_delete": (1,),
    "task_storage_get": (1,), "task_storage_delete": (1,), "cgrp_storage_get": (1,), "cgrp_storage_delete": (1,),
    "skc_to_tcp6_sock": (0,), "skc_to_tcp_sock": (0,), "skc_to_tcp_timewait_sock": (0,), "skc_to_tcp_request_sock": (0,),
    "skc_to_udp6_sock": (0,), "skc_to_unix_sock": (0,), "skc_to_mptcp_sock": (0,), "sock_from_file": (0,),
    "task_pt_regs": (0,), "skb_output": (0,), "xdp_output": (0,), "bprm_opts_set": (0,), "ima_inode_hash": (0,),
    "ima_file_hash": (0,), "copy_from_user_task": (3,), "find_vma": (0,), "tcp_send_ack": (0,), "get_socket_cookie": (0,),
}  # fmt: skip
_TYPED = frozenset((ProgramType.TRACING, ProgramType.LSM, ProgramType.STRUCT_OPS))
# helpers whose result the verifier knows the type of
_RESULTS = frozenset((
    "get_current_task_btf", "task_pt_regs", "sock_from_file", "skc_to_tcp6_sock", "skc_to_tcp_sock", "skc_to_tcp_timewait_sock",
    "skc_to_tcp_request_sock", "skc_to_udp6_sock", "skc_to_unix_sock", "skc_to_mptcp_sock",
))  # fmt: skip


def run(function: Function, unit: Unit) -> bool:
    """Rewrite the reads on the way to such arguments, in place; return whether there were any."""
    typed = any(function in program.functions and program.type in _TYPED for program in unit.programs)
    found: dict[Value, None] = {}
    for block in function.blocks:
        for value in block.values:
            if value.op == op.HELPER:
                for index in WANTED.get(value.attr, ()):
                    _trace(value.args[index], typed, found)
    for value in found:
        value.op = op.LOAD_TRUSTED
    return bool(found)


def _trace(value: Value, typed: bool, found: dict[Value, None]) -> None:
    """Note the reads behind a pointer when all of them begin at something typed."""
    reads: dict[Value, None] = {}
    seen: set[Value] = set()
    todo = [value]
    while todo:
        value = todo.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.op == op.LOAD and value.args[0].type.space == "kernel" and value.type.size == 8:
            reads[value] = None
        elif (value.op == op.LOAD_CONTEXT and typed) or (value.op == op.HELPER and value.attr in _RESULTS):
            continue
        elif value.op == op.PHI:
            todo += value.args
            continue
        elif not _keeps_type(value):
            return
        todo.append(value.args[0])
    found.update(reads)


def _keeps_type(value: Value) -> bool:
    return value.op in (op.NON_NULL, op.POINTER, op.ADDRESS) or (value.op == op.OFFSET and value.args[1].op == op.CONST)
