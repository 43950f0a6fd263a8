"""QEMU's command line."""

from __future__ import annotations

import os

from probee.lab.emulator import Emulator
from probee.lab.machine import MachineSpec


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
