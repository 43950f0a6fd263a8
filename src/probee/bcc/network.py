"""Attaching to the network and to cgroups: XDP, raw sockets, and whatever takes a program by a descriptor.

XDP goes by a BPF link while this process lives, so that nothing is left when it is killed; remove_xdp() drops our link, or by
netlink what somebody else has attached.
"""

from __future__ import annotations

import os

from probee.bcc.constant import Numbers
from probee.bcc.core import Core, Function
from probee.bcc.error import BccError, because
from probee.bcc.utils import as_bytes, as_text
from probee.errors import AttachError, KernelError, ProbeeError
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.kernel.links.link import Link
    from probee.kernel.links.xdp import XdpLink

_xdp: dict[str, XdpLink] = {}  # by device, in the whole process
_hooks: dict[tuple[int, int, int], Link] = {}  # by program, where, attach type


class NetworkProbes(Core):
    """The part of BPF that attaches to devices, sockets and cgroups."""

    @staticmethod
    def attach_xdp(dev: bytes | str, fn: Function, flags: int = 0) -> None:
        """Run a function for each packet that a device receives; `flags` are BPF.XDP_FLAGS_*."""
        from probee.kernel.links.xdp import attach_xdp

        name = as_text(dev)
        spec = LinkSpec("xdp", as_text(_checked(fn).name), f"xdp:{name}", {"device": name, "flags": flags})
        known, only_new = _xdp.get(name), flags & Numbers.XDP_FLAGS_UPDATE_IF_NOEXIST
        try:
            if known is not None and not only_new and known.flags == flags:
                known.replace(_program(fn))
                return
            if known is not None and not only_new:
                _xdp.pop(name).close()
            _xdp[name] = attach_xdp(spec, _program(fn))
        except ProbeeError as error:
            raise _failure(f"Failed to attach BPF to device {as_bytes(dev)!r}", error) from None

    @staticmethod
    def remove_xdp(dev: bytes | str, flags: int = 0) -> None:
        """Take whatever program there is from a device."""
        from probee.kernel.links.xdp import detach_xdp

        own = _xdp.pop(as_text(dev), None)
        if own is not None:
            own.close()
            return
        try:
            detach_xdp(as_text(dev), flags)
        except ProbeeError as error:
            raise _failure(f"Failed to detach BPF from device {as_bytes(dev)!r}", error) from None

    @staticmethod
    def attach_raw_socket(fn: Function, dev: bytes | str) -> None:
        """Open a raw socket on a device (b"" for all) that a function filters; `fn.sock` is its descriptor, to close."""
        from probee.kernel.links.socket import attach_socket

        name = as_text(dev)
        spec = LinkSpec("socket", as_text(_checked(fn).name), f"socket:{name}", {"device": name})
        try:
            link = attach_socket(spec, _program(fn))
        except ProbeeError as error:
            raise _failure(f"Failed to open raw device {as_bytes(dev)!r}", error) from None
        fn.sock = os.dup(link.fd)  # type: ignore[attr-defined]  # where programs look for it
        link.close()

    @staticmethod
    def attach_func(fn: Function, attachable_fd: int, attach_type: int, flags: int = 0) -> None:
        """Attach a function to a cgroup's or a map's descriptor."""
        from probee.kernel.links.hook import attach_hook

        try:
            link = attach_hook(_program(_checked(fn)), attachable_fd, attach_type, flags)
        except ProbeeError as error:
            raise _failure(f"Failed to attach BPF function with attach_type {attach_type}", error) from None
        _hooks[fn.fd, attachable_fd, attach_type] = link

    @staticmethod
    def detach_func(fn: Function, attachable_fd: int, attach_type: int) -> None:
        """Detach a function from what attach_func attached it to."""
        link = _hooks.pop((_checked(fn).fd, attachable_fd, attach_type), None)
        if link is None:
            import errno

            cause = os.strerror(errno.ENOENT)
            raise BccError(f"Failed to detach BPF function with attach_type {attach_type}: {cause}")
        link.close()

    def cleanup(self) -> None:
        """Detach what belongs to this object's functions, too."""
        programs = {function.program for function in self.funcs.values()}
        for device in [device for device, link in _xdp.items() if link.program in programs]:
            _xdp.pop(device).close()
        for hook in [hook for hook, link in _hooks.items() if link.program in programs]:
            _hooks.pop(hook).close()
        super().cleanup()


def _checked(fn: Any) -> Function:
    if not isinstance(fn, Function):
        raise BccError("arg 1 must be of type BPF.Function")
    return fn


def _program(fn: Function) -> Any:
    return fn.bpf.program_of(fn)


def _failure(message: str, error: ProbeeError) -> BccError:
    errno = getattr(error, "errno", 0)
    cause = os.strerror(errno) if isinstance(error, (KernelError, AttachError)) and errno else str(error)
    return because(f"{message}: {cause}", error)
