"""Bundles: everything comes back, and damage of any kind is a FormatError."""

from __future__ import annotations

from contextlib import suppress
from struct import pack
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.errors import FormatError
from probee.formats import bundle
from probee.formats.bundle import read_bundle, write_bundle
from probee.model.spec import (
    Action,
    FieldRelocation,
    LateConstant,
    LinkSpec,
    MapSpec,
    ObjectSpec,
    ProgramSpec,
    Relocation,
)
from probee.model.value import Field, ValueType, integer, string

PAIR = ValueType("tuple", 16, fields=(Field("", 0, integer(8, signed=True)), Field("", 8, string(8))))


def an_object() -> ObjectSpec:
    program = ProgramSpec(
        "begin_1", 17, bytes(range(64)), probe="begin", attach_type=3, attach_target="vfs_read", sleepable=True,
        relocations=(Relocation(0, "map", "@x"), Relocation(2, "constant", "c", -8)),
        field_relocations=(FieldRelocation(3, "struct task_struct", "pid", 1256, "insn_offset"),),
        lines=((0, 5 << 24 | 3), (7, 2**50)), func_info=bytes(8), line_info=bytes(16),
    )  # fmt: skip
    return ObjectSpec(
        programs=(program,),
        maps=(
            MapSpec("@x", 5, 24, 8, 4096, key=PAIR, aggregation="hist", aggregation_parameters=(1, 3)),
            MapSpec("ring", 27, 0, 0, 0, role="ring", flags=1),
            MapSpec("@t", 5, 8, 24, 10, scalar=True, aggregation="tseries", aggregation_parameters=(1, 100, 5, "avg")),
        ),
        links=(
            LinkSpec("begin", "begin_1", "begin", {}, span=5),
            LinkSpec("kprobe", "begin_1", "kprobe:vfs_*", {"functions": ["vfs_read", "vfs_write"], "offset": 0, "module": ""}),
        ),
        actions=(
            Action("printf", "é %d\n", fields=((8, integer(4, signed=True)), (16, PAIR)), size=32, span=7),
            Action("print_map", "@x", parameters=(5, 10)),
        ),
        constants=(LateConstant("c", "kaddr", "jiffies", span=9),),
        btf=b"\x9f\xeb" + bytes(30),
        source_name="stdin",
        source_text="begin { }\udcff",
        options={"print_maps_on_exit": False, "max_map_keys": 10, "stack_mode": "perf"},
        warnings=("stdin: WARNING: odd",),
        kernel="6.12",
    )


def image(thing):
    """Everything in an object, as plain data."""
    if isinstance(thing, (tuple, list)):
        return [image(part) for part in thing]
    if isinstance(thing, dict):
        return {key: image(value) for key, value in thing.items()}
    if isinstance(thing, ValueType):
        return thing.to_json()
    slots = getattr(type(thing), "__slots__", None)
    return {name: image(getattr(thing, name)) for name in slots} if slots else (type(thing).__name__, thing)


def sealed(metadata: bytes, sections: bytes = b"") -> bytes:
    """A bundle with a right checksum around any content."""
    body = metadata + sections
    return pack("<8sIII", bundle.MAGIC, bundle.VERSION, len(metadata), crc32(body)) + body


def test_an_object_comes_back_as_it_was():
    assert image(read_bundle(write_bundle(an_object()))) == image(an_object())


def test_writing_is_deterministic():
    data = write_bundle(an_object())
    assert write_bundle(read_bundle(data)) == data


def test_without_the_c_scanner_it_reads_the_same(monkeypatch):
    monkeypatch.setattr(bundle, "_scanner", lambda: None)
    assert image(read_bundle(write_bundle(an_object()))) == image(an_object())


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "not a probee bundle"),
        (b"\x7fELF" + bytes(40), "not a probee bundle"),
        (bundle.MAGIC + pack("<III", 99, 0, 0), "version 99"),
        (bundle.MAGIC + pack("<III", bundle.VERSION, 100, 0), "cut off"),
    ],
)
def test_what_is_no_bundle_is_refused_with_a_reason(data, message):
    with pytest.raises(FormatError, match=message):
        read_bundle(data)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    data = bytearray(write_bundle(an_object()))
    data[place % len(data)] ^= change
    with pytest.raises(FormatError):
        read_bundle(bytes(data))


@given(st.integers(0, 10_000))
def test_a_bundle_that_is_cut_off_is_noticed(length):
    data = write_bundle(an_object())
    with pytest.raises(FormatError):
        read_bundle(data[: length % len(data)])


def metadata_of(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[12:16], "little")
    return data[20 : 20 + length], data[20 + length :]


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3), st.integers(0, 6))
def test_any_metadata_under_a_right_checksum_is_read_or_refused(place, insert, cut):
    metadata, sections = metadata_of(write_bundle(an_object()))
    at = place % len(metadata)
    with suppress(FormatError):
        read_bundle(sealed(metadata[:at] + insert + metadata[at + cut :], sections))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_value_in_any_place_is_read_or_refused(data):
    import json

    metadata, sections = metadata_of(write_bundle(an_object()))
    meta = json.loads(metadata)
    name = data.draw(st.sampled_from(sorted(meta)))
    place = meta[name]
    holder, key = meta, name
    while isinstance(place, (list, dict)) and place and data.draw(st.booleans()):
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        holder, key = place, data.draw(st.sampled_from(list(keys)))
        place = holder[key]
    holder[key] = data.draw(JSON)
    try:
        found = read_bundle(sealed(json.dumps(meta).encode(), sections))
    except FormatError:
        return
    assert all(isinstance(program.instructions, bytes) for program in found.programs)


@pytest.mark.parametrize("text", [b"", b"[", b"{}", b"[]", b"NaN", b"[" * 100_000, b'{"a": 1} x', b"\xff"])
def test_metadata_that_is_no_object_is_refused(text):
    with pytest.raises(FormatError):
        read_bundle(sealed(text))


def test_a_section_outside_of_the_file_is_refused():
    metadata, sections = metadata_of(write_bundle(an_object()))
    with pytest.raises(FormatError, match="out of bounds"):
        read_bundle(sealed(metadata, sections[:-1]))


def test_a_link_to_a_program_that_is_not_there_is_refused():
    spec = an_object()
    spec.links = (LinkSpec("begin", "other", "begin", {}),)
    with pytest.raises(FormatError, match="program that is not there"):
        read_bundle(write_bundle(spec))
