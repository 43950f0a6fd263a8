"""printf() in a pinned iterator: the text goes to whoever reads the file, through bpf_seq_printf.

Mirrors bpf_bprintf_prepare in kernel/bpf/helpers.c: at most twelve arguments, each a u64, text by its address; conversions
d i u x X c s p with l and ll.  Nothing else can be said from there: the session is over when somebody reads the file.
"""

from __future__ import annotations

from probee.compiler.ir.type import pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import context_of
from probee.compiler.lang.bpftrace.place import Place
from probee.errors import Unsupported
from probee.model import ctype as c
from probee.model.printf import Conversion, parse_format

MAX_ARGUMENTS = 12  # MAX_BPRINTF_VARARGS
_NUMBERS = ("int", "enum", "bool", "pointer")


def lower_printf(low: Lowerer, node: ast.Call, text: str) -> None:
    """Write a format and its arguments into the file that is being read."""
    b, format, arguments = low.b, parse_format(text), node.args[1:]
    if len(arguments) > MAX_ARGUMENTS:
        raise Unsupported(f"printf() in a pinned iterator takes up to {MAX_ARGUMENTS} arguments", node.span)
    data = place.alloca(b, t.array_of(t.UINT64, max(len(arguments), 1)))
    pieces = [_literal(format.fragments[0])]
    for index, (conversion, argument) in enumerate(zip(format.conversions, arguments, strict=True)):
        pieces += [_conversion(conversion, argument), _literal(format.fragments[index + 1])]
        place.store(b, data.at(8 * index, t.UINT64), _argument(low, argument))
    spelled = "".join(pieces).encode("utf-8", "surrogateescape") + b"\0"
    where = _constant(low, spelled)
    size = b.const(8 * len(arguments))
    values = place.address(b, data) if arguments else b.const(0)
    b.helper("seq_printf", _file(low, node), place.address(b, where), b.const(len(spelled)), values, size)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _conversion(conversion: Conversion, argument: ast.Expr) -> str:
    """Return a conversion as the kernel spells it."""
    kind, specifier = argument.type.kind, conversion.specifier
    flags = ("-" if conversion.left else "") + ("0" if conversion.zero else "") + (str(conversion.width or ""))
    if specifier == "s" and kind == "string":
        return f"%{flags}s"
    if specifier == "s" and kind in _NUMBERS:
        return f"%{flags}ll{'d' if argument.type.signed else 'u'}"
    if specifier == "p" and kind in _NUMBERS:
        return f"0x%{flags}llx"
    if specifier == "c" and kind in _NUMBERS:
        return "%c"
    if specifier in ("d", "i", "u", "x", "X") and kind in _NUMBERS and conversion.bits in (32, 64):
        return f"%{flags}{'ll' if conversion.bits == 64 else ''}{specifier}"
    message = f"printf() in a pinned iterator is done by the kernel, which has no {conversion.text} for {argument.type}"
    raise Unsupported(message, argument.span, hint="It has %d, %i, %u, %x, %X, %c, %p of numbers and %s of text.")


def _argument(low: Lowerer, node: ast.Expr) -> Value:
    """Return a number, or the address of a text."""
    b = low.b
    if node.type.kind != "string":
        return low.number(node)
    copy = place.alloca(b, node.type)
    low.into(node, copy, padded=True)
    return place.address(b, copy)


def _constant(low: Lowerer, data: bytes) -> Place:
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    where = place.alloca(low.b, t.string(len(data)))
    write_bytes(low, where, data)
    return where


def _file(low: Lowerer, node: ast.Call) -> Value:
    """Return the seq_file: ctx->meta->seq."""
    struct = low.script.target.type_named("struct", "bpf_iter_meta")
    path = struct.find("seq") if isinstance(struct, c.StructType) else ()
    if not path:
        raise Unsupported("printf() in a pinned iterator needs the kernel's type information", node.span)
    meta = low.b.load_context(context_of(low, node), pointer("trusted"), 0)
    return low.b.load_trusted(meta, pointer("trusted"), sum(member.bit_offset for member in path) // 8)


def refuse_others(low: Lowerer, first: int) -> None:
    """Refuse what a pinned iterator cannot do: tell a session something.  `first` is the first action of its own."""
    for action in low.unit.actions[first:]:
        if action.kind != "runtime_warning":  # which are lost
            message = f"{action.kind.replace('_', ' ')} is not possible in a pinned iterator: no session is there to listen"
            raise Unsupported(message, action.span, hint="printf() is: it writes to whoever reads the file.")
