"""What is inside a bzImage."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess

import pytest
from test_lab_kernel import bzimage

from probee.errors import LabError
from probee.lab import image

ELF = b"\x7fELF" + b"Xen\0" + bytes(5000)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_the_elf_comes_out_of_its_packing(pack):
    assert image.extract_vmlinux(bzimage("1.2.3", pack(ELF)), "x") == ELF


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not here")
def test_the_size_behind_a_zstd_payload_is_cut_off():
    packed = subprocess.run(["zstd", "-c"], input=ELF, capture_output=True, check=True).stdout
    assert image.extract_vmlinux(bzimage("1.2.3", packed + len(ELF).to_bytes(4, "little")), "x") == ELF


def test_a_payload_that_is_no_elf_is_refused():
    with pytest.raises(LabError, match="cannot unpack"):
        image.extract_vmlinux(bzimage("1.2.3", gzip.compress(b"nothing")), "x")


def test_bootable_is_unpacked_once_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage("1.2.3", gzip.compress(ELF)))
    version, kept = image.bootable(str(path), str(tmp_path))
    assert version == "1.2.3"
    with open(kept, "rb") as file:
        assert file.read() == ELF
    monkeypatch.setattr(image, "extract_vmlinux", None)
    assert image.bootable(str(path), str(tmp_path)) == (version, kept)


def test_bootable_goes_to_scratch_when_the_cache_is_closed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no-such-place")
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage("1.2.3", gzip.compress(ELF)))
    assert image.bootable(str(path), str(tmp_path))[1].startswith(str(tmp_path))


def test_an_image_without_a_pvh_entry_is_booted_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage("1.2.3", gzip.compress(b"\x7fELF" + bytes(100))))
    assert image.bootable(str(path), str(tmp_path)) == ("1.2.3", str(path))
