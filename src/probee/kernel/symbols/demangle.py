"""Names as they were written: C++ (the Itanium ABI's _Z…) and Rust (_R…, and _ZN…17h…E before it).

C++ names are read by the C++ library itself (__cxa_demangle of libstdc++ or libc++abi, where there is one: 2 µs a name, and the
same text as c++filt), else by the package `demangle` if it is installed; Rust's by rust.py.  What nobody can read stays.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1")
_LONGEST = 1 << 14  # templates of templates are longer than anyone wants to read
_MOST_KEPT = 1 << 14

_known: dict[str, str] = {}
_cpp: list[Callable[[str], str | None]] = []  # whoever reads C++ names here, looked for at the first one


def is_mangled(name: str) -> bool:
    return name.startswith(("_Z", "_R", "__Z", "___Z"))


def demangle(name: str) -> str:
    """Return what a symbol was called in its source, or the symbol itself."""
    if not is_mangled(name) or len(name) > _LONGEST:
        return name
    found = _known.get(name)
    if found is None:
        if len(_known) >= _MOST_KEPT:
            _known.clear()
        from probee.kernel.symbols.rust import demangle_rust

        found = _known[name] = demangle_rust(name) or _demangle_cpp(name) or name
    return found


def without_arguments(name: str) -> str:
    """Return a demangled function without its arguments: `a::f` of `a::f(int) const`."""
    depth = 0
    for at, char in enumerate(name):
        named = name.startswith("(anonymous namespace)", at) or name.startswith("operator()", max(0, at - 8))
        if char == "(" and not depth and not named:
            return name[:at]
        if not name.startswith(("operator<", "operator>", "operator-"), max(0, at - 8)):
            depth += (char in "<") - (char in ">")
    return name


def _demangle_cpp(name: str) -> str | None:
    if not _cpp:
        _cpp.append(_from_library() or _from_package() or (lambda _: None))
    return _cpp[0](name)


def _from_library() -> Callable[[str], str | None] | None:
    try:
        import ctypes
    except ImportError:
        return None
    for library in _LIBRARIES:
        try:
            function, free = ctypes.CDLL(library).__cxa_demangle, ctypes.CDLL(None).free
        except (OSError, AttributeError):
            continue
        function.argtypes, function.restype = [ctypes.c_char_p, *[ctypes.c_void_p] * 3], ctypes.c_void_p
        free.argtypes, free.restype = [ctypes.c_void_p], None
        return _caller(function, free, ctypes.string_at)
    return None


def _caller(function: Any, free: Any, string_at: Any) -> Callable[[str], str | None]:
    def call(name: str) -> str | None:
        text = function(name.encode("utf-8", "surrogateescape"), None, None, None)
        if not text:
            return None
        found: str = string_at(text).decode("utf-8", "replace")
        free(text)
        return found

    return call


def _from_package() -> Callable[[str], str | None] | None:
    try:
        package = __import__("demangle")
    except ImportError:
        return None

    def call(name: str) -> str | None:
        found = package.demangle(name)
        return found if isinstance(found, str) and found != name else None

    return call
