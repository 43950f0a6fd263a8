"""From ProgramSpec to a loaded Program.

Loads without a log first, since a log costs the verifier several times its work; only a refusal is repeated with one, which
rejection.py then turns into a VerifierError.
"""

from __future__ import annotations

from probee.errors import BtfError, KernelError, PermissionMissing
from probee.kernel.maps.map import Map
from probee.kernel.programs.program import Program
from probee.kernel.programs.relocate import Patcher
from probee.kernel.syscalls.bpf import ENOSPC, EPERM, failure
from probee.kernel.syscalls.btf import btf_load
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.program import F_SLEEPABLE, LoadAttribute, program_load
from probee.model.spec import AttachType, ObjectSpec, ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probee.kernel.programs.relocate import BtfLookup

# What 5.10 takes at most (UINT_MAX >> 8).  All of it at once: a larger program is walked for seconds, once is enough.
LOG_BYTES = (1 << 24) - 1
COMPLAINTS_ONLY = 4  # BPF_LOG_STATS: no instructions and states
EVERYTHING = 2  # BPF_LOG_LEVEL2: all paths, also those that were walked before
_END = "\nprocessed "

on_log: Callable[[ProgramSpec, str], None] | None = None  # who wants the log of every program, accepted or not


def load(
    spec: ProgramSpec, object: ObjectSpec, maps: Mapping[str, Map], constants: Mapping[str, int] | None = None, *,
    btf_fd: int = 0, find_btf: BtfLookup | None = None, log_size: int = 0, device: int = 0,
) -> Program:  # fmt: skip
    """Patch and load one program of an object.

    `constants` holds the late constants' values by name; `btf_fd` is the object's own BTF, already loaded, or 0;
    `log_size`, if given, is how large a log must do for a program that is accepted, too; `device` is the number of a network
    device that is to run it.
    `find_btf(kind, name)` answers (type id, module BTF descriptor or 0), see btf_id.py; its kinds are "kfunc", "ksym" and,
    for a spec's attach_target, "raw_tp" or "attach".  Raises VerifierError, PermissionMissing or KernelError.
    """
    patcher = Patcher(lambda name: maps[name].fd, constants or {}, find_btf)
    code = patcher.patch(spec.instructions, spec.relocations)
    options = LoadAttribute(
        name=spec.name, license=object.license, attach_type=_attach_type(spec), flags=F_SLEEPABLE if spec.sleepable else 0,
        btf_fd=btf_fd, func_info=spec.func_info, line_info=spec.line_info, fd_array=tuple(patcher.fd_array), device=device,
    )  # fmt: skip
    if spec.attach_target:
        if find_btf is None:
            raise BtfError(f"{spec.probe or spec.name} needs the kernel's BTF, which nobody gave")
        kind = "raw_tp" if spec.attach_type == AttachType.TRACE_RAW_TP else "attach"
        options.attach_btf_id, options.attach_btf_obj_fd = find_btf(kind, spec.attach_target)
    if on_log is not None:
        log = bytearray(LOG_BYTES)
        accepted = program_load(spec.type, code, options, log=log, log_level=EVERYTHING)
        if accepted >= 0:
            Descriptor(accepted, "program loaded for its log").close()
        on_log(spec, _text(log))
    result = program_load(spec.type, code, options, log=bytearray(log_size) if log_size else None, log_level=EVERYTHING)
    if log_size and result == -ENOSPC:
        raise KernelError(ENOSPC, "bpf(BPF_PROG_LOAD)", _LOG_TOO_SMALL.format(spec.name, log_size))
    if result < 0:
        result = _load_with_log(-result, spec, object, code, options)
    return Program(spec, Descriptor(result, f"program {spec.name}"), attach_type=options.attach_type)


_LOG_TOO_SMALL = (
    "Error loading BPF program for {}. Error code: -28 (No space left on device).\n"
    "WARNING: Kernel log seems to be trimmed. It has no more than {} bytes to fill: raise log_size (BPFTRACE_LOG_SIZE)."
)


def load_btf(blob: bytes) -> tuple[Descriptor | None, KernelError | None]:
    """Load an object's type information; (None, why not) when the kernel refuses it: programs load without it, save those
    with callbacks."""
    try:
        return Descriptor(btf_load(blob), "type information"), None
    except PermissionMissing:
        raise
    except KernelError as error:
        return None, error


def _attach_type(spec: ProgramSpec) -> int:
    """A program for many functions at once becomes one for single probes where the kernel has no such link."""
    many = {AttachType.TRACE_KPROBE_MULTI: "kprobe_multi", AttachType.TRACE_UPROBE_MULTI: "uprobe_multi"}
    if spec.attach_type in many:
        from probee.kernel.features.feature import has

        return spec.attach_type if has(many[spec.attach_type]) else AttachType.NONE
    return spec.attach_type


def _load_with_log(errno: int, spec: ProgramSpec, object: ObjectSpec, code: bytes, options: LoadAttribute) -> int:
    """Load again to learn why it failed; raises what it learned, or returns the descriptor should it work this time."""
    if errno == EPERM:
        raise failure(errno, f"load program {spec.name}")
    log = bytearray(LOG_BYTES)
    result = program_load(spec.type, code, options, log=log)
    if result >= 0:
        return result
    from probee.kernel.programs.rejection import CUT, rejection

    text = _text(log)
    if result == -ENOSPC and _END not in text:
        # Kernels before 6.4 keep the head of a log that does not fit, later ones its tail, with the complaint.
        # Linux commit 121664093803 "bpf: Switch BPF verifier log to be a rotating log by default" (in v6.4).
        log = bytearray(1 << 16)
        program_load(spec.type, code, options, log=log, log_level=COMPLAINTS_ONLY)
        text = f"{text}\n{CUT}\n{_text(log)}"
    raise rejection(errno, text, spec, object)


def _text(log: bytearray) -> str:
    return log.partition(b"\0")[0].decode(errors="replace")
