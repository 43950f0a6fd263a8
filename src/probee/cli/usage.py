"""What -h shows: under the name that the command was called by."""

from __future__ import annotations

_FORMS = """\
USAGE:
    NAME [options] FILE [-- arguments]       run a bpftrace script
    NAME [options] - [-- arguments]          run a script from standard input
    NAME [options] -e 'PROGRAM' [arguments]  run a one-liner
    NAME -l [PATTERN | FILE]                 list probes
"""
_NAMES = "run, bcc, list, formats, doctor, lab, demo, target, build"
_SUBCOMMANDS = f"    NAME SUBCOMMAND ...                      {_NAMES} (-h after it tells more)\n"

_OPTIONS = """
OPTIONS:
    -e PROGRAM             the program text
    -l, --list             list probes that match; with -v their arguments as well
    -c, --cmd CMD          start CMD when everything is attached, end when it ends
    -p, --pid PID          trace this process only, end when it ends
    -o, --output FILE      write the trace to FILE
    -f, --format FORMAT    text (the default) or json, one object a line
    -B, --buffering MODE   line (the default), full or none
    -q, --quiet            say nothing about attaching
    -v, --verbose          say more
    -k, --warnings         warn of failed reads and lookups as well
        --no-warnings      no warnings at all
        --unsafe           allow functions that change the system
    -I, --include-dir DIR  search DIR for included files
        --include FILE     include FILE before the program
        --info             what this machine and its kernel can do
    -V, --version          the version
    -h, --help             this text

LESS OFTEN:
        --dry-run          load and attach everything, then leave
        --probe-filter RE  attach (or list) only probes whose name matches
        --test, --bench    run the test: (bench:) probes of a script
        --fmt              print the script in the usual form, with -o FILE into a file
        --mode MODE        test, bench, format, codegen (compile only) or compiler-bench
        --aot FILE         write the compiled script as an executable FILE
        --emit-elf FILE    write programs, maps and BTF as an ELF object
        --no-feature A,B   do without kprobe_multi, kprobe_session or uprobe_multi
        --traceable-functions FILE
                           the kernel functions that can be probed, one a line, instead of the kernel's list
        --debuginfo DIR[:DIR]
                           where separate debug information of programs is found
        --usdt-file-activation, --verify-llvm-ir
                           accepted; they concern probes, or a compiler, that are not here
    -d, --debug STAGE,...  show stages, then run: ast types codegen codegen-opt dis libbpf verifier all
"""
_OWN = """\
        --emit ir|asm|btf  show what the program is compiled to, and leave
        --btf FILE         compile for the kernel that this BTF describes
        --target FILE      compile for the kernel that `NAME target dump` wrote to FILE
        --no-cache         compile even what was compiled before
"""
_EXAMPLES = """
EXAMPLES:
    NAME -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'
    NAME -e 'kprobe:vfs_read { @[comm] = count(); }'
    NAME -l '*sleep*'

A script's own options follow `--`: NAME FILE -- --name=value.  The BPFTRACE_* variables are honoured.
"""


def usage(name: str) -> str:
    """Return the whole text."""
    own = _OWN if name == "probee" else ""
    return _named(f"{_all_forms(name)}{_OPTIONS}{own}{_EXAMPLES}", name)


def forms(name: str) -> str:
    """Return the forms of the command only, for what is said about a mistake."""
    return _named(_all_forms(name), name)


def _all_forms(name: str) -> str:
    return _FORMS + (_SUBCOMMANDS if name == "probee" else "")


def _named(text: str, name: str) -> str:
    return text.replace("NAME", name)
