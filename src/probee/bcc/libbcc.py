"""bcc.libbcc: stand-ins for the few functions of libbcc.so that programs call themselves.

There is no such library here; `lib` answers by this package: what takes a module is a method here, what takes descriptors is in
cfunction.py.  A function that nobody was seen to use is an AttributeError.
"""

from __future__ import annotations

import ctypes as ct

from probee.bcc.utils import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.bcc.module import Module


class bcc_symbol(ct.Structure):
    """struct bcc_symbol."""

    _fields_ = (
        ("name", ct.c_char_p), ("demangle_name", ct.c_char_p), ("module", ct.POINTER(ct.c_char)), ("offset", ct.c_ulonglong),
    )  # fmt: skip


class bcc_symbol_option(ct.Structure):
    """struct bcc_symbol_option; nothing of it is heeded."""

    _fields_ = (
        ("use_debug_file", ct.c_int), ("check_debug_file_crc", ct.c_int), ("lazy_symbolize", ct.c_int),
        ("use_symbol_type", ct.c_uint),
    )  # fmt: skip


class bcc_ip_offset_union(ct.Union):
    """Of a frame by build id: where in the file it is, or its address."""

    _fields_ = (("offset", ct.c_uint64), ("ip", ct.c_uint64))


class bcc_stacktrace_build_id(ct.Structure):
    """struct bpf_stack_build_id."""

    _fields_ = (("status", ct.c_uint32), ("build_id", ct.c_ubyte * 20), ("u", bcc_ip_offset_union))


class bcc_perf_buffer_opts(ct.Structure):
    """struct bcc_perf_buffer_opts."""

    _fields_ = (("pid", ct.c_int), ("cpu", ct.c_int), ("wakeup_events", ct.c_int))


_RAW_CB_TYPE = ct.CFUNCTYPE(None, ct.py_object, ct.c_void_p, ct.c_int)
_LOST_CB_TYPE = ct.CFUNCTYPE(None, ct.py_object, ct.c_ulonglong)
_RINGBUF_CB_TYPE = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_int)
_SYM_CB_TYPE = ct.CFUNCTYPE(ct.c_int, ct.c_char_p, ct.c_ulonglong)


class _Lib:
    """The functions."""

    def __getattr__(self, name: str) -> Any:
        """Return a C function."""
        from probee.bcc.cfunction import find_function

        found = find_function(name)
        if found is None:
            raise AttributeError(f"probee's bcc has no function {name} of libbcc.so")
        setattr(self, name, found)
        return found

    def kernel_struct_has_field(self, struct_name: bytes | str, field_name: bytes | str) -> int:
        """Return 1 if a struct of the kernel has a member, 0 if not, -1 without such a struct."""
        from probee.bcc.feature import kernel_struct_has_field

        return kernel_struct_has_field(struct_name, field_name)

    def kernel_enum_has_val(self, enum_name: bytes | str, value_name: bytes | str) -> int:
        """Return 1 if an enum of the kernel has a value, 0 if not, -1 without such an enum."""
        from probee.bcc.feature import kernel_enum_has_val

        return kernel_enum_has_val(enum_name, value_name)

    def bcc_procutils_which_so(self, name: bytes | str, pid: int = 0) -> Any:
        """Return a pointer to the path of a library, NULL when there is none."""
        from probee.bcc.listing import find_library

        found = find_library(name, pid)
        return ct.cast(ct.create_string_buffer(found) if found else 0, ct.POINTER(ct.c_char))

    def bpf_module_rw_engine_enabled(self) -> bool:
        """Return True: keys and leaves are written as text and read from it (without an engine)."""
        return True

    def bpf_table_fd(self, module: Module, name: bytes | str) -> int:
        """Return a table's descriptor, -1 when there is none."""
        live = module.maps.get(as_text(name))
        return -1 if live is None else live.fd

    def bpf_table_id(self, module: Module, name: bytes | str) -> int:
        """Return a table's number, 2**64 - 1 when there is none."""
        names = module.map_names
        return names.index(as_text(name)) if as_text(name) in names else (1 << 64) - 1

    def bpf_table_type_id(self, module: Module, map_id: int) -> int:
        """Return a table's type."""
        return module.map_at(map_id).spec.type

    def bpf_num_functions(self, module: Module) -> int:
        """Return how many functions a program has."""
        return len(module.programs)

    def bpf_function_name(self, module: Module, number: int) -> bytes:
        """Return the name of a function by its number."""
        return list(module.programs)[number].encode()

    def bcc_resolve_symname(self, module: bytes | str, symname: bytes | str, addr: int, pid: int, option: Any, sym: Any) -> int:
        """Fill a bcc_symbol (given by byref) with where in a file a symbol is; return 0, or -1 when it is not found."""
        from probee.bcc.error import BccError
        from probee.bcc.userprobe import UserProbes

        try:
            path, offset = UserProbes._check_path_symbol(module, symname, addr, pid or -1)
        except BccError:
            return -1
        found = sym._obj
        found.name, found.offset = symname, offset
        found.module = ct.cast(ct.create_string_buffer(path), ct.POINTER(ct.c_char))
        return 0

    def bcc_iter_attach(self, prog_fd: int, opts: object = None, opts_size: int = 0) -> int:
        """Make a link from which iterators of a BPF_ITER function are opened; return its descriptor, or -errno."""
        from probee.kernel.syscalls.link import iter_link

        return iter_link(prog_fd)

    def bcc_iter_create(self, link_fd: int) -> int:
        """Open an iterator: reading its descriptor runs the function for each thing there is; -errno when that fails."""
        from probee.kernel.syscalls.link import iter_create

        return iter_create(link_fd)

    def bcc_procutils_free(self, text: object) -> None:
        """Do nothing: it is Python that frees."""

    def bcc_free_memory(self) -> int:
        """Return 0: no compiler stays in memory."""
        return 0


lib = _Lib()


def __getattr__(name: str) -> Any:
    if name == "bpf_test_run_opts":
        from probee.bcc.cfunction import bpf_test_run_opts

        return bpf_test_run_opts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
