"""Children: held until released, ended with the session; commands are split as bpftrace splits them."""

from __future__ import annotations

import os
import select
import time

import pytest

from probee.errors import UsageError
from probee.runtime.child import Child, Follower, find_program, split_command


def ended(follower, timeout_s: float = 5) -> bool:
    return bool(select.select([follower], [], [], timeout_s)[0])


@pytest.mark.parametrize(
    "command, words",
    [
        ("ls -l  /tmp", ["ls", "-l", "/tmp"]),
        ("sh -c 'exit 3'", ["sh", "-c", "exit 3"]),
        ('echo "a b"', ["echo", "a b"]),
        ("echo $HOME", ["echo", "$HOME"]),
    ],
)
def test_a_command_is_split_into_words(command, words):
    assert split_command(command) == words


@pytest.mark.parametrize("command", ["", "   ", "echo 'open"])
def test_what_is_no_command_is_refused(command):
    with pytest.raises(UsageError):
        split_command(command)


def test_a_program_is_found_along_the_path():
    assert find_program("sh").endswith("/sh")
    for name in ("/nonexistent/x", "no-such-program-here", "/tmp"):
        with pytest.raises(UsageError, match=name):
            find_program(name)


def test_a_child_waits_until_it_is_released(tmp_path):
    made = tmp_path / "made"
    child = Child(["touch", str(made)])
    time.sleep(0.05)
    assert not made.exists()
    child.release()
    assert ended(child)
    child.close()
    assert made.exists()


def test_a_child_that_was_never_released_ends_without_running(tmp_path):
    made = tmp_path / "made"
    Child(["touch", str(made)]).close()
    assert not made.exists()


def test_a_child_that_still_runs_is_ended():
    child = Child(["sleep", "60"])
    child.release()
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_does_not_want_to_end_is_made_to(monkeypatch, tmp_path):
    monkeypatch.setattr("probee.runtime.child.PATIENCE_S", 0.1)
    ready = tmp_path / "ready"
    child = Child(["sh", "-c", f"trap '' TERM; : > {ready}; while :; do :; done"])
    child.release()
    while not ready.exists():
        time.sleep(0.01)
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_another_process_can_be_followed():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    follower = Follower(pid)
    assert ended(follower)
    os.waitpid(pid, 0)
    follower.close()


def test_a_process_that_is_not_there_cannot_be_followed():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(UsageError, match=f"cannot watch process {pid}"):
        Follower(pid)
