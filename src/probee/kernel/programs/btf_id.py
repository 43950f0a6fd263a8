"""Kernel names to BTF ids, for programs that call kernel functions, read kernel variables or attach to typed targets.

Type ids come from a Target's BTF (vmlinux first, then modules); a module's ids are of use to bpf(2) only together with a
descriptor of its BTF, which this opens and owns.
"""

from __future__ import annotations

from probee.errors import BtfError
from probee.kernel.syscalls.btf import module_btf
from probee.kernel.syscalls.fd import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from probee.formats.btf.reader import Btf

    class BtfSource(Protocol):
        """What is asked of a Target (kernel/target.py has it)."""

        def btf(self, module: str = ...) -> Btf | None: ...
        def btf_modules(self) -> Iterable[str]: ...
        def modules_with(self, function: str) -> Iterable[str]: ...


VMLINUX = "vmlinux"
KINDS = {"kfunc": "func", "attach": "func", "ksym": "var", "raw_tp": "typedef"}


class BtfFinder:
    """Answers load()'s `find_btf`; a context manager, since it opens the BTF of modules.

    Kinds: "kfunc" a function to call, "attach" a function to attach to (perhaps "module:name", or "bpf:ID:name" of a BPF
    program), "ksym" a per-CPU variable, "raw_tp" a raw tracepoint by its name.
    """

    def __init__(self, source: BtfSource) -> None:
        self._source = source
        self._descriptors: dict[str, Descriptor] = {}

    def __call__(self, kind: str, name: str) -> tuple[int, int]:
        """Return (type id, descriptor of its module's BTF or of the BPF program, 0 for vmlinux); BtfError if no BTF has it."""
        if kind == "attach" and name.startswith("bpf:"):
            return self._program(name)
        module, _, bare = name.rpartition(":")
        wanted = f"btf_trace_{bare}" if kind == "raw_tp" else bare
        for candidate in (module,) if module else self._modules(kind, bare):
            btf = self._source.btf(candidate)
            found = btf.find(KINDS[kind], wanted, own=candidate != VMLINUX) if btf is not None else []
            if found:
                return found[0], self._descriptor(candidate)
        raise BtfError(f"no BTF of this kernel has {_WORDS[kind]} {bare}; `probee -l` lists what there is")

    def _program(self, target: str) -> tuple[int, int]:
        from probee.kernel.programs.loaded import open_function

        _, id, name = target.split(":")
        type, program = open_function(int(id), name)
        if target in self._descriptors:
            program.close()
        return type, self._descriptors.setdefault(target, program).fd

    def _modules(self, kind: str, name: str) -> Iterable[str]:
        if KINDS[kind] == "func":
            return self._source.modules_with(name)
        return (VMLINUX, *self._source.btf_modules())

    def _descriptor(self, module: str) -> int:
        if module == VMLINUX:
            return 0
        if module not in self._descriptors:
            self._descriptors[module] = Descriptor(module_btf(module), f"BTF of module {module}")
        return self._descriptors[module].fd

    def close(self) -> None:
        while self._descriptors:
            self._descriptors.popitem()[1].close()

    def __enter__(self) -> BtfFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WORDS = {"kfunc": "the function", "attach": "the function", "ksym": "the variable", "raw_tp": "the raw tracepoint"}
