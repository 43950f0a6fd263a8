"""Attach points: from raw text to parts, as probee.probes.parse wants them.

`:` begins a part; `@` begins one, too, and stands alone before it, since a source location follows. Double quotes take
away the meaning of both (and of `$`), a backslash inside them that of a quote. `$N` outside quotes is replaced by a
positional parameter, which is read on as if it had been written there. What the parts mean is probes' business.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import AttachPointText
from probee.compiler.lang.bpftrace.literal import to_uint
from probee.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = frozenset("0123456789")
#: A parameter may mention parameters; one that mentions itself must end somewhere.
_MAX_SUBSTITUTIONS = 100


def split(point: AttachPointText, params: Sequence[str] = ()) -> list[str]:
    """Return the parts of an attach point; `params` are the positional parameters, a missing one counts as empty.

    `uprobe:"/a:b"@f.c:3` gives ["uprobe", "/a:b", "@", "f.c", "3"].
    """
    text = _substitute(point, params)
    parts: list[str] = []
    part = ""
    quoted = False
    at = 0
    while at < len(text):
        c = text[at]
        at += 1
        if c == '"':
            quoted = not quoted
        elif c == "\\" and quoted and at < len(text):
            part += text[at]
            at += 1
        elif c in ":@" and not quoted:
            parts.append(part)
            if c == "@":
                parts.append("@")
            part = ""
        else:
            part += c
    if quoted:
        raise ParseError(f"missing end quote in attach point: {point.text}", point.span)
    parts.append(part)
    return parts


def _substitute(point: AttachPointText, params: Sequence[str]) -> str:
    """Replace `$N` outside quotes."""
    text = point.text
    at = substitutions = 0
    quoted = False
    while at < len(text):
        c = text[at]
        if c == '"':
            quoted = not quoted
        elif c == "\\" and quoted:
            at += 1
        elif c == "$" and not quoted:
            end = _parameter_end(text, at + 1)
            substitutions += 1
            if substitutions > _MAX_SUBSTITUTIONS:
                raise ParseError("positional parameters in an attach point refer to each other", point.span)
            text = text[:at] + _parameter(point, text, at + 1, end, params) + text[end:]
            continue
        at += 1
    return text


def _parameter_end(text: str, at: int) -> int:
    """Return where the number of a parameter ends; a number does not begin with 0."""
    if text[at : at + 1] == "0":
        return at
    while text[at : at + 1] in _DIGITS:
        at += 1
    return at


def _parameter(point: AttachPointText, text: str, start: int, end: int, params: Sequence[str]) -> str:
    bad = text[start : start + 1]
    if start == end and bad:
        raise ParseError(
            f"invalid trailing character for positional param: {bad}. "
            f'Try quoting this entire part if this is intentional e.g. "${bad}".',
            point.span,
        )
    try:
        index = to_uint(text[start:end])
    except ValueError as error:
        raise ParseError(f"positional parameter is not valid: {error}", point.span) from None
    return params[index - 1] if index <= len(params) else ""
