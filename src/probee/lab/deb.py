"""Unpacking Debian packages without dpkg: an ar archive (deb(5)) whose data member is a compressed tar.

Only regular files, directories and links are made, with the invoking user's ownership, and never outside the target.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from probee.errors import LabError
from probee.lab.image import need_zstd

Wanted = Callable[[str], bool]  # a member's path, relative, without "./"


def unpack(package: str, target: str, wanted: Wanted = lambda path: True) -> None:
    """Unpack the wanted members of a package below target; LabError when it is broken."""
    try:
        with open(package, "rb") as file:
            name = _seek_data(file)
            with _open_data(file, name) as data, tarfile.open(fileobj=data, mode="r|") as archive:
                for member in archive:
                    path = os.path.normpath(member.name)
                    if not path.startswith(("/", "..")) and wanted(path):
                        _make(archive, member, target, path)
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise LabError(f"{package}: cannot unpack this package: {error}") from None


def _seek_data(file: IO[bytes]) -> str:
    """Leave the file at the contents of data.tar.*; return that member's name."""
    if file.read(8) != b"!<arch>\n":
        raise ValueError("not a Debian package")
    while len(header := file.read(60)) == 60:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if name.startswith("data.tar"):
            return name
        size = int(header[48:58])
        file.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError("it has no data")


@contextmanager
def _open_data(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Give the tar inside, uncompressed; Python reads zstd only since 3.14, so the program does."""
    kind = name.rpartition(".")[2]
    if kind == "zst":
        os.lseek(file.fileno(), file.tell(), os.SEEK_SET)  # behind what Python has buffered
        with subprocess.Popen([need_zstd(), "-dcq"], stdin=file, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            yield child.stdout
            child.kill()  # what follows the tar's end is padding
    elif kind == "xz":
        with lzma.open(file) as data:
            yield cast("IO[bytes]", data)
    elif kind == "gz":
        with gzip.open(file) as data:
            yield cast("IO[bytes]", data)
    else:
        yield file


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, path: str) -> None:
    """Make one member; a directory that is a link by now is not followed out of the target."""
    place = os.path.join(target, path)
    folder = place if member.isdir() else os.path.dirname(place)
    os.makedirs(folder, exist_ok=True)
    if not _inside(folder, target):
        raise ValueError(f"{path} leads out of the package")
    if member.isfile():
        source = archive.extractfile(member)
        assert source is not None
        with source, open(place, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        os.chmod(place, member.mode & 0o755 | 0o600)
    elif member.issym():
        _replace_link(member.linkname, place)
    elif member.islnk():
        original = os.path.join(target, os.path.normpath(member.linkname))
        if _inside(os.path.dirname(original), target) and not os.path.exists(place):
            os.link(original, place)


def _replace_link(linkname: str, place: str) -> None:
    if os.path.lexists(place):
        os.unlink(place)
    os.symlink(linkname, place)


def _inside(path: str, target: str) -> bool:
    real, root = os.path.realpath(path), os.path.realpath(target)
    return real == root or real.startswith(root + os.sep)
