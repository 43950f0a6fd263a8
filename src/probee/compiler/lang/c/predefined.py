"""What a program finds defined before its first line: the facts of the kernel and the macros of its headers.

Everything is answered when asked for by name.  Names that the headers of current kernels do not define (REQ_WRITE, bio_dev,
__PAGE_OFFSET_BASE, ...) must not be here: programs test for them.
"""

from __future__ import annotations

import re

from probee.model.target import Target

_KERNEL_VERSION = "(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))"

# What follows the name of a macro in its definition.
_MACROS = {
    "KERNEL_VERSION": _KERNEL_VERSION,
    "__KERNEL__": " 1", "__bpf__": " 1", "__BPF__": " 1", "__BPF_TRACING__": " 1", "__clang__": " 1",
    "__clang_major__": " 19", "__clang_minor__": " 1", "__clang_patchlevel__": " 0", "__GNUC__": " 4", "__GNUC_MINOR__": " 2",
    "__STDC__": " 1", "__STDC_VERSION__": " 201112L", "__LP64__": " 1", "_LP64": " 1", "__linux__": " 1",
    "__ORDER_LITTLE_ENDIAN__": " 1234", "__ORDER_BIG_ENDIAN__": " 4321", "__ORDER_PDP_ENDIAN__": " 3412",
    "__BYTE_ORDER__": " 1234", "__FLOAT_WORD_ORDER__": " 1234", "__LITTLE_ENDIAN__": " 1", "__LITTLE_ENDIAN": " 1234",
    "__LITTLE_ENDIAN_BITFIELD": " 1", "__BYTE_ORDER": " 1234", "__BIG_ENDIAN": " 4321",
    "__CHAR_BIT__": " 8", "__SIZEOF_INT__": " 4", "__SIZEOF_LONG__": " 8", "__SIZEOF_LONG_LONG__": " 8",
    "__SIZEOF_POINTER__": " 8", "__SIZEOF_SHORT__": " 2", "__SIZEOF_SIZE_T__": " 8", "__SIZEOF_INT128__": " 16",
    "__INT_MAX__": " 2147483647", "__LONG_MAX__": " 9223372036854775807L", "__SCHAR_MAX__": " 127", "__SHRT_MAX__": " 32767",
    "__LONG_LONG_MAX__": " 9223372036854775807LL", "NULL": " ((void *)0)", "BITS_PER_LONG": " 64", "BITS_PER_BYTE": " 8",
    "HZ": " CONFIG_HZ", "KBUILD_MODNAME": ' "bcc"',
    "CUR_CPU_IDENTIFIER": " BPF_F_CURRENT_CPU", "BPF_PACKET_HEADER": " __attribute__((packed, packet_header))",
    "__PAGE_OFFSET_BASE_L4": " 0xffff888000000000UL", "__PAGE_OFFSET_BASE_L5": " 0xff11000000000000UL",
    "__packed": " __attribute__((packed))", "__aligned": "(x) __attribute__((aligned(x)))",
    "____cacheline_aligned": " __attribute__((aligned(64)))", "__always_inline": " inline __attribute__((always_inline))",
    "noinline": " __attribute__((noinline))", "__noinline": " __attribute__((noinline))",
    "__weak": " __attribute__((weak))", "__section": "(x) __attribute__((section(x)))",
    "BCC_SEC": "(x) __attribute__((section(x)))",
    "__noreturn": " __attribute__((noreturn))",
}  # fmt: skip

# Annotations that mean nothing to us.
_EMPTY = {
    "__user", "__kernel", "__rcu", "__percpu", "__iomem", "__force", "__must_check", "__init", "__exit", "__maybe_unused",
    "__always_unused", "__used", "__nocast", "__private", "__bitwise", "__safe", "asmlinkage", "notrace",
    "__cold", "__hot", "__pure", "__attribute_const__", "__read_mostly", "__ro_after_init", "__visible", "__randomize_layout",
    "__sched", "__latent_entropy", "__deprecated", "__malloc", "fallthrough", "__bpf_kfunc", "__counted_by_ptr",
}  # fmt: skip

_OF_ARCH = {
    "x86_64": ("__x86_64__", "__x86_64", "__amd64__", "__amd64", "__TARGET_ARCH_x86"),
    "aarch64": ("__aarch64__", "__arm64__", "__TARGET_ARCH_arm64"),
}

# When a kernel's configuration cannot be read, what distributions' kernels have.
_USUAL = {
    "64BIT", "SMP", "NET", "NET_NS", "INET", "IPV6", "NUMA", "MEMCG", "SLUB", "SLUB_CPU_PARTIAL", "CGROUPS", "BPF", "MMU",
    "BPF_SYSCALL", "BPF_EVENTS", "KPROBES", "UPROBES", "TRACEPOINTS", "FUNCTION_TRACER", "MODULES", "PID_NS", "UTS_NS",
    "IPC_NS", "USER_NS", "NAMESPACES", "BLOCK", "BLK_CGROUP", "FAIR_GROUP_SCHED", "CGROUP_SCHED", "SECURITY", "SYSFS",
    "PROC_FS", "DYNAMIC_MEMORY_LAYOUT", "TRANSPARENT_HUGEPAGE", "COMPACTION", "SWAP", "PERF_EVENTS", "HZ_250",
}  # fmt: skip


class Predefined:
    """Answers for one target, and the text of a program."""

    def __init__(self, target: Target, text: str) -> None:
        self._text = text
        self._target = target
        self._arch = _OF_ARCH.get(target.arch, ())
        self._known_config: bool | None = None

    def macro(self, name: str) -> str | None:
        """Return what follows a predefined macro's name in its definition, None when it is not defined."""
        if name.startswith("CONFIG_"):
            return self._config(name[7:])
        if name in _MACROS:
            return _MACROS[name]
        if name in _EMPTY:
            return ""
        if name in self._arch:
            return " 1"
        if name.startswith("__NR_"):
            return self._system_call(name[5:])
        if name == "LINUX_VERSION_CODE":
            return f" {version_code(self._target.release)}"
        from probee.compiler.lang.c._tables import inline

        found = inline.MACROS.get(name) or inline.MACROS_OF_ARCH.get(self._target.arch, {}).get(name)
        return None if found is None or self._is_function_of_program(name) else found

    def _system_call(self, name: str) -> str | None:
        """Return the number of a system call."""
        from probee.model._tables import syscalls

        names = {"x86_64": syscalls.X86_64, "aarch64": syscalls.AARCH64}.get(self._target.arch, {})
        return next((f" {number}" for number, each in names.items() if each == name), None)

    def _is_function_of_program(self, name: str) -> bool:
        """Return whether the program defines a function of a name that is a macro in kernel headers."""
        return re.search(rf"\b{name}\s*\([^;{{}}()]*\)\s*\{{", self._text) is not None

    def constant(self, name: str) -> int | None:
        """Return the value of a constant that is a macro in the kernel's headers."""
        from probee.compiler.lang.c._tables.constant import CONSTANTS

        found = CONSTANTS.get(name)
        return None if found is None else found[0]

    def header(self, name: str) -> str:
        """Return the text of a header that is more than a no-op."""
        if name != "bcc/proto.h":
            return ""
        from probee.compiler.lang.c._tables.proto import TEXT

        return TEXT

    def _config(self, name: str) -> str | None:
        module = name.endswith("_MODULE")
        value = self._target.kconfig(name[:-7] if module else name)
        if module:
            return " 1" if value == "m" else None
        if value in ("y", "m"):
            return " 1" if value == "y" else None
        if value and value != "n":
            return f" {value}"
        return " 1" if not value and self._inferred(name) else None

    def _inferred(self, name: str) -> bool:
        """Return whether an option that nobody could read is likely set."""
        if name == "ARCH_HAS_SYSCALL_WRAPPER":
            return self._target.arch in _OF_ARCH
        if self._known_config is None:
            self._known_config = any(self._target.kconfig(known) for known in ("BPF", "BPF_SYSCALL", "NET"))
        if self._known_config:
            return False
        return name in _USUAL or name == {"x86_64": "X86_64", "aarch64": "ARM64"}.get(self._target.arch)


def version_code(release: str) -> int:
    """Return LINUX_VERSION_CODE of `uname -r`."""
    numbers = [0, 0, 0]
    for index, part in enumerate(release.split("-", maxsplit=1)[0].split("+", maxsplit=1)[0].split(".")[:3]):
        digits = part[: len(part) - len(part.lstrip("0123456789"))] or "0"
        numbers[index] = int(digits)
    return (numbers[0] << 16) + (numbers[1] << 8) + min(numbers[2], 255)
