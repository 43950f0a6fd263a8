"""`probee formats PROBE...`: what probes carry, as tables: field, C type, offset, size, signed, and how a script reads it."""

from __future__ import annotations

import sys

from probee.cli.options import Options, check, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

USAGE = """\
USAGE: probee formats [-f text|json] [--target FILE | --btf FILE] PROBE...

    probee formats tracepoint:syscalls:sys_enter_read     the record's fields, as the kernel's format file has them
    probee formats kprobe:arp_create                      a function's arguments: registers and stack slots
    probee formats 'usdt:/usr/bin/python3:*'              what a program's own probes pass; uprobe:./x:f where it has DWARF
    probee formats 'tracepoint:sched:*'                   one table per probe; * stands for any text
    probee formats -f json rawtracepoint:sched_switch     one JSON object per probe
"""


def main(argv: list[str]) -> int:
    options = parse(argv)
    if options.help:
        sys.stdout.write(USAGE)
        return 0
    if not options.arguments:
        sys.stderr.write(USAGE)
        return 1
    check(options)
    return show(options)


def show(options: Options) -> int:
    """Write a table, or with -f json an object, for each probe."""
    from probee.cli.script import target_for

    write = _write_json if options.format == "json" else _write_text
    for number, (probe, form, fields) in enumerate(_found(options.arguments, target_for(options))):
        if number and write is _write_text:
            sys.stdout.write("\n")
        write(probe, form, fields)
    return 0


def _found(patterns: list[str], target: Any) -> Iterator[tuple[str, int, list[Any]]]:
    """Yield (name, id of a tracepoint or 0, fields) for each probe that the patterns mean."""
    from probee.errors import UnknownName
    from probee.probes.match import expand
    from probee.probes.parse import parse as parse_probe
    from probee.probes.record import record

    for pattern in patterns:
        for point in parse_probe(_parts(pattern)):
            for probe in expand(point, target):
                try:
                    fields = record(probe, target)
                except UnknownName:
                    if not point.is_pattern:  # a pattern goes on with what has a format
                        raise
                    continue
                form = target.tracepoint(probe.category, probe.event) if probe.provider.name == "tracepoint" else None
                yield probe.name, form.id if form is not None else 0, fields


def _parts(pattern: str) -> list[str]:
    """Split at the colons, but for those in the names of C++: what follows a program's path is one part."""
    from probee.probes.provider import find_provider

    parts = pattern.split(":")
    name = parts[0].rpartition("=")[2]
    if len(parts) < 4 or find_provider(name).name not in ("uprobe", "uretprobe"):
        return parts
    first, path, function = pattern.split(":", 2)
    language, colon, rest = function.partition(":")
    if colon and language == "cpp" and not rest.startswith(":"):
        return [first, path, language, rest.strip('"')]
    return [first, path, function.strip('"')]


def _write_text(probe: str, form: int, fields: list[Any]) -> None:
    from probee.probes.record import table

    sys.stdout.write(f"{probe}{f'  (id {form})' if form else ''}\n")
    if not fields:
        sys.stdout.write("  no arguments\n")
    for line in table(fields) if fields else ():
        sys.stdout.write(f"  {line}\n")


def _write_json(probe: str, form: int, fields: list[Any]) -> None:
    import json

    rows = [
        {"name": f.name, "type": f.type, "offset": f.offset, "size": f.size, "signed": f.signed, "where": f.where}
        for f in fields
    ]
    sys.stdout.write(json.dumps({"probe": probe, **({"id": form} if form else {}), "fields": rows}) + "\n")
