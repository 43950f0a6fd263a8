"""printf, compiled: from the bytes of records straight to their text, one at a time or many in a row.

The struct format reads each integer in the width and sign in which its conversion shows it, so most arguments need nothing
more than Python's `%`.  The two functions are written as source that consists of fixed words and argument numbers only;
format, converters and types come in through their names, never as text.
"""

from __future__ import annotations

from struct import Struct

from probee.model.event import Printf
from probee.model.printf import Conversion, Format, compile_format, convert, direct, parse_format
from probee.model.value import CHARACTERS
from probee.runtime.decode import Layout, converter, raw_code, record_decoder
from probee.runtime.ring import HEADER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from probee.model.spec import Action
    from probee.model.value import ValueType
    from probee.runtime.resolve import Resolver

    One = Callable[[bytes, int, int], Printf]
    Many = Callable[[bytes, int, int], list[Printf]]

_SOURCE = """\
def one(data, at, length):
    {names} = unpack(data, at)
    return make((pattern % ({shown}), decode, data, at))

def many(data, at, count):
    piece = view(data)[at - {header} : at - {header} + count * {stride}]
    return [make((pattern % ({shown}), decode, data, at))
            for at, ({names}) in zip(range(at, at + count * {stride}, {stride}), iter_unpack(piece))]
"""


def printf_functions(action: Action, resolver: Resolver, trailer: str) -> tuple[One, Many | None]:
    """Return what makes the event of one record, and of `count` records in a row."""
    format = parse_format(action.text)
    layout = Layout(action.fields, resolver)
    ordered = all(a + type.size <= b for (a, type), (b, _) in zip(action.fields, action.fields[1:], strict=False))
    if action.size < layout.size or not action.fields or not ordered:
        return _plain(action, format, resolver, trailer), None
    return _compiled(action, format, layout, resolver, trailer)


def _plain(action: Action, format: Format, resolver: Resolver, trailer: str) -> One:
    """Records of varying size, and formats without arguments."""
    decode = record_decoder(action.fields, action.size, resolver)
    render = compile_format(format, [type for _, type in action.fields], trailer=trailer)

    def one(data: bytes, at: int, length: int) -> Printf:
        arguments = decode(data, at, length)
        return Printf.of(render(arguments), *arguments)

    return one


def _compiled(action: Action, format: Format, layout: Layout, resolver: Resolver, trailer: str) -> tuple[One, Many]:
    stride = (action.size + HEADER_BYTES + 7) & -8
    namespace: dict[str, Any] = {"make": Printf, "view": memoryview, "decode": layout.decoder()}
    pattern, codes, shown, end = [format.fragments[0].replace("%", "%%")], [], [], 0
    for index, (conversion, (offset, type)) in enumerate(zip(format.conversions, action.fields, strict=True)):
        code, spec, text = _argument(index, conversion, type, resolver, trailer, namespace)
        codes.append(f"{offset - end}x{code}")
        end = offset + Struct("<" + code).size
        pattern += (spec, format.fragments[index + 1].replace("%", "%%"))
        shown.append(text)
    namespace["pattern"] = "".join(pattern)
    fields = "".join(codes)
    namespace["unpack"] = Struct("<" + fields).unpack_from
    namespace["iter_unpack"] = Struct(f"<{HEADER_BYTES}x{fields}{stride - HEADER_BYTES - end}x").iter_unpack
    names = "".join([f"v{index}, " for index in range(len(shown))])
    source = _SOURCE.format(names=names, shown=", ".join(shown) + ",", header=HEADER_BYTES, stride=stride)
    exec(source, namespace)
    return namespace["one"], namespace["many"]


def _argument(
    index: int, conversion: Conversion, type: ValueType, resolver: Resolver, trailer: str, namespace: dict[str, Any]
) -> tuple[str, str, str]:
    """Return the struct code that reads an argument, its conversion in Python, and the expression for its value."""
    code, spec = direct(conversion, type)
    if spec:
        return code, spec, f"v{index}"
    to_value, to_text = converter(type, resolver), convert(conversion, type, trailer=trailer)
    if type.kind == "string" and conversion.specifier == "s" and not conversion.zero:
        to_value, to_text = None, _string_text(type.size, "" if type.mode == CHARACTERS else trailer)
        spec = f"%{'-' if conversion.left else ''}{conversion.width or ''}s"
    name = f"c{index}"
    namespace[name] = to_text if to_value is None else _composed(to_value, to_text)
    return raw_code(type), spec or "%s", f"{name}(v{index})"


def _string_text(size: int, trailer: str) -> Callable[[bytes], str]:
    def text(raw: bytes) -> str:
        found = raw.partition(b"\0")[0]
        try:
            shown = found.decode()
        except UnicodeDecodeError:
            shown = found.decode("utf-8", "surrogateescape")
        return shown + trailer if len(found) == size else shown

    return text


def _composed(first: Callable[[Any], Any], second: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda raw: second(first(raw))
