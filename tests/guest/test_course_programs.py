"""The four BCC programs, each with something real to see: commands typed, files read and written, packets, connections."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bcc_program import PEER, command, seen, start
from probee.lab import Guest, Job, Result
from session import ROOT

pytestmark = [pytest.mark.kernels("6.1", "6.12", "7.2" if PEER else "7.3"), pytest.mark.timeout(1500 if PEER else 400)]

FRAMES = [sys.executable, str(Path(__file__).parent / "frames.py")]
NETWORK = """
set -e
modprobe veth
ip netns add far
ip link add near0 type veth peer name far0 netns far
sysctl -qw net.ipv6.conf.near0.disable_ipv6=1
ip netns exec far sysctl -qw net.ipv6.conf.far0.disable_ipv6=1
ip addr add 198.18.7.1/24 dev near0
ip link set near0 up
ip -n far addr add 198.18.7.2/24 dev far0
ip -n far link set far0 up
ip -n far link set lo up
ip neigh replace 198.18.7.2 lladdr $(ip netns exec far cat /sys/class/net/far0/address) dev near0 nud permanent
ip -n far neigh replace 198.18.7.1 lladdr $(cat /sys/class/net/near0/address) dev far0 nud permanent
"""


@pytest.fixture
def network(guest: Guest) -> Iterator[None]:
    """Two ends of a veth pair, one in a namespace of its own, that say nothing by themselves."""
    guest.run(NETWORK).check()
    yield
    guest.run("ip link del near0; ip netns del far")


def finish(job: Job, number: int = signal.SIGINT) -> Result:
    """End a program by a signal; it ends in order, without a traceback."""
    job.signal(number)
    result = job.wait(timeout_s=60)
    assert "Traceback" not in result.stderr
    assert result.status == 0, result.stderr
    return result


# -- users_command

HEAD = re.compile(r"TIME +USER +PID +COMMAND")


def typed(guest: Guest, user: int, text: str) -> str:
    """Type a command into a real bash of a user on a terminal; return that bash's process number."""
    words = ["setpriv", f"--reuid={user}", "--clear-groups", "/bin/bash", "--norc", "--noprofile", "-i"]
    with guest.start(words, tty=(24, 80), stdin=True, env={"PS1": "ready> ", "HISTFILE": ""}, timeout_s=120) as bash:
        bash.wait_for("ready> ")
        bash.write("echo number-$$\r")
        number = bash.wait_for(re.compile(r"number-(\d+)"))[1]
        bash.write(f"{text}\r")
        bash.wait_for(re.compile(r"said: .*"))
        bash.write("exit\r")
        bash.wait(timeout_s=30)
    return number


def test_users_command_shows_who_typed_what(guest: Guest) -> None:
    with start(guest, "users_command.py", "-s", seen("/bin/bash"), ready=HEAD) as job:
        number = typed(guest, 65534, "echo 'said:' hello from a test")
        job.wait_for(re.compile(r" exit\n"))
        text = finish(job).stdout
    lines = re.findall(r"^\d\d:\d\d:\d\d +(\S+) +(\d+) +(.+)$", text, re.MULTILINE)
    assert lines == [
        ("nobody", number, "echo number-$$"), ("nobody", number, "echo 'said:' hello from a test"), ("nobody", number, "exit"),
    ]  # fmt: skip


def test_users_command_of_one_user_shows_nobody_else(guest: Guest) -> None:
    with start(guest, "users_command.py", "-u", "nobody", "-s", seen("/bin/bash"), ready=HEAD) as job:
        typed(guest, 0, "echo 'said:' by root")
        typed(guest, 65534, "echo 'said:' by nobody")
        job.wait_for("by nobody")
        text = finish(job, signal.SIGTERM).stdout
    assert "by root" not in text
    assert {words.split()[1] for words in text.splitlines()[1:]} == {"nobody"}


# -- filetop

FILE = "/tmp/made-by-a-test"


def rows(text: str, file: str) -> list[tuple[int, int, float, float]]:
    """Return (reads, writes, kilobytes read, kilobytes written) of each line about a file."""
    found = re.findall(rf"^\d+ +dd +(\d+) +(\d+) +([\d.]+) +([\d.]+) R {file}$", text, re.MULTILINE)
    return [(int(reads), int(writes), float(read), float(written)) for reads, writes, read, written in found]


def test_filetop_counts_every_read_and_write_of_a_file(guest: Guest) -> None:
    with start(guest, "filetop.py", "-C", "-r", "100", ready=re.compile(r"Tracing\.\.\. Output every 1 secs")) as job:
        guest.run(f"dd if=/dev/zero of={FILE} bs=4096 count=25 status=none; dd if={FILE} of=/dev/null bs=8192 count=12").check()
        guest.run(f"dd if=/dev/zero of={FILE}-small bs=512 count=3 status=none").check()
        job.wait_for(re.compile(r"dd .* R made-by-a-test-small"))
        text = finish(job).stdout
    guest.run(f"rm {FILE} {FILE}-small")
    total = [sum(column) for column in zip(*rows(text, "made-by-a-test"), strict=True)]
    assert total == [12, 25, 96.0, 100.0]
    assert rows(text, "made-by-a-test-small") == [(0, 3, 0.0, 1.5)]
    assert re.search(r"^TID +COMM +READS +WRITES +R_Kb +W_Kb +T FILE$", text, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d loadavg: ", text, re.MULTILINE)


def test_filetop_ends_after_as_many_tables_as_it_is_told_in_the_order_it_is_told(guest: Guest) -> None:
    writes = f"for n in 3 9 6; do dd if=/dev/zero of={FILE}-$n bs=100 count=$n status=none; done; rm {FILE}-*"
    with start(guest, "filetop.py", "-C", "-s", "writes", "3", "2", ready="Output every 3 secs") as job:
        guest.run(writes).check()
        result = job.wait(timeout_s=120)
    assert (result.status, result.stdout.count("loadavg:")) == (0, 2), result.stderr
    for table in result.stdout.split("loadavg:")[1:]:
        counts = [int(writes) for writes in re.findall(r"^\d+ +\S.*? +\d+ +(\d+) +[\d.]+ +[\d.]+ \w ", table, re.MULTILINE)]
        assert counts == sorted(counts, reverse=True)
    assert len(rows(result.stdout, "made-by-a-test-9")) == 1


# -- xdp_drop_count


def attached(guest: Guest) -> bool:
    return "xdp" in guest.run("ip link show near0").check().stdout


def sent(guest: Guest, *counts: str) -> None:
    guest.run(["ip", "netns", "exec", "far", *FRAMES, "send", "far0", *counts]).check()


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("mode", [["-S"], []], ids=["generic", "driver"])
def test_what_is_sent_is_dropped_or_passes(guest: Guest, mode: list[str]) -> None:
    ready = "Dropping on near0, hit Ctrl-C to stop"
    with start(guest, "xdp_drop_count.py", *mode, "-p", "udp", "near0", ready=ready) as job:
        assert attached(guest)
        with guest.start([*FRAMES, "count", "near0"], stdin=True, timeout_s=200) as receiver:
            receiver.wait_for("ready")
            sent(guest, "udp=200", "icmp=100", "other=50")
            receiver.close_input()
            arrived = receiver.wait(timeout_s=100).stdout
        text = finish(job).stdout
    assert not attached(guest)
    assert arrived.split()[1:] == ["icmp=100", "tcp=0", "udp=0", "other=50"]
    assert re.search(r"^Removed from near0: 200 dropped, 150 passed$", text, re.MULTILINE)
    assert totals(text) == {("dropped", "UDP"): 200, ("passed", "ICMP"): 100, ("passed", "not IP"): 50}


def totals(text: str) -> dict[tuple[str, str], int]:
    """Return how many packets of each kind were dropped or passed when the program ended."""
    lines = re.findall(r"^(dropped|passed) +(\w+|not IP) +(\d+)$", text, re.MULTILINE)
    return {(what, kind): int(count) for what, kind, count in lines}


@pytest.mark.usefixtures("network")
def test_everything_is_dropped_and_a_rate_is_shown(guest: Guest) -> None:
    with start(guest, "xdp_drop_count.py", "-i", "2", "near0", ready="Dropping on near0") as job:
        sent(guest, "tcp=30", "other=10")
        job.wait_for(re.compile(r"dropped +not IP"))
        text = finish(job, signal.SIGTERM).stdout
    assert not attached(guest)
    assert totals(text) == {("dropped", "TCP"): 30, ("dropped", "not IP"): 10}
    rates = re.findall(r"^dropped +not IP +(\d+) +([\d.]+) pkt/s$", text, re.MULTILINE)
    assert 0 < float(rates[0][1]) <= int(rates[0][0]) / 2 + 1
    assert re.search(r"^Removed from near0: 40 dropped, 0 passed$", text, re.MULTILINE)


@pytest.mark.usefixtures("network")
@pytest.mark.skipif(bool(PEER), reason="bcc attaches by netlink, which outlives the process: ours does not")
def test_kill_9_leaves_nothing_on_the_device(guest: Guest) -> None:
    with start(guest, "xdp_drop_count.py", "near0", ready="Dropping on near0") as job:
        assert attached(guest)
        job.signal(signal.SIGKILL)
        job.wait(timeout_s=60)
    end = time.monotonic() + 30
    while attached(guest) and time.monotonic() < end:
        time.sleep(0.2)
    assert not attached(guest)


def test_a_device_that_is_not_there_is_an_error(guest: Guest) -> None:
    result = guest.run(command(guest, "xdp_drop_count.py", "no-such-device"), cwd=str(ROOT))
    assert result.status == 1
    assert "no-such-device" in result.stderr
    assert "No such device" in result.stderr


# -- tracepoint

SERVER = """
import socket
server = socket.create_server(("198.18.7.2", 4040))
print("ready", flush=True)
connection, _ = server.accept()
connection.sendall(connection.recv(100))
connection.recv(100)
"""
CLIENT = """
import socket
client = socket.create_connection(("198.18.7.2", 4040))
client.sendall(b"hello")
assert client.recv(100) == b"hello"
print(client.getsockname()[1])
"""


@pytest.mark.usefixtures("network")
def test_tracepoint_shows_packets_and_states_of_a_connection(guest: Guest) -> None:
    with start(guest, "tracepoint.py", "-e", "out,in,state", "-d", "near0", ready=re.compile(r"TIME +EVENT")) as job:
        with guest.start(["ip", "netns", "exec", "far", sys.executable, "-c", SERVER], timeout_s=100) as server:
            server.wait_for("ready")
            port = guest.run([sys.executable, "-c", CLIENT]).check().stdout.strip()
            server.wait(timeout_s=60)
        job.wait_for(f"198.18.7.1:{port} -> 198.18.7.2:4040 FIN_WAIT1 -> FIN_WAIT2")
        text = finish(job).stdout
    near = rf"198\.18\.7\.1:{port} -> 198\.18\.7\.2:4040"
    states = re.findall(rf"^\d\d:\d\d:\d\d state +\S+ +\d+ +{near} (\w+ -> \w+)$", text, re.MULTILINE)
    assert states[:3] == ["SYN_SENT -> ESTABLISHED", "ESTABLISHED -> FIN_WAIT1", "FIN_WAIT1 -> FIN_WAIT2"]
    assert re.search(r" state +python\S* +\d+ +\S+:0 -> 198\.18\.7\.2:4040 CLOSE -> SYN_SENT$", text, re.MULTILINE)
    for kind in ("out", "in"):
        assert len(re.findall(rf"^\d\d:\d\d:\d\d {kind} +\S+ +\d+ +near0 +\d+ bytes$", text, re.MULTILINE)) >= 4
    assert " far0 " not in text


@pytest.mark.usefixtures("network")
def test_tracepoint_shows_what_is_sent_again_and_what_is_dropped_and_why(guest: Guest) -> None:
    silent = "ip neigh replace 198.18.7.9 lladdr $(ip netns exec far cat /sys/class/net/far0/address) dev near0 nud permanent"
    guest.run(silent).check()
    with start(guest, "tracepoint.py", "-e", "retransmit,drop", ready=re.compile(r"TIME +EVENT")) as job:
        guest.run(["bash", "-c", "echo hello >/dev/udp/198.18.7.2/9; timeout 3 bash -c '</dev/tcp/198.18.7.9/4242'; true"])
        job.wait_for("NO_SOCKET")
        job.wait_for("198.18.7.9:4242")
        text = finish(job).stdout
    assert re.search(r"^\d\d:\d\d:\d\d retransmit .* 198\.18\.7\.1:\d+ -> 198\.18\.7\.9:4242 SYN_SENT$", text, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d drop +\S+ +\d+ +IPv4 +NO_SOCKET in _*udp\w+", text, re.MULTILINE)
