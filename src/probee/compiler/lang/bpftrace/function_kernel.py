"""Functions that ask the kernel for what only some programs may: kfuncs, the name of another process, paths, cookies.

Which programs may is the kernel's decision: helpers by program type, kernel functions by lists of its own, which the target
is asked about.  unwatch() is here too: a leftover of the language that does nothing.
"""

from __future__ import annotations

from probee.compiler.ir import type as ir
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.builtin import COMM_SIZE, find
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int, literal_text
from probee.compiler.lang.bpftrace.function_packet import TYPED
from probee.compiler.lang.bpftrace.instance import program_type
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model import ctype as c

TASK_FROM_PID = "bpf_task_from_pid"
NAME_SIZE = 64  # bytes of comm(pid)'s result


# -- kernel functions


def _allowed(resolver: Resolver, name: str) -> bool:
    """Say whether the kernel has a kernel function that programs of this probe's type may call."""
    target = resolver.script.target
    if resolver.instance.provider == "function":  # called from probes of any type
        return False
    return target.has_feature(f"kfunc:{name}") and target.has_feature(f"kfunc:{name}@{program_type(resolver.instance)}")


def _probetype(resolver: Resolver) -> str:
    in_function = resolver.instance.provider == "function"
    return "function" if in_function else resolver.instance.point.provider.probetype


def _check_kfunc(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    known = node.args[0].meaning
    if type.kind != "string" or not isinstance(known, Known):
        raise TypeMismatch(f"{node.name}() accepts a string literal only", node.span)
    name = literal_text(resolver, node, 0)
    exists = resolver.script.target.has_feature(f"kfunc:{name}")
    node.meaning = Known(exists if node.name == "kfunc_exist" else exists and _allowed(resolver, name))
    return t.BOOL


def _lower_known(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    assert isinstance(node.meaning, Known)
    return low.b.const(int(node.meaning.value))


# -- the name of a process


def _check_comm(resolver: Resolver, node: ast.Call) -> Ty:
    """comm() is the builtin; comm(pid) looks the process up."""
    arity(node, 0, 1)
    if not node.args:
        return t.string(COMM_SIZE)
    resolver.expr(node.args[0])
    if node.args[0].type.kind not in ("int", "enum"):
        raise TypeMismatch("Only integer supported for comm()'s pid", node.span)
    if resolver.script.target.has_feature(f"kfunc:{TASK_FROM_PID}") and not _allowed(resolver, TASK_FROM_PID):
        kind = _probetype(resolver)
        raise CompileError(f"Syntax comm(PID) is not supported in this probe type yet. Type: {kind}", node.span)
    return t.string(NAME_SIZE)


def _lower_comm(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_record import emit
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    assert target is not None
    builtin = find("comm")
    if not node.args:
        assert builtin is not None
        builtin.lower(low, node, target)
        return
    b, name = low.b, target.at(0, t.string(min(target.type.size, NAME_SIZE)))
    place.zero(b, target)
    if not low.feature(f"kfunc:{TASK_FROM_PID}"):
        emit(low, "warnf", f"comm() of another process needs {TASK_FROM_PID}, which this kernel lacks", span=node.span)
        write_bytes(low, name, b"[unknown]\0")
        return
    pid = low.number(node.args[0])
    task = b.kfunc(TASK_FROM_PID, pid, type=ir.pointer("trusted", nullable=True))

    def found() -> None:
        held = b.non_null(task)
        _copy_name(low, node, b.pointer(b.address(held), "kernel"), name)
        b.kfunc("bpf_task_release", held, type=ir.VOID)

    def missing() -> None:
        emit(low, "warnf", "No such process (pid=%d)", [(t.INT64, lambda where: place.store(b, where, pid))], span=node.span)
        write_bytes(low, name, b"N/A\0")

    low.diamond(b.check_null(task), found, missing)


def _copy_name(low: Lowerer, node: ast.Call, task: Value, name: Place) -> None:
    struct = low.script.target.type_named("struct", "task_struct")
    path = struct.find("comm") if isinstance(struct, c.StructType) else ()
    if not path:
        raise Unsupported("comm() of another process needs the kernel's type of a process", node.span)
    assert isinstance(struct, c.StructType)
    size = min(COMM_SIZE, name.type.size)
    source = Place(task, 0, t.struct_of(struct, "kernel")).member(tuple(path), t.string(size))
    low.b.helper("probe_read_kernel", place.address(low.b, name), low.b.const(size), place.address(low.b, source))


# -- paths and sockets


def _check_path(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    if resolver.instance.provider not in ("fentry", "fexit", "iter"):
        raise CompileError("The path function can only be used with 'fentry', 'fexit', 'iter' probes", node.span)
    type = resolver.expr(node.args[0])
    if type.kind not in ("pointer", "struct"):
        raise TypeMismatch(f"path() only supports pointer or C type argument ({type} provided)", node.span)
    limit = resolver.script.config.number("max_strlen")
    size = literal_int(resolver, node, 1) if len(node.args) > 1 else limit
    if size < 0:
        raise CompileError("path: invalid size value, need non-negative literal", node.span)
    return t.string(min(size, limit))


def _lower_path(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b = low.b
    place.zero(b, target)
    size = min(target.type.size, node.type.size)
    if size:
        b.helper("d_path", low.pointer(node.args[0]), place.address(b, target), b.const(size))


def _check_cookie(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    if resolver.instance.provider not in TYPED:
        raise CompileError(f'socket_cookie() can not be used with "{resolver.instance.provider}" probes', node.span)
    type = resolver.expr(node.args[0])
    if t.spell(type) != "struct sock *":
        shown = f"'{type}'" if type.kind == "pointer" else str(type)
        raise TypeMismatch(f"socket_cookie() only supports 'struct sock *' as the argument ({shown} provided)", node.span)
    return t.UINT64


def _lower_cookie(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return low.b.helper("get_socket_cookie", low.value(node.args[0]))


# -- what is not here, and what does nothing


def _check_dwarf(resolver: Resolver, node: ast.Call) -> Ty:
    hint = "ustack follows frame pointers: build the program, and its libraries, with -fno-omit-frame-pointer."
    message = "dw_ustack is not supported yet: it needs an unwinder in the kernel, and tables of .eh_frame in maps"
    raise Unsupported(message, node.span, hint=hint)


def _check_unwatch(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "enum", "bool", "pointer"), "integer")
    return t.NONE


def _nothing(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    return None


TABLE = {
    "kfunc_exist": (_check_kfunc, _lower_known),
    "kfunc_allowed": (_check_kfunc, _lower_known),
    "comm": (_check_comm, _lower_comm),
    "path": (_check_path, _lower_path),
    "socket_cookie": (_check_cookie, _lower_cookie),
    "dw_ustack": (_check_dwarf, _nothing),
    "unwatch": (_check_unwatch, _nothing),
}
