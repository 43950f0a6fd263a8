"""C types: what a name finds."""

from __future__ import annotations

from probee.model.ctype import IntType, Member, StructType


def test_a_struct_that_contains_itself_is_searched_once() -> None:
    struct: StructType
    last = Member("last", IntType("int", 4, signed=True), 0)
    struct = StructType("struct", "loop", 8, lambda: (Member("", lambda: struct, 0), last))
    assert struct.find("nothing") == ()
    assert [member.name for member in struct.find("last")] == ["last"]
