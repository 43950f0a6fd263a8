"""Which suites are asked for which kernel, with a made-up mirror in apt's place."""

from __future__ import annotations

import os

import pytest

from probee.errors import LabError
from probee.lab import apt, suite


def quiet(message: str) -> None:
    pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror whose bullseye is gone; returns what each suite has, to be changed by the test."""
    has = {"bookworm": ["linux-image-6.1.0-50-amd64"], "trixie": ["linux-image-6.12.107+deb13-amd64"]}
    has["bookworm-backports"] = ["linux-image-6.12.95+deb12-amd64", "linux-image-6.12.9+deb12-amd64", "linux-image-amd64"]

    def use(self, sources):
        self.suite = sources.split()[-2]
        if self.suite not in has:
            raise LabError(f"E: The repository '... {self.suite} Release' does not have a Release file.")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(apt.Apt, "use", use)
    monkeypatch.setattr(apt.Apt, "run", lambda self, *command, cwd=None: "\n".join(has[self.suite]))
    monkeypatch.setattr(suite, "find_keyring", lambda: "/keys")
    monkeypatch.setattr(suite, "_fetch_from", lambda source, version, report: (source.name, version))
    return has


def test_the_first_suite_known_to_have_a_kernel_wins(mirror):
    assert suite.fetch_kernel("6.12", mirror="m", report=quiet) == ("bookworm-backports", "6.12.95+deb12-amd64")


def test_the_next_suite_is_asked_when_the_first_has_it_no_more(mirror):
    mirror["bookworm-backports"] = []
    assert suite.fetch_kernel("6.12", mirror="m", report=quiet) == ("trixie", "6.12.107+deb13-amd64")


def test_a_dropped_suite_is_named_and_the_way_out_too(mirror):
    with pytest.raises(LabError) as caught:
        suite.fetch_kernel("5.10", mirror="http://mirror/debian", report=quiet)
    assert "suite bullseye cannot be had from http://mirror/debian" in str(caught.value)
    assert "--mirror" in str(caught.value)


def test_an_unknown_kernel_is_looked_for_everywhere(mirror):
    mirror["sid"] = ["linux-image-9.9.1+deb15-amd64"]
    assert suite.fetch_kernel("9.9", mirror="m", report=quiet) == ("sid", "9.9.1+deb15-amd64")


def test_available_gives_the_newest_of_each_family_and_the_problems(mirror):
    found = suite.available("m", report=quiet)
    assert found[:2] == [("6.1", "6.1.0-50-amd64", "bookworm"), ("6.12", "6.12.107+deb13-amd64", "trixie")]
    assert {name for family, _, name in found[2:]} == {"bullseye", "trixie-backports", "forky", "sid"}
    assert all("dropped" in problem for _, problem, _ in found[2:])


def test_flavours_symbols_and_meta_packages_are_no_stock_kernels():
    names = ["amd64", "6.1.0-9-amd64", "6.1.0-50-amd64", "6.1.0-50-rt-amd64", "6.1.0-50-cloud-amd64",
             "6.1.0-50-amd64-dbg", "6.1.0-50-amd64-unsigned", "6.12.95+deb12-amd64", "rt-amd64"]  # fmt: skip
    assert suite.stock_versions(names) == ["6.1.0-9-amd64", "6.1.0-50-amd64", "6.12.95+deb12-amd64"]


def test_every_candidate_is_a_suite():
    assert {name for names in suite.CANDIDATES.values() for name in names} <= set(suite.SUITES)


def test_drivers_for_hardware_that_guests_lack_stay_behind():
    assert suite.wanted_of_kernel("lib/modules/6.1/kernel/drivers/net/veth.ko")
    assert suite.wanted_of_kernel("usr/lib/modules/7.2/vmlinuz")
    assert not suite.wanted_of_kernel("lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko")
    assert not suite.wanted_of_kernel("usr/share/doc/linux/changelog.gz")


@pytest.mark.parametrize(("lib", "image"), [("lib", "boot/vmlinuz-1.2"), ("usr/lib", "usr/lib/modules/1.2/vmlinuz")])
def test_both_layouts_of_packages_are_arranged_alike(tmp_path, monkeypatch, lib, image):
    monkeypatch.setattr(suite, "_index_modules", lambda home, version: None)
    module = tmp_path / "tree" / lib / "modules/1.2/kernel/a.ko"
    module.parent.mkdir(parents=True)
    module.write_bytes(b"ko")
    path = tmp_path / "tree" / image
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"image")
    suite.arrange(str(tmp_path / "tree"), "1.2", str(tmp_path / "home"))
    assert (tmp_path / "home/boot/vmlinuz-1.2").read_bytes() == b"image"
    assert os.listdir(tmp_path / "home/lib/modules/1.2/kernel") == ["a.ko"]


def test_mirrors_are_read_from_both_notations_and_security_is_not_one():
    lines = (
        "# deb http://no/debian x\ndeb [arch=amd64 signed-by=/k] http://one/debian/ bookworm main\n"
        "deb http://s/debian-security b main\n"
    )
    assert apt.mirrors_in(lines) == ["http://one/debian"]
    blocks = "Types: deb\nURIs: http://two/debian\nSuites: b\n\nTypes: deb\nURIs: http://s/debian-security\n"
    assert apt.mirrors_in(blocks) == ["http://two/debian"]


def test_a_machine_without_apt_is_told_what_else_works(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match="vmlinuz"):
        apt.run_apt(["apt-get", "update"], {}, None)
