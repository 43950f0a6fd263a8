"""Unpacking packages that the test packs."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile

import pytest

from probee.errors import LabError
from probee.lab import deb


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    """Return a tar of (name, kind, contents or target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                archive.addfile(member)
    return out.getvalue()


def write_deb(path, name: str, data: bytes) -> str:
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data)]
    blob = b"!<arch>\n"
    for part, content in parts:
        blob += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        blob += b"\n" * (len(content) % 2)
    path.write_bytes(blob)
    return str(path)


GOOD = (
    ("./boot", tarfile.DIRTYPE, ""),
    ("./boot/vmlinuz-1", tarfile.REGTYPE, "image"),
    ("./lib/link", tarfile.SYMTYPE, "../boot"),
    ("./lib/same", tarfile.LNKTYPE, "./boot/vmlinuz-1"),
)


@pytest.mark.parametrize(
    ("name", "pack"), [("data.tar.xz", lzma.compress), ("data.tar.gz", gzip.compress), ("data.tar", bytes)]
)
def test_files_directories_and_links_come_out(tmp_path, name, pack):
    package = write_deb(tmp_path / "p.deb", name, pack(tar_of(*GOOD)))
    deb.unpack(package, str(tmp_path / "tree"))
    assert (tmp_path / "tree/boot/vmlinuz-1").read_text() == "image"
    assert os.readlink(tmp_path / "tree/lib/link") == "../boot"
    assert (tmp_path / "tree/lib/same").read_text() == "image"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not here")
def test_zstd_goes_through_the_program(tmp_path):
    packed = subprocess.run(["zstd", "-c"], input=tar_of(*GOOD), capture_output=True, check=True).stdout
    deb.unpack(write_deb(tmp_path / "p.deb", "data.tar.zst", packed), str(tmp_path / "tree"))
    assert (tmp_path / "tree/boot/vmlinuz-1").read_text() == "image"


def test_only_wanted_members_are_made(tmp_path):
    package = write_deb(tmp_path / "p.deb", "data.tar.xz", lzma.compress(tar_of(*GOOD)))
    deb.unpack(package, str(tmp_path / "tree"), lambda path: path.startswith("boot"))
    assert os.listdir(tmp_path / "tree") == ["boot"]


def test_a_package_cannot_write_outside_its_target(tmp_path):
    members = (("../escaped", tarfile.REGTYPE, "x"), ("/tmp/probee-escaped", tarfile.REGTYPE, "x"))
    package = write_deb(tmp_path / "p.deb", "data.tar.xz", lzma.compress(tar_of(*members)))
    deb.unpack(package, str(tmp_path / "tree"))
    assert not (tmp_path / "escaped").exists() and not os.path.exists("/tmp/probee-escaped")


def test_a_link_out_of_the_target_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    members = (("./door", tarfile.SYMTYPE, str(outside)), ("./door/file", tarfile.REGTYPE, "x"))
    package = write_deb(tmp_path / "p.deb", "data.tar.xz", lzma.compress(tar_of(*members)))
    with pytest.raises(LabError, match="leads out"):
        deb.unpack(package, str(tmp_path / "tree"))
    assert not list(outside.iterdir())


@pytest.mark.parametrize("broken", [b"", b"PK\3\4", b"!<arch>\n", b"!<arch>\n" + b"x" * 30])
def test_what_is_no_package_is_refused_by_name(tmp_path, broken):
    path = tmp_path / "broken.deb"
    path.write_bytes(broken)
    with pytest.raises(LabError, match=r"broken\.deb"):
        deb.unpack(str(path), str(tmp_path / "tree"))


def test_a_cut_package_is_refused(tmp_path):
    packed = lzma.compress(tar_of(*GOOD))
    package = write_deb(tmp_path / "p.deb", "data.tar.xz", packed[: len(packed) // 2])
    with pytest.raises(LabError, match="cannot unpack"):
        deb.unpack(package, str(tmp_path / "tree"))
