"""What a probe carries, as a table: its fields or arguments, their C types, where each lies, its size and signedness.

A tracepoint's record is what its format file says, the common fields included; offsets are bytes from its start.  Functions
have their arguments in registers and stack slots; typed probes (fentry, fexit, rawtracepoint) as 8-byte words of their context.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from probee.errors import ProbeeError, UnknownName, Unsupported
from probee.model.ctype import ArrayType, CType, EnumType, FunctionType, IntType, size_of, strip
from probee.model.target import Target, TracepointFormat
from probee.probes.argument import function_arguments
from probee.probes.passing import REGISTER, passed_arguments
from probee.probes.probe import Probe
from probee.probes.register import ARCHITECTURES, registers


class Field:
    """One field: `type` in C, `offset` in bytes from the start of the record (None in a register), `size` in bytes.

    `where` is how a script gets at it, and which register it is in; `signed` is None for what is no number.
    """

    __slots__ = ("name", "offset", "signed", "size", "type", "where")

    def __init__(
        self, name: str, type: str, *, offset: int | None, size: int, signed: bool | None, where: str = ""
    ) -> None:
        self.name = name
        self.type = type
        self.offset = offset
        self.size = size
        self.signed = signed
        self.where = where


def record(probe: Probe, target: Target, span: int = 0) -> list[Field]:
    """Return what a probe without wildcards carries; UnknownName where the kernel does not have or describe it."""
    provider = probe.provider.name
    if provider == "tracepoint":
        form = target.tracepoint(probe.category, probe.event)
        if form is None:
            raise UnknownName(f"No matches for tracepoint {probe.target_name}.", span)
        return list(_tracepoint(form))
    if provider == "rawtracepoint":
        prototype = target.raw_tracepoint(probe.event)
        if prototype is None:
            raise UnknownName(f"No BTF describes the raw tracepoint {probe.event}.", span)
        return list(_context_words(FunctionType(prototype.result, prototype.parameters[1:])))
    if provider in ("kprobe", "kretprobe", "fentry", "fexit"):
        function = target.function(probe.function, probe.module) if target.has_btf else None
        if function is None:
            raise UnknownName(f"No BTF describes the function {probe.function}.", span)
        return list(_FUNCTIONS[provider](function.type, target.arch))
    if provider == "usdt":
        return list(_usdt(probe))
    if provider in ("uprobe", "uretprobe"):
        signature = _signature(probe, span)
        return list(_user_function(signature, target.arch) if provider == "uprobe" else _kretprobe(signature, target.arch))
    raise Unsupported(f"{provider} probes have no record with a format", span)


def _signature(probe: Probe, span: int) -> FunctionType:
    """Return the signature of a program's function; UnknownName that says why it is not known."""
    found: list[FunctionType] = []
    why = "compile the file that has it with -g"
    try:
        found = probe.binary.signatures(probe.function) if probe.binary is not None and probe.function else []
    except (ProbeeError, OSError) as error:
        why = str(error)
    if not found:
        missing = UnknownName(f"No debug information describes {probe.name}.", span)
        missing.hint = why
        raise missing
    return found[0]


def _tracepoint(form: TracepointFormat) -> Iterator[Field]:
    for field in form.fields:
        kind = ("__rel_loc " if field.relative else "__data_loc ") if field.data_loc else ""
        where = "" if field.name.startswith("common_") else f"args.{field.name}"
        type = field.declaration.removeprefix(kind.strip()).strip()
        type = _without_name(type, field.name)
        yield Field(
            field.name, f"{kind}{type}", offset=field.offset, size=field.size, signed=field.signed, where=where
        )


def _without_name(declaration: str, name: str) -> str:
    """`char comm[16]` → `char[16]`."""
    before, found, after = declaration.rpartition(name)
    return f"{before.rstrip()}{after}" if found else declaration


def _kprobe(function: FunctionType, arch: str) -> Iterator[Field]:
    names = registers(arch).argument_names if arch in ARCHITECTURES else ()
    for argument in function_arguments(function, arch) if names else ():
        where = argument.where
        if argument.register >= 0:
            used = names[argument.register : argument.register + argument.slots]
            where = f"{where} ({', '.join(used)})"
        yield _field(argument.name, argument.type, None, where)


def _user_function(function: FunctionType, arch: str) -> Iterator[Field]:
    names = registers(arch).argument_names if arch in ARCHITECTURES else ()
    for passed in passed_arguments(function, arch) if names else ():
        used = [names[number] for kind, number in passed.pieces if kind == REGISTER]
        where = f"{passed.where} ({', '.join(used)})" if used else passed.where
        yield _field(passed.name, passed.type, None, f"args.{passed.name}: {where}" if passed.name else where)


def _kretprobe(function: FunctionType, arch: str) -> Iterator[Field]:
    if size_of(function.result):
        yield _field("retval", function.result, None, "retval")


def _context_words(function: FunctionType, arch: str = "") -> Iterator[Field]:
    offset = 0
    for parameter in function.parameters:
        yield _field(parameter.name, parameter.type, offset, f"args.{parameter.name}")
        offset += max(8, (size_of(parameter.type) + 7) // 8 * 8)


def _fexit(function: FunctionType, arch: str) -> Iterator[Field]:
    fields = list(_context_words(function))
    yield from fields
    if size_of(function.result):
        end = fields[-1].offset + max(8, (fields[-1].size + 7) // 8 * 8) if fields and fields[-1].offset is not None else 0
        yield _field("retval", function.result, end, "retval")


def _usdt(probe: Probe) -> Iterator[Field]:
    from probee.probes.userlist import places_of, usdt_rows

    for types, name, where, argument in usdt_rows(places_of(probe)):
        signed = None if argument.is_float else argument.signed
        yield Field(name, types, offset=None, size=argument.size, signed=signed, where=f"{name} ({where})")


def _field(name: str, type: CType, offset: int | None, where: str) -> Field:
    return Field(name, type.spelling(), offset=offset, size=size_of(type), signed=_signed(type), where=where)


def _signed(type: CType) -> bool | None:
    plain = strip(type)
    if isinstance(plain, ArrayType):
        plain = strip(plain.element)
    return plain.signed if isinstance(plain, IntType | EnumType) else None


_FUNCTIONS = {
    "kprobe": _kprobe, "kretprobe": _kretprobe, "fentry": _context_words, "fexit": _fexit,
}  # fmt: skip


def table(fields: Iterable[Field]) -> Iterator[str]:
    """Yield the lines of a table of fields, headed by column titles."""
    rows = [("FIELD", "TYPE", "OFFSET", "SIZE", "SIGNED", "IN A SCRIPT")]
    for field in fields:
        sign = "" if field.signed is None else "yes" if field.signed else "no"
        offset = "" if field.offset is None else str(field.offset)
        rows.append((field.name, field.type, offset, str(field.size), sign, field.where))
    name, type, offset_width, size = (max(len(row[column]) for row in rows) for column in range(4))
    for row in rows:
        line = f"{row[0]:{name}}  {row[1]:{type}}  {row[2]:>{offset_width}}  {row[3]:>{size}}  {row[4]:6}  {row[5]}"
        yield line.rstrip()
