"""What the kernel has, as bcc's programs ask: members of structs, enumerators, kinds of probes."""

from __future__ import annotations

import os

from probee.bcc.symbol import has_ksym
from probee.bcc.utils import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.formats.btf.reader import Btf

_types: list[Btf | None] = []


def _kernel_types() -> Btf | None:
    if not _types:
        from probee.kernel.target import LiveTarget

        _types.append(LiveTarget().btf())
    return _types[0]


def kernel_struct_has_field(struct_name: bytes | str, field_name: bytes | str) -> int:
    """Return 1 if a struct of the kernel has a member, through anonymous ones too, 0 if not, -1 without such a struct."""
    from probee.model.ctype import StructType

    btf = _kernel_types()
    found = btf.named("struct", as_text(struct_name)) if btf is not None else None
    if not isinstance(found, StructType):
        return -1
    return int(bool(found.find(as_text(field_name))))


def kernel_enum_has_val(enum_name: bytes | str, value_name: bytes | str) -> int:
    """Return 1 if an enum of the kernel has a value of this name, 0 if not, -1 without such an enum."""
    from probee.model.ctype import EnumType

    btf = _kernel_types()
    found = btf.named("enum", as_text(enum_name)) if btf is not None else None
    if not isinstance(found, EnumType):
        return -1
    return int(any(name == as_text(value_name) for name, _ in found.values))


def support_kfunc() -> bool:
    """Return whether KFUNC_PROBE can be attached: trampolines, and the kernel's types."""
    return _kernel_types() is not None and has_ksym("bpf_trampoline_link_prog") and _has_trampolines()


def _has_trampolines() -> bool:
    """The architecture's own: bpf_trampoline_link_prog is there on all."""
    return os.uname().machine == "x86_64" or has_ksym("arch_prepare_bpf_trampoline")


def support_lsm() -> bool:
    """Return whether LSM_PROBE can be attached."""
    return _kernel_types() is not None and has_ksym("bpf_lsm_bpf")


def support_fmod_ret() -> bool:
    """Return whether KMOD_RET can be attached."""
    return kernel_enum_has_val("bpf_attach_type", "BPF_MODIFY_RETURN") == 1


def support_raw_tracepoint() -> bool:
    """Return whether the kernel has raw tracepoints."""
    return has_ksym("bpf_find_raw_tracepoint") or has_ksym("bpf_get_raw_tracepoint")


def support_raw_tracepoint_in_module() -> bool:
    """Return whether raw tracepoints of modules can be attached to."""
    return has_ksym("bpf_trace_modules")
