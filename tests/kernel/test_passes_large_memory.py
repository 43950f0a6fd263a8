"""What the pass `memory` relies on: a read from address 0 clears, a read of the program's own memory copies."""

from __future__ import annotations

import pytest

from codegen_run import Loaded
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.build import Builder
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Program, Unit
from probee.model.spec import MapSpec, MapType, ProgramType

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("size", [8, 64, 72, 200, 1000])
def test_large_memory_is_cleared_and_copied(size: int) -> None:
    unit = Unit()
    unit.features = frozenset(("probe_read_kernel", "atomic_fetch"))
    unit.maps["data"] = MapSpec("data", MapType.ARRAY, 4, 2 * size, 1)
    unit.maps["loss"] = MapSpec("loss", MapType.PERCPU_ARRAY, 4, 8, 4, role="loss")
    function = Function("main", (pointer("context"),), I64)
    b = Builder(function)
    data, own = b.map_value("data"), b.alloca(size, name="own")
    b.copy(own, data, size)
    b.zero(data, size)
    b.copy(data, own, size, to_offset=size)
    b.return_(b.load(own, I64))
    unit.programs.append(Program("main", ProgramType.RAW_TRACEPOINT, [function]))
    content = bytes(1 + number % 255 for number in range(size))
    with Loaded(generate_object(optimise(unit), source_name="memory", source_text="")) as loaded:
        loaded.maps["data"].update(bytes(4), content + b"\xff" * size)
        assert loaded.run() == int.from_bytes(content[:4], "little")
        assert loaded.maps["data"].lookup(bytes(4)) == bytes(size) + content
