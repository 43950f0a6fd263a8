"""Programs of bcc's face without a compiler: objects in assembly, with the BTF that a compiler would write."""

from __future__ import annotations

from unittest.mock import patch

from live_object import program
from probee.bcc.program import BPF
from probee.formats.btf.build import BtfBuilder
from probee.model.spec import MapSpec, MapType, ObjectSpec, ProgramSpec, ProgramType


class Made:
    """An object that grows: types, maps and programs, and what the face makes of them."""

    def __init__(self) -> None:
        self.btf = BtfBuilder()
        self.u32 = self.btf.integer("unsigned int", 4)
        self.u64 = self.btf.integer("unsigned long long", 8)
        self.char = self.btf.integer("char", 1, signed=True)
        self.types: dict[str, int] = {}
        self.maps: list[MapSpec] = []
        self.programs: list[ProgramSpec] = []

    def table(
        self, name: str, type: int, *, key: int, leaf: int, sizes: tuple[int, int], entries: int = 16, **options: object
    ) -> None:
        """Add a map; `key` and `leaf` are ids of types, 0 for none."""
        self.maps.append(MapSpec(name, type, *sizes, entries, **options))  # type: ignore[arg-type]
        self.types.update({f"{what} {name}": id for what, id in (("key", key), ("leaf", leaf)) if id})

    def numbers(self, name: str, type: int = MapType.HASH, *, entries: int = 16, leaf: int = 8, **options: object) -> None:
        """Add a map from u32 to u64 (or u32)."""
        self.table(
            name, type, key=self.u32, leaf=self.u64 if leaf == 8 else self.u32, sizes=(4, leaf), entries=entries, **options
        )

    def function(self, name: str, text: str, type: int = ProgramType.XDP) -> None:
        self.programs.append(program(text, type, name=name))

    def spec(self) -> ObjectSpec:
        return ObjectSpec(
            programs=tuple(self.programs), maps=tuple(self.maps), links=(), btf=self.btf.blob(), types=self.types
        )

    def bpf(self, **options: object) -> BPF:
        """Return the face, as if this had been compiled."""
        with patch("probee.bcc.program.compiled", lambda *_, **__: self.spec()):
            return BPF(text="", **options)  # type: ignore[arg-type]
