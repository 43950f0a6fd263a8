"""The index: found names, and what becomes of a damaged or foreign file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import BtfError, ProbeeError
from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.index import TypeIndex
from probee.formats.btf.reader import Btf


def small_blob() -> bytes:
    b = BtfBuilder()
    number = b.integer("int", 4, signed=True)
    b.struct("alpha", 4, [("x", number, 0, 0)])
    b.enum("beta", [("BETA_A", 0), ("BETA_B", 1)])
    b.func("gamma", b.func_proto(number, [("y", number)]))
    return b.blob()


def test_loaded_index_answers_as_the_built_one() -> None:
    blob = small_blob()
    saved = Btf(blob).index.save(b"build-id")
    index = TypeIndex.load(saved, b"build-id")
    assert index is not None
    btf = Btf(blob, index=index)
    assert btf.find("struct", "alpha") == Btf(blob).find("struct", "alpha") != []
    assert btf.enumerator("BETA_B") is not None
    assert list(btf.functions()) == ["gamma"]


def test_index_of_another_blob_is_refused() -> None:
    saved = Btf(small_blob()).index.save(b"one")
    assert TypeIndex.load(saved, b"two") is None
    assert TypeIndex.load(saved, b"on") is None


@given(st.data())
def test_truncated_index_is_refused(data: st.DataObject) -> None:
    saved = Btf(small_blob()).index.save(b"key")
    cut = data.draw(st.integers(0, len(saved) - 1))
    assert TypeIndex.load(saved[:cut], b"key") is None


@given(st.data())
def test_damaged_index_gives_answers_or_our_error(data: st.DataObject) -> None:
    saved = bytearray(Btf(small_blob()).index.save(b"key"))
    for _ in range(data.draw(st.integers(1, 4))):
        saved[data.draw(st.integers(0, len(saved) - 1))] = data.draw(st.integers(0, 255))
    index = TypeIndex.load(bytes(saved), b"key")
    if index is None:
        return
    btf = Btf(small_blob(), index=index)
    for ask in (
        lambda: btf.find("struct", "alpha"), lambda: btf.enumerator("BETA_B"), lambda: list(btf.functions()),
        lambda: btf.function("gamma"), lambda: [btf.type(id) for id in range(btf.end_id)],
    ):  # fmt: skip
        try:
            ask()
        except ProbeeError as error:
            assert isinstance(error, BtfError)


def test_index_that_belongs_to_a_larger_blob_is_an_error_not_a_wrong_answer() -> None:
    larger = BtfBuilder()
    for number in range(40):
        larger.struct(f"s{number}", 4, [])
    index = Btf(larger.blob()).index
    with pytest.raises(BtfError):
        list(Btf(small_blob(), index=index).functions())
