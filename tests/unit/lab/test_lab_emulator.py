"""Which QEMU, how many CPUs, and what is remembered about KVM."""

from __future__ import annotations

import os
import stat

import pytest

from probee.errors import LabError
from probee.lab import emulator, requirement


def fake_qemu(path, version: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version} (Debian)'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("PROBEE_LAB_QEMU", raising=False)
    monkeypatch.setattr(emulator, "PROGRAM", "qemu-for-this-test")
    return tmp_path


def test_no_qemu_says_what_gets_one(place):
    with pytest.raises(LabError, match="probee lab setup"):
        emulator.find_emulator()


def test_an_unpacked_qemu_goes_before_the_systems(place):
    fake_qemu(place / "bin/qemu-for-this-test", "7.2.22")
    assert emulator.find_emulator().major == 7
    unpacked = fake_qemu(place / "cache/probee/lab/tools/usr/bin/qemu-for-this-test", "10.0.2")
    found = emulator.find_emulator()
    assert (found.program, found.major) == (unpacked, 10)
    assert found.environment()["LD_LIBRARY_PATH"].startswith(str(place / "cache/probee/lab/tools/usr/lib"))


def test_the_variable_goes_before_all(place, monkeypatch):
    monkeypatch.setenv("PROBEE_LAB_QEMU", fake_qemu(place / "mine", "11.1.0"))
    assert emulator.find_emulator().version == "11.1.0"


def test_a_qemu_that_does_not_run_is_an_error_of_its_own(place):
    path = place / "bin/qemu-for-this-test"
    fake_qemu(path, "x").replace("x", "x")
    path.write_text("#!/bin/sh\necho 'libfoo.so not found' >&2; exit 127\n")
    with pytest.raises(LabError, match="libfoo"):
        emulator.find_emulator()


@pytest.mark.parametrize(
    ("version", "kvm", "asked", "cpus", "accel"),
    [
        ("7.2.22", False, 0, "1", "tcg,thread=single"),
        ("7.2.22", False, 2, "2", "tcg,thread=single"),
        ("10.0.2", False, 0, "2", "tcg,thread=multi"),
        ("7.2.22", True, 0, "2", "kvm"),
        ("10.0.2", True, 4, "4", "kvm"),
    ],
)
def test_an_old_qemu_never_emulates_two_cpus_in_two_threads(version, kvm, asked, cpus, accel):
    options = emulator.Emulator("/q", version).accelerator(kvm=kvm, cpus=asked)
    assert options[options.index("-smp") + 1] == cpus
    assert options[options.index("-accel") + 1] == accel


def test_a_verdict_about_kvm_is_kept_for_each_kernel_until_the_next_boot(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert emulator.kvm_verdict("6.12") is None
    emulator.keep_kvm_verdict("6.12", works=False)
    emulator.keep_kvm_verdict("6.1", works=True)
    assert (emulator.kvm_verdict("6.12"), emulator.kvm_verdict("6.1")) == (False, True)
    monkeypatch.setattr(emulator, "_boot_id", lambda: "another")
    assert emulator.kvm_verdict("6.12") is None


def test_a_broken_verdict_file_is_no_verdict(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    emulator.keep_kvm_verdict("6.12", works=True)
    (place / "cache/probee/lab/kvm.json").write_text("{")
    assert emulator.kvm_verdict("6.12") is None


def test_no_access_to_kvm_means_emulation_without_trying(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert emulator.kvm_verdict("6.12") is False


def elf_with_segment(kind: int) -> bytes:
    header = bytearray(64)
    header[:5] = b"\x7fELF\x02"
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    return bytes(header) + kind.to_bytes(4, "little") + bytes(52)


def test_a_busybox_that_needs_libraries_is_not_static(tmp_path):
    (tmp_path / "dynamic").write_bytes(elf_with_segment(3))
    (tmp_path / "static").write_bytes(elf_with_segment(1))
    (tmp_path / "script").write_text("#!/bin/sh\n")
    verdicts = [requirement.is_static(str(tmp_path / name)) for name in ("dynamic", "static", "script")]
    assert verdicts == [False, True, False]


def test_what_is_missing_is_named_with_its_package(place, monkeypatch):
    monkeypatch.setattr(requirement, "find_busybox", lambda: None)
    needed = [item.package for item in requirement.missing() if item.needed]
    assert needed == ["qemu-system-x86", "busybox-static"]
    command = requirement.install_command(requirement.missing())
    assert command[:4] == ["apt-get", "install", "--yes", "--no-install-recommends"] and "busybox-static" in command


def test_an_old_qemu_is_worth_replacing_but_not_needed(place):
    fake_qemu(place / "bin/qemu-for-this-test", "7.2.22")
    (item,) = [item for item in requirement.missing() if item.package == "qemu-system-x86"]
    assert not item.needed and "one CPU" in item.reason


def test_only_root_installs_and_others_get_the_command(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="sudo apt-get install --yes --no-install-recommends zstd"):
        requirement.install([requirement.Requirement("zstd", "because")])


@pytest.mark.parametrize(
    ("text", "codename"),
    [
        ('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n', "bookworm"),
        ("ID=debian\nVERSION_CODENAME=forky\n", ""),  # testing has no backports
        ('ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n', ""),
    ],
)
def test_backports_are_a_stable_debians(tmp_path, text, codename):
    (tmp_path / "os-release").write_text(text)
    assert requirement.debian_codename(str(tmp_path / "os-release")) == codename
