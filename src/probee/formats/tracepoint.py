"""A tracepoint's `format` file of tracefs, as text, to a TracepointFormat.

The text is what events/CATEGORY/NAME/format holds (kernel/trace/trace_events.c, f_show): `name:`, `ID:`, then a line
`field:DECLARATION; offset:N; size:N; signed:N;` per field, common ones first, and `print fmt:`.  Declarations stay as
they are written; a field's `type_name` is its declaration without its name and without __data_loc or __rel_loc, so that
`char comm[16]` has the type `char[16]`.  Array lengths may be macro names, as older kernels print them.
"""

from __future__ import annotations

from probee.errors import FormatError
from probee.model.target import TracepointField, TracepointFormat

_LOCATORS = {"__data_loc": False, "__rel_loc": True}


def parse_format(category: str, text: str) -> TracepointFormat:
    """Return the format; FormatError names the first line that is not one of a format file."""
    name, id, print_format = "", -1, ""
    fields: list[TracepointField] = []
    for number, line in enumerate(text.split("\n"), 1):
        key, _, value = line.strip().partition(":")
        value = value.strip()
        if key == "field":
            fields.append(_field(value, number))
        elif key == "ID":
            id = _number(value, number)
        elif key == "name":
            name = value
        elif key == "print fmt":
            print_format = value
            break
        elif line.strip() and key != "format":
            raise FormatError(f"tracepoint format, line {number}: neither a field nor a heading: {line.strip()[:60]!r}")
    if not name or id < 0:
        raise FormatError("tracepoint format without a name or an ID: is it a tracefs `format` file?")
    return TracepointFormat(category, name, id, tuple(fields), print_format)


def _number(text: str, line: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FormatError(f"tracepoint format, line {line}: {text[:40]!r} is not a number")
    return int(text)


def _field(text: str, line: int) -> TracepointField:
    declaration, *rest = [part.strip() for part in text.split(";")]
    facts = dict(part.partition(":")[::2] for part in rest if part)
    try:
        offset, size, signed = (_number(facts[key], line) for key in ("offset", "size", "signed"))
    except KeyError as missing:
        raise FormatError(f"tracepoint format, line {line}: field {declaration!r} has no {missing.args[0]}") from None
    name, type_name = split_declaration(declaration)
    if not name:
        raise FormatError(f"tracepoint format, line {line}: {declaration!r} declares no name")
    first = type_name.partition(" ")[0]
    located = first in _LOCATORS
    return TracepointField(
        name, type_name[len(first) + 1 :] if located else type_name, declaration,
        offset=offset, size=size, signed=bool(signed), data_loc=located, relative=_LOCATORS.get(first, False),
    )  # fmt: skip


def split_declaration(declaration: str) -> tuple[str, str]:
    """Split `char comm[16]` into ("comm", "char[16]"), `void (*fn)(int)` into ("fn", "void (*)(int)")."""
    star = declaration.find("(*")
    if star >= 0:
        head, tail = declaration[: star + 2], declaration[star + 2 :].lstrip()
        name = tail[: _identifier_length(tail)]
        return name, head + tail[len(name) :]
    # `__data_loc char[] name` has its brackets before the name, `char name[16]` after it
    head, tail = declaration.rstrip(), ""
    while head.endswith("]") and "[" in head:
        at = head.rindex("[")
        head, tail = head[:at].rstrip(), head[at:] + tail
    name = head[len(head) - _identifier_length(head[::-1]) :]
    return name, head[: len(head) - len(name)].rstrip() + tail


def _identifier_length(text: str) -> int:
    """Return how many of the first characters belong to identifiers."""
    return next((at for at, char in enumerate(text) if not (char == "_" or (char.isascii() and char.isalnum()))), len(text))
