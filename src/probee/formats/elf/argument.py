"""Arguments of USDT probes: `-4@%edi 8@-16(%rbp)` as the assembler wrote it, typed for a compiler.

`N@OPERAND`: N is the size in bytes, negative for signed, with an `f` behind it for floating point; the operand is in the
assembler's own notation, AT&T's on x86, ARM's on aarch64.  Registers get the names that probes/register.py has for struct
pt_regs.  What depends on where the code lies is turned into a distance from the probe itself, whose address the program
counter holds when the probe fires.
"""

from __future__ import annotations

from probee.errors import FormatError
from probee.formats.elf.read import AARCH64, MACHINES, X86_64
from probee.model.usdt import CONSTANT, MEMORY, REGISTER
from probee.model.usdt import UsdtArgument as Argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Resolve = Callable[[str], int | None]

PROGRAM_COUNTER = {X86_64: "ip", AARCH64: "pc"}


def parse_arguments(
    text: str, machine: int, *, address: int = 0, fixed: bool = False, resolve: Resolve = lambda _: None
) -> tuple[Argument, ...]:
    """Read the arguments of a probe at `address`; `resolve` gives the address of a symbol.

    `fixed` says that the program is loaded where it was linked, so that addresses are constants.  FormatError names the
    argument that cannot be read, and why.
    """
    if machine not in PROGRAM_COUNTER:
        raise FormatError(f"arguments of USDT probes are not known for {MACHINES.get(machine, f'machine {machine}')}")
    read = _Att(address, resolve, fixed) if machine == X86_64 else _Arm(address, resolve, fixed)
    found = []
    for word in _words(text):
        try:
            found.append(_argument(word, read))
        except ValueError as error:
            raise FormatError(f"USDT argument {len(found)} is {word!r}: {error or 'no notation that is known'}") from None
    return tuple(found)


def _words(text: str) -> list[str]:
    """Split at blanks outside of brackets."""
    words, depth, word = [], 0, ""
    for char in text:
        depth += (char in "([") - (char in ")]")
        if char.isspace() and depth <= 0:
            words.append(word)
            word = ""
        else:
            word += char
    return [word for word in (*words, word) if word]


def _argument(text: str, read: _Att | _Arm) -> Argument:
    size, at, operand = text.partition("@")
    if not at:  # very old notes leave the size out
        size, operand = "8", text
    argument = read.operand(operand.strip())
    argument.text = text
    if size.endswith("f"):
        argument.is_float, size = True, size[:-1]
    number = int(size)
    argument.signed = number < 0 or argument.is_float
    argument.size = abs(number)
    if argument.size not in (1, 2, 4, 8) and not (argument.is_float and argument.size in (10, 16)):
        raise ValueError(f"a size of {argument.size} bytes")
    if argument.kind == REGISTER and argument.register[:3] in ("xmm", "ymm", "zmm", "st("):
        argument.is_float = True
    return argument


def _number(text: str) -> int | None:
    """Return what a number in an assembler's notation says, None for something else; sums like `-8+4` are known."""
    total, sign, digits = 0, 1, text.replace(" ", "")
    if not digits:
        return None
    while digits:
        if digits[0] in "+-":
            sign = -1 if digits[0] == "-" else 1
            digits = digits[1:]
        end = min((at for at in (digits.find("+"), digits.find("-")) if at > 0), default=len(digits))
        try:
            total += sign * int(digits[:end], 0)
        except ValueError:
            return None
        digits, sign = digits[end:], 1
    return total


class _Reader:
    def __init__(self, address: int, resolve: Resolve, fixed: bool) -> None:
        self.address = address
        self.fixed = fixed
        self.resolve = resolve

    def symbolic(self, text: str) -> tuple[int, bool]:
        """Return the value of `symbol`, `symbol+8`, `8+symbol` or a number, and whether a symbol is in it."""
        number = _number(text)
        if number is not None:
            return number, False
        name, rest = text, 0
        for at in range(len(text) - 1, 0, -1):
            if text[at] in "+-" and (number := _number(text[at:])) is not None:
                name, rest = text[:at], number
        if (at := name.find("+")) > 0 and (number := _number(name[:at])) is not None:
            name, rest = name[at + 1 :], rest + number
        found = self.resolve(name)
        if found is None:
            raise ValueError(f"there is no symbol {name}")
        return found + rest, True


class _Att(_Reader):
    """AT&T's notation of x86-64: %reg, $constant, symbol, displacement(base,index,scale)."""

    def operand(self, text: str) -> Argument:
        text = text.removeprefix("*")
        if text.startswith("$"):
            value, symbolic = self.symbolic(text[1:])
            if symbolic and not self.fixed:
                raise ValueError("an address that is only known once the program is loaded")
            return Argument(CONSTANT, value=value)
        if text.startswith("%") and ":" not in text:
            register, shift = _x86_register(text)
            return Argument(REGISTER, register=register, shift=shift)
        if ":" in text:
            raise ValueError("a segment register, which tracing programs cannot read")
        displacement, bracket, inside = text.partition("(")
        if not bracket:
            return self._at_symbol(text)
        if not inside.endswith(")"):
            raise ValueError("a bracket that is not closed")
        return self._memory(displacement, inside[:-1])

    def _at_symbol(self, text: str) -> Argument:
        value, symbolic = self.symbolic(text)
        if not symbolic:
            return Argument(MEMORY, value=value)
        return Argument(MEMORY, register="ip", value=value - self.address)

    def _memory(self, displacement: str, inside: str) -> Argument:
        base, index, scale = ([part.strip() for part in inside.split(",")] + ["", ""])[:3]
        if inside.count(",") > 2:
            raise ValueError("too many parts in brackets")
        value, symbolic = self.symbolic(displacement) if displacement else (0, False)
        register = _x86_whole(base) if base else ""
        if register == "ip" and symbolic:
            value -= self.address
        elif register == "ip" or (symbolic and not self.fixed):
            raise ValueError("an address that is only known once the program is loaded")
        factor = _number(scale) if scale else 1
        if factor not in (1, 2, 4, 8):
            raise ValueError(f"a scale of {scale}")
        return Argument(MEMORY, value=value, register=register, index=_x86_whole(index) if index else "", scale=factor)


def _x86_whole(text: str) -> str:
    register, shift = _x86_register(text)
    if shift:
        raise ValueError(f"{text} cannot hold an address")
    return register


_X86: dict[str, tuple[str, int]] = {}


def _x86_register(text: str) -> tuple[str, int]:
    """Return the name in struct pt_regs of a register of any width, and the lowest bit that is meant."""
    if not _X86:
        for letter in "abcd":
            for name in (f"r{letter}x", f"e{letter}x", f"{letter}x", f"{letter}l"):
                _X86[name] = (f"{letter}x", 0)
            _X86[f"{letter}h"] = (f"{letter}x", 8)
        for name in ("si", "di", "bp", "sp"):
            _X86[f"r{name}"] = _X86[f"e{name}"] = _X86[name] = _X86[f"{name}l"] = (name, 0)
        for number in range(8, 16):
            for suffix in ("", "d", "w", "b", "l"):
                _X86[f"r{number}{suffix}"] = (f"r{number}", 0)
        _X86["rip"] = _X86["eip"] = ("ip", 0)
    name = text.strip().lower().removeprefix("%")
    if name.startswith(("xmm", "ymm", "zmm", "st")):
        return name, 0
    if not text.strip().startswith("%") or name not in _X86:
        raise ValueError(f"{text or 'nothing'} is no register")
    return _X86[name]


class _Arm(_Reader):
    """The notation of aarch64: x0, w0, sp, a bare or # constant, [base], [base, offset], [base, index, lsl 3]."""

    def operand(self, text: str) -> Argument:
        if not text.startswith("["):
            number = _number(text.removeprefix("#"))
            if number is not None:
                return Argument(CONSTANT, value=number)
            register = _arm_register(text)
            return Argument(REGISTER, register=register) if register else Argument(CONSTANT)
        if not text.endswith("]"):
            raise ValueError("a bracket that is not closed")
        base, *rest = [part.strip() for part in text[1:-1].split(",")]
        argument = Argument(MEMORY, register=_arm_register(base))
        if not rest:
            return argument
        number = _number(rest[0].removeprefix("#"))
        if number is not None and len(rest) == 1:
            argument.value = number
            return argument
        return self._indexed(argument, rest)

    def _indexed(self, argument: Argument, rest: list[str]) -> Argument:
        if len(rest) > 2 or rest[0].startswith((":", "w")):
            raise ValueError("a way of addressing that is not known")
        argument.index = _arm_register(rest[0])
        if len(rest) == 2:
            shift = _number(rest[1].removeprefix("lsl").strip().removeprefix("#")) if rest[1].startswith("lsl") else None
            if shift is None or not 0 <= shift <= 4:
                raise ValueError(f"a shift of {rest[1]}")
            argument.scale = 1 << shift
        return argument


def _arm_register(text: str) -> str:
    """Return the name in struct pt_regs; "" for the register that is always zero."""
    name = text.strip().lower()
    if name in ("sp", "wsp"):
        return "sp"
    if name in ("xzr", "wzr"):
        return ""
    if name[:1] in ("v", "q", "d", "s") and name[1:].isdecimal():
        return name
    if name[:1] in ("x", "w") and name[1:].isdecimal() and int(name[1:]) <= 30:
        return f"r{int(name[1:])}"
    if name in ("fp", "lr"):
        return name
    raise ValueError(f"{text or 'nothing'} is no register")
