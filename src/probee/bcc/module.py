"""Module: a compiled object in the kernel: its maps, created at once, and its programs, loaded when they are asked for.

Maps are known by their place in the object, as bcc's tables are by their id.  Public tables are known by name to later
objects of the process.
"""

from __future__ import annotations

import os
import sys

from probee.bcc.constant import DEBUG_BPF, DEBUG_BPF_REGISTER_STATE
from probee.bcc.error import BccError, because
from probee.errors import KernelError, PermissionMissing, ProbeeError
from probee.kernel.lookup import KernelLookup
from probee.kernel.maps.create import create_all
from probee.model.spec import MapType, ObjectSpec, ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.bcc.structure import Structures
    from probee.kernel.maps.map import Map
    from probee.kernel.programs.program import Program
    from probee.kernel.syscalls.fd import Descriptor

_KERNEL_FIELDS = (b"\0bpf_spin_lock\0", b"\0bpf_timer\0")  # which the kernel finds in a map's values by their types
_public: dict[str, Map] = {}  # BPF_TABLE_PUBLIC and _SHARED, by name


class Module:
    """The live side of `spec`; `device` is a network device that is to hold its maps, where a program is offloaded to one."""

    def __init__(self, spec: ObjectSpec, *, debug: int = 0, device: str = "") -> None:
        self.spec = spec
        self.debug = debug
        self.lookup = KernelLookup()
        self.programs = {program.name: program for program in spec.programs}
        self._btf: Descriptor | None = None
        self._constants: dict[str, int] | None = None
        self._structures: Structures | None = None
        self.maps: dict[str, Map] = {}
        try:
            self._create(device)
        except BaseException:
            self.close()
            raise

    # -- maps

    def _create(self, device: str) -> None:
        """Create what is the object's own, find what is another's."""
        own = tuple(spec for spec in self.spec.maps if spec.role != "extern")
        index = number_of(device)
        try:
            typed = any(spec.type in MapType.LOCAL_STORAGE for spec in own)
            typed = typed or any(name in self.spec.btf for name in _KERNEL_FIELDS)
            made = create_all(own, btf_fd=self._btf_fd() if typed else 0, types=self.spec.types, device=index)
        except PermissionMissing as error:
            raise _no_root(error) from None
        except KernelError as error:
            raise (because(_refused(device, "the maps", error), error) if device else error) from None
        self.maps = made  # close() frees them when one of another's is missing
        self.maps = {spec.name: _found(spec.name) if spec.role == "extern" else made[spec.name] for spec in self.spec.maps}
        _public.update({spec.name: made[spec.name] for spec in own if spec.role in ("public", "shared")})

    @property
    def structures(self) -> Structures:
        if self._structures is None:
            from probee.bcc.structure import Structures

            self._structures = Structures(self.spec.btf, self.spec.types)
        return self._structures

    @property
    def map_names(self) -> list[str]:
        return list(self.maps)

    def map_id(self, name: str) -> int:
        """Return a map's number; KeyError when there is no such map."""
        names = self.map_names
        if name not in names:
            raise KeyError(name)
        return names.index(name)

    def map_at(self, id: int) -> Map:
        return self.maps[self.map_names[id]]

    def map_type(self, live: Map) -> int:
        return live.spec.type

    # -- programs

    def load(self, name: str, type: int, *, attach_type: int = -1, device: str = "") -> Program:
        """Load a program as one of a type; BccError with bcc's words when the kernel refuses it."""
        from probee.kernel.programs import load as loading

        spec = retyped(self.programs[name], type, attach_type)
        index = number_of(device)
        if self.debug & (DEBUG_BPF | DEBUG_BPF_REGISTER_STATE):
            loading.on_log = _show_log
        try:
            return loading.load(
                spec, self.spec, self.maps, self.constants, btf_fd=self._btf_fd(), find_btf=self.lookup.find_btf,
                device=index,
            )  # fmt: skip
        except PermissionMissing as error:
            raise _no_root(error) from None
        except KernelError as error:
            if device and not getattr(error, "log", ""):  # not the verifier's
                raise _load_failure(name, _refused(device, "it", error), error) from None
            sys.stderr.write(f"{error.report()}\n")
            sys.stderr.flush()
            raise _load_failure(name, os.strerror(error.errno or 0), error) from None
        except ProbeeError as error:
            raise _load_failure(name, str(error), error) from None
        finally:
            loading.on_log = None

    @property
    def constants(self) -> dict[str, int]:
        if self._constants is None:
            self._constants = {}
            if self.spec.constants:
                from probee.runtime.constants import Run, resolve_constants

                self._constants = resolve_constants(self.spec.constants, Run())
        return self._constants

    def _btf_fd(self) -> int:
        if self._btf is None and self.spec.btf:
            from probee.kernel.programs.load import load_btf

            self._btf = load_btf(self.spec.btf)[0]
        return self._btf.fd if self._btf is not None else 0

    def instructions(self, name: str) -> bytes:
        """Return a program's instructions as they go to the kernel, with the maps' descriptors in them."""
        from probee.kernel.programs.relocate import Patcher

        spec = self.programs[name]
        patcher = Patcher(lambda map_name: self.maps[map_name].fd, self.constants, self.lookup.find_btf)
        return patcher.patch(spec.instructions, spec.relocations)

    def close(self) -> None:
        """Free the maps that are this object's own, and what was open for loading; closing twice is nothing."""
        for spec in self.spec.maps:
            live = self.maps.get(spec.name)
            if live is None or spec.role == "extern":
                continue
            if _public.get(spec.name) is live:
                del _public[spec.name]
            live.close()
        self.maps = {}
        if self._btf is not None:
            self._btf.close()
        self.lookup.close()


def retyped(spec: ProgramSpec, type: int, attach_type: int = -1) -> ProgramSpec:
    """Return a program as one of another type; those that were compiled for a target stay what they are."""
    if attach_type < 0:
        attach_type = spec.attach_type
    if (spec.type, spec.attach_type) == (type, attach_type):
        return spec
    return ProgramSpec(
        spec.name, type, spec.instructions, probe=spec.probe, attach_type=attach_type, attach_target=spec.attach_target,
        sleepable=spec.sleepable, relocations=spec.relocations, field_relocations=spec.field_relocations, lines=spec.lines,
        func_info=spec.func_info, line_info=spec.line_info,
    )  # fmt: skip


def number_of(device: str) -> int:
    """Return the number of a network device to offload to, 0 for ""; BccError when there is none of that name."""
    if not device:
        return 0
    from probee.kernel.syscalls.netlink import device_index

    index = device_index(device)
    if not index:
        raise BccError(f"there is no network device {device} here to offload to")
    return index


def _found(name: str) -> Map:
    """Return another object's table."""
    if name not in _public:
        raise BccError(f"Failed to compile BPF module <text>: no public table is called {name}")
    return _public[name]


def is_queue(live: Map) -> bool:
    return live.spec.type in (MapType.QUEUE, MapType.STACK)


def _no_root(error: PermissionMissing) -> BccError:
    sys.stderr.write(f"{error.report()}\n")
    return BccError("Need super-user privileges to run")


def _load_failure(name: str, cause: str, error: ProbeeError) -> BccError:
    failure = BccError(f"Failed to load BPF program {name.encode()!r}: {cause}")
    failure.reason = error
    return failure


def _refused(device: str, what: str, error: KernelError) -> str:
    return (
        f"the network device {device} does not take {what} ({os.strerror(error.errno or 0)}): its driver must run BPF itself,"
        " as SmartNICs' do; without `device` it runs in the kernel"
    )


def _show_log(spec: ProgramSpec, log: str) -> None:
    sys.stderr.write(f"{spec.name}:\n{log}\n")
