"""QEMU's command line."""

from __future__ import annotations

import os

from probee.lab.emulator import Emulator
from probee.lab.machine import TAIL_LINES, MachineSpec, last_words


def options(**changes) -> list[str]:
    spec = MachineSpec(Emulator("/q/qemu", "10.0.2"), "/k", "/i", kvm=False, **changes)
    return spec.options("/con,sole", 7, 8)


def test_the_root_is_shared_read_only():
    (root,) = [word for word in options() if word.startswith("local,id=root")]
    assert "readonly=on" in root and "path=/," in root


def test_a_comma_in_a_path_is_doubled_as_qemu_wants_it():
    line = options(rw=("/a,b",))
    assert any("path=/a,,b," in word for word in line)
    assert any("path=/con,,sole," in word for word in line)


def test_ownership_is_kept_only_by_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert any(word.startswith("local,id=rw0") and "security_model=none" in word for word in options(rw=("/a",)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert any(word.startswith("local,id=rw0") and "passthrough" in word for word in options(rw=("/a",)))


def test_there_is_no_network_unless_asked_for():
    assert not any("netdev" in word for word in options())
    assert "user,id=net" in options(net=True)


def test_a_panic_ends_the_process():
    line = options(append="one two")
    assert "-no-reboot" in line and "panic=-1" in line[line.index("-append") + 1]
    assert line[line.index("-append") + 1].endswith("one two")


def test_last_words_begin_with_the_crash_however_long_its_trace():
    lines = ["quiet"] * 50 + ["Kernel panic - not syncing: why"] + ["trace"] * 100
    assert last_words(lines)[0] == "Kernel panic - not syncing: why" and len(last_words(lines)) == TAIL_LINES


def test_last_words_without_a_crash_are_the_last_lines():
    assert last_words([str(number) for number in range(100)])[-1] == "99"
    assert last_words([]) == []
