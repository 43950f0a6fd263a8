"""Reads of a socket buffer at an offset, in network byte order: bcc's load_byte, load_half, load_word, load_dword.

What cBPF's LD_ABS and LD_IND do: a read behind the packet's end ends the program with 0.  The kernel makes calls of these
instructions (bpf_gen_ld_abs in net/core/filter.c); here it is one of bpf_skb_load_bytes, in any function.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I32, VOID, Type
from probee.compiler.ir.unit import Value


def load_packet(b: Builder, context: Value, offset: Value, type: Type) -> Value:
    """Return the number at `offset` (i64) of the packet, and continue in a new block; elsewhere the function returns 0."""
    buffer = b.alloca(8, 8, "packet bytes")
    failed, loaded = b.new_block(), b.new_block()
    error = b.helper("skb_load_bytes", context, b.trunc(offset, I32), buffer, b.const(type.size))
    b.branch(b.compare(op.SLT, error, 0), failed, loaded)
    b.at(failed)
    result = b.function.result
    b.return_(None if result is VOID else b.const(0, result))
    b.at(loaded)
    number = b.load(buffer, type)
    return number if type.bits == 8 else b.bswap(number)
