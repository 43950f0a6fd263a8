"""Frames over the port."""

from __future__ import annotations

import pytest

from probee.lab import frame


def test_frames_survive_any_cut_of_the_stream():
    sent = [(1, frame.RUN, b"abc"), (2, frame.OUTPUT, b""), (0xFFFFFFFF, frame.EXITED, b"x" * 300)]
    stream = b"".join(frame.pack(*one) for one in sent)
    for size in (1, 2, 7, 9, 10, 1000):
        decoder = frame.Decoder()
        got = [one for at in range(0, len(stream), size) for one in decoder.feed(stream[at : at + size])]
        assert got == sent


def test_an_absurd_length_is_refused_instead_of_waited_for():
    with pytest.raises(ValueError, match="bytes"):
        frame.Decoder().feed(b"\0\0\0\1O\xff\xff\xff\xff")


def test_fields_survive_empty_and_binary_contents():
    fields = [b"", b"a=b", bytes(range(256)), b""]
    assert frame.unpack_fields(frame.pack_fields(fields)) == fields


@pytest.mark.parametrize("cut", [1, 3, 4, 5])
def test_a_cut_field_is_an_error(cut):
    with pytest.raises(ValueError, match="cut short"):
        frame.unpack_fields(frame.pack_fields([b"abcd"])[:-cut])
