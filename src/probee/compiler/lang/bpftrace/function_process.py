"""Functions on processes and control groups: signal, override, write_user, cgroupid, cgroup_path; the unsafe ones say so."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_text, text_of
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import context_of, late, process_number
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known, Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch
from probee.model.spec import Action

SIGNALLING = frozenset((
    "kprobe", "kretprobe", "uprobe", "uretprobe", "usdt", "tracepoint", "profile", "fentry", "fexit", "rawtracepoint",
))  # fmt: skip
MAX_SIGNAL = 64


def check_safe(resolver: Resolver, node: ast.Call) -> None:
    """Raise unless unsafe functions are allowed."""
    if not resolver.script.options.get("unsafe"):
        raise _unsafe(node)


def _unsafe(node: ast.Call) -> CompileError:
    return CompileError(f"{node.name}() is unsafe. To use you need the --unsafe flag", node.span)


def unsafe_call(script: Script) -> CompileError | None:
    """Return what is wrong with the first call that needs --unsafe, None when there is none or it was given."""
    if script.options.get("unsafe"):
        return None
    names = ("signal", "signal_thread", "override", "write_user")
    calls = [node for probe in script.program.probes for node in ast.walk(probe) if isinstance(node, ast.Call)]
    return next((_unsafe(node) for node in calls if node.name in names), None)


# -- signals


def _check_signal(resolver: Resolver, node: ast.Call) -> Ty:
    check_safe(resolver, node)
    arity(node, 1)
    type = resolver.expr(node.args[0])
    if resolver.instance.provider not in SIGNALLING:
        raise CompileError(f'{node.name}() can not be used with "{resolver.instance.provider}" probes', node.span)
    number = known_int(node.args[0])
    if type.kind == "string":
        number = _number_of(node, literal_text(resolver, node, 0))
        node.meaning = Known(number, literal=False)
    else:
        expect(node, node.args[0], ("int", "enum"), "integer")
    if number is not None and not 1 <= number <= MAX_SIGNAL:
        raise CompileError(f"{node.name}(): {number} is no signal, which are 1 to {MAX_SIGNAL}", node.args[0].span)
    return t.NONE


def _number_of(node: ast.Call, text: str) -> int:
    from probee.compiler.lang.bpftrace._tables.signals import NUMBERS

    number = NUMBERS.get(text.upper().removeprefix("SIG"))
    if number is None:
        raise CompileError(f"{node.name}(): there is no signal '{text}'", node.args[0].span)
    return number


def _lower_signal(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_record import emit, warn

    b = low.b
    known = node.meaning.value if isinstance(node.meaning, Known) else None
    number = b.const(int(known)) if known is not None else low.number(node.args[0])
    helper = "send_signal" if node.name == "signal" else "send_signal_thread"

    def send() -> None:
        result = b.resize(b.helper(helper, number), I64, signed=True)
        fields = [(t.INT64, lambda where: place.store(b, where, result))]
        text = f"{node.name} call failed with error %d"
        low.diamond(b.compare(op.NE, result, 0), lambda: emit(low, "warnf", text, fields, span=node.span), None)

    if known is not None or known_int(node.args[0]) is not None:
        send()
        return
    low.diamond(
        b.compare(op.ULT, b.sub(number, 1), MAX_SIGNAL), send, lambda: warn(low, f"{node.name}(): that is no signal", node.span)
    )


# -- changing what the kernel or the process does


def _check_override(resolver: Resolver, node: ast.Call) -> Ty:
    check_safe(resolver, node)
    arity(node, 1)
    resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "enum", "pointer"), "integer")
    if resolver.instance.provider != "kprobe":
        raise CompileError(f'override() can not be used with "{resolver.instance.provider}" probes', node.span)
    return t.NONE


def _lower_override(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    value = low.number(node.args[0])
    low.b.helper("override_return", context_of(low, node), value)


def _check_write(resolver: Resolver, node: ast.Call) -> Ty:
    check_safe(resolver, node)
    arity(node, 3)
    to, source, size = (resolver.expr(argument) for argument in node.args)
    if to.kind not in ("pointer", "int"):
        raise TypeMismatch(f"write_user() only supports integer or pointer arguments ({to} provided)", node.args[0].span)
    if source.is_scalar and source.kind not in ("pointer", "int"):
        raise TypeMismatch(f"write_user() only supports integer or pointer arguments ({source} provided)", node.args[1].span)
    if known_int(node.args[2]) is None or not size.is_int:
        raise TypeMismatch(f"write_user() expects a integer literal ({size} provided)", node.args[2].span)
    return t.BOOL


def _lower_write(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """True when it worked.  What is written is copied to memory of ours first, which the helper wants."""
    b, size = low.b, known_int(node.args[2]) or 0
    mine = place.alloca(b, t.array_of(t.UINT8, size), "written")
    place.copy(b, mine, Place(low.pointer(node.args[1]), 0, mine.type), padded=False)
    result = b.helper("probe_write_user", b.pointer(low.number(node.args[0]), "user"), place.address(b, mine), b.const(size))
    return b.zext(b.compare(op.EQ, result, 0), I64)


# -- control groups


def _check_cgroupid(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    literal_text(resolver, node, 0)
    return t.UINT64


def _lower_cgroupid(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return late(low, "cgroup_id", text_of(node.args[0]), node.span)


def _check_path(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    resolver.expr(node.args[0])
    expect(node, node.args[0], ("int",), "integer")
    if len(node.args) > 1:
        literal_text(resolver, node, 1)
    return t.CGROUP_PATH


def _lower_path(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    """The id, and the number of the action that holds the pattern of hierarchies."""
    assert target is not None
    pattern = text_of(node.args[1]) if len(node.args) > 1 else "*"
    place.store(low.b, target.at(0, t.UINT64), low.number(node.args[0]))
    place.store(low.b, target.at(8, t.UINT64), low.b.const(text_action(low, pattern)))


def text_action(low: Lowerer, text: str) -> int:
    """Return the number of an action that is never sent, and holds a text that values refer to."""
    actions = low.unit.actions
    for number, action in enumerate(actions):
        if action.kind == "strftime" and action.text == text:
            return number
    actions.append(Action("strftime", text))
    return len(actions) - 1


# -- numbers of the process


def _check_number(resolver: Resolver, node: ast.Call) -> Ty:
    """pid(), pid(curr_ns), pid(init)."""
    arity(node, 0, 1)
    if node.args and not isinstance(node.args[0], ast.Identifier):
        raise CompileError(f"{node.name}() only supports curr_ns and init as the argument", node.args[0].span)
    if node.args and _namespace(node) not in ("curr_ns", "init"):
        message = f"Invalid PID namespace mode: {_namespace(node)} (expects: curr_ns or init)"
        raise CompileError(message, node.args[0].span)
    return t.UINT32


def _namespace(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    return first.name if isinstance(first, ast.Identifier) else "curr_ns"


def _lower_number(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return process_number(low, node.name, _namespace(node))


TABLE = {
    "pid": (_check_number, _lower_number),
    "tid": (_check_number, _lower_number),
    "signal": (_check_signal, _lower_signal),
    "signal_thread": (_check_signal, _lower_signal),
    "override": (_check_override, _lower_override),
    "write_user": (_check_write, _lower_write),
    "cgroupid": (_check_cgroupid, _lower_cgroupid),
    "cgroup_path": (_check_path, _lower_path),
}
