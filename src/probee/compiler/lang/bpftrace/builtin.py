"""Builtin values: pid, comm, nsecs, args, arg0 …; one pair of functions per name, how it types and how it is lowered.

To add one, write the pair and enter it in BUILTINS.  A scalar's `lower` returns a value; a value that lies in memory is
written into `target`.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.type import I32, I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, UnknownName, Unsupported
from probee.model import ctype as c
from probee.model.spec import LateConstant

REGISTERS = ("kprobe", "kretprobe", "uprobe", "uretprobe", "usdt", "profile", "interval", "software", "hardware", "watchpoint")
COMM_SIZE = 16
_PID_HELPER = "get_current_pid_tgid"
STACK_DEPTH = 127
USER_STACK = 1 << 8  # BPF_F_USER_STACK
BUILD_ID_MAP = 1 << 5  # BPF_F_STACK_BUILD_ID

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
    low.b.helper("get_current_comm", place.address(low.b, target), low.b.const(COMM_SIZE))


def late(low: Lowerer, kind: str, argument: str = "", span: int = 0) -> Value:
    """Return a late constant's value, entering it in the unit."""
    name = f"{kind}:{argument}" if argument else kind
    low.unit.constants.setdefault(name, LateConstant(name, kind, argument, span=span))
    return low.b.late(name)


def boot_ns(low: Lowerer) -> Value:
    return low.b.helper("ktime_get_boot_ns")


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


def _probe_name(resolver: Resolver, node: ast.Identifier) -> Ty:
    text = resolver.instance.point.name.encode()
    node.meaning = Known(text)
    return t.string(len(text) + 1)


def _probe_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    text = resolver.instance.point.provider.probetype.encode()
    node.meaning = Known(text)
    return t.string(len(text) + 1)


def known_text(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    assert target is not None and isinstance(node.meaning, Known) and isinstance(node.meaning.value, bytes)
    data = node.meaning.value + b"\0"
    write_bytes(low, target, data + bytes(max(0, target.type.size - len(data)) if target.type.size <= place.LONG else 0))


def context_of(low: Lowerer, node: ast.Expr) -> Value:
    if low.context is None:
        name = node.name if isinstance(node, (ast.Identifier, ast.Call)) else "ctx"
        if low.instance.returns is not None:
            raise CompileError(f"Builtin {name} not supported outside probe", node.span)
        raise CompileError(f"'{name}' builtin is not allowed in a for-loop", node.span)
    return low.context


def register_value(low: Lowerer, node: ast.Expr, offset: int) -> Value:
    """Return a 64-bit register from struct pt_regs."""
    return low.b.load_context(context_of(low, node), I64, offset)


def _layout(low: Lowerer):  # type: ignore[no-untyped-def]
    from probee.probes.register import registers

    return registers(low.script.target.arch)


def _need(name: str, providers: tuple[str, ...], words: str) -> Check:
    def check(resolver: Resolver, node: ast.Identifier) -> Ty:
        if resolver.instance.provider not in providers:
            raise CompileError(f"The {node.name} builtin can only be used with {words} probes", node.span)
        return t.UINT64

    return check


def _argument(resolver: Resolver, node: ast.Identifier) -> Ty:
    providers = ("kprobe", "uprobe", "usdt", "rawtracepoint")
    if resolver.instance.provider not in providers:
        raise CompileError(f"The {node.name} builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes", node.span)
    if resolver.instance.provider != "rawtracepoint":
        from probee.probes.register import registers

        registers(resolver.script.target.arch).argument(int(node.name[3:]), node.span)
    return t.UINT64


def _argument_value(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    assert isinstance(node, ast.Identifier)
    number = int(node.name[3:])
    if low.instance.provider == "rawtracepoint":
        return register_value(low, node, 8 * number)
    return register_value(low, node, _layout(low).argument(number, node.span))


def _stack_argument(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    assert isinstance(node, ast.Identifier)
    layout = _layout(low)
    stack = register_value(low, node, layout.stack_pointer)
    space = low.instance.space
    return low.b.load(low.b.pointer(stack, space), I64, layout.stack_argument_offset(int(node.name[4:])))


def _retval(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    return register_value(low, node, _layout(low).return_value)


def _args_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    struct = resolver.instance.args
    if struct is None:
        message = f"The args builtin can not be used with '{resolver.instance.provider}' probes"
        raise CompileError(message, node.span)
    return t.struct_of(struct, "context")


def _context_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    provider = resolver.instance.provider
    if provider == "tracepoint":
        raise CompileError("Use args instead of ctx in tracepoint", node.span)
    if provider not in REGISTERS:
        raise CompileError(f"The ctx builtin can not be used with '{provider}' probes", node.span)
    name = "bpf_perf_event_data" if provider in ("profile", "interval", "software", "hardware") else "pt_regs"
    found = resolver.script.target.type_named("struct", name) if resolver.script.target.has_btf else None
    return t.pointer_to(found if found is not None else c.VOID, "context")


def _context(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    return context_of(low, node)


def _function_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    provider = resolver.instance.provider
    if provider not in ("kprobe", "kretprobe"):
        raise CompileError(f"The func builtin can not be used with '{provider}' probes", node.span)
    return t.KSYM


def _function(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    assert target is not None
    place.store(low.b, target.at(0, t.UINT64), _function_address(low, node))


def _function_address(low: Lowerer, node: ast.Expr) -> Value:
    point = low.instance.point
    if low.instance.provider == "kprobe":
        return register_value(low, node, _layout(low).program_counter)
    if low.feature("get_func_ip"):
        return low.b.helper("get_func_ip", context_of(low, node))
    if point.is_pattern or not point.function:
        message = "func in a kretprobe with a wildcard needs bpf_get_func_ip, which this kernel lacks (Linux 5.15)"
        raise Unsupported(message, node.span)
    return late(low, "kaddr", point.function, node.span)


def stack_type(resolver: Resolver, node: ast.Identifier | ast.Call, mode: str = "", depth: int = STACK_DEPTH) -> Ty:
    """Return the type of a stack; stacks of different mode or depth are of different types."""
    kind = "kstack" if node.name == "kstack" else "ustack"
    mode = mode or resolver.script.config.text("stack_mode")
    if mode == "build_id" and kind == "kstack":
        resolver.script.warn("'build_id' stack mode can only be used for ustack. Falling back to 'raw' mode.", node.span)
        mode = "raw"
    return Ty(kind, 8 if kind == "kstack" else 16, mode=mode, count=depth)


def capture_stack(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    """Put the id of the current stack where it is wanted; a negative one means that it was not captured.

    All stacks of one size share a map: the runtime knows it by the size of its values.
    """
    from probee.compiler.lang.bpftrace.lower_record import warn
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
    place.store(b, target.at(0, t.INT64), found)
    message = f"Error reading {type.kind}."
    low.diamond(b.compare("slt", found, 0), lambda: warn(low, message, node.span), None)
    if type.kind == "ustack":
        place.store(b, target.at(8, t.UINT64), process_id(low))


def process_number(low: Lowerer, name: str, mode: str) -> Value:
    """Return pid or tid of the current process, as the initial namespace or as our own one ("curr_ns") numbers it."""
    b = low.b
    if mode == "init" or not low.script.options.get("pid_namespace"):
        both = b.helper(_PID_HELPER)
        return b.lshr(both, 32) if name == "pid" else b.and_(both, 0xFFFF_FFFF)
    numbers = b.alloca(8, 8, "struct bpf_pidns_info")  # u32 pid (of the thread), u32 tgid
    b.zero(numbers, 8)
    where = late(low, "self_pidns_dev"), late(low, "self_pidns_ino")
    b.helper("get_ns_current_pid_tgid", *where, numbers, b.const(8))
    return b.zext(b.load(numbers, I32, 4 if name == "pid" else 0), I64)


def process_id(low: Lowerer) -> Value:
    """Return the current process's id, as the initial namespace numbers it."""
    return low.b.lshr(low.b.helper("get_current_pid_tgid"), 32)


def _stack(resolver: Resolver, node: ast.Identifier) -> Ty:
    return stack_type(resolver, node)


def _user_mode_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    arch, provider = resolver.script.target.arch, resolver.instance.provider
    if arch != "x86_64":
        raise CompileError(f"'usermode' builtin is only supported on x86_64, not on {arch}", node.span)
    if provider in ("begin", "end"):  # run by our own process
        node.meaning = Known(1, literal=False)
    elif provider not in REGISTERS:
        raise CompileError(f"The usermode builtin can not be used with '{provider}' probes", node.span)
    return t.UINT8


def _user_mode(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    """The code segment's privilege level is 3."""
    level = low.b.and_(register_value(low, node, _layout(low).offset("cs")), 3)
    return low.b.zext(low.b.compare("eq", level, 3), I64)


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
    "usermode": Builtin(_user_mode_type, _user_mode),
    "cpid": Builtin(_fixed(t.UINT64), _child_pid),
    "has_cpid": Builtin(_has_child, lambda low, node, target: None),
    "config": Builtin(_config_type, _config),
    "cgroup": Builtin(_fixed(t.UINT64), _helper("get_current_cgroup_id")),
    "curtask": Builtin(_task_type, _task),
    "probe": Builtin(_probe_name, known_text),
    "probetype": Builtin(_probe_type, known_text),
    "func": Builtin(_function_type, _function),
    "args": Builtin(_args_type, _context),
    "ctx": Builtin(_context_type, _context),
    "retval": Builtin(_need("retval", ("kretprobe", "uretprobe"), "'kretprobe' and 'uretprobe'"), _retval),
    "argN": Builtin(_argument, _argument_value),
    "sargN": Builtin(_need("sarg", ("kprobe", "uprobe"), "'kprobe' and 'uprobe'"), _stack_argument),
    "kstack": Builtin(_stack, capture_stack),
    "ustack": Builtin(_stack, capture_stack),
}
