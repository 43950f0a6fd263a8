"""Attaching to the kernel: kprobes, kretprobes, tracepoints, raw tracepoints, and trampolines (kfunc, kretfunc, fmod_ret, lsm).

Everything is attached by perf event or BPF link, never by tracefs' kprobe_events, and goes with its descriptor; what bcc calls
an event's name is kept only as the key of its books.  `maxactive` is accepted: how many returns can be pending is the kernel's
to choose for probes that are attached so.
"""

from __future__ import annotations

from probee.bcc.constant import BPFProgType
from probee.bcc.core import Core
from probee.bcc.error import BccError, because
from probee.bcc.listing import get_kprobe_functions, get_tracepoints
from probee.bcc.manyprobe import ManyProbes, attach_many
from probee.bcc.utils import as_bytes, as_text
from probee.errors import AttachError, ProbeeError
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.kernel.links.link import Link
    from probee.model.spec import ObjectSpec

_NOT_TRACEABLE = 'it\'s not traceable (either non-existing, inlined, or marked as "notrace")'
_PREFIXES = ("sys_", "__x64_sys_", "__x32_compat_sys_", "__ia32_compat_sys_", "__arm64_sys_", "__s390x_sys_", "__s390_sys_",
             "__riscv_sys_")  # fmt: skip
_TRAMPOLINES = {  # kind → (prefix of functions, which books, type, what messages call it)
    "kfunc": ("kfunc__", "kfunc_entry_fds", BPFProgType.TRACING, "Kernel entry func", "entry kernel func"),
    "kretfunc": ("kretfunc__", "kfunc_exit_fds", BPFProgType.TRACING, "Kernel exit func", "exit kernel func"),
    "fmod_ret": ("kmod_ret__", "fmod_ret_fds", BPFProgType.TRACING, "Fmod_ret func", "fmod_ret kernel func"),
    "lsm": ("lsm__", "lsm_fds", BPFProgType.LSM, "LSM", ""),
}


def _unmatched(pattern: bytes) -> AttachError:
    """Return why a pattern matches nothing that can be probed."""
    from probee.kernel.features.feature import has

    if not has("kprobe"):
        return AttachError("", "this kernel has no kprobes (CONFIG_KPROBE_EVENTS); try `probee lab run`")
    return AttachError("", f"no kernel function that matches {as_text(pattern)} can be probed")


def _event_name(prefix: bytes, event: bytes) -> bytes:
    return prefix + event.replace(b"+", b"_").replace(b".", b"_")


class KernelProbes(Core):
    """The part of BPF that attaches to the kernel."""

    def __init__(self, spec: ObjectSpec, *, debug: int = 0, device: str = "") -> None:
        self._many: dict[tuple[bytes, bytes], tuple[ManyProbes, str]] = {}  # by event's name and function's
        super().__init__(spec, debug=debug, device=device)

    # -- names of system calls

    def get_syscall_prefix(self) -> bytes:
        """Return what this kernel's functions of system calls begin with, as b"__x64_sys_"."""
        has = self.module_of().lookup.target().kallsyms.has
        return next((prefix for prefix in _PREFIXES if has(f"{prefix}bpf")), _PREFIXES[0]).encode()

    def get_syscall_fnname(self, name: bytes | str) -> bytes:
        """Return the kernel's function of a system call."""
        return self.get_syscall_prefix() + as_bytes(name)

    def fix_syscall_fnname(self, name: bytes | str) -> bytes:
        """Return this kernel's function for a system call's function of any kernel; other names as they are."""
        text = as_text(name)
        found = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), None)
        return as_bytes(name) if found is None else self.get_syscall_fnname(text[len(found) :])

    # -- kprobes

    def attach_kprobe(
        self, event: bytes | str = b"", event_off: int = 0, fn_name: bytes | str = b"", event_re: bytes | str = b""
    ) -> Any:
        """Run a function whenever the kernel's function `event` is entered, or is at an offset; or all that match a pattern."""
        if event_re:
            return self._attach_matching("kprobe", as_bytes(event_re), as_bytes(fn_name))
        return self._attach_kprobe("kprobe", as_bytes(event), as_bytes(fn_name), event_off)

    def attach_kretprobe(
        self, event: bytes | str = b"", fn_name: bytes | str = b"", event_re: bytes | str = b"", maxactive: int = 0
    ) -> Any:
        """Run a function whenever the kernel's function `event` returns, or any that matches a pattern."""
        if event_re:
            return self._attach_matching("kretprobe", as_bytes(event_re), as_bytes(fn_name))
        return self._attach_kprobe("kretprobe", as_bytes(event), as_bytes(fn_name), 0)

    def _attach_kprobe(self, kind: str, event: bytes, name: bytes, offset: int) -> KernelProbes:
        self._check_probe_quota(1)
        function = self.load_func(name, BPFProgType.KPROBE)
        where, plus, more = as_text(event).partition("+")
        inside = offset + (int(more, 0) if plus else 0)
        parameters: dict[str, int | str | list[int] | list[str]] = {"function": where, "module": "", "offset": inside}
        if kind == "kretprobe":
            parameters["by_ioctl"] = 1  # as bcc: one on bpf() must not count its own attaching
        try:
            link = self._attach(LinkSpec(kind, as_text(name), f"{kind}:{as_text(event)}", parameters), function)
        except ProbeeError as error:
            raise because(f"Failed to attach BPF program {name!r} to {kind} {event!r}, {_NOT_TRACEABLE}", error) from None
        event_name = _event_name(b"p_" if kind == "kprobe" else b"r_", event)
        self.kprobe_fds.setdefault(event_name, {})[name] = self.keep(link, "kprobe", event_name, name)
        return self

    def _attach_matching(self, kind: str, pattern: bytes, name: bytes) -> None:
        """Attach to all functions that match and that can be probed; none at all is an error."""
        matches = get_kprobe_functions(pattern)
        if kind == "kprobe":
            self._check_probe_quota(len(matches))
        many = attach_many(self.module_of(), kind, as_text(name), sorted(as_text(event) for event in matches))
        if many is not None:
            self._note_many(many, name)
            return
        failed = []
        for event in sorted(matches):
            try:
                self._attach_kprobe(kind, event, name, 0)
            except BccError:
                failed.append(event)
        if len(failed) == len(matches):
            places = "/".join(as_text(event) for event in failed)
            raise because(f"Failed to attach BPF program {name!r} to {kind} {places}, {_NOT_TRACEABLE}", _unmatched(pattern))

    def _note_many(self, many: ManyProbes, name: bytes) -> None:
        prefix = b"p_" if many.kind == "kprobe" else b"r_"
        for function in many.functions:
            event = _event_name(prefix, function.encode())
            self.kprobe_fds.setdefault(event, {})[name] = many.link.descriptors[0].fd
            self._many[event, name] = many, function
        self.count_probes(len(many.functions))

    def cleanup(self) -> None:
        """Detach everything and close it."""
        for many, _ in self._many.values():
            self.count_probes(-len(many.functions))
            many.close()
        self._many.clear()
        super().cleanup()

    def detach_kprobe(self, event: bytes | str, fn_name: bytes | str | None = None) -> None:
        """Detach from a function's entry: one of ours that is attached there, or all."""
        self._detach_kprobes(_event_name(b"p_", as_bytes(event)), fn_name)

    def detach_kretprobe(self, event: bytes | str, fn_name: bytes | str | None = None) -> None:
        """Detach from a function's return: one of ours that is attached there, or all."""
        self._detach_kprobes(_event_name(b"r_", as_bytes(event)), fn_name)

    def _detach_kprobes(self, event_name: bytes, fn_name: bytes | str | None) -> None:
        if fn_name:
            self.detach_kprobe_event_by_fn(event_name, fn_name)
        else:
            self.detach_kprobe_event(event_name)

    def detach_kprobe_event(self, ev_name: bytes | str) -> None:
        """Detach all that is attached at one event, by its name in kprobe_fds."""
        for name in list(self.kprobe_fds[as_bytes(ev_name)]):
            self.detach_kprobe_event_by_fn(ev_name, name)

    def detach_kprobe_event_by_fn(self, ev_name: bytes | str, fn_name: bytes | str) -> None:
        """Detach one function from one event, by its name in kprobe_fds."""
        event, name = as_bytes(ev_name), as_bytes(fn_name)
        if event not in self.kprobe_fds:
            raise BccError(f"Kprobe {event!r} is not attached")
        del self.kprobe_fds[event][name]
        if not self.kprobe_fds[event]:
            del self.kprobe_fds[event]
        if (event, name) in self._many:
            many, function = self._many.pop((event, name))
            many.leave(function)
            self.count_probes(-1)
        self.drop("kprobe", event, name)

    def num_open_kprobes(self) -> int:
        """Return how many functions' entries and returns are probed."""
        return len(self.kprobe_fds)

    # -- tracepoints

    def attach_tracepoint(self, tp: bytes | str = b"", tp_re: bytes | str = b"", fn_name: bytes | str = b"") -> Any:
        """Run a function at the tracepoint `category:event`, or at all that match a pattern."""
        name = as_bytes(fn_name)
        if tp_re:
            for found in get_tracepoints(tp_re):
                self.attach_tracepoint(tp=found, fn_name=name)
            return None
        function = self.load_func(name, BPFProgType.TRACEPOINT)
        category, event = as_text(tp).split(":")
        spec = LinkSpec("tracepoint", as_text(name), f"tracepoint:{as_text(tp)}", {"category": category, "name": event})
        try:
            link = self._attach(spec, function)
        except ProbeeError as error:
            raise because(f"Failed to attach BPF program {name!r} to tracepoint {as_bytes(tp)!r}", error) from None
        self.tracepoint_fds[as_bytes(tp)] = self.keep(link, "tracepoint", as_bytes(tp))
        return self

    def detach_tracepoint(self, tp: bytes | str = b"") -> None:
        """Detach from a tracepoint."""
        if as_bytes(tp) not in self.tracepoint_fds:
            raise BccError(f"Tracepoint {as_bytes(tp)!r} is not attached")
        del self.tracepoint_fds[as_bytes(tp)]
        self.drop("tracepoint", as_bytes(tp))

    def num_open_tracepoints(self) -> int:
        """Return how many tracepoints are attached to."""
        return len(self.tracepoint_fds)

    def attach_raw_tracepoint(self, tp: bytes | str = b"", fn_name: bytes | str = b"") -> Any:
        """Run a function at a raw tracepoint, by its name without category."""
        if as_bytes(tp) in self.raw_tracepoint_fds:
            raise BccError(f"Raw tracepoint {as_bytes(tp)!r} has been attached")
        function = self.load_func(fn_name, BPFProgType.RAW_TRACEPOINT)
        spec = LinkSpec("rawtracepoint", as_text(fn_name), f"rawtracepoint:{as_text(tp)}", {"name": as_text(tp)})
        try:
            link = self._attach(spec, function)
        except ProbeeError as error:
            raise because("Failed to attach BPF to raw tracepoint", error) from None
        self.raw_tracepoint_fds[as_bytes(tp)] = self.keep(link, "raw_tracepoint", as_bytes(tp))
        return self

    def detach_raw_tracepoint(self, tp: bytes | str = b"") -> None:
        """Detach from a raw tracepoint."""
        if as_bytes(tp) not in self.raw_tracepoint_fds:
            raise BccError(f"Raw tracepoint {as_bytes(tp)!r} is not attached")
        del self.raw_tracepoint_fds[as_bytes(tp)]
        self.drop("raw_tracepoint", as_bytes(tp))

    def _attach(self, spec: LinkSpec, function: Any) -> Link:
        from probee.kernel.links.attach import attach

        return attach(spec, self.program_of(function), functions=self.module_of().lookup.functions)

    # -- trampolines: the function says by its name where it belongs

    def attach_kfunc(self, fn_name: bytes | str = b"") -> Any:
        """Attach a KFUNC_PROBE."""
        return self._attach_trampoline("kfunc", fn_name)

    def attach_kretfunc(self, fn_name: bytes | str = b"") -> Any:
        """Attach a KRETFUNC_PROBE."""
        return self._attach_trampoline("kretfunc", fn_name)

    def attach_fmod_ret(self, fn_name: bytes | str = b"") -> Any:
        """Attach a KMOD_RET."""
        return self._attach_trampoline("fmod_ret", fn_name)

    def attach_lsm(self, fn_name: bytes | str = b"") -> Any:
        """Attach an LSM_PROBE."""
        return self._attach_trampoline("lsm", fn_name)

    def detach_kfunc(self, fn_name: bytes | str = b"") -> None:
        """Detach a KFUNC_PROBE."""
        self._detach_trampoline("kfunc", fn_name)

    def detach_kretfunc(self, fn_name: bytes | str = b"") -> None:
        """Detach a KRETFUNC_PROBE."""
        self._detach_trampoline("kretfunc", fn_name)

    def detach_fmod_ret(self, fn_name: bytes | str = b"") -> None:
        """Detach a KMOD_RET."""
        self._detach_trampoline("fmod_ret", fn_name)

    def detach_lsm(self, fn_name: bytes | str = b"") -> None:
        """Detach an LSM_PROBE."""
        self._detach_trampoline("lsm", fn_name)

    @staticmethod
    def add_prefix(prefix: bytes, name: bytes) -> bytes:
        """Return the name with the prefix before it, once."""
        return name if name.startswith(prefix) else prefix + name

    def _attach_trampoline(self, kind: str, fn_name: bytes | str) -> KernelProbes:
        from probee.kernel.links.tracing import attach_tracing

        prefix, books, type, what, where = _TRAMPOLINES[kind]
        name = self.add_prefix(prefix.encode(), as_bytes(fn_name))
        opened: dict[bytes, int] = getattr(self, books)
        if name in opened:
            raise BccError(f"{what} {name!r} has been attached")
        function = self.load_func(name, type)
        try:
            link = attach_tracing(LinkSpec("fentry", as_text(name), f"{kind}:{as_text(name)}", {}), self.program_of(function))
        except ProbeeError as error:
            raise because(f"Failed to attach BPF to {where}" if where else "Failed to attach LSM", error) from None
        opened[name] = self.keep(link, kind, name)
        return self

    def _detach_trampoline(self, kind: str, fn_name: bytes | str) -> None:
        prefix, books, _, what, _ = _TRAMPOLINES[kind]
        name = self.add_prefix(prefix.encode(), as_bytes(fn_name))
        opened: dict[bytes, int] = getattr(self, books)
        if name not in opened:
            raise BccError(f"{what} {name!r} is not attached")
        del opened[name]
        self.drop(kind, name)
