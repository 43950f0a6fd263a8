"""vmlinux's BTF, mapped from a copy in the cache directory, with its index beside it.

Files: types/BUILDID.vmlinux is what /sys/kernel/btf/vmlinux holds, types/BUILDID.index what TypeIndex.save returned.  The
key is the kernel's build id and the blob's size, so that no other kernel's file can be taken for it.  Without a trusted
cache directory, or without a build id, everything is read anew.
"""

from __future__ import annotations

import os

from probee.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

    from probee.formats.btf.blob import Buffer
    from probee.formats.btf.reader import Btf

_KERNELS_KEPT = 4
_NT_GNU_BUILD_ID = 3


def load_vmlinux(path: str) -> Btf:
    """Return the BTF of the running kernel; `path` is /sys/kernel/btf/vmlinux."""
    # Not at the top: whoever runs a cached object asks for build ids only.
    from probee.formats.btf.index import TypeIndex
    from probee.formats.btf.reader import Btf
    from probee.kernel.cachedir import cache_directory, keep_newest, write_whole

    id = build_id("vmlinux")
    directory = cache_directory("types") if id else None
    if directory is None:
        return Btf(_read(path))
    size = os.stat(path).st_size
    name = f"{directory}/{id}"
    blob: Buffer | None = _map(f"{name}.vmlinux", size)
    if blob is None:
        data = _read(path)
        write_whole(f"{name}.vmlinux", data)
        keep_newest(directory, ".vmlinux", _KERNELS_KEPT)
        blob = _map(f"{name}.vmlinux", len(data)) or data
    key = f"{id}:{size}".encode()
    saved = _map(f"{name}.index")
    index = TypeIndex.load(memoryview(saved), key) if saved is not None else None
    btf = Btf(blob, index=index)
    if index is None and write_whole(f"{name}.index", btf.index.save(key)):
        keep_newest(directory, ".index", _KERNELS_KEPT)
    return btf


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except PermissionError as error:
        from probee.kernel.syscalls.capability import root_only

        raise root_only(error.errno or 0, f"open({path})", f"{path} may not be read by this user") from None
    except OSError as error:
        raise BtfError(f"{path} cannot be read ({error.strerror}): is this kernel built with CONFIG_DEBUG_INFO_BTF?") from None


def _map(path: str, size: int = 0) -> mmap | None:
    """Map a file; None when there is none, or when it is not of the size it must have."""
    from mmap import ACCESS_READ, mmap

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if size and os.fstat(fd).st_size != size:
            return None
        return mmap(fd, 0, access=ACCESS_READ)
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def build_id(module: str) -> str:
    """Return the build id of "vmlinux" or of a loaded module in hexadecimal, "" when there is none."""
    path = "/sys/kernel/notes" if module == "vmlinux" else f"/sys/module/{module}/notes/.note.gnu.build-id"
    try:
        with open(path, "rb", buffering=0) as file:
            return find_build_id(file.read())
    except OSError:
        return ""


def find_build_id(notes: bytes) -> str:
    """Return the GNU build id among ELF notes (Elf64_Nhdr: sizes of name and descriptor, type), "" without one."""
    from struct import unpack_from

    at = 0
    while at + 12 <= len(notes):
        name_size, size, type = unpack_from("=III", notes, at)
        start = at + 12 + (name_size + 3 & ~3)
        if type == _NT_GNU_BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
            return notes[start : start + size].hex()
        at = start + (size + 3 & ~3)
    return ""
