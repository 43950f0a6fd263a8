"""The functions of loaded BPF programs: found by name, and nothing stays open when they are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live_object import NOTHING, program
from probee.errors import BtfError
from probee.formats.btf.build import BtfBuilder, func_info
from probee.kernel.programs import loaded
from probee.kernel.programs.load import load, load_btf
from probee.kernel.programs.program import Program
from probee.model.spec import ProgramType

pytestmark = pytest.mark.kernel


@pytest.fixture
def described() -> Iterator[Program]:
    """A program whose BTF says that its function is called probee_described."""
    builder = BtfBuilder()
    prototype = builder.func_proto(builder.integer("int", 4, signed=True), ())
    function = builder.func("probee_described", prototype)
    btf, error = load_btf(builder.blob())
    assert btf is not None, error
    with btf:
        spec = program("r0 = 1\nexit", ProgramType.RAW_TRACEPOINT, func_info=func_info([(0, function)]))
        with load(spec, NOTHING, {}, btf_fd=btf.fd) as made:
            yield made


def test_a_function_of_a_loaded_program_is_found_by_its_name(described: Program) -> None:
    id = described.info().id
    assert (id, "probee_described") in loaded.loaded_functions()
    type, descriptor = loaded.open_function(id, "probee_described")
    with descriptor:
        assert type > 0


def test_a_function_that_is_not_there_is_named_and_nothing_stays_open(described: Program) -> None:
    id = described.info().id
    with pytest.raises(BtfError, match=f"the BPF program {id} has no function no_such any more"):
        loaded.open_function(id, "no_such")


def test_nothing_stays_open_when_the_btf_cannot_be_read(described: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(id: int) -> None:
        raise BtfError(f"BTF {id} is broken")

    monkeypatch.setattr(loaded, "_btf", broken)
    with pytest.raises(BtfError, match="is broken"):
        loaded.open_function(described.info().id, "probee_described")
