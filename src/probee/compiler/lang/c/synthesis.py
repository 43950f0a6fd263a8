"""Structs that bcc makes up: the context of a tracepoint, from its format; and tags that are macros in kernel headers."""

from __future__ import annotations

from probee.compiler.lang.c import basic
from probee.model.ctype import VOID, ArrayType, CType, IntType, Member, PointerType, StructType, strip
from probee.model.target import TracepointField, TracepointFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.lang.c.scope import Kernel

_PREFIX = "tracepoint__"

# tags that kernel headers define as other names of a tag
_TAGS = {"sockaddr_storage": "__kernel_sockaddr_storage", "rcu_head": "callback_head"}

_STACK_DEPTH = 127  # PERF_MAX_STACK_DEPTH

# values of bcc's stack maps: tag → (member, type of its elements, what kind of name that is)
_STACKS = {
    "bpf_stacktrace": ("ip", "u64", "typedef"),
    "bpf_stacktrace_buildid": ("trace", "bpf_stack_build_id", "struct"),
}


def synthesise(tag: str, kernel: Kernel) -> CType | None:
    """Return a struct that no BTF has, None when there is none of that tag."""
    if tag in _TAGS:
        return kernel.tag("struct", _TAGS[tag])
    if tag in _STACKS:
        member, element, kind = _STACKS[tag]
        inner = kernel.typedef(element) if kind == "typedef" else kernel.tag(kind, element)
        array = ArrayType(inner, _STACK_DEPTH, size=strip(inner).size * _STACK_DEPTH) if inner is not None else VOID
        return StructType("struct", tag, array.size, (Member(member, array, 0),))
    if not tag.startswith(_PREFIX):
        return None
    category, _, event = tag[len(_PREFIX) :].partition("__")
    format = kernel.target.tracepoint(category, event) if event else None
    return tracepoint_struct(tag, format, kernel) if format is not None else None


def tracepoint_struct(tag: str, format: TracepointFormat, kernel: Kernel) -> StructType:
    """Return the context of a tracepoint: 8 bytes that no program may read, then its fields where the format has them."""
    members = [Member("__do_not_use__", basic.UNSIGNED_LONG_LONG, 0)]
    end = 8
    for field in format.fields:
        if field.offset < 8:
            continue
        name = f"data_loc_{field.name}" if field.data_loc else field.name
        members.append(Member(name, _field_type(field, kernel), field.offset * 8))
        end = max(end, field.offset + field.size)
    return StructType("struct", tag, (end + 7) // 8 * 8, tuple(members))


def _field_type(field: TracepointField, kernel: Kernel) -> CType:
    """Return a field's type: its declared one if that has the size that the format gives, else an integer of that size."""
    if field.data_loc:
        return basic.INT
    name = " ".join(word for word in field.type_name.split() if word not in ("const", "volatile", "__user"))
    if "[" in name or "[" in field.declaration:
        element = _element(name.split("[")[0].strip(), kernel)
        size = strip(element).size or 1
        if field.size % size:
            element, size = basic.UNSIGNED_CHAR, 1
        return ArrayType(element, field.size // size)
    ctype = _named(name, kernel)
    if ctype is not None and kernel_size(ctype) == field.size:
        return ctype
    return _integer(field.size, signed=field.signed)


def kernel_size(ctype: CType) -> int:
    return strip(ctype).size


def _element(name: str, kernel: Kernel) -> CType:
    return _named(name, kernel) or basic.CHAR


def _named(name: str, kernel: Kernel) -> CType | None:
    """Return the type that a format's text names."""
    if name.endswith("*"):
        inner = _named(name[:-1].strip(), kernel)
        return PointerType(inner if inner is not None else VOID)
    kind, _, tag = name.partition(" ")
    if kind in ("struct", "union", "enum") and tag:
        return kernel.tag(kind, tag)
    return basic.spelled(name.split()) or (kernel.typedef(name) if " " not in name else None)


def _integer(size: int, *, signed: bool) -> CType:
    known: dict[tuple[int, bool], IntType] = {
        (1, True): basic.CHAR, (1, False): basic.UNSIGNED_CHAR, (2, True): basic.SHORT, (2, False): basic.UNSIGNED_SHORT,
        (4, True): basic.INT, (4, False): basic.UNSIGNED_INT, (8, True): basic.LONG_LONG,
        (8, False): basic.UNSIGNED_LONG_LONG,
    }  # fmt: skip
    return known.get((size, signed)) or ArrayType(basic.UNSIGNED_CHAR, size)
