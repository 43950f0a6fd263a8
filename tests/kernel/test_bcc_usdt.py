"""USDT probes through bcc's face: listed from a file, enabled, and read in a process of our own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probee.bcc.program import BPF
from probee.bcc.usdt import USDT, USDTException
from test_usdt import program  # noqa: F401  the fixture: a C program with notes

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

TEXT = """
BPF_HASH(sums, u32, u64);
int on_plain(struct pt_regs *ctx) {
    int number = 0;
    u64 wide = 0;
    u32 key = 1;
    bpf_usdt_readarg(1, ctx, &number);
    bpf_usdt_readarg(2, ctx, &wide);
    sums.increment(key, number);
    key = 2;
    sums.increment(key, wide - 1000000000000ULL);
    return 0;
}
int on_guarded(struct pt_regs *ctx) {
    u32 number = 0, key = 3;
    bpf_usdt_readarg(1, ctx, &number);
    sums.increment(key, number);
    return 0;
}
int on_twice(struct pt_regs *ctx) {
    long number = 0;
    u32 key = 4;
    bpf_usdt_readarg(1, ctx, &number);
    sums.increment(key, number);
    return 0;
}
"""


def test_probes_are_listed_with_their_places_and_arguments(program: str) -> None:  # noqa: F811
    probes = {probe.short_name(): probe for probe in USDT(path=program).enumerate_probes()}
    assert set(probes) == {"prov:plain", "prov:guarded", "prov:twice", "other:plain"}
    plain = probes["prov:plain"]
    assert (plain.num_locations, plain.num_arguments, plain.semaphore) == (1, 4, 0)
    assert probes["prov:guarded"].semaphore
    assert probes["prov:twice"].num_locations >= 2
    first = plain.get_location(0).get_argument(0)
    assert (first.size, first.signed) == (4, True)
    assert str(first).startswith("4 signed   bytes @ ")
    assert str(plain.get_location(0)) == f"{program} 0x{plain.get_location(0).address:x}"
    with pytest.raises(USDTException, match="error retrieving probe location 7"):
        plain.get_location(7)


def test_types_of_arguments_are_c_s(program: str) -> None:  # noqa: F811
    types = [USDT(path=program).get_probe_arg_ctype("prov:plain", number) for number in range(4)]
    assert types == ["int32_t", "int64_t", "int8_t", "uint64_t"]


def test_arguments_are_read_at_every_place(program: str) -> None:  # noqa: F811
    usdt = USDT(path=program)
    usdt.enable_probe(probe="prov:plain", fn_name="on_plain")
    usdt.enable_probe("guarded", "on_guarded")
    usdt.enable_probe("twice", "on_twice")
    with BPF(text=usdt.get_text() + TEXT, usdt_contexts=[usdt]) as face:
        assert face.num_open_uprobes() == len(usdt.enumerate_active_probes()) >= 4
        subprocess.run([program], check=True)
        sums = {key.value: leaf.value for key, leaf in face["sums"].items()}
    assert sums == {1: 10, 2: 10, 3: 100, 4: 10 + 5 * 77}


def test_a_probe_that_is_not_there_cannot_be_enabled(program: str, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    usdt = USDT(path=program)
    with pytest.raises(USDTException, match="Failed to enable USDT probe 'none'"):
        usdt.enable_probe("none", "f")
    with pytest.raises(SystemExit):
        usdt.enable_probe_or_bail("none", "f")
    assert "tplist" in capsys.readouterr().err


def test_what_has_no_probes_to_look_for(tmp_path: Path) -> None:
    with pytest.raises(USDTException, match="either a pid or a binary path must be specified"):
        USDT()
    with pytest.raises(USDTException, match="USDT failed to instrument path"):
        USDT(path=str(tmp_path / "none"))
