"""Programs on network devices: XDP, tc, socket filters.  Frames go through a veth pair in a namespace of its own."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest

import network
from live_object import COUNTER, NOTHING, program
from network import DROPPED, FAR, NEAR, PASSED, own_network, received, receiver, send
from probee.errors import AttachError
from probee.kernel.features.feature import has
from probee.kernel.links import tc, xdp
from probee.kernel.links.attach import attach
from probee.kernel.links.socket import SocketLink
from probee.kernel.links.xdp import XdpLink, attached_xdp, detach_xdp
from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.create import create
from probee.kernel.programs.load import load
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EBUSY, EINVAL
from probee.kernel.syscalls.netlink import device_index
from probee.model.spec import LinkSpec, ProgramType

pytestmark = pytest.mark.kernel

# Counts frames of the EtherType `DROPPED` and drops them; everything else passes.
DROP = """
    r2 = *(u32 *)(r1 + {data})
    r3 = *(u32 *)(r1 + {end})
    r4 = r2
    r4 += 14
    if r4 > r3 goto pass
    r5 = *(u16 *)(r2 + 12)
    if r5 != 0xb588 goto pass
    r1 = map_value[counter]+0 ll
    r2 = 1
    lock *(u64 *)(r1 + 0) += r2
    r0 = {drop}
    exit
pass:
    r0 = {ok}
    exit
"""
XDP_DROP = DROP.format(data=0, end=4, drop=1, ok=2)
TC_DROP = DROP.format(data=76, end=80, drop=2, ok=0)
# A socket filter: keeps 64 bytes of a frame of the EtherType PASSED (in the register as a number), nothing of others.
KEEP = """
    r0 = *(u32 *)(r1 + 16)
    if r0 == 0xb688 goto keep
    r0 = 0
    exit
keep:
    r0 = 64
    exit
"""
PASS = "r0 = 2\nexit"


@pytest.fixture(autouse=True)
def veth() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def counter() -> Iterator[ArrayMap]:
    with create(COUNTER) as made:
        assert isinstance(made, ArrayMap)
        yield made


def loaded(counter: ArrayMap, text: str, type: int) -> Program:
    return load(program(text, type), NOTHING, {"counter": counter})


def link_spec(kind: str, **parameters: int | str | list[str] | list[int]) -> LinkSpec:
    return LinkSpec(kind, "probee_test", f"{kind}:{parameters.get('device', '')}", dict(parameters))


def counted(counter: ArrayMap) -> int:
    return int(struct.unpack("=Q", counter.at(0))[0])


def gone(question: object, *arguments: object) -> bool:
    """Ask until the answer is empty: the kernel takes some time to bury a killed process."""
    assert callable(question)
    end = time.monotonic() + 20
    while question(*arguments) and time.monotonic() < end:
        time.sleep(0.01)
    return not question(*arguments)


# -- XDP


@pytest.mark.parametrize(("flags", "mode"), [(0, "drv"), (xdp.SKB_MODE, "skb"), (xdp.DRV_MODE, "drv")])
def test_every_frame_is_dropped_and_counted_or_passes(counter: ArrayMap, flags: int, mode: str) -> None:
    with loaded(counter, XDP_DROP, ProgramType.XDP) as drop, receiver() as packets:
        with attach(link_spec("xdp", device=NEAR, flags=flags), drop) as link:
            assert attached_xdp(NEAR) == {mode: drop.info().id}
            send(DROPPED, 70)
            send(PASSED, 30)
            assert wait_for(packets, PASSED, 30) == 30
        assert (link.targets, attached_xdp(NEAR)) == (1, {})
        assert received(packets, DROPPED) == 0
        send(DROPPED, 5)
        assert wait_for(packets, DROPPED, 5) == 5
    assert counted(counter) == 70


def wait_for(packets: socket.socket, kind: int, count: int) -> int:
    end, found = time.monotonic() + 10, 0
    while found < count and time.monotonic() < end:
        found += received(packets, kind)
    return found


def test_another_program_takes_the_place_without_a_gap(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as first,
        loaded(counter, XDP_DROP, ProgramType.XDP) as second,
        attach(link_spec("xdp", device=NEAR), first) as link,
    ):
        assert isinstance(link, XdpLink)
        send(DROPPED, 3)
        link.replace(second)
        assert attached_xdp(NEAR) == {"drv": second.info().id}
        send(DROPPED, 4)
        time.sleep(0.05)
    assert counted(counter) == 4


def test_a_device_with_a_program_of_somebody_else_is_busy(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as first,
        attach(link_spec("xdp", device=NEAR), first),
        loaded(counter, PASS, ProgramType.XDP) as second,
    ):
        with pytest.raises(AttachError, match=r"xdp:probee0: .*has an XDP program already") as caught:
            attach(link_spec("xdp", device=NEAR), second)
        assert caught.value.errno == EBUSY
        with pytest.raises(AttachError, match=r"Unable to detach probe: xdp:probee0: .*BPF.*link") as caught:
            detach_xdp(NEAR)
        assert caught.value.errno == EBUSY
        assert attached_xdp(NEAR) == {"drv": first.info().id}


@pytest.fixture
def without_xdp_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let XDP links fail as they do before Linux 5.9."""
    monkeypatch.setattr(xdp, "link_create", lambda *_, **__: -EINVAL)


@pytest.mark.usefixtures("without_xdp_links")
def test_without_links_netlink_attaches_replaces_and_closing_detaches(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as first,
        loaded(counter, XDP_DROP, ProgramType.XDP) as second,
        attach(link_spec("xdp", device=NEAR, flags=xdp.SKB_MODE), first) as link,
    ):
        assert isinstance(link, XdpLink)
        assert attached_xdp(NEAR) == {"skb": first.info().id}
        link.replace(second)
        assert attached_xdp(NEAR) == {"skb": second.info().id}
        send(DROPPED, 4)
        time.sleep(0.05)
    assert (attached_xdp(NEAR), counted(counter)) == ({}, 4)


def test_what_netlink_attached_gives_way_unless_the_flags_forbid_it(
    counter: ArrayMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loaded(counter, PASS, ProgramType.XDP) as old, loaded(counter, XDP_DROP, ProgramType.XDP) as new:
        with monkeypatch.context() as before_5_9:
            before_5_9.setattr(xdp, "link_create", lambda *_, **__: -EINVAL)
            stale = attach(link_spec("xdp", device=NEAR), old)
            with pytest.raises(AttachError, match="already"):
                attach(link_spec("xdp", device=NEAR, flags=xdp.UPDATE_IF_NOEXIST), new)
        with pytest.raises(AttachError, match="already") as caught:
            attach(link_spec("xdp", device=NEAR, flags=xdp.UPDATE_IF_NOEXIST), new)
        assert caught.value.errno == EBUSY
        assert attached_xdp(NEAR) == {"drv": old.info().id}
        with attach(link_spec("xdp", device=NEAR), new) as link:
            assert (attached_xdp(NEAR), len(link.bpf_links)) == ({"drv": new.info().id}, 1)
        assert isinstance(stale, XdpLink)
        stale.by_netlink = False  # it has been replaced: nothing of it is left to detach
        stale.close()


@pytest.mark.usefixtures("without_xdp_links")
def test_detach_removes_what_netlink_attached_and_nothing_is_no_error(counter: ArrayMap) -> None:
    detach_xdp(NEAR)
    with loaded(counter, PASS, ProgramType.XDP) as idle, attach(link_spec("xdp", device=NEAR), idle):
        assert attached_xdp(NEAR)
        detach_xdp(NEAR)
        assert attached_xdp(NEAR) == {}


def test_a_device_that_is_not_there_names_its_neighbours(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as idle,
        pytest.raises(AttachError, match="there is no network device probee9 here") as caught,
    ):
        attach(link_spec("xdp", device="probee9"), idle)
    assert set(caught.value.candidates) <= {NEAR, FAR}
    assert caught.value.candidates
    assert device_index("probee9") == 0
    assert attached_xdp("probee9") == {}


def test_two_modes_at_once_are_refused(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as idle,
        pytest.raises(AttachError, match="Unable to attach probe: xdp:probee0") as caught,
    ):
        attach(link_spec("xdp", device=NEAR, flags=xdp.SKB_MODE | xdp.DRV_MODE), idle)
    assert caught.value.errno == EINVAL


CHILD = """
from live_object import COUNTER, NOTHING, program
from probee.kernel.links.attach import attach
from probee.kernel.maps.create import create
from probee.kernel.programs.load import load
from probee.model.spec import LinkSpec
from probee.kernel.links import tc
counter = create(COUNTER)
loaded = load(program({text!r}, {type}), NOTHING, {{"counter": counter}})
{before}
link = attach(LinkSpec({kind!r}, "p", {kind!r}, {parameters!r}), loaded)
"""


def killed(text: str, type: int, kind: str, parameters: dict[str, str], before: str = "") -> subprocess.Popen[str]:
    """Attach in a process of its own, and return it: it is there until it is killed."""
    return network.in_process(CHILD.format(text=text, type=type, kind=kind, parameters=parameters, before=before))


def test_kill_9_leaves_no_program_on_the_device() -> None:
    with killed(XDP_DROP, ProgramType.XDP, "xdp", {"device": NEAR}) as child:
        assert attached_xdp(NEAR)
        child.kill()
    assert gone(attached_xdp, NEAR)


# -- tc


@pytest.fixture(params=["tcx", "clsact"])
def tc_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of attaching where the kernel has both; the older one as it is before Linux 6.6."""
    way = str(request.param)
    if way == "clsact":
        monkeypatch.setattr(tc, "link_create", lambda *_, **__: -EINVAL)
    elif not has("tcx_link"):
        pytest.skip("this kernel has no tcx links (Linux has since 6.6)")
    return way


@pytest.mark.parametrize(("direction", "device"), [("ingress", NEAR), ("egress", FAR)])
def test_tc_drops_and_counts_on_the_way_in_and_out(counter: ArrayMap, tc_way: str, direction: str, device: str) -> None:
    spec = link_spec("tc", device=device, direction=direction)
    with loaded(counter, TC_DROP, ProgramType.SCHED_CLS) as drop, receiver() as packets:
        with attach(spec, drop) as link:
            assert len(link.bpf_links) == (tc_way == "tcx")
            send(DROPPED, 20)
            send(PASSED, 10)
            arrived = wait_for(packets, PASSED, 10)
            assert arrived == 10
        time.sleep(0.05)
        assert counted(counter) == 20
        send(DROPPED, 5)
        time.sleep(0.05)
    assert counted(counter) == 20
    assert clsacts() == ""


def clsacts() -> str:
    """Return clsact queueing disciplines as `tc` shows them."""
    shown = subprocess.run(["tc", "qdisc", "show"], capture_output=True, text=True, check=True).stdout
    return "".join(line for line in shown.splitlines() if "clsact" in line)


def test_a_clsact_of_somebody_else_stays(counter: ArrayMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tc, "link_create", lambda *_, **__: -EINVAL)
    subprocess.run(["tc", "qdisc", "add", "dev", NEAR, "clsact"], check=True)
    with (
        loaded(counter, TC_DROP, ProgramType.SCHED_CLS) as drop,
        attach(link_spec("tc", device=NEAR, direction="ingress"), drop),
    ):
        send(DROPPED, 3)
        time.sleep(0.05)
    assert counted(counter) == 3
    assert NEAR in clsacts()


def test_a_filter_of_a_killed_process_is_removed_by_the_next(counter: ArrayMap, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"device": NEAR, "direction": "ingress"}
    ingress = tc._PARENTS["ingress"]
    before_6_6 = f"tc.link_create = lambda *_, **__: -{EINVAL}"
    device = device_index(NEAR)
    with killed(TC_DROP, ProgramType.SCHED_CLS, "tc", parameters, before_6_6) as child:
        assert tc.remove_orphans(device) == 0
        assert len(tc._filters(device, ingress)) == 1
        child.kill()
    monkeypatch.setattr(tc, "link_create", lambda *_, **__: -EINVAL)
    assert len(tc._filters(device, ingress)) == 1
    with loaded(counter, TC_DROP, ProgramType.SCHED_CLS) as drop, attach(link_spec("tc", **parameters), drop):
        assert len(tc._filters(device, ingress)) == 1
    assert tc._filters(device, ingress) == []


def test_kill_9_leaves_no_tcx_link(counter: ArrayMap) -> None:
    if not has("tcx_link"):
        pytest.skip("this kernel has no tcx links (Linux has since 6.6)")
    with killed(TC_DROP, ProgramType.SCHED_CLS, "tc", {"device": NEAR, "direction": "egress"}) as child:
        child.kill()
    assert gone(drops_on_egress)


def drops_on_egress() -> bool:
    """Whether a frame that NEAR sends does not arrive at FAR."""
    with receiver(FAR) as packets:
        send(DROPPED, 1, device=NEAR)
        return wait_for_at_most(packets, DROPPED, 0.3) == 0


def wait_for_at_most(packets: socket.socket, kind: int, seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := received(packets, kind):
            return found
    return 0


# -- socket filters


@pytest.mark.parametrize("device", [NEAR, ""])
def test_a_socket_gets_what_its_filter_keeps(counter: ArrayMap, device: str) -> None:
    with loaded(counter, KEEP, ProgramType.SOCKET_FILTER) as keep:
        with attach(link_spec("socket", device=device), keep) as link:
            assert isinstance(link, SocketLink)
            send(DROPPED, 20)
            send(PASSED, 10)
            assert os.get_blocking(link.fd) is False
            with socket.socket(fileno=os.dup(link.fd)) as packets:
                # without a device, the frames are seen as they leave FAR, too
                assert wait_for(packets, PASSED, 10 if device else 20) == (10 if device else 20)
                with pytest.raises(BlockingIOError):
                    packets.recv(1)
        assert link.descriptors == []


def test_a_program_that_is_no_socket_filter_is_refused(counter: ArrayMap) -> None:
    with (
        loaded(counter, PASS, ProgramType.XDP) as other,
        pytest.raises(AttachError, match="the program is no socket filter"),
    ):
        attach(link_spec("socket", device=NEAR), other)
