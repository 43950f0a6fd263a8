"""skboutput(path, skb, length, offset): packets for a file.

bpf_skb_output writes a header of ours and the packet behind it, straight from the socket buffer, into a perf buffer: a ring
buffer cannot be told to.  What has no room there counts as a dropped record.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_text, text_of
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import boot_ns
from probee.compiler.lang.bpftrace.lower_record import RING_FULL, count_loss
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch
from probee.model.spec import PACKET_BYTES, Action, MapSpec, MapType

PACKETS = "packets"
TYPED = ("fentry", "fexit", "iter", "rawtracepoint")  # probes whose arguments the verifier knows the types of
CURRENT_CPU = 0xFFFF_FFFF  # BPF_F_CURRENT_CPU; how much of the packet is wanted stands above it
NO_SUCH_BYTES = -14  # EFAULT: the packet is shorter, which is the script's affair and no loss


def _check(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 4)
    if resolver.instance.provider not in TYPED:
        raise CompileError(f'skboutput() can not be used with "{resolver.instance.provider}" probes', node.span)
    if not literal_text(resolver, node, 0):
        raise CompileError("skboutput() needs the name of a file", node.args[0].span)
    type = resolver.expr(node.args[1])
    if t.spell(type) != "struct sk_buff *":
        shown = f"'{type}'" if type.kind == "pointer" else str(type)
        message = f"skboutput() only supports 'struct sk_buff *' as the packet ({shown} provided)"
        raise TypeMismatch(message, node.args[1].span)
    for argument in node.args[2:]:
        resolver.expr(argument)
        expect(node, argument, ("int", "enum", "bool"), "integer")
        known = known_int(argument)
        if known is not None and known < 0:
            raise CompileError(f"skboutput() takes no negative length or offset ({known} provided)", argument.span)
    return t.INT32


def _lower(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    b = low.b
    low.unit.maps.setdefault(PACKETS, MapSpec(PACKETS, MapType.PERF_EVENT_ARRAY, 4, 4, 0, role=PACKETS))
    number = len(low.unit.actions)
    low.unit.actions.append(Action("skboutput", text_of(node.args[0]), span=node.span, parents=low.script.parents()))
    packet, length, offset = low.value(node.args[1]), low.number(node.args[2]), low.number(node.args[3])
    header = b.alloca(32, 8, "packet")
    for at, value in enumerate((b.const(number), boot_ns(low), length, offset)):
        b.store(header, value, 8 * at)
    flags = b.or_(b.shl(b.bound(length, PACKET_BYTES), 32), CURRENT_CPU)
    result = b.helper("skb_output", packet, b.map(PACKETS), flags, header, b.const(32))

    def failed() -> None:
        low.diamond(b.compare(op.NE, result, NO_SUCH_BYTES), lambda: count_loss(low, RING_FULL), None)

    low.diamond(b.compare(op.SLT, result, 0), failed, None)
    return result


TABLE = {"skboutput": (_check, _lower)}
