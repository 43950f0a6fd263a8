"""Formats of printf() and its relatives: parsed once into segments, then compiled for the types of their arguments.

The grammar and the texts are bpftrace's, which formats through C++ streams: flags come in the order `-+ #0`, `0` is only a
fill character (so `%05d` of -1 is `000-1` and `%-05d` fills zeros on the right), `*` and the precision are read and ignored,
and an integer without length modifier is cut to 32 bits.  What is no conversion is copied.  Values are those of
model/value.py; their text under %s is text.py's.
"""

from __future__ import annotations

from probee.model.text import Text, buffer_text, text_form
from probee.model.value import ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_ANY_INTEGER = ("int", "enum", "bool", "pointer", "count", "sum", "min", "max", "avg")
_KINDS = {
    **dict.fromkeys(("d", "i", "u", "o", "x", "X", "c", "p", "gr"), _ANY_INTEGER),
    **dict.fromkeys(("r", "rx", "rh"), ("buffer",)),
    "s": (),  # anything that can be printed
}
_BITS = {"hh": 8, "h": 16, "l": 64, "ll": 64, "j": 64, "z": 64, "t": 64}


class Conversion:
    """One `%` conversion; `specifier` is what follows the length modifier ("d", "s", "gr" …)."""

    __slots__ = ("alternate", "left", "length", "plus", "specifier", "text", "width", "zero")

    def __init__(
        self, text: str, specifier: str, *, left: bool, plus: bool, alternate: bool, zero: bool, width: int, length: str
    ) -> None:
        self.text = text
        self.specifier = specifier
        self.left = left
        self.plus = plus
        self.alternate = alternate
        self.zero = zero
        self.width = width
        self.length = length

    @property
    def bits(self) -> int:
        """How many bits of an integer are shown."""
        return _BITS.get(self.length, 32)


class Format:
    """A parsed format: `fragments` has one more element than `conversions` and they alternate, fragment first."""

    __slots__ = ("conversions", "fragments", "text")

    def __init__(self, text: str, fragments: tuple[str, ...], conversions: tuple[Conversion, ...]) -> None:
        self.text = text
        self.fragments = fragments
        self.conversions = conversions


def parse_format(text: str) -> Format:
    """Split a format into fragments and conversions; there is no text that is not a format."""
    fragments: list[str] = []
    conversions: list[Conversion] = []
    fragment: list[str] = []
    at = 0
    while (percent := text.find("%", at)) >= 0:
        fragment.append(text[at:percent])
        found = _conversion(text, percent)
        if found is None:
            fragment.append("%")
            at = percent + 1
        else:
            at = percent + len(found.text)
            if found.specifier == "%":
                fragment.append("%")
            else:
                fragments.append("".join(fragment))
                fragment.clear()
                conversions.append(found)
    fragment.append(text[at:])
    fragments.append("".join(fragment))
    return Format(text, tuple(fragments), tuple(conversions))


def _conversion(text: str, start: int) -> Conversion | None:
    """Return the conversion that begins at the `%` at `start`, None when there is none."""
    at = start + 1
    flags = {}
    for flag in "-+ #0":
        flags[flag] = text.startswith(flag, at)
        at += flags[flag]
    width, at = _number(text, at)
    if text.startswith(".", at):
        _precision, after = _number(text, at + 1)
        if after > at + 1:
            at = after
    after = at
    while after < len(text) and text[after] in "hlLjzt":
        after += 1
    length, at = text[at:after], after
    for specifier in ("gr", "g", "rh", "rx", "r"):
        if text.startswith(specifier, at):
            break
    else:
        specifier = text[at : at + 1]
        if not specifier or specifier not in "diouxXeEfFGaAcspn%":
            return None
    return Conversion(
        text[start : at + len(specifier)], specifier, left=flags["-"], plus=flags["+"], alternate=flags["#"],
        zero=flags["0"], width=width, length=length,
    )  # fmt: skip


def _number(text: str, at: int) -> tuple[int, int]:
    """Return a decimal number (0 for none or for `*`) and where it ends."""
    if text.startswith("*", at):
        return 0, at + 1
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return int(text[at:end] or 0), end


def complaint(format: Format, arguments: Sequence[tuple[str, str]]) -> str:
    """Return what is wrong with the arguments, given as (ValueType kind, name of the type), or ""."""
    wanted, given = len(format.conversions), len(arguments)
    if given != wanted:
        which = "not enough" if given < wanted else "too many"
        return f"{which} arguments for format string ({given} supplied, {wanted} expected)"
    for conversion, (kind, name) in zip(format.conversions, arguments, strict=False):
        specifier = conversion.specifier
        if kind in ("none", "void"):
            return f"unable to print none type for specifier: {specifier}"
        kinds = _KINDS.get(specifier)
        if kinds is None:
            return f"unsupported format specifier: {specifier}"
        if kinds and kind not in kinds:
            return f"unsupported format specifier for type '{name}': {specifier}"
    return ""


def compile_format(format: Format, types: Sequence[ValueType], *, trailer: str = "..") -> Callable[[tuple[Any, ...]], str]:
    """Return a function from the tuple of decoded arguments to the text.

    `trailer` marks strings that fill their buffer.  Conversions that C does like Python become one `%` operation.
    """
    template = [format.fragments[0].replace("%", "%%")]
    converters: list[tuple[int, Callable[[Any], Any]]] = []
    for index, conversion in enumerate(format.conversions):
        code, spec = direct(conversion, types[index])
        narrower = code != natural_code(types[index])
        template.append("%s" if narrower else spec or "%s")
        if narrower or not spec:
            converters.append((index, convert(conversion, types[index], trailer=trailer)))
        template.append(format.fragments[index + 1].replace("%", "%%"))
    pattern = "".join(template)
    if not format.conversions:
        text = pattern.replace("%%", "%")
        return lambda values: text
    if not converters:
        return pattern.__mod__
    if len(converters) == len(types) == 1:
        only = converters[0][1]
        return lambda values: pattern % (only(values[0]),)

    def render(values: tuple[Any, ...]) -> str:
        shown = list(values)
        for index, converter in converters:
            shown[index] = converter(shown[index])
        return pattern % tuple(shown)

    return render


_CODES = {8: "Bb", 16: "Hh", 32: "Ii", 64: "Qq"}  # struct codes by bits, unsigned and signed


def natural_code(type: ValueType) -> str:
    """Return the struct code of an integer of the type, "" when there is none."""
    return _CODES[type.size * 8][type.signed] if type.size * 8 in _CODES else ""


def direct(conversion: Conversion, type: ValueType) -> tuple[str, str]:
    """Return the struct code and the Python conversion that together give a value's text; ("", "") when none do.

    The code reads the integer as the conversion shows it: in fewer bytes (numbers are little-endian), with another sign.
    """
    specifier, bits, stored = conversion.specifier, conversion.bits, type.size * 8
    if type.kind not in ("int", "enum", "pointer") or specifier not in "diuxXo" or stored not in _CODES:
        return "", ""
    if conversion.alternate or conversion.plus or (conversion.zero and conversion.left):
        return "", ""
    signed = specifier in "di"
    if bits > stored:
        if type.signed and not signed:
            return "", ""
        signed = type.signed
    if conversion.zero and conversion.width and signed:
        return "", ""
    flags = ("-" if conversion.left else "") + ("0" if conversion.zero else "") + str(conversion.width or "")
    return _CODES[min(bits, stored)][signed], f"%{flags}{'d' if specifier in 'iu' else specifier}"


def convert(conversion: Conversion, type: ValueType, *, trailer: str = "..") -> Callable[[Any], str]:
    """Return a function from one value to its text under the conversion."""
    base = _base(conversion, type, trailer)
    width, fill = conversion.width, "0" if conversion.zero else " "
    if not width:
        return base
    if conversion.left:
        return lambda value: base(value).ljust(width, fill)
    return lambda value: base(value).rjust(width, fill)


def _base(conversion: Conversion, type: ValueType, trailer: str) -> Callable[[Any], str]:
    specifier, bits = conversion.specifier, conversion.bits
    if specifier == "s":
        return _as_text(conversion, type, trailer)
    if specifier in ("r", "rx", "rh"):
        return lambda value: buffer_text(value, ascii=specifier == "r", escape=specifier != "rh")
    if specifier == "gr":
        return _gfp
    if specifier == "c":
        return lambda value: bytes((value & 255,)).decode("utf-8", "surrogateescape")
    mask = (1 << bits) - 1
    if specifier in ("d", "i"):
        sign = 1 << bits - 1
        pattern = "%+d" if conversion.plus else "%d"
        return lambda value: pattern % (((int(value) & mask) ^ sign) - sign)
    if specifier == "p":
        return lambda value: f"{value & 0xFFFF_FFFF_FFFF_FFFF:#x}" if value else "0"
    return _unsigned(specifier, mask, alternate=conversion.alternate)


def _unsigned(specifier: str, mask: int, *, alternate: bool) -> Callable[[Any], str]:
    pattern = {"u": "%d", "x": "%x", "X": "%X", "o": "%o"}[specifier]
    prefix = {"x": "0x", "X": "0X", "o": "0"}.get(specifier, "") if alternate else ""

    def show(value: int) -> str:
        number = int(value) & mask
        return prefix + pattern % number if number else "0"

    return show


def _as_text(conversion: Conversion, type: ValueType, trailer: str) -> Callable[[Any], str]:
    form: Text = text_form(type, trailer=trailer)
    if conversion.plus and type.kind == "int" and type.signed:
        return lambda value: f"{value:+d}"
    return form


def _gfp(value: int) -> str:
    from probee.model._tables.gfp import flag_names

    return flag_names(value & 0xFFFF_FFFF_FFFF_FFFF)
