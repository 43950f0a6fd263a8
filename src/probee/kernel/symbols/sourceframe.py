"""Frames that know which byte of which file they are, and so can tell their line and what is inlined there."""

from __future__ import annotations

from probee.errors import ProbeeError
from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.symbols.debuginfo import SourceFrame
    from probee.kernel.symbols.module import Module


class PlacedFrame(Frame):
    """A Frame of a file's code; `place` is its address as the linker counts, None where the file is not loaded."""

    __slots__ = ("_sources", "file", "place")

    def __init__(self, address: int, symbol: str, offset: int, module: str, file: Module | None, place: int | None) -> None:
        super().__init__(address, symbol, offset, module)
        self.file = file
        self.place = place
        self._sources: dict[bool, tuple[Frame, ...]] = {}

    def with_source(self, *, is_call: bool, most_bytes: int = 0) -> tuple[Frame, ...]:
        """Return the functions inlined here, innermost first, then this one with its line.

        An address that a call returns to belongs to the instruction before it (`is_call`).  Without debug information
        of at most `most_bytes` (0: any amount), or anybody to read it, there is only the frame itself.
        """
        if is_call not in self._sources:
            place = -1 if self.place is None else self.place - is_call
            found = self._described(place, most_bytes) if place >= 0 else []
            self._sources[is_call] = tuple([self._frame(source) for source in found]) or (self,)
        return self._sources[is_call]

    def _described(self, place: int, most_bytes: int) -> list[SourceFrame]:
        if self.file is None or not self.symbol:
            return []
        try:
            return self.file.debug_info(most_bytes=most_bytes).frames_at(place)
        except ProbeeError:
            return []

    def _frame(self, source: SourceFrame) -> Frame:
        if source.inlined:
            return Frame(self.address, source.function, 0, self.module, path=source.path, line=source.line, inlined=True)
        return Frame(self.address, self.symbol, self.offset, self.module, path=source.path, line=source.line)


def with_source(frame: Frame, *, is_call: bool, most_bytes: int = 0) -> tuple[Frame, ...]:
    """Return a frame with what its file says about its source, if it is one of a file."""
    if not isinstance(frame, PlacedFrame):
        return (frame,)
    return frame.with_source(is_call=is_call, most_bytes=most_bytes)
