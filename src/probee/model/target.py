"""The Target: everything that a front end may know about a kernel, and nothing else.

A Target is inert.  `kernel/target.py` reads the running kernel, `formats/target.py` a file that `probee target dump` wrote;
both implement this class.  `compile(text, target)` reads nothing else of the machine.  What it asked for is recorded in
`reads`, from which the cache key is made: (question, digest of the answer).
"""

from __future__ import annotations

from collections.abc import Iterable

from probee.errors import ProbeeError
from probee.model.ctype import CType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.model.usdt import UsdtPlace


class TracepointField:
    """One field of a tracepoint's record, as its tracefs format file gives it.

    `declaration` is the text before the semicolon (`const char * filename`), `offset` and `size` are bytes from the start of
    the context, `data_loc` is true for a `__data_loc` or `__rel_loc` field, whose u32 value locates the data.
    """

    __slots__ = ("data_loc", "declaration", "name", "offset", "relative", "signed", "size", "type_name")

    def __init__(
        self, name: str, type_name: str, declaration: str, *, offset: int, size: int, signed: bool,
        data_loc: bool = False, relative: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.type_name = type_name
        self.declaration = declaration
        self.offset = offset
        self.size = size
        self.signed = signed
        self.data_loc = data_loc
        self.relative = relative


class TracepointFormat:
    """The format of one tracepoint: its id, and its fields, common ones included."""

    __slots__ = ("category", "fields", "id", "name", "print_format")

    def __init__(
        self, category: str, name: str, id: int, fields: tuple[TracepointField, ...], print_format: str = ""
    ) -> None:
        self.category = category
        self.name = name
        self.id = id
        self.fields = fields
        self.print_format = print_format

    def field(self, name: str) -> TracepointField | None:
        return next((field for field in self.fields if field.name == name), None)


class KernelFunction:
    """A function of the kernel that BTF describes; `module` is "vmlinux" for the kernel proper."""

    __slots__ = ("module", "name", "type")

    def __init__(self, name: str, module: str, type: FunctionType) -> None:
        self.name = name
        self.module = module
        self.type = type


class Binary:
    """A program or library of this machine that has something to probe.  FormatError when the file turns out to be none.

    `path` is where it lies, seen from here (in another mount namespace: behind /proc/PID/root).
    """

    path: str

    def function_names(self) -> Iterable[str]:
        """Return the functions that its symbol tables name, sorted, each once."""
        raise NotImplementedError

    def function_size(self, name: str) -> int | None:
        """Return a function's size in bytes, 0 if its symbol does not tell, None when there is no such function."""
        raise NotImplementedError

    def has_code_at(self, address: int) -> bool:
        """Return whether a symbol covers an address, as the linker counts."""
        raise NotImplementedError

    def function_address(self, name: str) -> int | None:
        """Return a function's address, as the linker counts; None when there is no such function, or more than one."""
        raise NotImplementedError

    def symbol(self, name: str) -> tuple[int, int] | None:
        """Return address and size of what a symbol names, as the linker counts; None when there is no such symbol."""
        raise NotImplementedError

    def address(self, offset: int) -> int | None:
        """Return the address that a byte of the file gets, as the linker counts; None when it is not loaded."""
        raise NotImplementedError

    @property
    def is_fixed(self) -> bool:
        """Whether it is always loaded where the linker wanted it."""
        raise NotImplementedError

    @property
    def inode(self) -> int:
        """The number of the file's inode."""
        raise NotImplementedError

    def source_name(self, function: str, *, parameters: bool = True) -> str:
        """Return what a function is called in its source (C++, Rust), with its parameters or without; else its own name."""
        return function

    def signature(self, function: str) -> FunctionType | None:
        """Return the signature of a function as debug information has it; None when there is none, or nobody to read it."""
        return None

    # -- debug information: ProbeeError says why there is none
    def signatures(self, function: str) -> list[FunctionType]:
        """Return the signature of each function of a name that debug information describes."""
        raise ProbeeError(f"nothing is known of the debug information of {self.path}")

    def convention(self, function: str) -> str:
        """Return why a function's arguments are not where the platform's C has them; "" when they are."""
        return ""

    def type_named(self, kind: str, name: str) -> CType | None:
        """Return a type by its name, as Target.type_named does; None when there is none, or no debug information."""
        return None

    def places_of(self, file: str, line: int, column: int = 0) -> list[int]:
        """Return the addresses where a line's code begins; `file` is a path or the end of one, `column` 0 for any."""
        raise ProbeeError(f"nothing is known of the debug information of {self.path}")

    def lines_of(self, file: str) -> list[int]:
        """Return the lines of a source file that have code, sorted."""
        return []

    def columns_of(self, file: str, line: int) -> list[int]:
        """Return the columns of a line at which statements begin, sorted."""
        return []

    def source_names(self) -> list[str]:
        """Return the names, without directories, of the source files that it was made of."""
        return []

    def files_called(self, file: str) -> list[str]:
        """Return the source files that a path, or the end of one, may mean."""
        return []

    @property
    def build_id(self) -> str:
        """What tells this build of the file from any other, in hexadecimal; "" when nothing does."""
        return ""

    @property
    def given_directories(self) -> tuple[str, ...]:
        """Where, besides the usual places, its separate debug file is looked for."""
        return ()

    def usdt_probes(self) -> Iterable[UsdtPlace]:
        """Return every place of a USDT probe; a probe may have several."""
        raise NotImplementedError


class Target:
    """The interface.  Names that a kernel does not have give None or (), never an error.

    What a Target cannot know at all (tracepoint formats when only BTF was given) raises a ProbeeError that says so.
    """

    arch: str  # "x86_64"
    release: str  # uname -r of the kernel
    has_btf: bool
    reads: dict[str, str]  # question → digest of the answer; filled while compiling
    functions_are_given = False  # traceable_functions() is all there is, whatever BTF describes

    # -- BTF
    def type_named(self, kind: str, name: str) -> CType | None:
        """Return a type; kind is "struct", "union", "enum", "typedef" or "int"."""
        raise NotImplementedError

    def type_in_modules(self, kind: str, name: str) -> CType | None:
        """Return a type that only a loaded module has; asks all of them."""
        return None

    def enumerator(self, name: str) -> tuple[int, CType] | None:
        """Return (value, enum type) of an enum's member, searched in all enums of vmlinux."""
        raise NotImplementedError

    def function(self, name: str, module: str = "") -> KernelFunction | None:
        """Return a kernel function with its signature, from vmlinux first, then from module BTF."""
        raise NotImplementedError

    def raw_tracepoint(self, name: str) -> FunctionType | None:
        """Return the signature of a raw tracepoint (`btf_trace_NAME`), its hidden first `void *__data` included."""
        raise NotImplementedError

    def variable(self, name: str) -> CType | None:
        """Return the type of a per-CPU variable that BTF lists."""
        raise NotImplementedError

    # -- tracefs
    def tracepoint(self, category: str, name: str) -> TracepointFormat | None:
        raise NotImplementedError

    def tracepoints(self) -> Iterable[str]:
        """Return all `category:name`, sorted."""
        raise NotImplementedError

    # -- symbols
    def traceable_functions(self) -> Iterable[tuple[str, str]]:
        """Return (name, module) of every function a kprobe can sit on; module is "" for the kernel proper; sorted."""
        raise NotImplementedError

    def raw_tracepoints(self) -> Iterable[tuple[str, str]]:
        """Return (module, name) of every raw tracepoint that BTF or kallsyms knows; sorted."""
        raise NotImplementedError

    def has_symbol(self, name: str) -> bool:
        """True when kallsyms lists the name.  Its address is never the compiler's business: see LateConstant."""
        raise NotImplementedError

    # -- programs and libraries
    def binaries(self, name: str, *, any_file: bool = False) -> Iterable[Binary]:
        """Return the files that a probe's target means, best first: a path, a pattern, a program on PATH, a library's name.

        "*" stands for all files that a process runs code from, "" for the program of the process that is traced.
        A path may be that of `any_file`, or only of a program or library.
        """
        raise ProbeeError(f"programs are on the machine that is traced, and this target knows only its kernel: {name}")

    # -- programs of BPF
    def bpf_functions(self) -> Iterable[tuple[int, str]]:
        """Return (program's id, name) of every function of the BPF programs that are loaded now, sorted."""
        return ()

    # -- facts
    def record(self, question: str, answer: str) -> None:
        """Note something else that a compile read; who keeps no account of that does nothing."""

    def has_feature(self, name: str) -> bool:
        """Return whether the kernel has a named feature (the names are kernel/features')."""
        raise NotImplementedError

    def kconfig(self, name: str) -> str:
        """Return the value of CONFIG_<name> ("y", "m", "250", "" when unset or unknown)."""
        raise NotImplementedError

    @property
    def syscall_prefix(self) -> str:
        """Return what precedes a system call's function name (`__x64_sys_` on x86-64)."""
        return {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}.get(self.arch, "sys_")
