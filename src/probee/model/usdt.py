"""USDT probes as a compiler sees them: where they are in a file, and how to get at their arguments.

What <sys/sdt.h> leaves in a file, formats/elf reads; register names are those that probes/register.py has for struct pt_regs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CONSTANT, REGISTER, MEMORY = "constant", "register", "memory"


class UsdtArgument:
    """How to get at one argument of `size` bytes.

    kind       value
    constant   `value`
    register   the low bytes of `register`, or those from bit `shift` on (%ah: 8)
    memory     what lies at `register` + `index` * `scale` + `value`; a part that is not there is ""

    An `is_float` argument lies in a floating-point register (of a name that pt_regs does not have) or in memory.
    `text` is how the assembler wrote it.
    """

    __slots__ = ("index", "is_float", "kind", "register", "scale", "shift", "signed", "size", "text", "value")

    def __init__(
        self, kind: str, *, value: int = 0, register: str = "", index: str = "", scale: int = 1, shift: int = 0
    ) -> None:  # fmt: skip
        self.kind = kind
        self.value = value
        self.register = register
        self.index = index
        self.scale = scale
        self.shift = shift
        self.size = 8
        self.signed = False
        self.is_float = False
        self.text = ""

    def __repr__(self) -> str:
        return f"UsdtArgument({self.text})"


class UsdtPlace:
    """One place of a USDT probe.  `offset` is where in the file, `semaphore` the offset of its semaphore (0: it has none).

    `specification` is the text of the arguments, as the file has it; `arguments()` reads it and raises FormatError where it is
    in a notation that nobody knows.
    """

    __slots__ = ("_read", "name", "offset", "provider", "semaphore", "specification")

    def __init__(
        self, provider: str, name: str, offset: int, semaphore: int, specification: str,
        read: Callable[[], tuple[UsdtArgument, ...]],
    ) -> None:  # fmt: skip
        self.provider = provider
        self.name = name
        self.offset = offset
        self.semaphore = semaphore
        self.specification = specification
        self._read = read

    def arguments(self) -> tuple[UsdtArgument, ...]:
        return self._read()
