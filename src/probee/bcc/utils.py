"""bcc.utils: small things that programs import under this name, which is bcc's and so none of ours to choose.

CPU lists, bytes for what may be text, printing bytes, the language of a process, and the rewriting of STRCMP in expressions
that trace and argdist build C of.
"""

from __future__ import annotations

import sys

from probee.kernel.syscalls.cpu import parse_cpu_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO, Any

FILESYSTEMENCODING = sys.getfilesystemencoding()
_LANGUAGES = ("java", "node", "perl", "php", "python", "ruby", "tcl")


def get_online_cpus() -> list[int]:
    """Return the numbers of the CPUs that run now."""
    return _cpus("online")


def get_possible_cpus() -> list[int]:
    """Return the numbers of the CPUs that may run at some time."""
    return _cpus("possible")


def _cpus(name: str) -> list[int]:
    with open(f"/sys/devices/system/cpu/{name}", encoding="utf-8") as file:
        return parse_cpu_list(file.read())


def detect_language(candidates: Iterable[str], pid: int) -> str | None:
    """Return the one of the candidates that process `pid` is written in, None when it is none of them.

    A process runs Java, Node, Perl, PHP, Python, Ruby or Tcl when its program or a library of it is called so; else it is "c"
    as far as anybody can tell from outside.
    """
    from os.path import basename

    from probee.kernel.symbols.maps import executable, read_maps

    files = [executable(pid), *(mapping.path for mapping in read_maps(pid, executable_only=True) or [] if mapping.is_file)]
    names = [basename(file) for file in files]
    found = next((language for language in _LANGUAGES if names[0].startswith(language)), "")
    if not found:
        libraries = [name.removeprefix("lib") for name in names[1:]]
        starts = {"jvm": "java", **{language: language for language in _LANGUAGES}}
        found = next((starts[start] for name in libraries for start in starts if name.startswith(start)), "c")
    return found if found in candidates else None


def printb(s: bytes, file: IO[Any] | None = None, nl: bool = True) -> None:
    """Write bytes, and a line break if `nl`, and flush."""
    stream: IO[Any] = sys.stdout if file is None else file
    raw = getattr(stream, "buffer", stream)
    raw.write(s + b"\n" if nl else s)
    stream.flush()


class ArgString:
    """An argument of the command line, which becomes bytes as the system gave it: `bytes(ArgString(text))`."""

    def __init__(self, arg: str) -> None:
        self.s = arg

    def __bytes__(self) -> bytes:
        return self.s.encode(FILESYSTEMENCODING, "surrogateescape")

    def __str__(self) -> str:
        return self.s


def as_bytes(text: Any) -> bytes:
    """Return text, bytes or an ArgString as bytes; "" for None."""
    if text is None:
        return b""
    if isinstance(text, str):
        return text.encode(FILESYSTEMENCODING, "surrogateescape")
    return bytes(text)


def as_text(text: Any) -> str:
    """Return text, bytes or an ArgString as text; what is not UTF-8 comes back as it was by `as_bytes`."""
    return as_bytes(text).decode("utf-8", "surrogateescape")


def _assert_is_bytes(arg: Any) -> Any:
    """The name under which programs of bcc find `as_bytes`; None stays None."""
    return None if arg is None else as_bytes(arg)


class StrcmpRewrite:
    """STRCMP("text", expression) of trace and argdist, which becomes a call of a C function that compares."""

    @staticmethod
    def rewrite_expr(
        expr: str, bin_cmp: bool, is_user: bool, probe_user_list: Iterable[str], streq_functions: str, probeid: int
    ) -> dict[str, Any]:
        """Return {"expr": the expression with calls, "streq_functions": C with the functions added, "probeid": the next}.

        With `bin_cmp` the text is an initialiser without its quotes.  What is compared is read from user memory for user
        probes and for the arguments of `probe_user_list`.
        """
        import re

        literal = r'"([^"]+)"' if bin_cmp else r'("[^"]+")'
        users = set(probe_user_list)
        for found in re.finditer(rf"STRCMP\({literal},(.+?)\)", expr):
            in_user = is_user or found[2].strip() in users
            reader = "bpf_probe_read_user" if in_user else "bpf_probe_read"
            streq_functions += _COMPARE % {"number": probeid, "text": found[1], "reader": reader}
            expr = expr.replace("STRCMP", f"streq_{probeid}", 1)
            probeid += 1
        return {"expr": expr, "streq_functions": streq_functions, "probeid": probeid}


_COMPARE = """
static inline bool streq_%(number)d(char const *unused, uintptr_t address) {
        char wanted[] = %(text)s;
        char found[sizeof(wanted)];
        %(reader)s(&found, sizeof(found), (void *)address);
        for (int at = 0; at < sizeof(wanted) - 1; ++at)
                if (wanted[at] != found[at])
                        return false;
        return true;
}
"""
