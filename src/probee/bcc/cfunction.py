"""C functions of libbcc.so that programs call themselves, for maps, programs and links by their descriptors.

They are made of system calls, and are foreign functions to ctypes all the same: arguments are converted as a library's are
(objects, byref(), arrays, bytes), `argtypes` and `restype` can be set, and a failure is a negative result that leaves errno for
ctypes.get_errno().  libbpf's own names for them are known, too.
"""

from __future__ import annotations

import ctypes as ct
import os
from struct import error as StructError
from struct import pack_into, unpack_from

from probee.errors import KernelError, ProbeeError
from probee.kernel.syscalls import link as sys_link
from probee.kernel.syscalls.bpf import EINVAL, Command, bpf
from probee.kernel.syscalls.map import map_create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Address = int | None

_WORD = 0xFFFF_FFFF
_XDP = 37  # BPF_XDP of enum bpf_attach_type
_XDP_MODES = 0xE  # XDP_FLAGS_MODES
_ALL_PROTOCOLS = 3  # ETH_P_ALL
_ATTACH_BPF = 50  # SO_ATTACH_BPF
_xdp_links: dict[str, int] = {}  # by device


class bpf_test_run_opts(ct.Structure):
    """struct bpf_test_run_opts of libbpf."""

    _fields_ = (
        ("sz", ct.c_size_t), ("data_in", ct.c_void_p), ("data_out", ct.c_void_p), ("data_size_in", ct.c_uint32),
        ("data_size_out", ct.c_uint32), ("ctx_in", ct.c_void_p), ("ctx_out", ct.c_void_p), ("ctx_size_in", ct.c_uint32),
        ("ctx_size_out", ct.c_uint32), ("retval", ct.c_uint32), ("repeat", ct.c_int), ("duration", ct.c_uint32),
        ("flags", ct.c_uint32), ("cpu", ct.c_uint32), ("batch_size", ct.c_uint32),
    )  # fmt: skip


class _Number:
    """What C makes of an argument for an integer: any object of ctypes that is one, or of Python."""

    @staticmethod
    def from_param(value: Any) -> Any:
        return ct.c_longlong(int(getattr(value, "value", value) or 0))


def _text(address: Address) -> str:
    return os.fsdecode(ct.string_at(address)) if address else ""


def _number_at(address: Address) -> int:
    return ct.c_uint32.from_address(address).value if address else 0


def _put_number(address: Address, value: int) -> None:
    if address:
        ct.c_uint32.from_address(address).value = value & _WORD


# -- maps


def _element(command: int) -> Callable[..., int]:
    def call(fd: int, key: Address, value: Address = None, flags: int = 0) -> int:
        attribute = bytearray(32)
        pack_into("=IxxxxQQQ", attribute, 0, fd & _WORD, key or 0, value or 0, flags & (1 << 64) - 1)
        return bpf(command, attribute)

    return call


def _first_key(fd: int, key: Address, size: int) -> int:
    return _element(Command.MAP_GET_NEXT_KEY)(fd, None, key)


def _batch(command: int, fd: int, before: Address, after: Address, keys: Address, values: Address, count: Address) -> int:
    attribute = bytearray(56)
    pack_into("=QQQQIIQQ", attribute, 0, before or 0, after or 0, keys or 0, values or 0, _number_at(count), fd & _WORD, 0, 0)
    result = bpf(command, attribute)
    _put_number(count, unpack_from("=I", attribute, 32)[0])
    return result


def _lookup_batch(command: int) -> Callable[..., int]:
    return lambda fd, before, after, keys, values, count: _batch(command, fd, before, after, keys, values, count)


def _update_batch(fd: int, keys: Address, values: Address, count: Address) -> int:
    return _batch(Command.MAP_UPDATE_BATCH, fd, None, None, keys, values, count)


def _delete_batch(fd: int, keys: Address, count: Address) -> int:
    return _batch(Command.MAP_DELETE_BATCH, fd, None, None, keys, None, count)


def _create(type: int, name: Address, key_size: int, value_size: int, max_entries: int, flags: int = 0) -> int:
    return map_create(type, key_size, value_size, max_entries, flags=flags, name=_text(name))


def _create_nameless(type: int, key_size: int, value_size: int, max_entries: int, flags: int) -> int:
    return map_create(type, key_size, value_size, max_entries, flags=flags)


def _create_of_maps(type: int, name: Address, key_size: int, inner_fd: int, max_entries: int, flags: int) -> int:
    return map_create(type, key_size, 4, max_entries, flags=flags, name=_text(name), inner_map_fd=inner_fd)


# -- programs


def _run(words: tuple[int, ...], flags: int = 0, cpu: int = 0) -> tuple[int, bytearray]:
    """Run a program: `words` are its descriptor, the sizes and addresses of data in and out, `repeat`, those of contexts."""
    attribute = bytearray(72)
    fd, size_in, size_out, data_in, data_out, repeat, *context = words
    pack_into("=IIIIQQIIIIQQII", attribute, 0, fd & _WORD, 0, size_in, size_out, data_in, data_out, repeat & _WORD, 0, *context,
              flags, cpu)  # fmt: skip
    return bpf(Command.PROG_TEST_RUN, attribute), attribute


def _test_run(
    fd: int, repeat: int, data: Address, size: int, data_out: Address, size_out: Address, retval: Address, duration: Address
) -> int:
    """As libbpf's: what comes out has room enough."""
    result, attribute = _run((fd, size, 0, data or 0, data_out or 0, repeat, 0, 0, 0, 0))
    for address, at in ((size_out, 12), (retval, 4), (duration, 36)):
        _put_number(address, unpack_from("=I", attribute, at)[0])
    return result


def _test_run_opts(fd: int, options: Address) -> int:
    if not options:
        return -EINVAL
    opts = bpf_test_run_opts.from_address(options)
    words = (
        fd, opts.data_size_in, opts.data_size_out, opts.data_in or 0, opts.data_out or 0, opts.repeat,
        opts.ctx_size_in, opts.ctx_size_out, opts.ctx_in or 0, opts.ctx_out or 0,
    )  # fmt: skip
    result, attribute = _run(words, opts.flags, opts.cpu)
    opts.retval, opts.data_size_out, opts.duration, opts.ctx_size_out = (
        unpack_from("=I", attribute, at)[0] for at in (4, 12, 36, 44)
    )
    return result


# -- attaching


def _hook(command: int) -> Callable[..., int]:
    def call(fd: int, target: int, type: int, flags: int = 0) -> int:
        attribute = bytearray(16)
        pack_into("=IIII", attribute, 0, target & _WORD, fd & _WORD, type, flags)
        return bpf(command, attribute)

    return call


def _attach_xdp(device: Address, fd: int, flags: int) -> int:
    """Attach until the process ends, or for a negative descriptor take off what is attached."""
    from probee.bcc.network import NetworkProbes
    from probee.kernel.syscalls.netlink import device_index

    name = _text(device)
    old = _xdp_links.pop(name, -1)
    if old >= 0:
        os.close(old)
    elif fd < 0:
        NetworkProbes.remove_xdp(name, flags)
    if fd < 0:
        return 0
    result = sys_link.link_create(fd, device_index(name) or 0, _XDP, flags=flags & _XDP_MODES)
    if result >= 0:
        _xdp_links[name] = result
    return min(result, 0)


def _attach_tracing(fd: int) -> int:
    return sys_link.raw_tracepoint_open(fd, "")


def _perf_event(type: int, config: int, pid: int, cpu: int) -> int:
    from probee.kernel.syscalls.perf import IOC_ENABLE, perf_event_open, perf_ioctl

    fd = perf_event_open(type, config, cpu=cpu, pid=pid, period=(1 << 63) - 1)
    if fd < 0:
        return fd
    result = perf_ioctl(fd, IOC_ENABLE)
    if result < 0:
        os.close(fd)
        return result
    return fd


def _close(fd: int) -> int:
    os.close(fd)
    return 0


def _raw_socket(device: Address) -> int:
    from socket import AF_PACKET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, htons, socket

    with socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(_ALL_PROTOCOLS)) as made:
        if device:
            made.bind((_text(device), _ALL_PROTOCOLS))
        return made.detach()


def _attach_socket(fd: int, program_fd: int) -> int:
    from socket import SOL_SOCKET, socket

    with socket(fileno=os.dup(fd)) as again:
        again.setsockopt(SOL_SOCKET, _ATTACH_BPF, program_fd)
    return 0


# -- what there is


def _by_id(command: int) -> Callable[[int], int]:
    def call(id: int) -> int:
        attribute = bytearray(12)
        pack_into("=I", attribute, 0, id)
        return bpf(command, attribute)

    return call


def _next_id(command: int) -> Callable[[int, Address], int]:
    def call(id: int, next_id: Address) -> int:
        attribute = bytearray(12)
        pack_into("=I", attribute, 0, id)
        result = bpf(command, attribute)
        if result == 0:
            _put_number(next_id, unpack_from("=I", attribute, 4)[0])
        return result

    return call


def _info(fd: int, info: Address, size: Address) -> int:
    attribute = bytearray(16)
    pack_into("=IIQ", attribute, 0, fd & _WORD, _number_at(size), info or 0)
    result = bpf(Command.OBJ_GET_INFO_BY_FD, attribute)
    _put_number(size, unpack_from("=I", attribute, 4)[0])
    return result


def _has_kernel_btf() -> int:
    return int(os.path.exists("/sys/kernel/btf/vmlinux"))


# name → (its parameters, a letter each: n a number, p a pointer; what it does)
_FUNCTIONS: dict[str, tuple[str, Callable[..., int]]] = {
    "bpf_obj_pin": ("np", lambda fd, path: sys_link.pin(fd, _text(path))),
    "bpf_obj_get": ("p", lambda path: sys_link.object_get(_text(path))),
    "bpf_obj_get_info_by_fd": ("npp", _info),
    "bpf_lookup_elem": ("npp", _element(Command.MAP_LOOKUP_ELEM)),
    "bpf_map_lookup_elem": ("npp", _element(Command.MAP_LOOKUP_ELEM)),
    "bpf_update_elem": ("nppn", _element(Command.MAP_UPDATE_ELEM)),
    "bpf_map_update_elem": ("nppn", _element(Command.MAP_UPDATE_ELEM)),
    "bpf_delete_elem": ("np", _element(Command.MAP_DELETE_ELEM)),
    "bpf_map_delete_elem": ("np", _element(Command.MAP_DELETE_ELEM)),
    "bpf_lookup_and_delete": ("npp", _element(Command.MAP_LOOKUP_AND_DELETE_ELEM)),
    "bpf_map_lookup_and_delete_elem": ("npp", _element(Command.MAP_LOOKUP_AND_DELETE_ELEM)),
    "bpf_get_next_key": ("npp", _element(Command.MAP_GET_NEXT_KEY)),
    "bpf_map_get_next_key": ("npp", _element(Command.MAP_GET_NEXT_KEY)),
    "bpf_get_first_key": ("npn", _first_key),
    "bpf_lookup_batch": ("nppppp", _lookup_batch(Command.MAP_LOOKUP_BATCH)),
    "bpf_lookup_and_delete_batch": ("nppppp", _lookup_batch(Command.MAP_LOOKUP_AND_DELETE_BATCH)),
    "bpf_update_batch": ("nppp", _update_batch),
    "bpf_delete_batch": ("npp", _delete_batch),
    "bcc_create_map": ("npnnnn", _create),
    "bpf_create_map": ("nnnnn", _create_nameless),
    "bpf_create_map_in_map": ("npnnnn", _create_of_maps),
    "bpf_prog_test_run": ("nnpnpppp", _test_run),
    "bpf_prog_test_run_opts": ("np", _test_run_opts),
    "bpf_prog_attach": ("nnnn", _hook(Command.PROG_ATTACH)),
    "bpf_prog_detach2": ("nnn", _hook(Command.PROG_DETACH)),
    "bpf_attach_xdp": ("pnn", _attach_xdp),
    "bpf_attach_raw_tracepoint": ("np", lambda fd, name: sys_link.raw_tracepoint_open(fd, _text(name))),
    "bpf_attach_kfunc": ("n", _attach_tracing),
    "bpf_attach_lsm": ("n", _attach_tracing),
    "bpf_open_perf_event": ("nnnn", _perf_event),
    "bpf_close_perf_event_fd": ("n", _close),
    "bpf_open_raw_sock": ("p", _raw_socket),
    "bpf_attach_socket": ("nn", _attach_socket),
    "bpf_prog_get_fd_by_id": ("n", _by_id(Command.PROG_GET_FD_BY_ID)),
    "bpf_map_get_fd_by_id": ("n", _by_id(Command.MAP_GET_FD_BY_ID)),
    "bpf_prog_get_next_id": ("np", _next_id(Command.PROG_GET_NEXT_ID)),
    "bpf_map_get_next_id": ("np", _next_id(Command.MAP_GET_NEXT_ID)),
    "bpf_has_kernel_btf": ("", _has_kernel_btf),
}


def find_function(name: str) -> Any:
    """Return the foreign function of a name; None when there is none."""
    if name not in _FUNCTIONS:
        return None
    kinds, made_of = _FUNCTIONS[name]
    types: list[Any] = [ct.c_longlong if kind == "n" else ct.c_void_p for kind in kinds]
    takes: list[Any] = [_Number if kind == "n" else ct.c_void_p for kind in kinds]
    function = ct.CFUNCTYPE(ct.c_int, *types, use_errno=True)(_with_errno(made_of))
    function.argtypes = takes
    return function


def _with_errno(made_of: Callable[..., int]) -> Callable[..., int]:
    def call(*words: Any) -> int:
        try:
            result = made_of(*words)
        except (OSError, KernelError) as error:
            result = -(error.errno or EINVAL)
        except (ProbeeError, ValueError, StructError):  # a number that the kernel has no room for, too
            result = -EINVAL
        if result < 0:
            ct.set_errno(-result)
        return result

    return call
