"""Registers: where struct pt_regs keeps each, and which ones carry arguments, by architecture.

The context of kprobe, uprobe and perf event programs is struct pt_regs (perf events: struct bpf_perf_event_data, which
begins with it).  The numbers are in `_tables/ARCH.py`.
"""

from __future__ import annotations

from probee.errors import CompileError, UnknownName, Unsupported

ARCHITECTURES = ("x86_64", "aarch64")


class RegisterLayout:
    """The registers of one architecture; offsets are bytes from the start of struct pt_regs.

    `arguments` are the offsets of the argument registers in order, `stack_argument` is the distance from the stack pointer
    to the first argument on the stack when a function is entered.
    """

    __slots__ = (
        "arch", "argument_names", "arguments", "frame_pointer", "hidden_result_argument", "large_by_reference", "offsets",
        "program_counter", "return_value", "stack_argument", "stack_argument_aligned", "stack_pointer",
    )  # fmt: skip

    def __init__(self, arch: str) -> None:
        table = __import__(f"probee.probes._tables.{arch}", fromlist=("REGISTERS",))  # importlib costs half a millisecond
        self.arch = arch
        self.offsets: dict[str, int] = table.REGISTERS
        self.argument_names: tuple[str, ...] = table.ARGUMENTS
        self.arguments: tuple[int, ...] = tuple(self.offsets[name] for name in self.argument_names)
        self.return_value: int = self.offsets[table.RETURN_VALUE]
        self.program_counter: int = self.offsets[table.PROGRAM_COUNTER]
        self.stack_pointer: int = self.offsets[table.STACK_POINTER]
        self.frame_pointer: int = self.offsets[table.FRAME_POINTER]
        self.stack_argument: int = table.STACK_ARGUMENT_OFFSET
        self.stack_argument_aligned: bool = table.STACK_ARGUMENT_ALIGNED
        self.large_by_reference: bool = table.LARGE_BY_REFERENCE
        self.hidden_result_argument: bool = table.HIDDEN_RESULT_ARGUMENT

    def offset(self, name: str, span: int = 0) -> int:
        """Return the offset of a register by the name `reg()` takes; raises UnknownName."""
        if name not in self.offsets:
            from probee.probes.candidate import closest

            near = closest(name, self.offsets, 1)
            message = f"'{name}' is not a valid register on this architecture ({self.arch})"
            raise UnknownName(message, span, did_you_mean=near[0] if near else "")
        return self.offsets[name]

    def argument(self, number: int, span: int = 0) -> int:
        """Return the offset of the register that carries `argN`; raises CompileError when there is none."""
        if number >= len(self.arguments):
            hint = "arguments beyond the registers are sarg0, sarg1 …"
            raise CompileError(f"{self.arch} doesn't support arg{number}", span, hint=hint)
        return self.arguments[number]

    def stack_argument_offset(self, number: int) -> int:
        """Return where `sargN` lies, in bytes above the stack pointer at entry."""
        return self.stack_argument + 8 * number


_layouts: dict[str, RegisterLayout] = {}


def registers(arch: str) -> RegisterLayout:
    """Return the layout of an architecture; raises Unsupported for one that probee does not know."""
    if arch not in _layouts:
        if arch not in ARCHITECTURES:
            raise Unsupported(f"probee does not know the registers of {arch}", hint=f"known: {', '.join(ARCHITECTURES)}")
        _layouts[arch] = RegisterLayout(arch)
    return _layouts[arch]
