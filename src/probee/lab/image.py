"""Kernel images: a bzImage's version and the ELF inside it (Documentation/arch/x86/boot.rst, struct setup_header).

QEMU boots the ELF directly through its PVH note (include/xen/interface/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY), which
saves the guest decompressing it: 1.3 s for 6.12 and 3.7 s for 6.1 under emulation.  There is no KASLR then.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import zlib

from probee.errors import LabError
from probee.lab import cache

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def read_image(path: str) -> tuple[str, bytes]:
    """Return a bzImage's version and whole contents; LabError when it is none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    return image_version(data, path), data


def image_version(data: bytes, path: str) -> str:
    """Return the `uname -r` of the bzImage that begins with data."""
    if data[0x202:0x206] != b"HdrS":
        raise LabError(f"{path}: not a kernel image for x86 (bzImage); give the path of a vmlinuz")
    at = struct.unpack_from("<H", data, 0x20E)[0] + 0x200
    end = data.find(b"\0", at)
    words = data[at:end].split()
    if not words:
        raise LabError(f"{path}: this kernel image does not say its version")
    return words[0].decode("ascii", "replace")


def extract_vmlinux(data: bytes, path: str) -> bytes:
    """Return the ELF inside a bzImage."""
    offset, size = struct.unpack_from("<II", data, 0x248)  # payload_offset, payload_length
    start = ((data[0x1F1] or 4) + 1) * 512 + offset
    payload = data[start : start + size]
    if payload[:4] == ZSTD_MAGIC:
        payload = payload[:-4]  # the uncompressed size that the kernel's build appends
    elf = decompress(payload)
    if elf[:4] != b"\x7fELF":
        raise LabError(f"{path}: cannot unpack this kernel image")
    return elf


def decompress(data: bytes) -> bytes:
    """Return data uncompressed: xz, zstd, gzip, or as it is."""
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    if data[:4] == ZSTD_MAGIC:
        return _unzstd(data)
    return data


def need_zstd() -> str:
    """Return the zstd program; Python has its own only since 3.14."""
    program = shutil.which("zstd", path=cache.tool_path())
    if program is None:
        raise LabError("zstd is missing: run `probee lab setup`")
    return program


def _unzstd(data: bytes) -> bytes:
    done = subprocess.run([need_zstd(), "-dc"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"zstd: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def bootable(path: str, scratch: str) -> tuple[str, str]:
    """Return a kernel image's version and the file to boot: its ELF, kept in the cache, or in scratch if that is closed.

    An image without a PVH entry is booted as it is.
    """
    version, data = read_image(path)
    name = f"vmlinux-{version}-{hashlib.sha256(data).hexdigest()[:12]}"
    kept = os.path.join(cache.cache_dir(), name)
    if os.path.exists(kept):
        return version, kept
    elf = extract_vmlinux(data, path)
    if b"Xen\0" not in elf[: 1 << 20] and b"Xen\0" not in elf:
        return version, path
    try:
        os.makedirs(cache.cache_dir(), exist_ok=True)
        part = f"{kept}.{os.getpid()}"
        write_file(part, elf)
        os.rename(part, kept)
    except OSError:
        kept = os.path.join(scratch, name)
        write_file(kept, elf)
    return version, kept


def write_file(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
