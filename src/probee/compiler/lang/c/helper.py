"""Calls of the kernel's helpers by their C names (bpf_…).

Which helpers there are, BTF's enum bpf_func_id tells; what their results are, in C and in the IR, the tables here.
Arguments go as they are: pointers with the memory that they point to, integers extended to 64 bits.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir.type import I64, MAP, Type, int_type, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert
from probee.compiler.lang.c.call import BUILTINS, n_arguments
from probee.compiler.lang.c.complaint import check_address
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import LONG, UNSIGNED, UNSIGNED_LONG_LONG, Operand
from probee.errors import TypeMismatch, UnknownName
from probee.model.ctype import VOID, CType, PointerType
from probee.model.helper import helper_id
from probee.model.helper import n_arguments as helper_arguments

_POINTERS: dict[str, Type] = {
    "map_lookup_elem": pointer("map", nullable=True), "map_lookup_percpu_elem": pointer("map", nullable=True),
    "sk_storage_get": pointer("map", nullable=True), "inode_storage_get": pointer("map", nullable=True),
    "task_storage_get": pointer("map", nullable=True), "cgrp_storage_get": pointer("map", nullable=True),
    "get_local_storage": pointer("map"), "ringbuf_reserve": pointer("ringbuf", nullable=True),
    "get_current_task_btf": pointer("kernel"), "task_pt_regs": pointer("kernel"),
    "sk_fullsock": pointer("trusted", nullable=True), "tcp_sock": pointer("trusted", nullable=True),
    "get_listener_sock": pointer("trusted", nullable=True), "skc_lookup_tcp": pointer("trusted", nullable=True),
    "sk_lookup_tcp": pointer("trusted", nullable=True), "sk_lookup_udp": pointer("trusted", nullable=True),
    "per_cpu_ptr": pointer("trusted", nullable=True), "this_cpu_ptr": pointer("trusted"),
}  # fmt: skip
_U32 = frozenset(
    ("get_smp_processor_id", "get_prandom_u32", "get_cgroup_classid", "get_route_realm", "get_hash_recalc",
     "skb_cgroup_classid", "get_numa_node_id", "get_socket_uid")
)  # fmt: skip
_U64 = frozenset(
    ("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns", "get_current_pid_tgid",
     "get_current_uid_gid", "get_current_task", "get_current_cgroup_id", "get_current_ancestor_cgroup_id", "get_socket_cookie",
     "perf_event_read", "jiffies64", "get_netns_cookie", "get_func_ip", "get_attach_cookie", "skb_cgroup_id",
     "skb_ancestor_cgroup_id")
)  # fmt: skip
# since Linux 5.5, commit 6ae08ae3dea2
_RENAMED = {"probe_read": "probe_read_kernel", "probe_read_str": "probe_read_kernel_str"}
_VARIABLE = frozenset(("trace_printk", "snprintf", "seq_printf", "trace_vprintk"))


def helper(low: Lowerer, node: c_ast.FuncCall, name: str, arguments: list[c_ast.Node]) -> Operand | None:
    """Lower a call of bpf_NAME."""
    bare = name.removeprefix("bpf_")
    bare = _RENAMED.get(bare, bare)
    _check(low, node, name, bare, len(arguments))
    values = [_checked(low, name, bare, index, each) for index, each in enumerate(arguments)]
    return call(low, bare, *values)


def _checked(low: Lowerer, name: str, bare: str, index: int, node: c_ast.Node) -> Value:
    """Return an argument, which must be an address where the helper wants one."""
    operand = low.operand(node)
    check_address(low, name, bare, index, node, operand)
    return _value(low, operand)


def call(low: Lowerer, bare: str, *values: Value) -> Operand:
    """Call a helper by its name without `bpf_`; return its result."""
    type = _POINTERS.get(bare, I64)
    result = low.b.helper(bare, *values, type=type)
    if type.is_pointer:
        return Operand(PointerType(VOID), result)
    if bare in _U32:
        return Operand(UNSIGNED, low.b.trunc(result, int_type(4)))
    ctype: CType = UNSIGNED_LONG_LONG if bare in _U64 else LONG
    return Operand(ctype, result)


def argument(low: Lowerer, node: c_ast.Node) -> Value:
    """Return an argument as a helper takes it."""
    return _value(low, low.operand(node))


def _value(low: Lowerer, operand: Operand) -> Value:
    value = operand.value
    if value.type is MAP or value.type.is_pointer:
        return value
    return convert.wide(low, operand)


def _check(low: Lowerer, node: c_ast.FuncCall, name: str, bare: str, n_given: int) -> None:
    number = helper_id(bare)
    if number is None:
        from probee.compiler.lang.c.suggest import similar_function

        raise UnknownName(f"there is no helper '{name}'", span_of(node.name), did_you_mean=similar_function(low, name))
    known = helper_arguments(number)
    if n_given != known and bare not in _VARIABLE:
        raise TypeMismatch(f"{name}() takes {known} argument{'s' * (known != 1)}, not {n_given}", span_of(node))


def _num_cpus(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    from probee.model.spec import LateConstant

    n_arguments(node, arguments, "bpf_num_cpus", 0)
    low.unit.constants.setdefault("possible_cpus", LateConstant("possible_cpus", "possible_cpus"))
    return Operand(LONG, low.b.late("possible_cpus"))


BUILTINS["bpf_num_cpus"] = _num_cpus
