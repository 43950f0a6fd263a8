"""Callbacks get every record once, whatever they raise."""

from __future__ import annotations

import ctypes as ct
import errno
import os
from typing import Any

import pytest

from probee.bcc.delivery import Delivery, PerfDelivery
from probee.bcc.error import BccError
from probee.runtime.perfring import PerfBatch


class Number(ct.Structure):
    _fields_ = (("value", ct.c_uint),)


def data(count: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in range(count))


def delivery(callback: Any, count: int = 4) -> Delivery:
    made = Delivery(callback)
    made.put(0, data(count), [(0, 4, count, 4)])
    return made


def test_addresses_lead_to_the_records() -> None:
    found = []
    delivery(lambda cpu, address, size: found.append((cpu, ct.string_at(address, size)))).hand_out()
    assert found == [(0, bytes([number, 0, 0, 0])) for number in range(4)]


def test_an_event_is_a_copy_that_stays() -> None:
    events: list[Number] = []
    made = delivery(lambda cpu, address, size: events.append(made.event(address, Number)))
    made.hand_out()
    made.put(0, bytes(16), [(0, 4, 4, 4)])
    made.hand_out()
    assert [event.value for event in events] == [0, 1, 2, 3, 0, 0, 0, 0]


def test_an_event_of_a_record_that_is_too_short_ends_in_zeros() -> None:
    class Wide(ct.Structure):
        _fields_ = (("value", ct.c_uint), ("more", ct.c_ulonglong))

    found = []
    made = delivery(lambda cpu, address, size: found.append(made.event(address, Wide)), count=1)
    made.hand_out()
    assert (found[0].value, found[0].more) == (0, 0)


def test_what_a_callback_raises_is_shown_and_the_next_record_comes(capsys: pytest.CaptureFixture[str]) -> None:
    found = []

    def callback(cpu: int, address: int, size: int) -> None:
        found.append(address)
        if len(found) == 2:
            raise ValueError("not this one")

    delivery(callback).hand_out()
    assert len(found) == 4
    told = capsys.readouterr().err
    assert "ValueError: not this one" in told
    assert "delivery.py" not in told.replace("test_bcc_delivery.py", "")


def test_an_interrupt_goes_through_and_the_rest_waits() -> None:
    found = []

    def callback(cpu: int, address: int, size: int) -> None:
        found.append(address)
        if len(found) == 2:
            raise KeyboardInterrupt

    made = delivery(callback)
    with pytest.raises(KeyboardInterrupt):
        made.hand_out()
    made.hand_out()
    assert len(set(found)) == len(found) == 4


def test_when_nobody_reads_the_output_the_program_ends() -> None:
    def callback(cpu: int, address: int, size: int) -> None:
        raise OSError(errno.EPIPE, "broken pipe")

    with pytest.raises(SystemExit):
        delivery(callback).hand_out()


class Buffer:
    """A perf buffer that lost some."""

    size = 64

    def read(self, *, max_bytes: int) -> list[PerfBatch]:
        return [PerfBatch(3, data(2), [(0, 4, 2, 4)], 7)]


def test_losses_are_told_after_the_records() -> None:
    found: list[Any] = []
    made = PerfDelivery(Buffer(), lambda cpu, address, size: found.append(cpu), lambda count: found.append(("lost", count)))  # type: ignore[arg-type]
    made.deliver()
    assert found == [3, 3, ("lost", 7)]


def test_losses_that_nobody_asked_for_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    PerfDelivery(Buffer(), lambda *_: None, None).deliver()  # type: ignore[arg-type]
    assert capsys.readouterr().err == "Possibly lost 7 samples\n"


class TwoProcessors(Buffer):
    """A perf buffer that has something of two CPUs, once."""

    def __init__(self) -> None:
        self.batches = [PerfBatch(cpu, data(2), [(0, 4, 2, 4)], 0) for cpu in (0, 1)]

    def read(self, *, max_bytes: int) -> list[PerfBatch]:
        batches, self.batches = self.batches, []
        return batches


def test_an_interrupt_at_one_processor_s_records_loses_none_of_another_s() -> None:
    found = []

    def callback(cpu: int, address: int, size: int) -> None:
        found.append(cpu)
        if len(found) == 1:
            raise KeyboardInterrupt

    made = PerfDelivery(TwoProcessors(), callback, None)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        made.deliver()
    made.deliver()
    assert found == [0, 0, 1, 1]


def test_a_callback_may_poll() -> None:
    found = []

    def callback(cpu: int, address: int, size: int) -> None:
        found.append(ct.string_at(address, size)[0])
        if len(found) == 2:
            made.deliver()

    made = PerfDelivery(TwoProcessors(), callback, None)  # type: ignore[arg-type]
    made.deliver()
    assert found == [0, 1, 0, 1]


def test_pointers_into_records_hold_as_long_as_the_buffer_would_have_kept_them() -> None:
    kept: list[Any] = []
    made = Delivery(lambda cpu, address, size: kept.append(ct.cast(address, ct.POINTER(Number)).contents), room=64)
    for number in range(8):
        made.put(0, bytes([number]) * 16, [(0, 16, 1, 16)])
        made.hand_out()
        bytes(16)  # takes the place of what was freed
    assert [record.value & 0xFF for record in kept[-4:]] == [4, 5, 6, 7]
    assert made._kept_size <= 64 + 16


def test_a_child_is_told_that_the_buffer_is_its_parent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    made = PerfDelivery(Buffer(), lambda *_: None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(BccError, match="read by the process that opened it"):
        made.deliver()
    made.close()
