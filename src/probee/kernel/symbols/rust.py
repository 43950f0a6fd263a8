"""Rust's symbols: the legacy form `_ZN4core3fmt…17h0123456789abcdefE` and v0, `_RNv…` (RFC 2603).

The text is what Rust's own tools show in their short form: without hashes of crates.  What is not understood gives None.
"""

from __future__ import annotations

_HASH = 16
_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize", "j": "usize",
    "l": "i32", "m": "u32", "n": "i128", "o": "u128", "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64",
    "y": "u64", "z": "!", "p": "_",
}  # fmt: skip
_SIGNED, _UNSIGNED = "asxnli", "htmyoj"
_DEEPEST, _LONGEST = 200, 1 << 15


def demangle_rust(name: str) -> str | None:
    """Return the path that a symbol of Rust stands for, None for anything else."""
    name = name.partition(".llvm.")[0]
    if name.startswith("_ZN"):
        return _legacy(name)
    if name.startswith("_R") and name.isascii():
        body, dot, suffix = name[2:].partition(".")
        try:
            return _V0(body).symbol() + dot + suffix
        except (ValueError, IndexError, OverflowError):
            return None
    return None


def _legacy(name: str) -> str | None:
    parts, at = [], 3
    while at < len(name) and name[at].isdecimal():
        start = at
        while name[at : at + 1].isdecimal() and at - start < 6:
            at += 1
        size = int(name[start:at])
        parts.append(name[at : at + size])
        at += size
    if name[at : at + 1] != "E" or len(parts) < 2 or not _is_hash(parts[-1]):
        return None
    return "::".join([_unescaped(part) for part in parts[:-1]]) + name[at + 1 :]


def _is_hash(part: str) -> bool:
    digits = part[1:]
    return len(part) == _HASH + 1 and part[0] == "h" and set(digits) <= set("0123456789abcdef") and len(set(digits)) > 4


def _unescaped(part: str) -> str:
    if part.startswith("_$"):
        part = part[1:]
    pieces = part.replace("..", "::").split("$")
    text = pieces[0]
    for number, piece in enumerate(pieces[1:], 1):
        if number % 2 == 0:
            text += piece
        elif piece in _ESCAPES:
            text += _ESCAPES[piece]
        elif piece.startswith("u") and (code := _hexadecimal(piece[1:])) is not None:
            text += chr(code)
        else:
            return part
    return text


def _hexadecimal(text: str) -> int | None:
    try:
        code = int(text, 16)
    except ValueError:
        return None
    return code if code < 0x11_0000 else None


class _V0:
    """A reader of one symbol; ValueError or IndexError where it is not in the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.lifetimes = 0
        self.size = 0  # of what has been read: references back can make it explode

    def symbol(self) -> str:
        if self.peek().isdecimal():
            raise ValueError("a version that is not known")
        found = self.path(in_value=True)
        if self.at < len(self.text):
            self.path(in_value=False)  # the crate that instantiated it
        if self.at != len(self.text):
            raise ValueError("more than a symbol")
        return found

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def accept(self, letter: str) -> bool:
        if self.peek() != letter:
            return False
        self.at += 1
        return True

    def deeper(self, step: int) -> None:
        self.depth += step
        if self.depth > _DEEPEST or self.size > _LONGEST:
            raise ValueError("too deep")

    # -- numbers and names

    def base_62(self) -> int:
        if self.accept("_"):
            return 0
        value = 0
        while not self.accept("_"):
            digit = self.take()
            if not digit.isalnum():
                raise ValueError("no digit")
            value = value * 62 + (int(digit, 36) if digit.isdecimal() or digit.islower() else ord(digit) - 29)
        return value + 1

    def optional_62(self, tag: str) -> int:
        return self.base_62() + 1 if self.accept(tag) else 0

    def identifier(self) -> tuple[str, int]:
        number = self.optional_62("s")
        return self.plain_identifier(), number

    def plain_identifier(self) -> str:
        encoded = self.accept("u")
        digits = ""
        while self.peek().isdecimal() and digits != "0":
            digits += self.take()
        size = int(digits)
        self.accept("_")
        raw = self.text[self.at : self.at + size]
        if len(raw) != size:
            raise IndexError(size)
        self.at += size
        self.size += size
        if not encoded:
            return raw
        start, underscore, end = raw.rpartition("_")
        return (f"{start}-{end}" if underscore and start else end).encode().decode("punycode")

    # -- paths

    def path(self, *, in_value: bool) -> str:
        self.deeper(1)
        found = self._path(in_value=in_value)
        self.deeper(-1)
        return found

    def _path(self, *, in_value: bool) -> str:
        tag = self.take()
        if tag == "C":
            return self.identifier()[0]
        if tag == "N":
            return self.nested(in_value=in_value)
        if tag in "MX":
            self.optional_62("s")
            self.path(in_value=False)  # where the implementation is written
        if tag == "M":
            return f"<{self.type()}>"
        if tag in "XY":
            return f"<{self.type()} as {self.path(in_value=False)}>"
        if tag == "I":
            base = self.path(in_value=in_value)
            return f"{base}{'::' if in_value else ''}<{', '.join(self.until_end(self.generic_argument))}>"
        if tag == "B":
            return self.back(lambda: self.path(in_value=in_value))
        raise ValueError(f"no path: {tag}")

    def nested(self, *, in_value: bool) -> str:
        namespace = self.take()
        base = self.path(in_value=in_value)
        name, number = self.identifier()
        if namespace.isupper():
            kind = {"C": "closure", "S": "shim"}.get(namespace, namespace)
            return f"{base}::{{{kind}{':' if name else ''}{name}#{number}}}"
        return f"{base}::{name}" if name else base

    def back(self, read: object) -> str:
        """Read again what stands at an earlier place."""
        start = self.at - 1
        target = self.base_62()
        if target >= start or not callable(read):
            raise ValueError("a reference forward")
        behind, self.at = self.at, target
        self.size += 1
        found: str = read()
        self.size += len(found)
        self.at = behind
        return found

    def until_end(self, read: object) -> list[str]:
        found: list[str] = []
        while not self.accept("E"):
            assert callable(read)
            found.append(read())
        return found

    def generic_argument(self) -> str:
        if self.accept("L"):
            return self.lifetime(self.base_62())
        return self.constant() if self.accept("K") else self.type()

    def lifetime(self, number: int) -> str:
        if not number:
            return "'_"
        depth = self.lifetimes - number
        if depth < 0:
            raise ValueError("an unknown lifetime")
        return f"'{chr(97 + depth)}" if depth < 26 else f"'_{depth}"

    # -- types

    def type(self) -> str:
        self.deeper(1)
        found = self._type()
        self.deeper(-1)
        return found

    def _type(self) -> str:
        tag = self.take()
        if tag in _BASIC:
            return _BASIC[tag]
        if tag in "RQ":
            lifetime = self.lifetime(self.base_62()) + " " if self.accept("L") else ""
            return f"&{'' if lifetime == chr(39) + '_ ' else lifetime}{'mut ' if tag == 'Q' else ''}{self.type()}"
        if tag in "PO":
            return f"*{'const' if tag == 'P' else 'mut'} {self.type()}"
        if tag == "A":
            return f"[{self.type()}; {self.constant()}]"
        if tag == "S":
            return f"[{self.type()}]"
        if tag == "T":
            parts = self.until_end(self.type)
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if tag == "F":
            return self.bound(self.function)
        if tag == "D":
            return self.dynamic()
        if tag == "B":
            return self.back(self.type)
        self.at -= 1
        return self.path(in_value=False)

    def bound(self, read: object) -> str:
        """Read something that may bring lifetimes of its own: for<'a>."""
        count = self.optional_62("G")
        if count > 100 or not callable(read):
            raise ValueError("too many lifetimes")
        self.lifetimes += count
        names = ", ".join(self.lifetime(number) for number in range(count, 0, -1))
        found = f"for<{names}> {read()}" if count else str(read())
        self.lifetimes -= count
        return found

    def function(self) -> str:
        text = "unsafe " if self.accept("U") else ""
        if self.accept("K"):
            abi = "C" if self.accept("C") else self.plain_identifier().replace("_", "-")
            text += f'extern "{abi}" '
        parameters = ", ".join(self.until_end(self.type))
        result = self.type()
        return f"{text}fn({parameters}){'' if result == '()' else f' -> {result}'}"

    def dynamic(self) -> str:
        text = "dyn " + self.bound(lambda: " + ".join(self.until_end(self.dynamic_trait)))
        if not self.accept("L"):
            raise ValueError("no lifetime")
        number = self.base_62()
        return f"{text} + {self.lifetime(number)}" if number else text

    def dynamic_trait(self) -> str:
        text = self.path(in_value=False)
        bindings = []
        while self.accept("p"):
            bindings.append(f"{self.plain_identifier()} = {self.type()}")
        if not bindings:
            return text
        return f"{text[:-1]}, {', '.join(bindings)}>" if text.endswith(">") else f"{text}<{', '.join(bindings)}>"

    def constant(self) -> str:
        if self.accept("B"):
            return self.back(self.constant)
        tag = self.take()
        if tag == "p":
            return "_"
        if tag not in _SIGNED + _UNSIGNED + "bc":
            raise ValueError("a constant of a type that is not known")
        minus = "-" if tag in _SIGNED and self.accept("n") else ""
        digits = self.text[self.at : self.text.index("_", self.at)]
        self.at += len(digits) + 1
        value = int(digits or "0", 16)
        if tag == "b":
            return ("false", "true")[value]
        if tag == "c":
            return repr(chr(value))
        return f"{minus}{value}" if value < 1 << 64 else f"{minus}{value:#x}"
