"""What a program runs on: its type and attach point, from its name, its macro and its first parameter; its other parameters.

bcc's convention: `int f(struct pt_regs *ctx, T a, U b)` has the traced function's arguments in a and b, which are read from the
registers; under the name syscall__… (or that of a system call's wrapper) from the registers that the wrapper was passed.
"""

from __future__ import annotations

from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.unit import FunctionDeclaration, TranslationUnit
from probee.compiler.lang.c.value import NO_FLOATS, UNSIGNED_LONG, Operand, is_float, is_integer, is_pointer
from probee.errors import CompileError, Unsupported
from probee.model.ctype import CType, ForwardType, PointerType, StructType, size_of, strip
from probee.model.spec import AttachType, ProgramType
from probee.model.target import Target
from probee.probes.register import RegisterLayout

CONTEXTS = {  # what the first parameter points to → type of program
    "pt_regs": ProgramType.KPROBE, "__sk_buff": ProgramType.SOCKET_FILTER, "xdp_md": ProgramType.XDP,
    "bpf_perf_event_data": ProgramType.PERF_EVENT, "bpf_raw_tracepoint_args": ProgramType.RAW_TRACEPOINT,
    "bpf_sock_ops": ProgramType.SOCK_OPS, "sk_msg_md": ProgramType.SK_MSG, "bpf_sockopt": ProgramType.CGROUP_SOCKOPT,
    "bpf_sock_addr": ProgramType.CGROUP_SOCK_ADDR, "bpf_sock": ProgramType.CGROUP_SOCK,
    "bpf_cgroup_dev_ctx": ProgramType.CGROUP_DEVICE, "bpf_sysctl": ProgramType.CGROUP_SYSCTL,
    "sk_reuseport_md": ProgramType.SK_REUSEPORT, "bpf_sk_lookup": ProgramType.SK_LOOKUP, "bpf_nf_ctx": ProgramType.NETFILTER,
}  # fmt: skip
_MACROS = {  # of probe macros
    "tracepoint": (ProgramType.TRACEPOINT, AttachType.NONE),
    "raw_tracepoint": (ProgramType.RAW_TRACEPOINT, AttachType.NONE),
    "kfunc": (ProgramType.TRACING, AttachType.TRACE_FENTRY),
    "kretfunc": (ProgramType.TRACING, AttachType.TRACE_FEXIT),
    "fmod_ret": (ProgramType.TRACING, AttachType.MODIFY_RETURN),
    "lsm": (ProgramType.LSM, AttachType.LSM_MAC),
    "iter": (ProgramType.TRACING, AttachType.TRACE_ITER),
}
_TYPED = frozenset(("kfunc", "kretfunc", "fmod_ret", "lsm"))  # whose context is an array of 64-bit arguments
_CGROUP_ATTACH = {
    ProgramType.SOCK_OPS: AttachType.CGROUP_SOCK_OPS, ProgramType.SK_MSG: AttachType.SK_MSG_VERDICT,
}  # fmt: skip


class Kind:
    """What a function becomes.  `arguments` says where its other parameters are: "registers", "syscall", "array" or ""."""

    __slots__ = ("arguments", "attach_target", "attach_type", "type")

    def __init__(self, type: int, attach_type: int, attach_target: str, arguments: str) -> None:
        self.type = type
        self.attach_type = attach_type
        self.attach_target = attach_target
        self.arguments = arguments


def kind_of(declaration: FunctionDeclaration, source: TranslationUnit, target: Target) -> Kind:
    """Return what kind of program a function is."""
    probe = declaration.probe
    if probe is not None:
        type, attach_type = _MACROS[probe.kind]
        return Kind(type, attach_type, _attach_target(probe.kind, probe.target), "array" if probe.kind in _TYPED else "")
    name = declaration.name
    if not declaration.parameters:
        return Kind(ProgramType.KPROBE, AttachType.NONE, "", "registers")
    tag = _context_tag(declaration.parameters[0][1], declaration, source)
    if tag.startswith("tracepoint__"):
        return Kind(ProgramType.TRACEPOINT, AttachType.NONE, "", "")
    if tag.startswith("bpf_iter__"):
        return Kind(ProgramType.TRACING, AttachType.TRACE_ITER, f"bpf_iter_{tag.removeprefix('bpf_iter__')}", "")
    type = CONTEXTS.get(tag, ProgramType.KPROBE)
    if name.startswith("tracepoint__"):
        type = ProgramType.TRACEPOINT
    elif name.startswith("raw_tracepoint__"):
        type = ProgramType.RAW_TRACEPOINT
    arguments = ""
    if tag == "pt_regs":
        arguments = "syscall" if _is_syscall(name, target) else "registers"
    return Kind(type, _CGROUP_ATTACH.get(type, AttachType.NONE), "", arguments)


def _attach_target(kind: str, parts: tuple[str, ...]) -> str:
    if kind in ("tracepoint", "raw_tracepoint"):
        return ""
    if kind in ("lsm", "iter"):
        return f"bpf_{kind}_{parts[-1]}"
    module = parts[0] if len(parts) > 1 else "vmlinux"
    return parts[-1] if module == "vmlinux" else f"{module}:{parts[-1]}"


def _is_syscall(name: str, target: Target) -> bool:
    wrapper = f"kprobe__{target.syscall_prefix}"
    return (name.startswith(("syscall__", wrapper))) and target.syscall_prefix != "sys_"


def _context_tag(ctype: CType, declaration: FunctionDeclaration, source: TranslationUnit) -> str:
    bare = strip(ctype)
    if not isinstance(bare, PointerType):
        message = f"the first parameter of '{declaration.name}' is its context, a pointer: struct pt_regs *ctx, say"
        raise CompileError(message, declaration.parameters[0][2] or declaration.span,
                           hint="Declare a function that others call 'static inline'.")  # fmt: skip
    target = strip(bare.target)
    return target.name if isinstance(target, (StructType, ForwardType)) else ""


def bind_parameters(low: Lowerer, declaration: FunctionDeclaration, kind: Kind) -> None:
    """Declare a program's parameters as variables."""
    from probee.compiler.lang.c.call import bind

    if not declaration.parameters:
        return
    name, ctype, _ = declaration.parameters[0]
    rest = declaration.parameters[1:]
    bind(low, name or "ctx", ctype, Operand(ctype, low.context), declaration.span)
    if not rest:
        return
    if not kind.arguments:
        raise CompileError(f"a program with this context has no other parameters: '{rest[0][0]}'", rest[0][2])
    registers = RegisterLayout(low.target.arch)
    most = len(registers.arguments) if kind.arguments != "array" else 12
    if len(rest) > most:
        raise CompileError(f"too many arguments, bcc only supports in-register parameters: {most} of them", rest[most][2])
    inner: Value | None = None
    if kind.arguments == "syscall":
        inner = low.b.pointer(low.b.load_context(low.context, I64, registers.arguments[0]), "kernel")
    for index, (parameter, of_type, span) in enumerate(rest):
        if not parameter:
            raise CompileError("arguments of BPF program definition must be named", span)
        bind(low, parameter, of_type, _parameter(low, kind, index, of_type, span, inner, registers), span)


def _parameter(
    low: Lowerer, kind: Kind, index: int, ctype: CType, span: int, inner: Value | None, registers: RegisterLayout
) -> Operand:
    if not (is_integer(ctype) or is_pointer(ctype)):
        message = f"a parameter of type '{ctype.spelling()}' is not in a register"
        raise Unsupported(NO_FLOATS if is_float(ctype) else message, span)
    if kind.arguments == "array":
        type = pointer("kernel") if is_pointer(ctype) else I64
        value = low.b.load_context(low.context, type, 8 * index)
    elif inner is not None:
        value = low.b.load(inner, I64, _syscall_register(low, index, registers))
    else:
        value = low.b.load_context(low.context, I64, registers.arguments[index])
    if is_pointer(ctype):
        return Operand(ctype, value if value.type.is_pointer else low.b.pointer(value, "kernel"))
    size = size_of(ctype)
    narrow = Operand(UNSIGNED_LONG, value)
    return convert.convert(low, narrow, ctype, span) if size <= 8 else narrow


def _syscall_register(low: Lowerer, index: int, registers: RegisterLayout) -> int:
    """Return where a system call's argument is in what its wrapper was passed: the fourth is in r10, not in rcx."""
    if low.target.arch == "x86_64" and index == 3:
        return registers.offset("r10")
    return registers.arguments[index]
