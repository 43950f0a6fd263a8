"""What comes before a script's probes: imports, headers, macros, and definitions of C."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast, cstruct
from probee.compiler.lang.bpftrace.library import library_for, place_expansions
from probee.compiler.lang.bpftrace.option import Options
from probee.compiler.lang.bpftrace.scope import Script
from probee.errors import CompileError, Source, UsageError, span_range

# Headers of the kernel and the C library, whose types and constants come from BTF and from tables of ours
_KNOWN_HEADERS = ("linux/", "asm/", "asm-generic/", "net/", "uapi/", "sys/", "bits/", "netinet/", "arpa/", "kernel/")
_KNOWN_FILES = frozenset((
    "errno.h", "fcntl.h", "limits.h", "signal.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
    "syscall.h", "time.h", "unistd.h", "inttypes.h",
))  # fmt: skip


def expand(script: Script, options: Options, headers: list[str]) -> None:
    """Read what a script imports, expand its macros and take in its preamble."""
    from probee.compiler.lang.bpftrace.builtin import BUILTINS
    from probee.compiler.lang.bpftrace.cmacro import expand_constants
    from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
    from probee.compiler.lang.bpftrace.function import FUNCTIONS
    from probee.compiler.lang.bpftrace.macro import expand as expand_macros

    program, source, target = script.program, script.source, script.target
    imported: list[tuple[ast.Program, Source]] = []
    if program.imports or headers or any(piece.text.startswith("#") for piece in program.preamble):
        from probee.compiler.lang.bpftrace.imported import import_all

        imported = [(found, source) for found in import_all(script, options.include_dirs, headers)]
    library = [*imported, *library_for(source)]
    expand_macros(program, source, library, functions=frozenset((*BUILTINS, *FUNCTIONS)))
    place_expansions(program)
    if program.preamble:
        definitions = read_preamble(program.preamble, {"BPFTRACE_HAVE_BTF": "1"} if target.has_btf else {})
        for include in definitions.includes:
            if not _is_known(include.path):
                line, _ = source.position(span_range(include.span)[0])
                message = f"cannot include {include.path}\n{_not_found(include.path, line + 1)}"
                raise CompileError(message, include.span, hint="Headers are not read: define what is needed in the script.")
        macros = {name: macro for name, macro in definitions.macros.items() if macro.text.strip() != name}
        expand_constants(program, macros)
        cstruct.define(script, definitions)


def headers_of(options: Options) -> list[str]:
    """Return the paths of the headers that --include names, but for those whose contents are known anyway."""
    from probee.compiler.lang.bpftrace.imported import find_header

    found = []
    for header in options.includes:
        path = "" if _is_known(header) else find_header(header, options.include_dirs)
        if path:
            found.append(path)
        elif not _is_known(header):
            raise UsageError(f"cannot include {header}\n{_not_found(header, 2)}")
    return found


def _is_known(header: str) -> bool:
    return header.startswith(_KNOWN_HEADERS) or header in _KNOWN_FILES


def _not_found(header: str, line: int) -> str:
    """Return upstream's text, whose first line of definitions is one of its own."""
    return f"definitions.h:{line}:10: fatal error: '{header}' file not found"
