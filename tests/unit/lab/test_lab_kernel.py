"""Choosing a kernel by name, among those of a made-up cache."""

from __future__ import annotations

import struct

import pytest

from probee.errors import LabError
from probee.lab import kernel


def bzimage(version: str, payload: bytes = b"") -> bytes:
    """Build the beginning of a bzImage: setup header, version string, payload."""
    data = bytearray(0x600)
    data[0x1F1] = 2  # setup sectors
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x300 - 0x200 + 0x10)
    text = f"{version} (someone@somewhere) #1 SMP\0".encode()
    data[0x310 : 0x310 + len(text)] = text
    struct.pack_into("<II", data, 0x248, 0, len(payload))
    return bytes(data) + payload


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernel, "host_kernels", list)
    for version in ("5.10.0-32-amd64", "6.1.0-9-amd64", "6.1.0-50-amd64", "6.12.95+deb12-amd64"):
        boot = tmp_path / "probee/lab/kernels" / version / "boot"
        boot.mkdir(parents=True)
        (boot / f"vmlinuz-{version}").write_bytes(bzimage(version))
    return tmp_path


def test_a_short_name_does_not_match_a_longer_number():
    assert kernel.matches("6.1.0-50-amd64", "6.1")
    assert not kernel.matches("6.12.95+deb12-amd64", "6.1")
    assert kernel.matches("6.12.95+deb12-amd64", "6.12.95")
    assert kernel.matches("6.12.95+deb12-amd64", "6.12.95+deb12-amd64")
    assert not kernel.matches("6.12.95", "6.12.9")


def test_the_newest_cached_kernel_of_a_family_is_taken(kernels):
    assert kernel.find_kernel("6.1").version == "6.1.0-50-amd64"
    assert kernel.find_kernel("6").version == "6.12.95+deb12-amd64"
    assert kernel.find_kernel("6.1.0-9").version == "6.1.0-9-amd64"


def test_cached_kernels_are_listed_by_number_not_by_letter(kernels):
    versions = [found.version for found in kernel.cached_kernels()]
    assert versions == ["5.10.0-32-amd64", "6.1.0-9-amd64", "6.1.0-50-amd64", "6.12.95+deb12-amd64"]
    assert kernel.cached_kernels()[0].family == "5.10"


def test_a_kernel_that_is_not_here_is_none(kernels):
    assert kernel.find_kernel("7.3") is None


def test_a_path_gives_the_version_it_says_inside(tmp_path):
    path = tmp_path / "mine"
    path.write_bytes(bzimage("6.9.1-mine"))
    found = kernel.find_kernel(str(path))
    assert (found.version, found.modules, found.source) == ("6.9.1-mine", "", "file")


def test_modules_beside_a_path_are_found(tmp_path):
    modules = tmp_path / "lib/modules/6.9.1-mine"
    modules.mkdir(parents=True)
    image = tmp_path / "boot" / "vmlinuz"
    image.parent.mkdir()
    image.write_bytes(bzimage("6.9.1-mine"))
    assert kernel.find_kernel(str(image)).modules == str(modules)


@pytest.mark.parametrize(
    ("name", "says"), [("nonsense", "name a version"), ("/no/such/file", "No such file"), ("-1", "name a version")]
)
def test_a_wrong_name_says_what_can_be_given(name, says, kernels):
    with pytest.raises(LabError, match=says):
        kernel.find_kernel(name)


def test_a_file_that_is_no_kernel_is_refused(tmp_path):
    path = tmp_path / "text"
    path.write_text("hello")
    with pytest.raises(LabError, match="not a kernel image"):
        kernel.kernel_file(str(path))
