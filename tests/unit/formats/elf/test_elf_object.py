"""A BPF object file: its parts by struct, and as the system's own tools read it where there are some."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from struct import unpack_from

import pytest

from probee.compiler.compile import compile
from probee.errors import FormatError
from probee.formats.btf.blob import Blob
from probee.formats.btf.reader import Btf
from probee.formats.elf.object import elf_object, map_name
from probee.formats.elf.write import FUNC, GLOBAL, LOCAL, ElfWriter
from probee.model.spec import MapSpec
from target_fixture import build_target

SCRIPT = """
kprobe:vfs_read { @[pid] = 1; @x = count(); @y = $1; }
tracepoint:sched:sched_switch { for ($kv : @) { print($kv); } }
begin { printf("%d\\n", cpid); }
"""


@pytest.fixture(scope="module")
def spec():
    return compile(SCRIPT, build_target(), {"parameters": ["5"], "has_child": True})


def sections(data: bytes) -> dict[str, tuple[int, bytes, int, int]]:
    """Return (number, contents, link, info) by name, read as elf(5) describes it."""
    at, count, names_at = unpack_from("=Q", data, 40)[0], *unpack_from("=HH", data, 60)
    rows = [unpack_from("=IIQQQQIIQQ", data, at + 64 * number) for number in range(count)]
    names = data[rows[names_at][4] :]
    found = {}
    for number, (name, _, _, _, offset, size, link, info, _, _) in enumerate(rows):
        found[names[name:].partition(b"\0")[0].decode()] = (number, data[offset : offset + size], link, info)
    return found


def symbols(data: bytes) -> list[tuple[str, int, int, int, int]]:
    """Return (name, info, section, value, size) of each symbol."""
    parts = sections(data)
    table, strings = parts[".symtab"][1], parts[".strtab"][1]
    found = []
    for at in range(0, len(table), 24):
        name, info, _, section, value, size = unpack_from("=IBBHQQ", table, at)
        found.append((strings[name:].partition(b"\0")[0].decode(), info, section, value, size))
    return found


def test_a_program_is_a_section_named_for_loaders(spec):
    parts = sections(elf_object(spec))
    assert {"kprobe/vfs_read", "tracepoint/sched/sched_switch", "raw_tp", ".maps", "license", ".BTF", ".BTF.ext"} <= set(parts)
    assert parts["license"][1] == b"GPL\0"
    assert len(parts["kprobe/vfs_read"][1]) == len(spec.programs[0].instructions)


def test_every_map_is_a_variable_whose_type_says_what_to_create(spec):
    data = elf_object(spec)
    number, contents, _, _ = sections(data)[".maps"]
    variables = {name: value for name, _, section, value, _ in symbols(data) if section == number}
    assert variables == {map_name(item): 40 * index for index, item in enumerate(spec.maps)}
    assert contents == bytes(40 * len(spec.maps))
    btf = Btf(sections(data)[".BTF"][1])
    assert set(btf.variables()) == set(variables)
    assert list(btf.names("datasec")) == [".maps"]


@pytest.mark.parametrize("name, shown", [("@", "AT_"), ("@x", "AT_x"), ("ring", "ring")])
def test_a_maps_name_is_an_identifier(name, shown):
    assert map_name(MapSpec(name, 1, 4, 4, 1)) == shown


def test_loads_of_maps_and_late_constants_are_relocated(spec):
    data = elf_object(spec)
    parts, names = sections(data), [name for name, *_ in symbols(data)]
    rows = parts[".relkprobe/vfs_read"][1]
    found = {(at // 8, names[word >> 32]) for at, word in [unpack_from("=QQ", rows, at) for at in range(0, len(rows), 16)]}
    expected = {
        (relocation.slot, map_name(next(item for item in spec.maps if item.name == relocation.name)))
        for relocation in spec.programs[0].relocations
        if relocation.kind == "map"
    }
    assert expected <= found
    assert parts[".relkprobe/vfs_read"][3] == parts["kprobe/vfs_read"][0]
    assert any(name.startswith("late.") for name in names)


def test_local_symbols_come_first_and_their_number_is_told(spec):
    data = elf_object(spec)
    bindings = [info >> 4 for _, info, *_ in symbols(data)]
    assert bindings == sorted(bindings)
    assert sections(data)[".symtab"][3] == bindings.count(LOCAL)


def test_callbacks_are_functions_of_their_programs_section(spec):
    data = elf_object(spec)
    section = sections(data)["tracepoint/sched/sched_switch"][0]
    functions = sorted((value, size) for _, info, at, value, size in symbols(data) if at == section and info & 15 == FUNC)
    assert len(functions) > 1
    assert [value for value, _ in functions[1:]] == [value + size for value, size in functions[:-1]], "without gaps"


def test_the_extension_counts_instructions_in_bytes(spec):
    data = sections(elf_object(spec))[".BTF.ext"][1]
    header, at, size = unpack_from("=I", data, 4)[0], *unpack_from("=II", data, 8)
    assert (unpack_from("=H", data)[0], header) == (0xEB9F, 24)
    record, _, count, first = unpack_from("=IIII", data, header + at)
    assert (record, first) == (8, 0)
    assert count >= 1
    assert size <= len(data)


def test_a_local_symbol_after_a_global_one_is_refused():
    file = ElfWriter()
    file.symbol("a", 0, binding=GLOBAL)
    with pytest.raises(FormatError, match="local symbol b"):
        file.symbol("b", 0, binding=LOCAL)


def test_an_object_without_type_information_has_the_maps_all_the_same(spec):
    fields = {name: getattr(spec, name) for name in type(spec).__slots__}
    bare = type(spec)(**{**fields, "btf": b""})
    assert len(list(Btf(sections(elf_object(bare))[".BTF"][1]).variables())) == len(spec.maps)


def test_the_objects_own_types_stay_as_they_were(spec):
    old, new = Blob(spec.btf), Blob(sections(elf_object(spec))[".BTF"][1])
    assert bytes(new.types)[: len(bytes(old.types))] == bytes(old.types)
    assert bytes(new.strings).startswith(bytes(old.strings))


@pytest.mark.parametrize(
    "tool, words, expected",
    [("readelf", ["-aW"], "Linux BPF"), ("llvm-objdump", ["-dr"], "R_BPF_64_64")],
)
def test_the_tools_of_others_read_it(tool, words, expected, spec, tmp_path: Path):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    path = tmp_path / "x.o"
    path.write_bytes(elf_object(spec))
    done = subprocess.run([tool, *words, str(path)], capture_output=True, text=True, check=True)
    assert expected in done.stdout
    assert "warning" not in done.stderr.lower()
