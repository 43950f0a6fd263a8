"""Keys and leaves of tables as text and back: what key_sprintf, leaf_sprintf, key_scanf and leaf_scanf do.

bcc's notation (its rw engine's): numbers in hexadecimal, as wide as they are and without a sign; a struct's members in { },
an array's elements in [ ], arrays of characters or bytes in quotes up to their first zero; of a union the first member.
Pointers are numbers: where they point, perhaps in the kernel, nothing is read.  Reading takes numbers in any of C's bases.
"""

from __future__ import annotations

import ctypes as ct
import re

from probee.bcc.structure import is_hole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Class = type[Any]

_WORD = r'"[^"]*"|[{}\[\]]|[^\s{}\[\]"]+'
_BYTES: tuple[Any, ...] = (ct.c_char, ct.c_ubyte)
_POINTERS: tuple[Any, ...] = (ct.c_char_p, ct.c_wchar_p, ct.c_void_p, ct._Pointer)


def write_text(kind: Class, value: Any) -> bytes:
    """Return a value of a ctypes class as text."""
    if issubclass(kind, ct.Array):
        if kind._type_ in _BYTES:
            return b'"%b"' % bytes(value).split(b"\0", 1)[0]
        element: Any = kind._type_
        if issubclass(element, _POINTERS):
            element, value = ct.c_size_t, (ct.c_size_t * len(value)).from_buffer_copy(value)
        return b"[ %b ]" % b" ".join(write_text(element, each) for each in value)
    if issubclass(kind, (ct.Structure, ct.Union)):
        return b"{ %b }" % b" ".join(_member_text(value, row) for row in _members(kind))
    if issubclass(kind, _POINTERS):
        value = ct.c_size_t.from_buffer_copy(value if isinstance(value, kind) else kind(value))
    number = getattr(value, "value", value)
    if isinstance(number, float):
        return repr(number).encode()
    number = number[0] if isinstance(number, bytes) else int(number)
    return b"0x%x" % (number & ((1 << 8 * ct.sizeof(kind)) - 1))


def _member_text(value: Any, row: Any) -> bytes:
    """Return a member as text; ctypes is not asked for a pointer, which it would follow."""
    if issubclass(row[1], _POINTERS):
        at = getattr(type(value), row[0]).offset
        return write_text(ct.c_size_t, ct.c_size_t.from_buffer_copy(value, at))
    return write_text(row[1], getattr(value, row[0]))


def read_text(kind: Class, text: bytes) -> Any:
    """Return the value of a ctypes class that a text means; ValueError when it means none."""
    words = iter(re.findall(_WORD, text.decode("latin-1")))
    value = _value(kind, words)
    if next(words, None) is not None:
        raise ValueError("the text goes on")
    return value if isinstance(value, kind) else kind(value)


def _value(kind: Class, words: Iterator[str]) -> Any:
    """Return what comes next: an array or a struct of its class, a number as Python's."""
    if issubclass(kind, ct.Array):
        return _array(kind, words)
    if issubclass(kind, (ct.Structure, ct.Union)):
        _expect(words, "{")
        made = kind()
        for row in _members(kind):
            inner = _value(row[1], words)
            setattr(made, row[0], getattr(inner, "raw", inner))  # ctypes sets arrays of characters from bytes only
        _expect(words, "}")
        return made
    word = next(words, "")
    if kind in (ct.c_float, ct.c_double, ct.c_longdouble):
        return float(word)
    number = int(word, 0)
    return bytes([number & 0xFF]) if kind is ct.c_char else number


def _array(kind: Class, words: Iterator[str]) -> Any:
    if kind._type_ not in _BYTES:
        _expect(words, "[")
        made = kind(*(_value(kind._type_, words) for _ in range(kind._length_)))
        _expect(words, "]")
        return made
    word = next(words, "")
    if len(word) < 2 or word[0] != '"' or len(word) - 2 > kind._length_:
        raise ValueError(f"{word!r} is no string of at most {kind._length_} bytes")
    return kind.from_buffer_copy(word[1:-1].encode("latin-1").ljust(kind._length_, b"\0"))


def _expect(words: Iterator[str], word: str) -> None:
    found = next(words, "")
    if found != word:
        raise ValueError(f"{word!r} expected, not {found!r}")


def _members(kind: Class) -> list[Any]:
    """Return a struct's members without its holes; a union's first."""
    rows = [row for row in kind._fields_ if not is_hole(row[0])]
    return rows[:1] if issubclass(kind, ct.Union) else rows
