"""A program's own headers: the files that its #include lines name, read before it is compiled.

They are looked for where a C compiler would with bcc's flags: between quotes beside the file that names them, then in the
current directory, then where -I says; beside the program's source, too.  What a kernel or a C library has is not looked at:
types come from BTF, and what libbpf's headers declare is built in.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILT_IN = frozenset((
    "vmlinux.h", "bpf_helpers.h", "bpf_helper_defs.h", "bpf_endian.h", "bpf_tracing.h", "bpf_core_read.h",
))  # fmt: skip
_OF_THE_SYSTEM = ("/usr/", "/lib/", "/boot/", "/sys/")


def own_headers(text: str, *, source: str = "", cflags: Sequence[str] = ()) -> dict[str, str]:
    """Return the texts of the headers that a program, and they, include, by their names there; without those not found.

    `source` is the file that the text was read from, "" when there is none.
    """
    places = [os.getcwd(), *([os.path.dirname(os.path.abspath(source))] if source else []), *_directories(cflags)]
    found: dict[str, str] = {}
    waiting = [("".join(f'#include "{name}"\n' for name in _forced(cflags)), ""), (text, "")]
    while waiting:
        text, beside = waiting.pop()
        for quote, name in _included(text):
            path = "" if name in found else _find(name, [beside, *places] if quote == '"' and beside else places)
            if path:
                found[name] = _read(path)
                waiting.append((found[name], os.path.dirname(path)))
    return found


def _included(text: str) -> list[tuple[str, str]]:
    """Return what #include lines name, each with the character before it, without what only a macro tells."""
    found = []
    for line in text.split("\n") if "include" in text else ():
        hash, _, rest = line.partition("include")
        rest = rest.lstrip()
        end = rest.find(">" if rest[:1] == "<" else '"', 1)
        if hash.replace(" ", "").replace("\t", "") == "#" and rest[:1] in ("<", '"') and end > 1:
            found.append((rest[0], rest[1:end]))
    return found


def _directories(cflags: Sequence[str]) -> list[str]:
    """Return what -I, -iquote and -isystem name."""
    found = []
    rest = iter(cflags)
    for flag in rest:
        for option in ("-I", "-iquote", "-isystem"):
            if flag.startswith(option):
                found.append(flag[len(option) :].strip() or next(rest, ""))
                break
    return [os.path.abspath(directory) for directory in found if directory]


def _forced(cflags: Sequence[str]) -> list[str]:
    """Return what -include names."""
    rest = iter(cflags)
    return [flag[len("-include") :].strip() or next(rest, "") for flag in rest if flag.startswith("-include")]


def _find(name: str, places: list[str]) -> str:
    """Return the path of a header, "" when it is none of the program's own."""
    if os.path.basename(name) in _BUILT_IN:
        return ""
    for place in places:
        path = os.path.normpath(os.path.join(place, name))
        if not path.startswith(_OF_THE_SYSTEM) and os.path.isfile(path):
            return path
    return ""


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")
