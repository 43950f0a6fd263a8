"""Netlink's messages: what is written is read again, and what the kernel adds to an error is found."""

from __future__ import annotations

from struct import pack

from probee.kernel.syscalls.netlink import Answer, _read, attribute, attributes, nested

ACK_TLVS, CAPPED = 0x200, 0x100


def message(type: int, body: bytes, flags: int = 0) -> bytes:
    return pack("=IHHII", 16 + len(body), type, flags, 1, 0) + body + bytes(-len(body) & 3)


def error(errno: int, text: str, flags: int, request: bytes) -> bytes:
    head = request[:16] if flags & CAPPED else request
    return message(2, pack("=i", -errno) + head + bytes(-len(head) & 3) + attribute(1, text.encode() + b"\0"), flags | ACK_TLVS)


def test_attributes_are_padded_and_read_again() -> None:
    data = attribute(1, b"abc") + nested(2, attribute(7, b"x\0"), attribute(8, b"")) + attribute(3, pack("=I", 5))
    assert len(data) % 4 == 0
    found = attributes(data)
    assert (found[1], found[3]) == (b"abc", pack("=I", 5))
    assert attributes(found[2]) == {7: b"x\0", 8: b""}


def test_attributes_that_are_cut_off_end_the_reading() -> None:
    assert attributes(attribute(1, b"abcd") + b"\3\0\1\0") == {1: b"abcd"}
    assert attributes(b"\0\0") == {}


def test_messages_come_before_the_end_of_a_dump() -> None:
    answer = Answer()
    assert not _read(message(44, b"one!") + message(44, b"three"), answer)
    assert _read(message(3, pack("=i", 0)), answer)
    assert (answer.messages, answer.errno) == ([b"one!", b"three"], 0)


def test_the_kernels_words_follow_the_request_that_it_repeats_whole_or_only_its_head() -> None:
    request = message(19, b"something of the request")
    for flags in (0, CAPPED):
        answer = Answer()
        assert _read(error(16, "XDP program already attached", flags, request), answer)
        assert (answer.errno, answer.text) == (16, "XDP program already attached")


def test_an_acknowledgement_is_no_error() -> None:
    answer = Answer()
    assert _read(message(2, pack("=i", 0) + message(19, b"")[:16], CAPPED), answer)
    assert (answer.errno, answer.text) == (0, "")
