"""syscall(2) of the C library, and addresses of buffers.

Uses `_ctypes`, the C half of ctypes, which imports in a fifth of the time of the `ctypes` package; where an interpreter
has no such module or it looks different, the package does the same.  Nothing here knows what a system call means.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    import _ctypes

    class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class _Char(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "c"

    class _Syscall(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = _Long
        _argtypes_ = (_Long,) * 7

    _syscall: Any = _Syscall(_ctypes.dlsym(_ctypes.dlopen(None, 0), "syscall"))  # type: ignore[arg-type]
    _addressof: Any = _ctypes.addressof
    _get_errno: Any = _ctypes.get_errno
    _from_buffer: Any = _Char.from_buffer
except (ImportError, AttributeError, TypeError, OSError):  # pragma: no cover - another interpreter
    import ctypes

    _syscall = ctypes.CDLL(None, use_errno=True).syscall
    _syscall.restype = ctypes.c_long
    _syscall.argtypes = [ctypes.c_long] * 7
    _addressof = ctypes.addressof
    _get_errno = ctypes.get_errno
    _from_buffer = ctypes.c_char.from_buffer

EINTR = 4

# The machines whose numbers differ from include/uapi/asm-generic/unistd.h.
_NUMBERS = {
    "x86_64": (321, 298, 281),
    "ppc64le": (361, 319, 303),
    "ppc64": (361, 319, 303),
    "s390x": (351, 331, 312),
}
SYS_BPF, SYS_PERF_EVENT_OPEN, SYS_EPOLL_PWAIT = _NUMBERS.get(os.uname().machine, (280, 241, 22))


def syscall(number: int, a: int, b: int = 0, c: int = 0, d: int = 0, e: int = 0) -> int:
    """Return what the system call returns, or -errno.  Interrupted calls are made again."""
    while (result := syscall_once(number, a, b, c, d, e)) == -EINTR:
        pass
    return result


def syscall_once(number: int, a: int, b: int = 0, c: int = 0, d: int = 0, e: int = 0) -> int:
    """Return what the system call returns, or -errno: -EINTR for one that a signal ended."""
    result: int = _syscall(number, a, b, c, d, e, 0)
    return result if result != -1 else -int(_get_errno())


def address_of(buffer: Any) -> int:
    """Return the address of a writable buffer (bytearray, mmap), 0 for an empty one.

    The address holds while the caller keeps the buffer and does not resize it.
    """
    return _addressof(_from_buffer(buffer)) if len(buffer) else 0
