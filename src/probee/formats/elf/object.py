"""An ObjectSpec as a BPF object file: what `--emit-elf` writes, for readelf, llvm-objdump and bpftool.

As compilers for libbpf lay it out: a section per program, `.maps` with a variable per map whose BTF says what to create,
`license`, `.BTF` and `.BTF.ext`.  A load of a map has a relocation against its variable, a late constant one against an
undefined symbol `late.NAME`: only probee's own loader knows its value, so that an object with late constants can be read
by every tool and loaded by probee alone.  Actions and record schemas have no place in it: that is formats/bundle.py.
"""

from __future__ import annotations

from struct import pack, unpack_from

from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder, identifier
from probee.formats.btf.extend import extended
from probee.formats.elf import write as elf
from probee.model.spec import MapSpec, ObjectSpec, ProgramSpec

_MEMBERS = ("type", "key_size", "value_size", "max_entries", "map_flags")
_MAP_SIZE = 8 * len(_MEMBERS)
_PSEUDO_CALL, _PSEUDO_FUNC, _PSEUDO_BTF_ID = 1, 4, 3
_LD_IMM64 = 0x18
_KINDS = {"begin": "raw_tp", "end": "raw_tp", "self": "raw_tp", "rawtracepoint": "raw_tp", "test": "xdp", "bench": "xdp"}
_PERF = ("interval", "profile", "software", "hardware")


def elf_object(spec: ObjectSpec) -> bytes:
    """Return the bytes of the object file."""
    file = elf.ElfWriter()
    numbers = [file.section(_section_name(spec, program), _code(program), elf.ALLOC | elf.EXEC) for program in spec.programs]
    maps = file.section(".maps", bytes(_MAP_SIZE * len(spec.maps)), elf.ALLOC | elf.WRITE)
    license = file.section("license", spec.license.encode() + b"\0", elf.ALLOC | elf.WRITE)
    btf, strings = _btf(spec)
    file.section(".BTF", btf)
    file.section(".BTF.ext", _btf_ext(spec, strings))
    for program, number in zip(spec.programs, numbers, strict=True):
        for name, start, end in _functions(program)[1:]:
            file.symbol(name, number, start, end - start, type=elf.FUNC, binding=elf.LOCAL)
    for program, number in zip(spec.programs, numbers, strict=True):
        end = _functions(program)[0][2]
        file.symbol(identifier(program.name), number, 0, end, type=elf.FUNC)
    symbols = {
        item.name: file.symbol(map_name(item), maps, index * _MAP_SIZE, _MAP_SIZE, type=elf.OBJECT)
        for index, item in enumerate(spec.maps)
    }
    file.symbol("_license", license, 0, len(spec.license) + 1, type=elf.OBJECT)
    for program, number in zip(spec.programs, numbers, strict=True):
        _relocate(file, program, number, symbols)
    return file.bytes()


def map_name(spec: MapSpec) -> str:
    """Return a map's name where only identifiers are allowed: AT_ for the script's `@`, as bpftrace has it."""
    return f"AT_{identifier(spec.name[1:]) if spec.name != '@' else ''}" if spec.name.startswith("@") else identifier(spec.name)


def _section_name(spec: ObjectSpec, program: ProgramSpec) -> str:
    """Return what tells loaders the type of the program and where it belongs, as far as it has a notation."""
    link = next((link for link in spec.links if link.program == program.name), None)
    if link is None:
        return program.name
    parameters, group = link.parameters, _KINDS.get(link.kind, "perf_event" if link.kind in _PERF else link.kind)
    if link.kind in ("kprobe", "kretprobe"):
        multi = ".multi" if "pattern" in parameters else ""
        return f"{group}{multi}/{parameters.get('pattern') or parameters.get('function') or ''}".rstrip("/")
    if link.kind == "tracepoint":
        return f"{group}/{parameters['category']}/{parameters['name']}"
    return f"{group}/{parameters['name']}" if link.kind == "rawtracepoint" else group


def _code(program: ProgramSpec) -> bytes:
    """Return the instructions with calls of the program's own functions filled in; they lie in the same section."""
    code = bytearray(program.instructions)
    for relocation in program.relocations:
        if relocation.kind == "function":
            at = relocation.slot * 8
            wide = code[at] == _LD_IMM64
            code[at + 1] = code[at + 1] & 15 | (_PSEUDO_FUNC if wide else _PSEUDO_CALL) << 4
            code[at + 4 : at + 8] = pack("=i", relocation.addend - relocation.slot - 1)
        elif relocation.kind == "map_value":
            code[relocation.slot * 8 + 4 : relocation.slot * 8 + 8] = pack("=i", relocation.addend)
    return bytes(code)


def _relocate(file: elf.ElfWriter, program: ProgramSpec, section: int, symbols: dict[str, int]) -> None:
    for relocation in program.relocations:
        if relocation.kind == "function":
            continue
        symbol = symbols.get(relocation.name) if relocation.kind in ("map", "map_value") else None
        if symbol is None:
            name = relocation.name if relocation.kind.startswith("btf") else f"late.{relocation.name}"
            symbol = symbols.setdefault(f"{relocation.kind} {name}", -1)
            if symbol < 0:
                symbol = symbols[f"{relocation.kind} {name}"] = file.symbol(name, elf.UNDEFINED)
        file.relocate(section, relocation.slot * 8, symbol)


def _functions(program: ProgramSpec) -> list[tuple[str, int, int]]:
    """Return (name, start, end) in bytes of the entry and the functions behind it."""
    starts = [unpack_from("=I", program.func_info, at)[0] * 8 for at in range(0, len(program.func_info), 8)] or [0]
    ends = [*starts[1:], len(program.instructions)]
    return [
        (identifier(program.name if start == 0 else f"{program.name}_{number}"), start, end)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _btf(spec: ObjectSpec) -> tuple[bytes, dict[str, int]]:
    """Return the object's BTF with the maps' variables, and the offsets in it of the sections' names."""
    strings: dict[str, int] = {}

    def add(builder: BtfBuilder) -> None:
        integer = builder.integer("int", 4, signed=True)
        variables: list[int] = []
        for index, item in enumerate(spec.maps):
            values = (item.type, item.key_size, item.value_size, item.max_entries, item.flags)
            members = [
                (name, builder.pointer(builder.array(integer, value)), at * 64, 0)
                for at, (name, value) in enumerate(zip(_MEMBERS, values, strict=True))
            ]
            struct = builder.struct("", _MAP_SIZE, members)
            tail = (kind.LINKAGE_GLOBAL,)
            variables += (builder.record(kind.VAR, map_name(item), struct, tail=tail), index * _MAP_SIZE, _MAP_SIZE)
        if variables:
            builder.record(kind.DATASEC, ".maps", _MAP_SIZE * len(spec.maps), vlen=len(spec.maps), tail=variables)
        for program in spec.programs:
            name = _section_name(spec, program)
            strings[name] = builder.string(name)

    return extended(spec.btf, add), strings


def _btf_ext(spec: ObjectSpec, strings: dict[str, int]) -> bytes:
    """Return func_info and line_info by section, their instructions in bytes as in object files."""
    parts = []
    for size, attribute in ((8, "func_info"), (16, "line_info")):
        rows = [pack("=I", size)]
        for program in spec.programs:
            records: bytes = getattr(program, attribute)
            if records:
                rows.append(pack("=II", strings[_section_name(spec, program)], len(records) // size))
                rows += [_in_bytes(records[at : at + size]) for at in range(0, len(records), size)]
        parts.append(b"".join(rows))
    first, second = parts
    head = pack("=HBBIIIII", kind.MAGIC, kind.VERSION, 0, 24, 0, len(first), len(first), len(second))
    return head + first + second


def _in_bytes(record: bytes) -> bytes:
    return pack("=I", unpack_from("=I", record)[0] * 8) + record[4:]
