"""Builtin values: pid, comm, nsecs, curtask …; one pair of functions per name, how it types and how it is lowered.

To add one, write the pair and enter it in BUILTINS.  A scalar's `lower` returns a value; a value that lies in memory is
written into `target`.  Those that depend on the probe are in builtin_probe.py.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.builtin_probe import PROBE_BUILTINS
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import boot_ns, late, process_number
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, Script
from probee.compiler.lang.bpftrace.stack import capture_stack, plain_stack_type
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, UnknownName, Unsupported
from probee.model import ctype as c

COMM_SIZE = 16

Check = Callable[[Resolver, ast.Identifier], Ty]
Lower = Callable[[Lowerer, ast.Expr, "Place | None"], "Value | None"]


class Builtin:
    """How a name types and is lowered."""

    __slots__ = ("check", "lower")

    def __init__(self, check: Check, lower: Lower) -> None:
        self.check = check
        self.lower = lower


def resolve_name(resolver: Resolver, node: ast.Identifier) -> Ty:
    """Type an identifier: a builtin, a constant of the preamble, an enum's member."""
    builtin = find(node.name)
    if builtin is not None:
        check_place(resolver, node)
        return builtin.check(resolver, node)
    from probee.compiler.lang.bpftrace.function import FUNCTIONS

    if node.name in FUNCTIONS:  # a function without arguments may be named without parentheses
        call = ast.Call(node.span, node.name, [])
        call.meaning = None
        return FUNCTIONS[node.name].check(resolver, call)
    script = resolver.script
    constant = script.symbols.get(node.name)
    if constant is None and script.target.has_btf:
        found = script.target.enumerator(node.name)
        if found is not None:
            assert isinstance(found[1], c.EnumType)
            constant = found[0], t.enum_of(found[1], 8)
    if constant is None:
        from probee.compiler.lang.bpftrace._tables.errno import NUMBERS

        if node.name in NUMBERS:  # of <errno.h>
            constant = NUMBERS[node.name], t.literal_type(NUMBERS[node.name])
        elif node.name.startswith("__NR_"):  # of <syscall.h>
            constant = _syscall_number(script, node.name.removeprefix("__NR_"))
    if constant is None:
        from probee.probes.candidate import closest

        near = closest(node.name, [*BUILTINS, *FUNCTIONS], 1)
        raise UnknownName(f"Unknown identifier: '{node.name}'", node.span, did_you_mean=near[0] if near else "")
    node.meaning = Known(constant[0])
    return constant[1]


def check_place(resolver: Resolver, node: ast.Identifier) -> None:
    """Raise for what only a probe has, in a function."""
    if resolver.instance.provider == "function" and node.name.removeprefix("__builtin_") in ("probe", "probetype"):
        raise CompileError(f"Builtin {node.name} not supported outside probe", node.span)


def _syscall_number(script: Script, name: str) -> tuple[int, Ty] | None:
    from probee.compiler.lang.bpftrace.function_string import texts

    table, _ = texts("syscall_name", script.target.arch)
    number = next((number for number, known in table.items() if known == name), None)
    return (number, t.literal_type(number)) if number is not None else None


def is_value(script: Script, name: str) -> bool:
    """Say whether a bare name means a value here, so that it is no type's."""
    from probee.compiler.lang.bpftrace.function import FUNCTIONS

    if find(name) is not None or name in FUNCTIONS or name in script.symbols:
        return True
    return script.target.has_btf and script.target.enumerator(name) is not None


def find(name: str) -> Builtin | None:
    """Return a builtin by name; `arg3` and `sarg1` are families."""
    name = name.removeprefix("__builtin_")
    if name in BUILTINS:
        return BUILTINS[name]
    for family in ("sarg", "arg"):
        if name.startswith(family) and name[len(family) :].isdigit():
            return BUILTINS[f"{family}N"]
    return None


def _fixed(type: Ty) -> Check:
    return lambda resolver, node: type


def _helper(name: str) -> Lower:
    return lambda low, node, target: low.b.helper(name)


def _upper(name: str) -> Lower:
    return lambda low, node, target: low.b.lshr(low.b.helper(name), 32)


def _lower(name: str) -> Lower:
    return lambda low, node, target: low.b.and_(low.b.helper(name), 0xFFFFFFFF)


def _comm(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    assert target is not None
    buffer = place.address(low.b, target)
    low.b.zero(buffer, COMM_SIZE)  # Linux 6.1, for one, leaves what is behind the NUL as it is, and the name may be a key
    low.b.helper("get_current_comm", buffer, low.b.const(COMM_SIZE))


def _elapsed(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    return low.b.sub(boot_ns(low), late(low, "start_boot_ns"))


def _task_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    """What the script itself says about task_struct wins."""
    own = resolver.script.structs.get("struct task_struct")
    if isinstance(own, c.CType):
        return t.pointer_to(own, "kernel")
    found = resolver.script.target.type_named("struct", "task_struct") if resolver.script.target.has_btf else None
    return t.pointer_to(found if found is not None else c.ForwardType("struct", "task_struct"), "kernel")


def _task(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    return low.b.pointer(low.b.helper("get_current_task"), "kernel")


def _username(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    assert target is not None
    uid = low.b.and_(low.b.helper("get_current_uid_gid"), 0xFFFFFFFF)
    place.store(low.b, target.at(0, t.UINT64), uid)


def _jiffies_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    if not resolver.script.target.has_feature("jiffies64"):
        raise Unsupported("jiffies needs bpf_jiffies64, which this kernel lacks (Linux 5.6)", node.span)
    return t.UINT64


def _child_pid(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    if low.script.options.get("has_child"):
        return late(low, "child_pid")
    low.script.warn("No child command (`-c`); cpid is zero", node.span)
    return low.b.const(0)


def _has_child(resolver: Resolver, node: ast.Identifier) -> Ty:
    node.meaning = Known(bool(resolver.script.options.get("has_child")))
    return t.BOOL


def _config_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    """A record of the configuration in force."""
    values = resolver.script.config.values
    types: list[Ty] = []
    for value in values.values():
        if isinstance(value, bool):
            types.append(t.BOOL)
        else:
            types.append(t.string(len(value) + 1) if isinstance(value, str) else t.UINT64)
    return t.tuple_of(types, list(values))


def _config(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    assert target is not None
    for field in target.type.fields:
        value = low.script.config.values[field.name]
        where = target.at(field.offset, field.type)
        if isinstance(value, str):
            write_bytes(low, where, value.encode() + b"\0")
        else:
            place.store(low.b, where, low.b.const(int(value)))


BUILTINS: dict[str, Builtin] = {
    **{name: Builtin(*pair) for name, pair in PROBE_BUILTINS.items()},
    "pid": Builtin(_fixed(t.UINT32), lambda low, node, target: process_number(low, "pid", "curr_ns")),
    "tid": Builtin(_fixed(t.UINT32), lambda low, node, target: process_number(low, "tid", "curr_ns")),
    "uid": Builtin(_fixed(t.UINT64), _lower("get_current_uid_gid")),
    "gid": Builtin(_fixed(t.UINT64), _upper("get_current_uid_gid")),
    "username": Builtin(_fixed(t.USERNAME), _username),
    "comm": Builtin(_fixed(t.string(COMM_SIZE)), _comm),
    "nsecs": Builtin(_fixed(t.UINT64), lambda low, node, target: boot_ns(low)),
    "elapsed": Builtin(_fixed(t.UINT64), _elapsed),
    "cpu": Builtin(_fixed(t.UINT64), _helper("get_smp_processor_id")),
    "ncpus": Builtin(_fixed(t.UINT64), lambda low, node, target: late(low, "possible_cpus")),
    "numaid": Builtin(_fixed(t.UINT64), _helper("get_numa_node_id")),
    "rand": Builtin(_fixed(t.UINT64), lambda low, node, target: low.b.and_(low.b.helper("get_prandom_u32"), 0xFFFFFFFF)),
    "jiffies": Builtin(_jiffies_type, _helper("jiffies64")),
    "cpid": Builtin(_fixed(t.UINT64), _child_pid),
    "has_cpid": Builtin(_has_child, lambda low, node, target: None),
    "config": Builtin(_config_type, _config),
    "cgroup": Builtin(_fixed(t.UINT64), _helper("get_current_cgroup_id")),
    "curtask": Builtin(_task_type, _task),
    "kstack": Builtin(plain_stack_type, capture_stack),
    "ustack": Builtin(plain_stack_type, capture_stack),
}
