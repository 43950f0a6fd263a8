"""Jobs over a socket, with the test in the guest's place."""

from __future__ import annotations

import re
import socket
import threading

import pytest

from probee.errors import LabError
from probee.lab import frame
from probee.lab.job import Job
from probee.lab.qmp import parse_keys
from probee.lab.wire import Wire


class FakeHost:
    """What runs jobs, as far as a job knows."""

    def __init__(self) -> None:
        ours, self.far = socket.socketpair()
        self.wire = Wire(ours, control=lambda kind, payload: None, explain=lambda: "the guest died: because")
        self.decoder = frame.Decoder()
        self.killed: list[str] = []
        self.ours = ours
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        self.wire.read()
        self.wire.finish()

    def say(self, kind: bytes, payload: bytes = b"", job: int = 1) -> None:
        self.far.sendall(frame.pack(job, kind, payload))

    def heard(self) -> list[tuple[int, bytes, bytes]]:
        return self.decoder.feed(self.far.recv(1 << 16))

    def console_size(self) -> int:
        return 0

    def console_since(self, offset: int) -> str:
        return "console"

    def kill(self, reason: str = "") -> None:
        self.killed.append(reason)
        self.far.close()
        self.thread.join()

    def close(self) -> None:
        self.far.close()
        self.thread.join()
        self.ours.close()


@pytest.fixture
def host():
    made = FakeHost()
    yield made
    made.close()


@pytest.fixture
def job(host):
    return Job(host, limit_s=None, hang_grace_s=0.05)


def test_result_has_both_outputs_apart_and_the_console(host, job):
    host.say(frame.OUTPUT, b"one\xff")
    host.say(frame.ERROR, b"two")
    host.say(frame.EXITED, b"3 - 0.25")
    result = job.wait(timeout_s=5)
    assert (result.status, result.stdout, result.stderr, result.seconds) == (3, "one\ufffd", "two", 0.25)
    assert result.stdout_bytes == b"one\xff" and not result.timed_out and result.console == "console"
    with pytest.raises(LabError, match="status 3"):
        result.check()


def test_wait_for_goes_on_behind_the_last_match(host, job):
    host.say(frame.OUTPUT, b"ready 1\nrea")
    assert job.wait_for(re.compile(r"ready (\d)"), timeout_s=5)[1] == "1"
    host.say(frame.ERROR, b"dy 2\n")
    assert job.wait_for(re.compile(r"ready (\d)"), timeout_s=5)[1] == "2"
    assert job.running


def test_wait_for_what_never_comes_shows_what_came(host, job):
    host.say(frame.OUTPUT, b"other")
    with pytest.raises(LabError, match=r"(?s)'a\.b' .*other"):
        job.wait_for(re.compile("a.b"), timeout_s=0.2)
    host.say(frame.EXITED, b"0 - 0.1")
    with pytest.raises(LabError, match="ended without"):
        job.wait_for("never", timeout_s=5)


def test_read_gives_each_piece_once(host, job):
    host.say(frame.OUTPUT, b"a")
    job.wait_for("a", timeout_s=5)
    assert (job.read(), job.read()) == ("a", "")


def test_stream_hands_out_everything_and_keeps_nothing(host, job):
    got = []
    host.say(frame.OUTPUT, b"a")
    host.say(frame.ERROR, b"b")
    host.say(frame.EXITED, b"0 - 0.1")
    job.wait_for("b", timeout_s=5)
    job.stream(lambda name, data: got.append((name, data)))
    assert got == [("stdout", b"a"), ("stderr", b"b")]


def test_death_of_the_guest_is_an_error_with_its_reason(host, job):
    host.kill()
    with pytest.raises(LabError, match="because"):
        job.wait(timeout_s=5)
    with pytest.raises(LabError, match="because"):
        Job(host, limit_s=None, hang_grace_s=1)


def test_a_guest_without_an_answer_is_killed_as_hanging(host):
    job = Job(host, limit_s=0.05, hang_grace_s=0.05)
    with pytest.raises(LabError):
        job.wait()
    assert "hangs" in host.killed[0]


def test_waiting_in_vain_leaves_the_command_running(host, job):
    with pytest.raises(LabError, match=r"still runs after 0\.05 s"):
        job.wait(timeout_s=0.05)
    assert job.running and not host.killed


def test_a_signal_names_number_and_whom(host, job):
    job.signal()
    job.signal(9, group=False)
    assert [payload for _, _, payload in host.heard()] == [b"2 group", b"9 leader"]


def test_long_input_goes_in_pieces_and_its_end_is_an_empty_one(host, job):
    text = b"x" * 300_000
    threading.Thread(target=lambda: (job.write(text), job.close_input())).start()
    frames: list[tuple[int, bytes, bytes]] = []
    while not frames or frames[-1][2]:
        frames += host.heard()
    assert b"".join(payload for *_, payload in frames) == text and len(frames) == 3


def test_a_peer_that_talks_nonsense_is_taken_for_dead(host, job):
    host.far.sendall(b"\xff" * 100)
    with pytest.raises(LabError, match="because"):
        job.wait(timeout_s=5)


def test_keys_are_names_chords_and_pauses():
    assert parse_keys("@0.5 a shift-b ret") == [0.5, ["a"], ["shift", "b"], ["ret"]]
    with pytest.raises(LabError, match="@x"):
        parse_keys("@x")
