"""DWARF's types as model types, so that arguments of user functions are typed as the kernel's are by BTF.

One CType for each entry, made when somebody looks (structs may hold pointers to themselves).  Qualifiers are dropped as BTF's
are; references of C++ are pointers, classes structs.  An entry of a kind that is not known is void.
"""

from __future__ import annotations

from probee.kernel.symbols.dwarfunit import origin, text, value
from probee.model.ctype import (
    VOID,
    ArrayType,
    CType,
    EnumType,
    FloatType,
    ForwardType,
    FunctionType,
    IntType,
    Member,
    Parameter,
    PassedByReference,
    PointerType,
    StructType,
    TypedefType,
    size_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_QUALIFIERS = ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type", "DW_TAG_atomic_type")
_POINTERS = ("DW_TAG_pointer_type", "DW_TAG_reference_type", "DW_TAG_rvalue_reference_type")
_STRUCTS = {"DW_TAG_structure_type": "struct", "DW_TAG_class_type": "struct", "DW_TAG_union_type": "union"}
_BOOLEAN, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR, _UTF = 2, 4, 5, 6, 7, 8, 16  # DW_ATE
_COMPLEX_FLOAT = 3
_BY_REFERENCE = 4  # DW_CC_pass_by_reference, version 5
_IN_CLASS = 1  # DW_DEFAULTED_in_class
_DEEPEST = 64


class DwarfTypes:
    """The types of one file; entries are told apart by their place in it.

    `guard` calls a function and makes errors of ours of what it raises: types are read long after they were asked for.
    """

    def __init__(self, guard: Callable[[Callable[[], Any]], Any]) -> None:
        self._guard = guard
        self._known: dict[tuple[int, int], CType] = {}

    def _later(self, die: Any) -> Callable[[], CType]:
        return lambda: self._guard(lambda: self.of(die))

    def function(self, die: Any) -> FunctionType:
        """Return the signature of a function's entry (DW_TAG_subprogram)."""
        described = origin(die)
        parameters = []
        for child in die.iter_children():
            if child.tag == "DW_TAG_formal_parameter":
                name = text(child, "DW_AT_name") or text(origin(child), "DW_AT_name")
                parameters.append(Parameter(name, self._later(_typed(child))))
        variadic = any(child.tag == "DW_TAG_unspecified_parameters" for child in die.iter_children())
        return FunctionType(self._later(_typed(described)), tuple(parameters), variadic=variadic)

    def of(self, die: Any) -> CType:
        """Return the type of the entry that an entry's DW_AT_type names; void without one."""
        target = _target(die)
        return VOID if target is None else self.made(target)

    def made(self, target: Any) -> CType:
        """Return the type that an entry describes."""
        place = id(target.dwarfinfo), target.offset  # split units count from 0 each
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = self._made(target)
        return known

    def _made(self, die: Any) -> CType:
        tag, name = die.tag, text(die, "DW_AT_name")
        size = value(die, "DW_AT_byte_size")
        if tag == "DW_TAG_base_type":
            return _base(name, size, value(die, "DW_AT_encoding"))
        if tag in _POINTERS:
            return PointerType(self._later(die), const=_points_to_const(die))
        if tag == "DW_TAG_typedef":
            return TypedefType(name, self._later(die))
        if tag in _STRUCTS:
            if "DW_AT_declaration" in die.attributes:
                return ForwardType(_STRUCTS[tag], name)
            make = PassedByReference if self._is_passed_by_reference(die) else StructType
            return make(_STRUCTS[tag], name, size, lambda: self._guard(lambda: self._members(die)))
        if tag == "DW_TAG_enumeration_type":
            values = tuple((text(child, "DW_AT_name"), value(child, "DW_AT_const_value")) for child in die.iter_children())
            return EnumType(name, size, values, signed=any(value < 0 for _, value in values))
        if tag == "DW_TAG_array_type":
            return self._array(die)
        if tag == "DW_TAG_subroutine_type":
            return self.function(die)
        return VOID

    def _is_passed_by_reference(self, die: Any, depth: int = 0) -> bool:
        """Return whether a class of C++ is passed by address: DWARF 5 says so, else its destructor and virtual functions do."""
        said = die.attributes.get("DW_AT_calling_convention")
        if said is not None:
            return bool(said.value == _BY_REFERENCE)
        for child in die.iter_children() if depth < _DEEPEST else ():
            name = text(child, "DW_AT_name")
            if child.tag == "DW_TAG_subprogram":
                if name.startswith("~") and not _is_made_by_compiler(child):
                    return True
                if "DW_AT_virtuality" in child.attributes or _is_copying(child, name, die):
                    return True
            elif child.tag == "DW_TAG_inheritance" and "DW_AT_virtuality" in child.attributes:
                return True
            elif child.tag in ("DW_TAG_member", "DW_TAG_inheritance") and "DW_AT_external" not in child.attributes:
                inner = _target(child)
                if inner is not None and inner.tag in _STRUCTS and self._is_passed_by_reference(inner, depth + 1):
                    return True
        return False

    def _array(self, die: Any) -> CType:
        counts = [_count(child) for child in die.iter_children() if child.tag == "DW_TAG_subrange_type"] or [0]
        found = self.of(die)
        for count in reversed(counts):
            found = ArrayType(found, count, size=size_of(found) * count)
        return found

    def _members(self, die: Any) -> tuple[Member, ...]:
        found = []
        for child in die.iter_children():
            if child.tag == "DW_TAG_inheritance":
                found.append(Member("", self._later(child), value(child, "DW_AT_data_member_location") * 8))
            elif child.tag == "DW_TAG_member" and "DW_AT_external" not in child.attributes:
                found.append(self._member(child))
        return tuple(found)

    def _member(self, die: Any) -> Member:
        bits = value(die, "DW_AT_bit_size")
        if "DW_AT_data_bit_offset" in die.attributes:
            offset = value(die, "DW_AT_data_bit_offset")
        else:
            offset = value(die, "DW_AT_data_member_location") * 8
            if "DW_AT_bit_offset" in die.attributes:  # DWARF 2 and 3 count from the highest bit
                size = value(die, "DW_AT_byte_size") or size_of(self.of(die))
                offset += size * 8 - value(die, "DW_AT_bit_offset") - bits
        return Member(text(die, "DW_AT_name"), self._later(die), offset, bits)


def _is_made_by_compiler(die: Any) -> bool:
    """Return whether a special member function is not written in the source, or only as `= default` where it is declared."""
    return "DW_AT_artificial" in die.attributes or value(die, "DW_AT_defaulted") == _IN_CLASS


def _is_copying(die: Any, name: str, owner: Any) -> bool:
    """Return whether a function is a copy or move constructor that somebody wrote."""
    if name != text(owner, "DW_AT_name") or _is_made_by_compiler(die):
        return False
    parameters = [child for child in die.iter_children() if child.tag == "DW_TAG_formal_parameter"]
    if len(parameters) != 2 or "DW_AT_type" not in parameters[1].attributes:  # the first is `this`
        return False
    reference = _target(parameters[1])
    pointed = _target(reference) if reference is not None and reference.tag in _POINTERS[1:] else None
    return pointed is not None and pointed.offset == owner.offset


def _typed(die: Any) -> Any:
    return die if "DW_AT_type" in die.attributes else origin(die)


def _target(die: Any) -> Any:
    """Return the entry of a type without qualifiers, None for void."""
    for _ in range(_DEEPEST):
        if "DW_AT_type" not in die.attributes:
            return None
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag not in _QUALIFIERS:
            return die
    return None


def _points_to_const(die: Any) -> bool:
    return "DW_AT_type" in die.attributes and die.get_DIE_from_attribute("DW_AT_type").tag == "DW_TAG_const_type"


def _base(name: str, size: int, encoding: int) -> CType:
    if encoding in (_FLOAT, _COMPLEX_FLOAT):
        return FloatType(name, size)
    if encoding not in (_BOOLEAN, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR, _UTF):
        return VOID  # decimal numbers
    kind = "bool" if encoding == _BOOLEAN else "char" if encoding in (_SIGNED_CHAR, _UNSIGNED_CHAR) else ""
    return IntType(name, size, signed=encoding in (_SIGNED, _SIGNED_CHAR), encoding=kind)


def _count(die: Any) -> int:
    if "DW_AT_count" in die.attributes:
        return value(die, "DW_AT_count")
    return value(die, "DW_AT_upper_bound") + 1 if "DW_AT_upper_bound" in die.attributes else 0
