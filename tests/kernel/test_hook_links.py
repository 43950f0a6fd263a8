"""Programs on cgroups, sockets, functions' results, LSM hooks and perf events: all of them of this process and its children."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_object import COUNT_ALL, COUNT_OWN, COUNTER, NOTHING, OWN_PID, program
from network import own_network
from probee.errors import AttachError, VerifierError
from probee.kernel.links import hook
from probee.kernel.links.attach import attach
from probee.kernel.links.hook import attach_hook
from probee.kernel.links.link import Link
from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.create import create
from probee.kernel.maps.handle import HandleMap
from probee.kernel.programs.btf_id import BtfFinder
from probee.kernel.programs.load import load
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EBADF, EINVAL, EPERM
from probee.kernel.syscalls.link import program_attach, program_detach
from probee.kernel.syscalls.perf import SW_CPU_CLOCK, TYPE_SOFTWARE
from probee.kernel.target import LiveTarget
from probee.model.spec import AttachType, LinkSpec, MapSpec, MapType, ProgramType

pytestmark = pytest.mark.kernel

COUNT_AND_PASS = COUNT_ALL.replace("r0 = 0", "r0 = 1")  # 1: a cgroup's hook allows it, a map of sockets lets it pass
SOCK_CREATE = AttachType.CGROUP_INET_SOCK_CREATE


@pytest.fixture
def counter() -> Iterator[ArrayMap]:
    with create(COUNTER) as made:
        assert isinstance(made, ArrayMap)
        yield made


def counted(counter: ArrayMap) -> int:
    return int(struct.unpack("=Q", counter.at(0))[0])


def loaded(counter: ArrayMap, type: int, text: str = COUNT_OWN, attach_type: int = 0) -> Program:
    return load(program(text, type, attach_type=attach_type), NOTHING, {"counter": counter}, OWN_PID)


def link_spec(kind: str, **parameters: int | str | list[str] | list[int]) -> LinkSpec:
    return LinkSpec(kind, "probee_test", f"{kind}:test", dict(parameters))


@pytest.fixture(params=["link", "attach"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Hooks by BPF link, and as before there were links."""
    if request.param == "attach":
        monkeypatch.setattr(hook, "link_create", lambda *_, **__: -EINVAL)
    return str(request.param)


# -- cgroups


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of our own, without processes yet."""
    roots = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroup (version 2) file system is mounted here")
    made = Path(roots[0], f"probee-test-{os.getpid()}")
    made.mkdir()
    yield made
    end = time.monotonic() + 10
    while (made / "cgroup.procs").read_text().strip() and time.monotonic() < end:
        time.sleep(0.01)
    made.rmdir()


MAKE_A_SOCKET = "import os, socket, sys; open(sys.argv[1], 'w').write(str(os.getpid())); socket.socket().close()"


def socket_in(cgroup: Path) -> int:
    """Make a socket in a process of the cgroup; return the process's status."""
    return subprocess.run(
        [sys.executable, "-c", MAKE_A_SOCKET, str(cgroup / "cgroup.procs")], stderr=subprocess.DEVNULL, check=False
    ).returncode


def test_sockets_of_a_cgroup_are_counted_and_of_others_not(counter: ArrayMap, cgroup: Path, way: str) -> None:
    with loaded(counter, ProgramType.CGROUP_SOCK, COUNT_AND_PASS, SOCK_CREATE) as sockets:
        with attach(link_spec("cgroup", path=str(cgroup)), sockets) as link:
            assert len(link.bpf_links) == (way == "link")
            socket.socket().close()
            assert socket_in(cgroup) == 0
        assert (counted(counter), link.targets) == (1, 1)
        assert socket_in(cgroup) == 0
    assert counted(counter) == 1


def test_a_program_may_forbid_sockets(counter: ArrayMap, cgroup: Path, way: str) -> None:
    with loaded(counter, ProgramType.CGROUP_SOCK, COUNT_ALL, SOCK_CREATE) as forbid:
        with attach(link_spec("cgroup", path=str(cgroup)), forbid):
            assert socket_in(cgroup) == 1
        assert socket_in(cgroup) == 0
    assert counted(counter) == 1


def test_two_programs_share_a_cgroup(counter: ArrayMap, cgroup: Path) -> None:
    spec = link_spec("cgroup", path=str(cgroup))
    with loaded(counter, ProgramType.CGROUP_SOCK, COUNT_AND_PASS, SOCK_CREATE) as sockets:
        with attach(spec, sockets), attach(spec, sockets) as second:
            assert len(second.bpf_links) == 1
            socket_in(cgroup)
        assert counted(counter) == 2


def test_a_program_that_wants_to_be_alone_is_left_alone(counter: ArrayMap, cgroup: Path) -> None:
    directory = os.open(cgroup, os.O_RDONLY)
    try:
        with loaded(counter, ProgramType.CGROUP_SOCK, COUNT_AND_PASS, SOCK_CREATE) as sockets:
            assert program_attach(sockets.fd, directory, SOCK_CREATE, 0) == 0
            with pytest.raises(AttachError, match="allows no other beside it") as caught:
                attach(link_spec("cgroup", path=str(cgroup)), sockets)
            assert caught.value.errno == EPERM
            assert program_detach(sockets.fd, directory, SOCK_CREATE) == 0
    finally:
        os.close(directory)


KILLED = f"""
from live_object import COUNT_ALL, COUNTER, NOTHING, program
from probee.kernel.links.attach import attach
from probee.kernel.maps.create import create
from probee.kernel.programs.load import load
from probee.model.spec import LinkSpec
counter = create(COUNTER)
loaded = load(program(COUNT_ALL, {ProgramType.CGROUP_SOCK}, attach_type={SOCK_CREATE}), NOTHING, {{"counter": counter}})
link = attach(LinkSpec("cgroup", "p", "cgroup:test", {{"path": "PATH"}}), loaded)
"""


def test_kill_9_leaves_nothing_on_the_cgroup(cgroup: Path) -> None:
    from network import in_process

    with in_process(KILLED.replace("PATH", str(cgroup))) as child:
        assert socket_in(cgroup) == 1
        child.kill()
    end = time.monotonic() + 20
    while socket_in(cgroup) and time.monotonic() < end:
        time.sleep(0.05)
    assert socket_in(cgroup) == 0


def test_a_directory_that_is_no_cgroup_is_refused(counter: ArrayMap, tmp_path: Path) -> None:
    with loaded(counter, ProgramType.CGROUP_SOCK, COUNT_AND_PASS, SOCK_CREATE) as sockets:
        with pytest.raises(AttachError, match="the target is no cgroup") as caught:
            attach(link_spec("cgroup", path=str(tmp_path)), sockets)
        assert caught.value.errno == EBADF
        with pytest.raises(AttachError, match="is no directory of a cgroup: No such file"):
            attach(link_spec("cgroup", path=str(tmp_path / "none")), sockets)
        with pytest.raises(AttachError, match="nothing of cgroups or sockets has attach type 46"):
            attach_hook(sockets, 0, AttachType.TCX_INGRESS)


# -- maps of sockets


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection in a network of our own."""
    with own_network(), socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            yield near, far


@pytest.mark.parametrize(
    ("type", "attach_type"),
    [(ProgramType.SK_MSG, AttachType.SK_MSG_VERDICT), (ProgramType.SK_SKB, AttachType.SK_SKB_STREAM_VERDICT)],
)
def test_a_verdict_sees_what_sockets_of_a_map_send_or_receive(
    counter: ArrayMap, connection: tuple[socket.socket, socket.socket], way: str, type: int, attach_type: int
) -> None:
    near, far = connection
    watched = near if type == ProgramType.SK_MSG else far
    with (
        create(MapSpec("sockets", MapType.SOCKMAP, 4, 4, 2)) as sockets,
        loaded(counter, type, COUNT_AND_PASS, attach_type) as verdict,
    ):
        assert isinstance(sockets, HandleMap)
        with attach_hook(verdict, sockets.fd, attach_type) as link:
            assert link.targets == 1
            assert way == "link" or not link.bpf_links
            sockets.put_at(0, watched.fileno())
            near.sendall(b"hello")
            assert far.recv(5) == b"hello"
            assert counted(counter) == 1
            sockets.delete(struct.pack("=I", 0))
        near.sendall(b"again")
        assert far.recv(5) == b"again"
    assert counted(counter) == 1


# -- results of functions, LSM hooks


@pytest.fixture
def finder() -> Iterator[BtfFinder]:
    with BtfFinder(LiveTarget()) as made:
        yield made


def open_a_file() -> None:
    os.close(os.open("/etc/passwd", os.O_RDONLY))


@pytest.mark.usefixtures("kprobes")
def test_a_program_at_the_result_of_a_function_may_change_it(counter: ArrayMap, finder: BtfFinder) -> None:
    forbid = COUNT_OWN.replace("r0 = 0\n    exit", "exit").replace("r0 >>= 32", "r0 >>= 32\n    r7 = r0")
    text = forbid.replace("out:", "    r0 = -13\n    exit\nout:\n    r0 = 0")
    spec = program(text, ProgramType.TRACING, attach_type=AttachType.MODIFY_RETURN, attach_target="security_file_open")
    try:
        loaded_program = load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder)
    except VerifierError as error:
        pytest.skip(f"this kernel lets no program change what security_file_open returns: {error}")
    with loaded_program as change:
        with attach(link_spec("fmod_ret"), change) as link, pytest.raises(PermissionError):
            open_a_file()
        assert link.targets == 1
        open_a_file()
    assert counted(counter) == 1


@pytest.mark.usefixtures("kprobes")
def test_an_lsm_hook_runs_or_it_is_said_that_it_would_not(counter: ArrayMap, finder: BtfFinder) -> None:
    spec = program(COUNT_OWN, ProgramType.LSM, attach_type=AttachType.LSM_MAC, attach_target="bpf_lsm_file_open")
    try:
        hooked = load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder)
    except VerifierError as error:
        pytest.skip(f"this kernel has no LSM programs (CONFIG_BPF_LSM): {error}")
    path = Path("/sys/kernel/security/lsm")
    active = path.exists() and "bpf" in path.read_text().strip().split(",")
    with hooked:
        if path.exists() and not active:
            with pytest.raises(AttachError, match="the LSM `bpf` is not active, so the program would never run"):
                attach(link_spec("lsm"), hooked)
            return
        with attach(link_spec("lsm"), hooked):
            open_a_file()
        assert not active or counted(counter) >= 1


# -- perf events


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_perf_event_of_one_process_samples_it(counter: ArrayMap) -> None:
    spec = link_spec("perf_event", type=TYPE_SOFTWARE, config=SW_CPU_CLOCK, period=1_000_000, pid=os.getpid())
    with loaded(counter, ProgramType.PERF_EVENT) as samples, attach(spec, samples) as link:
        busy(0.2)
        assert counted(counter) >= 20
        assert link.targets >= 1


def test_a_frequency_and_a_cpu_may_be_given(counter: ArrayMap) -> None:
    spec = link_spec("perf_event", type=TYPE_SOFTWARE, config=SW_CPU_CLOCK, frequency_hz=99, cpu=0)
    with loaded(counter, ProgramType.PERF_EVENT) as samples, attach(spec, samples) as link:
        assert link.targets == 1


def test_a_whole_perf_event_attr_is_taken_as_it_is(counter: ArrayMap) -> None:
    attribute = struct.pack("=IIQQ", TYPE_SOFTWARE, 112, SW_CPU_CLOCK, 1_000_000)
    with (
        loaded(counter, ProgramType.PERF_EVENT) as samples,
        _attach_whole(samples, attribute, os.getpid()) as link,
    ):
        busy(0.2)
        assert counted(counter) >= 20
        assert link.targets >= 1


def _attach_whole(samples: Program, attribute: bytes, pid: int) -> Link:
    from probee.kernel.links.counter import attach_perf_event

    return attach_perf_event(link_spec("perf_event", pid=pid), samples, attribute=attribute)


def test_an_event_that_does_not_exist_is_refused(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.PERF_EVENT) as samples, pytest.raises(AttachError, match="Unable to attach probe"):
        attach(link_spec("perf_event", type=TYPE_SOFTWARE, config=1000, period=1), samples)
