"""What takes long to close outlives the process that opened it, and nothing else of that process does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Descriptors are write ends of one pipe: reading it ends when the last of them is closed, by whomever.
PROGRAM = """
import os, sys
from probee.kernel.links.link import Link
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import LinkSpec
from probee.runtime.straggler import hand_over
end, number = int(sys.argv[1]), int(sys.argv[2])
link = Link(LinkSpec("kprobe", "p", "kprobe:f", {}), None)
for _ in range(number):
    link.own(os.dup(end))
os.close(end)
others = os.open("/dev/null", os.O_RDONLY)
print(hand_over([link]), len(link.descriptors), flush=True)
sys.stdin.read()
link.close()
"""


@pytest.mark.parametrize(("number", "said"), [(40, "True 0"), (3, "False 3")])
def test_many_descriptors_are_left_to_a_process_that_ends_when_ours_has(number: int, said: str) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(write), str(number)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[write],
    ) as ours:
        os.close(write)
        assert ours.stdout is not None
        assert ours.stdout.readline().strip() == said
        os.set_blocking(read, False)
        with pytest.raises(BlockingIOError):  # somebody still has them
            os.read(read, 1)
        os.set_blocking(read, True)
        assert ours.stdin is not None
        ours.stdin.close()
        assert ours.stdout.read() == ""  # the one that stays behind does not hold our output
    assert ours.returncode == 0
    assert os.read(read, 1) == b""
    os.close(read)
