"""Bundle: an ObjectSpec as bytes, for the cache and for files that are run elsewhere.  Read by root: every bound is checked.

    header    magic "PROBEE\\r\\n", u32 version, u32 length of the metadata, u32 CRC-32 of all that follows the header
    metadata  JSON, UTF-8: everything that is no raw bytes; raw bytes are [offset, length] into the sections
    sections  instructions, func_info, line_info, BTF, source text, back to back

Little-endian.  Reading imports no regular expressions and no `json` where the C scanner of CPython can be had alone.
"""

from __future__ import annotations

from binascii import crc32
from struct import Struct

from probee.errors import FormatError
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
from probee.model.value import ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAGIC = b"PROBEE\r\n"  # a transfer that changes line ends breaks it
VERSION = 4
_HEADER = Struct("<8sIII")
_LARGEST = 1 << 28
_DEEPEST = 64  # of nested values in the metadata


# -- writing


class _Sections:
    """Collects raw bytes; equal ones are kept once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._known: dict[bytes, list[int]] = {}

    def add(self, data: bytes) -> list[int]:
        place = self._known.get(data)
        if place is None:
            place = self._known[data] = [self.size, len(data)]
            self.parts.append(data)
            self.size += len(data)
        return place


def write_bundle(spec: ObjectSpec) -> bytes:
    """Return the bytes of a bundle; `read_bundle` gives an equal ObjectSpec back."""
    from json import dumps

    sections = _Sections()
    meta = {
        "license": spec.license,
        "kernel": spec.kernel,
        "source": [spec.source_name, sections.add(spec.source_text.encode("utf-8", "surrogateescape")), spec.source_parts],
        "btf": sections.add(spec.btf),
        "options": spec.options,
        "warnings": spec.warnings,
        "programs": [_program_out(program, sections) for program in spec.programs],
        "maps": [_map_out(item) for item in spec.maps],
        "links": [[link.kind, link.program, link.probe, link.parameters, link.span] for link in spec.links],
        "actions": [_action_out(action) for action in spec.actions],
        "types": spec.types,
        "constants": [[item.name, item.kind, item.argument, item.span] for item in spec.constants],
    }
    text = dumps(meta, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    body = b"".join([text, *sections.parts])
    return _HEADER.pack(MAGIC, VERSION, len(text), crc32(body)) + body


def _program_out(program: ProgramSpec, sections: _Sections) -> list[Any]:
    return [
        program.name, program.type, sections.add(program.instructions), program.probe, program.attach_type,
        program.attach_target, int(program.sleepable),
        [[r.slot, r.kind, r.name, r.addend] for r in program.relocations],
        [[r.slot, r.root, r.path, r.offset, r.field] for r in program.field_relocations],
        sections.add(b"".join([_LINE.pack(*line) for line in program.lines])),
        sections.add(program.func_info), sections.add(program.line_info),
    ]  # fmt: skip


_LINE = Struct("<IQ")  # slot, span


def _map_out(spec: MapSpec) -> list[Any]:
    return [
        spec.name, spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags, spec.role,
        spec.key.to_json() if spec.key else None, spec.value.to_json() if spec.value else None, int(spec.scalar),
        spec.aggregation, spec.aggregation_parameters, spec.inner, spec.pin,
    ]  # fmt: skip


def _action_out(action: Action) -> list[Any]:
    fields = [[offset, type.to_json()] for offset, type in action.fields]
    return [action.kind, action.text, fields, action.size, action.parameters, action.span, *action.parents]


# -- reading


def read_bundle(data: bytes) -> ObjectSpec:
    """Return the ObjectSpec in a bundle; FormatError for anything that is not a whole bundle of this version."""
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        raise FormatError("not a probee bundle")
    _, version, length, checksum = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(f"a bundle of version {version}; this probee reads version {VERSION}: build it again")
    start = _HEADER.size + length
    if start > len(data) or len(data) > _LARGEST:
        raise FormatError("the bundle is cut off: copy or build it again")
    if crc32(memoryview(data)[_HEADER.size :]) != checksum:
        raise FormatError("the bundle is damaged: copy or build it again")
    try:
        return _Reader(data[start:]).object(_parse(data[_HEADER.size : start].decode("ascii")))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise FormatError(f"the bundle's metadata is damaged: {error!r}") from None


class _Reader:
    """Builds specs from metadata; a wrong shape raises one of the errors that read_bundle catches."""

    def __init__(self, sections: bytes) -> None:
        self._sections = sections

    def raw(self, place: Any) -> bytes:
        offset, length = place
        if not (_is_size(offset) and _is_size(length) and offset + length <= len(self._sections)):
            raise ValueError(f"section out of bounds: {place}")
        return self._sections[offset : offset + length]

    def object(self, meta: Any) -> ObjectSpec:
        name, source, parts = meta["source"]
        spec = ObjectSpec(
            programs=tuple([self.program(item) for item in meta["programs"]]),
            maps=tuple([_map_in(item) for item in meta["maps"]]),
            links=tuple([_link_in(item) for item in meta["links"]]),
            actions=tuple([_action_in(item) for item in meta["actions"]]),
            constants=tuple([_constant_in(item) for item in meta["constants"]]),
            btf=self.raw(meta["btf"]),
            source_name=_text(name),
            source_text=self.raw(source).decode("utf-8", "surrogateescape"),
            source_parts=tuple([(_size(start), _text(part)) for start, part in parts]),
            options={_text(key): _plain(value) for key, value in meta["options"].items()},
            warnings=tuple([_text(warning) for warning in meta["warnings"]]),
            license=_text(meta["license"]),
            kernel=_text(meta["kernel"]),
            types={_text(name): _size(number) for name, number in meta["types"].items()},
        )
        _check_names(spec)
        return spec

    def program(self, item: Any) -> ProgramSpec:
        (name, type, code, probe, attach_type, attach_target, sleepable, relocations, field_relocations, lines, func_info,
         line_info) = item  # fmt: skip
        instructions = self.raw(code)
        if len(instructions) % 8:
            raise ValueError("instructions are 8 bytes each")
        return ProgramSpec(
            _text(name), _size(type), instructions, probe=_text(probe), attach_type=_size(attach_type),
            attach_target=_text(attach_target), sleepable=bool(sleepable),
            relocations=tuple([Relocation(_size(s), _text(k), _text(n), _number(a)) for s, k, n, a in relocations]),
            field_relocations=tuple(
                [FieldRelocation(_size(s), _text(r), _text(p), _size(o), _text(f)) for s, r, p, o, f in field_relocations]
            ),
            lines=tuple(_LINE.iter_unpack(self.raw(lines))), func_info=self.raw(func_info), line_info=self.raw(line_info),
        )  # fmt: skip


def _map_in(item: Any) -> MapSpec:
    (name, type, key_size, value_size, max_entries, flags, role, key, value, scalar, aggregation, parameters, inner, pin) = item
    return MapSpec(
        _text(name), _size(type), _size(key_size), _size(value_size), _size(max_entries), flags=_size(flags), role=_text(role),
        key=_type(key), value=_type(value), scalar=bool(scalar), aggregation=_text(aggregation),
        aggregation_parameters=tuple([_number_or_text(parameter) for parameter in parameters]), inner=_text(inner),
        pin=_text(pin),
    )  # fmt: skip


def _link_in(item: Any) -> LinkSpec:
    kind, program, probe, parameters, span = item
    checked = {_text(name): _parameter(value) for name, value in parameters.items()}
    return LinkSpec(_text(kind), _text(program), _text(probe), checked, span=_size(span))


def _parameter(value: Any) -> Any:
    return [_number_or_text(part) for part in value] if isinstance(value, list) else _number_or_text(value)


def _action_in(item: Any) -> Action:
    kind, text, fields, size, parameters, span, *parents = item
    return Action(
        _text(kind), _text(text), fields=tuple([(_size(offset), _known_type(type)) for offset, type in fields]),
        size=_size(size), parameters=tuple([_number_or_text(parameter) for parameter in parameters]), span=_size(span),
        parents=tuple([_size(parent) for parent in parents]),
    )  # fmt: skip


def _constant_in(item: Any) -> LateConstant:
    name, kind, argument, span = item
    return LateConstant(_text(name), _text(kind), _text(argument), span=_size(span))


def _check_names(spec: ObjectSpec) -> None:
    """What refers to programs and maps by name must find them."""
    programs = {program.name for program in spec.programs}
    if not all(link.program in programs for link in spec.links):
        raise ValueError("a link names a program that is not there")
    maps = {item.name for item in spec.maps}
    for program in spec.programs:
        for relocation in program.relocations:
            if relocation.kind in ("map", "map_value") and relocation.name not in maps:
                raise ValueError(f"a program uses a map that is not there: {relocation.name}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _size(value: Any) -> int:
    if not _is_size(value):
        raise ValueError(f"not a size: {value!r}")
    return int(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"not a text: {value!r}")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f"not a 64-bit number: {value!r}")
    return value


def _number_or_text(value: Any) -> int | str:
    return _number(value) if type(value) is int else _text(value)


def _plain(value: Any) -> int | str | bool:
    return value if isinstance(value, bool) else _number_or_text(value)


def _type(value: Any) -> ValueType | None:
    return None if value is None else _known_type(value)


def _known_type(value: Any, depth: int = 0) -> ValueType:
    type = ValueType.from_json(value)
    _check_type(type, depth)
    return type


def _check_type(type: ValueType, depth: int) -> None:
    if depth > _DEEPEST or not (_is_size(type.size) and type.size <= _LARGEST):
        raise ValueError("not a value type")
    if not 0 <= type.count <= _LARGEST:
        raise ValueError("not a count of elements")
    if type.element is not None:
        if type.count * type.element.size > _LARGEST:
            raise ValueError("an array that is too large")
        _check_type(type.element, depth + 1)
    for field in type.fields:
        if not 0 <= field.offset <= _LARGEST or not (0 <= field.bit_offset < 64 and 0 <= field.bit_size <= 64):
            raise ValueError("a field out of bounds")
        _check_type(field.type, depth + 1)


# -- JSON


class _Settings:
    """What the C scanner of json asks of its decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> Any:
        raise ValueError(f"{name} has no place here")


def _scanner() -> Callable[[str], Any] | None:
    """Return a parser that needs no import of `json` (2 ms, most of it for `re`), None where there is none."""
    try:
        from _json import make_scanner
    except ImportError:
        return None
    scan = make_scanner(_Settings())  # type: ignore[arg-type]  # typeshed mixes up class and argument

    def parse(text: str) -> Any:
        value, end = scan(text, 0)
        if end != len(text):
            raise ValueError("something follows the metadata")
        return value

    return parse


def _parse(text: str) -> Any:
    parse = _scanner()
    if parse is None:
        from json import loads

        return loads(text)
    try:
        return parse(text)
    except StopIteration:
        raise ValueError("the metadata ends early") from None
