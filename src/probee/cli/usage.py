"""What -h shows."""

from __future__ import annotations

USAGE = """\
USAGE:
    probee [options] FILE [-- arguments]       run a bpftrace script
    probee [options] - [-- arguments]          run a script from standard input
    probee [options] -e 'PROGRAM' [arguments]  run a one-liner
    probee -l [PATTERN | FILE]                 list probes
    probee SUBCOMMAND ...                      run, list, lab, demo, target, build

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
        --dry-run          load and attach everything, then leave
        --btf FILE         compile for the kernel that this BTF describes
        --target FILE      compile for the kernel that `probee target dump` wrote to FILE
        --emit ir|asm|btf  show what the program is compiled to, and leave
    -d, --debug STAGE      show a stage of the compiler: ast, types, all …
        --info             what this machine and its kernel can do
    -V, --version          the version
    -h, --help             this text

EXAMPLES:
    probee -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'
    probee -e 'kprobe:vfs_read { @[comm] = count(); }'
    probee -l '*sleep*'
"""
