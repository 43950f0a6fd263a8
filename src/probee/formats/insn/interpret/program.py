"""From a compiled program, as the loader gets it, to a machine: bytes with relocations, and specs of maps.

Takes anything that has the attributes of model's ProgramSpec, Relocation and MapSpec, so that this room needs no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from probee.formats.insn.interpret.machine import Machine
from probee.formats.insn.interpret.make_map import make_map
from probee.formats.insn.interpret.map import MapModel
from probee.formats.insn.symbolic import symbolic

if TYPE_CHECKING:
    from typing import Protocol

    from probee.formats.insn.symbolic import ProgramLike

    class MapLike(Protocol):
        name: str
        type: int
        key_size: int
        value_size: int
        max_entries: int


def models_of(maps: Iterable[MapLike]) -> dict[str, MapModel]:
    """Return an empty model for each map spec, by name."""
    return {spec.name: make_map(spec.type, spec.key_size, spec.value_size, spec.max_entries) for spec in maps}


def machine_of(program: ProgramLike, maps: Mapping[str, MapModel], **options: Any) -> Machine:
    """Return a machine that runs a compiled program; `options` are Machine's, late constants among them."""
    return Machine(symbolic(program), maps, **options)
