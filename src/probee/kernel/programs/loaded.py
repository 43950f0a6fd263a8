"""The BPF programs that are loaded now, whoever loaded them: their ids and functions.

The kernel keeps 15 letters of a program's name; whole names, those of its subprograms too, are in the BTF that came with it
(func_info of struct bpf_prog_info, struct bpf_func_info of include/uapi/linux/bpf.h).  Programs without BTF are left out:
nothing can be attached to them.  Only root may list programs (CAP_SYS_ADMIN).
"""

from __future__ import annotations

from struct import pack_into, unpack_from

from probee.errors import BtfError, KernelError, PermissionMissing
from probee.kernel.syscalls.bpf import Command
from probee.kernel.syscalls.btf import next_id, object_by_id
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.info import ProgramInfo, object_info, read_btf
from probee.kernel.syscalls.libc import address_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.formats.btf.reader import Btf

_RECORD_SIZE, _RECORDS, _COUNT = 132, 136, 144  # offsets of func_info_rec_size, func_info and nr_func_info
_INFO_BYTES = 152


def loaded_functions() -> list[tuple[int, str]]:
    """Return (program's id, name) of every function; PermissionMissing unless this is root."""
    found: list[tuple[int, str]] = []
    id = next_id(Command.PROG_GET_NEXT_ID, 0)
    while id is not None:
        try:
            found += [(id, name) for name in _functions(id)]
        except PermissionMissing:
            raise
        except KernelError:  # it was unloaded meanwhile
            pass
        id = next_id(Command.PROG_GET_NEXT_ID, id)
    return found


def open_function(id: int, name: str) -> tuple[int, Descriptor]:
    """Return the BTF id of a program's function and a descriptor of the program; BtfError when it has none of that name."""
    program = Descriptor(object_by_id(Command.PROG_GET_FD_BY_ID, id), f"BPF program {id}")
    try:
        return _function_type(program.fd, id, name), program
    except BaseException:
        program.close()
        raise


def _function_type(fd: int, id: int, name: str) -> int:
    """Return the BTF id of a program's function."""
    btf_id = ProgramInfo(fd).btf_id
    if btf_id:
        btf = _btf(btf_id)
        for type in _function_types(fd):
            if btf.name(type) == name:
                return type
    raise BtfError(f"the BPF program {id} has no function {name} any more")


def _functions(id: int) -> list[str]:
    """Return the names of a program's functions, its own first."""
    program = Descriptor(object_by_id(Command.PROG_GET_FD_BY_ID, id), f"BPF program {id}")
    with program:
        btf_id = ProgramInfo(program.fd).btf_id
        types = _function_types(program.fd) if btf_id else []
    if not btf_id or not types:
        return []
    btf = _btf(btf_id)
    return [btf.name(type) for type in types]


def _btf(id: int) -> Btf:
    from probee.formats.btf.reader import Btf

    with Descriptor(object_by_id(Command.BTF_GET_FD_BY_ID, id), f"BTF {id}") as descriptor:
        return Btf(read_btf(descriptor.fd))


def _function_types(fd: int) -> list[int]:
    """Return the BTF ids of a program's functions."""
    info = bytearray(_INFO_BYTES)
    if object_info(fd, info) < _INFO_BYTES:
        return []
    size, count = unpack_from("=I", info, _RECORD_SIZE)[0], unpack_from("=I", info, _COUNT)[0]
    if not size or not count:
        return []
    records = bytearray(size * count)
    info = bytearray(_INFO_BYTES)
    pack_into("=IQI", info, _RECORD_SIZE, size, address_of(records), count)
    object_info(fd, info)
    return [unpack_from("=I", records, at + 4)[0] for at in range(0, len(records), size)]
