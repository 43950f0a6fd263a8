"""What programs ask of the kernel and of their context in many places, as IR: late constants, registers, process numbers."""

from __future__ import annotations

from probee.compiler.ir.type import I32, I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Known
from probee.errors import CompileError
from probee.model.spec import LateConstant

REGISTERS = ("kprobe", "kretprobe", "uprobe", "uretprobe", "usdt", "profile", "interval", "software", "hardware", "watchpoint")


def late(low: Lowerer, kind: str, argument: str = "", span: int = 0) -> Value:
    """Return a late constant's value, entering it in the unit."""
    name = f"{kind}:{argument}" if argument else kind
    low.unit.constants.setdefault(name, LateConstant(name, kind, argument, span=span))
    return low.b.late(name)


def boot_ns(low: Lowerer) -> Value:
    return low.b.helper("ktime_get_boot_ns")


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


def layout(low: Lowerer):  # type: ignore[no-untyped-def]
    from probee.probes.register import registers

    return registers(low.script.target.arch)


def process_number(low: Lowerer, name: str, mode: str) -> Value:
    """Return pid or tid of the current process, as the initial namespace or as our own one ("curr_ns") numbers it."""
    b = low.b
    if mode == "init" or not low.script.options.get("pid_namespace"):
        both = b.helper("get_current_pid_tgid")
        return b.lshr(both, 32) if name == "pid" else b.and_(both, 0xFFFF_FFFF)
    numbers = b.alloca(8, 8, "struct bpf_pidns_info")  # u32 pid (of the thread), u32 tgid
    b.zero(numbers, 8)
    where = late(low, "self_pidns_dev"), late(low, "self_pidns_ino")
    b.helper("get_ns_current_pid_tgid", *where, numbers, b.const(8))
    return b.zext(b.load(numbers, I32, 4 if name == "pid" else 0), I64)
