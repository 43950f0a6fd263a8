"""Models of the helpers that read memory which may be absent (probe_read and kin), and of those that make text.

A probe read never fails the program: what cannot be read is -EFAULT and a zeroed buffer, as in kernel/trace/bpf_trace.c.
A bad *destination* is an error of the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from probee.formats.insn.interpret.arithmetic import U32
from probee.formats.insn.interpret.map import E2BIG, EINVAL

if TYPE_CHECKING:
    from probee.formats.insn.interpret.machine import Helper, Machine

EFAULT, ERANGE = 14, 34
_KERNEL_HALF = 0xFFFF_8000_0000_0000


def _read(m: Machine, target: int, size: int, data: bytes | None, error: int = EFAULT) -> int:
    m.memory.write(target, bytes(size) if data is None else data)
    return -error if data is None else 0


def _read_string(m: Machine, target: int, size: int, text: bytes | None, error: int = EFAULT) -> int:
    """Copy up to the NUL; bytes after it are left as they were."""
    if size == 0:
        return 0
    m.memory.read(target, size)
    if text is None:
        m.memory.write(target, bytes(size))
        return -error
    m.memory.write(target, text + b"\0")
    return len(text) + 1


def _kernel_error(source: int) -> int:
    """Return the error of a failed kernel read: an address that is not the kernel's is refused before it is tried."""
    return EFAULT if source >= _KERNEL_HALF else ERANGE


def _probe_read_kernel(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    size &= U32
    return _read(m, target, size, m.memory.peek(source, size, user=False), _kernel_error(source))


def _probe_read_user(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    size &= U32
    return _read(m, target, size, m.memory.peek(source, size, user=True))


def _probe_read_kernel_str(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    size &= U32
    return _read_string(m, target, size, m.memory.peek_string(source, size, user=False), _kernel_error(source))


def _probe_read_user_str(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    size &= U32
    return _read_string(m, target, size, m.memory.peek_string(source, size, user=True))


def _probe_read(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    """The old helper reads either space; user addresses have their upper half clear."""
    return (_probe_read_kernel if source >> 63 else _probe_read_user)(m, target, size, source)


def _probe_read_str(m: Machine, target: int, size: int, source: int, *_: int) -> int:
    return (_probe_read_kernel_str if source >> 63 else _probe_read_user_str)(m, target, size, source)


def _strncmp(m: Machine, first: int, size: int, second: int, *_: int) -> int:
    """Compare as lib/string.c does: -1, 0 or 1; `second` ends with its NUL, however large `size` is."""
    size &= U32
    left = m.memory.read(first, size).split(b"\0", 1)[0]
    right = m.memory.peek_string(second, size + 1, user=False)
    if right is None:
        raise m.memory.fault(second, size, "read")
    return (left > right) - (left < right)


# Text


def format_text(m: Machine, template: bytes, arguments: list[int]) -> str:
    """Return what the kernel's bpf_printf formats, for %d %i %u %x %X %p %c %s with l and ll, width and zeros."""
    import re

    rest = iter(arguments)

    def one(match: re.Match[str]) -> str:
        flags, length, kind = match[1], match[2], match[3]
        if kind == "%":
            return "%"
        value = next(rest)
        if kind == "s":
            return f"%{flags}s" % (m.memory.peek_string(value, 1 << 12, user=False) or b"").decode("latin-1")
        if kind == "c":
            return chr(value & 0xFF)
        if kind in ("p", "px"):  # the kernel disguises the first
            return f"{value:016x}"
        bits = 64 if length else 32
        value &= (1 << bits) - 1
        if kind in "di" and value >> (bits - 1):
            value -= 1 << bits
        return f"%{flags}{'d' if kind in 'diu' else kind}" % value

    return re.sub(r"%([-0# +]*\d*)(ll|l|)(px|[diuxXpcs%])", one, template.decode("latin-1"))


def _trace_printk(m: Machine, template: int, size: int, *arguments: int) -> int:
    text = format_text(m, m.memory.read(template, size & U32).rstrip(b"\0"), list(arguments))
    m.environment.trace.append(text)
    return len(text)


def _snprintf(m: Machine, buffer: int, size: int, template: int, data: int, data_size: int) -> int:
    """Return the length with NUL that the text wants, which may exceed what was stored."""
    size, data_size = size & U32, data_size & U32
    if data_size % 8:
        return -EINVAL
    text = m.memory.peek_string(template, 1 << 12, user=False)
    if text is None:
        return -E2BIG
    raw = m.memory.read(data, data_size) if data_size else b""
    values = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, data_size, 8)]
    result = format_text(m, text, values).encode("latin-1")
    if size:
        m.memory.write(buffer, result[: size - 1] + b"\0")
    return len(result) + 1


PROBES: dict[str, Helper] = {
    "probe_read": _probe_read,
    "probe_read_kernel": _probe_read_kernel,
    "probe_read_user": _probe_read_user,
    "probe_read_str": _probe_read_str,
    "probe_read_kernel_str": _probe_read_kernel_str,
    "probe_read_user_str": _probe_read_user_str,
    "copy_from_user": _probe_read_user,
    "strncmp": _strncmp,
    "trace_printk": _trace_printk,
    "snprintf": _snprintf,
}
