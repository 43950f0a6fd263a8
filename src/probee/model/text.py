"""The text and the JSON form of decoded values (bpftrace's `print(x)`, `%s`, map keys and map values).

`text_form(type)` and `json_form(type)` return functions that are compiled once per type; values are those of the table in
value.py.  Bytes that are not UTF-8 stay in a text as surrogate escapes, so that an output can write them unchanged.
Maps, histograms and time series are several lines long and are outputs' work.
"""

from __future__ import annotations

from probee.model.value import CHARACTERS, StackValue, ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Text = Callable[[Any], str]
else:
    Text = object


def text_form(type: ValueType, *, trailer: str = "..") -> Text:
    """Return a function from a decoded value to its text; `trailer` follows a string that fills its buffer."""
    kind = type.kind
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind == "string":
        return _string_form(type.size, "" if type.mode == CHARACTERS else trailer)
    if kind == "enum":
        table, unknown = type.table or {}, type.mode
        return lambda value: table.get(value) or unknown or str(value)
    if kind == "array":
        element = text_form(type.element, trailer=trailer) if type.element is not None else str
        return lambda value: f"[{','.join([element(item) for item in value])}]"
    if kind == "tuple":
        parts = [text_form(field.type, trailer=trailer) for field in type.fields]
        return lambda value: f"({', '.join([part(item) for part, item in zip(parts, value, strict=False)])})"
    if kind == "record":
        return _record_form(type, trailer)
    return str


def _string_form(size: int, trailer: str) -> Text:
    def form(value: bytes) -> str:
        text = value.decode("utf-8", "surrogateescape")
        return text + trailer if len(value) == size else text

    return form


def _record_form(type: ValueType, trailer: str) -> Text:
    parts = [(field.name, text_form(field.type, trailer=trailer)) for field in type.fields]
    if not parts:
        return lambda value: "{}"
    return lambda value: "{ " + ", ".join([f".{name} = {part(value[name])}" for name, part in parts]) + " }"


def buffer_text(value: bytes, *, ascii: bool = True, escape: bool = True) -> str:
    """Return a buffer's text: printable ASCII kept or not, other bytes as `\\xNN` or as bare digits with blanks between."""
    if not escape and not ascii:
        return value.hex(" ")
    return "".join([chr(b) if ascii and 32 <= b <= 126 else f"\\x{b:02x}" for b in value])


def stack_text(value: StackValue | None) -> str:
    """Return a stack, one frame per line; the text begins and ends with a newline."""
    if value is None:
        return "\n"
    frame_text = {"perf": _perf_frame, "raw": _raw_frame, "build_id": _build_id_frame}.get(value.mode, _bpftrace_frame)
    return "\n" + "".join([frame_text(frame, user=value.user) + "\n" for frame in value.frames])


def _bpftrace_frame(frame: Any, *, user: bool) -> str:
    if not frame.symbol:
        return f"        {frame.address:#x}"
    place = f"@{frame.path}:{frame.line}" if frame.path else ""
    return f"        [inlined] {frame.symbol}{place}" if frame.inlined else f"        {frame.symbol}+{frame.offset}{place}"


def _perf_frame(frame: Any, *, user: bool) -> str:
    if not frame.symbol:
        return f"\t{frame.address:x} {frame.address:#x} ([unknown])"
    if frame.inlined:
        return f"\t{frame.address:x} {frame.symbol} (inlined)"
    module = f" ({frame.module or '[unknown]'})" if user else ""
    return f"\t{frame.address:x} {frame.symbol}+{frame.offset}{module}"


def _raw_frame(frame: Any, *, user: bool) -> str:
    return f"{frame.address:x}"


def _build_id_frame(frame: Any, *, user: bool) -> str:
    return f"{frame.symbol} {frame.offset:#04x}" if frame.symbol else f"{frame.address:x}"


def stats_text(value: Any) -> str:
    """Return a stats() value, {"count": …, "average": …, "total": …}, as one line."""
    return f"{{ .count = {value['count']}, .average = {value['average']}, .total = {value['total']} }}"


_SIMPLE: dict[str, Text] = {
    "int": str,
    "bool": lambda value: "true" if value else "false",
    "pointer": lambda value: f"{value:#x}",
    "buffer": buffer_text,
    "kstack": stack_text,
    "ustack": stack_text,
    "none": lambda value: "null",
    "stats": stats_text,
}


# JSON.  bpftrace separates members by ", " and elements by ",", and shows numbers that a double cannot hold as strings.


def json_form(type: ValueType, *, trailer: str = "..") -> Text:
    """Return a function from a decoded value to its JSON text."""
    kind = type.kind
    if kind in _JSON_SIMPLE and not (kind == "enum" and type.mode):
        return _JSON_SIMPLE[kind]
    if kind == "array":
        element = json_form(type.element, trailer=trailer) if type.element is not None else json_number
        return lambda value: f"[{','.join([element(item) for item in value])}]"
    if kind == "tuple":
        parts = [json_form(field.type, trailer=trailer) for field in type.fields]
        return lambda value: f"[{','.join([part(item) for part, item in zip(parts, value, strict=False)])}]"
    if kind == "record":
        named = [(field.name, json_string(field.name), json_form(field.type, trailer=trailer)) for field in type.fields]
        return lambda value: "{" + ", ".join([f"{quoted}: {part(value[name])}" for name, quoted, part in named]) + "}"
    text = text_form(type, trailer=trailer)
    return lambda value: json_string(text(value))


def json_number(value: int) -> str:
    """Return an integer; as a string when a double cannot hold it, as RFC 8259 advises."""
    if -(1 << 53) <= value <= 1 << 53 or int(float(value)) == value:
        return str(value)
    return f'"{value}"'


try:
    from _json import encode_basestring as _quoted  # the C half of json, without the import of re that json needs
except ImportError:  # another interpreter
    from json.encoder import encode_basestring as _quoted


def json_string(text: str) -> str:
    """Return a string with its quotes; bytes that were not UTF-8 become U+FFFD."""
    if not text.isascii():
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _quoted(text)


def _json_buffer(value: bytes) -> str:
    return f"[{','.join([str(b - 256 if b > 127 else b) for b in value])}]"


def _json_stats(value: Any) -> str:
    return "{" + ", ".join([f'"{name}": {json_number(value[name])}' for name in ("count", "average", "total")]) + "}"


_JSON_SIMPLE: dict[str, Text] = {
    **dict.fromkeys(("int", "enum", "pointer", "count", "sum", "min", "max", "avg"), json_number),
    "bool": lambda value: "true" if value else "false",
    "buffer": _json_buffer,
    "none": lambda value: "null",
    "stats": _json_stats,
}
