"""Commands of bpf(2) on programs: load with log and type information, test run.

Mirrors the BPF_PROG_LOAD and BPF_PROG_TEST_RUN parts of union bpf_attr.  Takes instructions as they go to the kernel; patching
them and reading the log are for kernel/programs.
"""

from __future__ import annotations

from struct import pack_into, unpack_from

from probee.kernel.syscalls.bpf import EAGAIN, Command, bpf, failure
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.map import object_name

F_STRICT_ALIGNMENT = 1
F_SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE, Linux 5.10 (commit 1e6c62a88215)
F_TEST_RUN_ON_CPU = 1  # BPF_F_TEST_RUN_ON_CPU, Linux 5.10 (commit 1b4d60ec162f)

FUNC_INFO_SIZE = 8  # struct bpf_func_info
LINE_INFO_SIZE = 16  # struct bpf_line_info

_EAGAIN_TRIES = 5  # the verifier gives EAGAIN when a signal interrupts it


class LoadAttribute:
    """What BPF_PROG_LOAD takes beyond type and instructions; zero means "none"."""

    __slots__ = (
        "attach_btf_id", "attach_btf_obj_fd", "attach_type", "btf_fd", "device", "fd_array", "flags", "func_info", "license",
        "line_info", "name",
    )  # fmt: skip

    def __init__(
        self, *, name: str = "", license: str = "GPL", attach_type: int = 0, flags: int = 0, btf_fd: int = 0,
        func_info: bytes = b"", line_info: bytes = b"", attach_btf_id: int = 0, attach_btf_obj_fd: int = 0,
        fd_array: tuple[int, ...] = (), device: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        self.license = license
        self.attach_type = attach_type
        self.flags = flags
        self.btf_fd = btf_fd
        self.func_info = func_info
        self.line_info = line_info
        self.attach_btf_id = attach_btf_id
        self.attach_btf_obj_fd = attach_btf_obj_fd
        self.fd_array = fd_array
        self.device = device  # the number of a network device that is to run it (Linux 4.15, commit ab3f0063c48c)


def program_load(
    type: int, instructions: bytes, options: LoadAttribute, *, log: bytearray | None = None, log_level: int = 1
) -> int:
    """Load a program; return its descriptor, or -errno with the verifier's words in `log` (NUL-terminated)."""
    insns = bytearray(instructions)
    license = bytearray(options.license.encode() + b"\0")
    func_info = bytearray(options.func_info if options.btf_fd else b"")
    line_info = bytearray(options.line_info if options.btf_fd else b"")
    fd_array = bytearray(4 * len(options.fd_array))
    pack_into(f"={len(options.fd_array)}i", fd_array, 0, *options.fd_array)
    attribute = bytearray(128 if fd_array else 120)
    pack_into(
        "=IIQQIIQII16sIIII", attribute, 0, type, len(insns) // 8, address_of(insns), address_of(license),
        log_level if log else 0, len(log or b""), address_of(log or b""), 0, options.flags, object_name(options.name),
        options.device, options.attach_type, options.btf_fd, FUNC_INFO_SIZE if func_info else 0,
    )  # fmt: skip
    pack_into(
        "=QIIQIII", attribute, 80, address_of(func_info), len(func_info) // FUNC_INFO_SIZE,
        LINE_INFO_SIZE if line_info else 0, address_of(line_info), len(line_info) // LINE_INFO_SIZE,
        options.attach_btf_id, options.attach_btf_obj_fd,
    )  # fmt: skip
    if fd_array:
        pack_into("=Q", attribute, 120, address_of(fd_array))
    for _ in range(_EAGAIN_TRIES):
        result = bpf(Command.PROG_LOAD, attribute)
        if result != -EAGAIN:
            break
    return result


class TestRunResult:
    """What a test run gave: the program's return value, its mean duration, and the data and context as it left them."""

    __slots__ = ("context", "data", "duration_ns", "value")

    def __init__(self, value: int, duration_ns: int, data: bytes, context: bytes) -> None:
        self.value = value
        self.duration_ns = duration_ns
        self.data = data
        self.context = context


def program_test_run(
    fd: int, *, data: bytes = b"", context: bytes = b"", repeat: int = 0, cpu: int | None = None,
    data_out_size: int = 0, context_out_size: int = 0,
) -> TestRunResult:  # fmt: skip
    """Run a program once (or `repeat` times) on given input.

    Raw tracepoints take `context` (their u64 arguments) and perhaps `cpu`; networking programs take `data`.
    Linux 4.12; raw tracepoints since 5.10 (commit 1b4d60ec162f "bpf: Enable BPF_PROG_TEST_RUN for raw_tracepoint").
    """
    data_in, data_out = bytearray(data), bytearray(data_out_size)
    context_in, context_out = bytearray(context), bytearray(context_out_size)
    attribute = bytearray(72)
    pack_into(
        "=IIIIQQIIIIQQII", attribute, 0, fd, 0, len(data_in), len(data_out), address_of(data_in), address_of(data_out),
        repeat, 0, len(context_in), len(context_out), address_of(context_in), address_of(context_out),
        F_TEST_RUN_ON_CPU if cpu is not None else 0, cpu or 0,
    )  # fmt: skip
    result = bpf(Command.PROG_TEST_RUN, attribute)
    if result < 0:
        raise failure(-result, "run a program once (BPF_PROG_TEST_RUN)")
    value, _, data_size, _, _, _, duration_ns, _, context_size = unpack_from("=IIIQQIIII", attribute, 4)
    return TestRunResult(value, duration_ns, bytes(data_out[:data_size]), bytes(context_out[:context_size]))
