"""The three scripts on every kernel, with something real to see: files opened, keys typed, directories made, ARP spoken."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from probee.lab import Guest
from session import EXAMPLES, end, start

NETWORK = """
set -e
modprobe veth
ip netns add far
ip link add near0 type veth peer name far0 netns far
ip addr add 198.18.7.1/30 dev near0
ip link set near0 up
ip -n far addr add 198.18.7.2/30 dev far0
ip -n far link set far0 up
"""


def test_opensnoop_shows_the_path_that_was_just_opened(guest: Guest) -> None:
    with start(guest, str(EXAMPLES / "opensnoop.bt")) as job:
        guest.run("cat /etc/hostname >/dev/null; cat /etc/there-is-no-such-file 2>/dev/null")
        job.wait_for("/etc/there-is-no-such-file")
        text = end(job).stdout
    assert re.search(r"^\d+ +cat +\d+ +0 /etc/hostname$", text, re.MULTILINE)
    assert re.search(r"^\d+ +cat +-1 +2 /etc/there-is-no-such-file$", text, re.MULTILINE)


def test_key_pressed_names_every_key_and_counts_them(guest: Guest) -> None:
    with start(guest, str(EXAMPLES / "key_pressed.bt")) as job:
        guest.keys("b @0.1 p @0.1 f @0.1 b @0.1 spc @0.1 b @0.1 ret")
        job.wait_for("ENTER")
        text = end(job).stdout
    typed = re.findall(r"^\d\d:\d\d:\d\d (\w+) +code +(\d+) on (.*\w.*)$", text, re.MULTILINE)
    assert [(name, int(code)) for name, code, _ in typed] == [
        ("B", 48), ("P", 25), ("F", 33), ("B", 48), ("SPACE", 57), ("B", 48), ("ENTER", 28),
    ]  # fmt: skip
    assert len({device for _, _, device in typed}) == 1
    counts = dict(re.findall(r"^@pressed\[(\w+)\]: (\d+)$", text, re.MULTILINE))
    assert counts == {"B": "3", "P": "1", "F": "1", "SPACE": "1", "ENTER": "1"}
    assert text.rstrip().endswith("@pressed[B]: 3"), "the most pressed key comes last"


@pytest.fixture
def network(guest: Guest) -> Iterator[None]:
    """Two ends of a veth pair, one in a namespace of its own."""
    guest.run(NETWORK).check()
    yield
    guest.run("ip link del near0; ip netns del far")


def test_others_shows_modes_and_results_of_mkdir(guest: Guest) -> None:
    with start(guest, str(EXAMPLES / "others.bt")) as job:
        guest.run("mkdir -m 751 /tmp/made-by-a-test; mkdir /tmp/made-by-a-test; rmdir /tmp/made-by-a-test")
        job.wait_for("= -17")
        text = end(job).stdout
    assert re.search(r"MKDIR: mkdir \(pid \d+, root\) /tmp/made-by-a-test mode 0751 = 0$", text, re.MULTILINE)
    assert re.search(r"MKDIR: mkdir \(pid \d+, root\) /tmp/made-by-a-test mode 0777 = -17$", text, re.MULTILINE)


@pytest.mark.usefixtures("network")
def test_others_shows_both_lines_of_an_arp_exchange(guest: Guest) -> None:
    near = guest.run("cat /sys/class/net/near0/address").check().stdout.strip().upper()
    far = guest.run("ip netns exec far cat /sys/class/net/far0/address").check().stdout.strip().upper()
    with start(guest, str(EXAMPLES / "others.bt")) as job:
        guest.run(["bash", "-c", "echo hello >/dev/udp/198.18.7.2/9"])
        job.wait_for("198.18.7.2 " + far)
        text = end(job).stdout
    request = f"SRC: {'198.18.7.1':>16} {near} DST: {'198.18.7.2':>16} 00:00:00:00:00:00"
    reply = f"SRC: {'198.18.7.2':>16} {far} DST: {'198.18.7.1':>16} {near}"
    assert request in text
    assert reply in text
