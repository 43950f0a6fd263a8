"""Installation: the live maps, programs and links of one ObjectSpec, and the order in which they come and go.

Owns every descriptor of theirs.  A probe that cannot be attached is an error, a warning or nothing, as the script's
configuration says (missing_probes).
"""

from __future__ import annotations

import os
from time import monotonic

from probee.errors import AttachError, VerifierError
from probee.model.event import Problem
from probee.model.spec import LinkSpec, MapSpec, MapType, ObjectSpec, ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from probee.kernel.links.kprobe import FunctionList
    from probee.kernel.links.link import Link
    from probee.kernel.maps.map import Map
    from probee.kernel.programs.program import Program
    from probee.kernel.programs.relocate import BtfLookup

# Attached in the order of declaration; all others in reverse, so that several programs on one hook run in that order.
IN_ORDER = frozenset(("kretprobe", "tracepoint", "profile", "interval", "watchpoint", "hardware", "rawtracepoint", "software"))
COUNTED = ("kprobe", "kretprobe", "uprobe", "uretprobe")  # every place of a pattern is an attached probe
RUN_BY_US = ("begin", "end", "self", "test", "bench")  # never attached
PATIENCE_S = 0.5  # with detaching before the results are shown
LOG_BYTES = 1_000_000  # of the verifier's log, unless the script says otherwise
RING_BYTES = 8 << 20  # its two mappings count twice in our resident size
_EXPECTED = "If this is expected, set the 'missing_probes' config variable to 'warn'."


class Installation:
    """What runs in the kernel for `spec`."""

    def __init__(
        self, spec: ObjectSpec, *, functions: FunctionList | None = None, find_btf: BtfLookup | None = None,
        verbose: bool = False,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.maps: dict[str, Map] = {}
        self.programs: dict[str, Program] = {}
        self.links: list[Link] = []
        self.problems: list[Problem] = []
        self.probe_count = 0
        self._pid = 0
        self._functions = functions
        self._find_btf = find_btf
        self._log_size = int(spec.options.get("log_size", LOG_BYTES)) if verbose else LOG_BYTES

    # -- coming

    def create_maps(self) -> None:
        from probee.kernel.maps.create import create

        for spec in self.spec.maps:
            self.maps[spec.name] = create(self._sized(spec))

    def _sized(self, spec: MapSpec) -> MapSpec:
        """Return the spec with the ring's size filled in: perf_rb_pages, or max_entries in bytes, or our default."""
        if spec.type != MapType.RINGBUF:
            return spec
        from probee.kernel.syscalls.ring import PAGE_SIZE

        pages = int(self.spec.options.get("perf_rb_pages", 0))
        size = pages * PAGE_SIZE or spec.max_entries or RING_BYTES
        return MapSpec(spec.name, spec.type, 0, 0, size, flags=spec.flags, role=spec.role)

    def of_role(self, role: str) -> list[Map]:
        """Return the live maps of a role."""
        return [live for live in self.maps.values() if live.spec.role == role]

    def load(self, constants: Mapping[str, int]) -> None:
        """Load all programs, with the late constants' values."""
        from probee.kernel.programs.load import load

        btf = self._load_btf()
        try:
            for spec in self.spec.programs:
                try:
                    self.programs[spec.name] = load(
                        spec, self.spec, self.maps, constants, btf_fd=btf.fd if btf else 0, find_btf=self._find_btf,
                        log_size=self._log_size if self._log_size < LOG_BYTES else 0,
                    )  # fmt: skip
                except VerifierError as error:
                    if not spec.attach_target or error.insn >= 0:
                        raise
                    self._not_bound(spec, error)
        finally:
            if btf:
                btf.close()

    def _not_bound(self, spec: ProgramSpec, error: VerifierError) -> None:
        """Deal with a program that is in order but not for its target: a function that BTF has and that cannot be traced."""
        words = [line for line in error.log.splitlines() if line.strip() and not line.startswith("processed ")]
        cause = words[0] if words else "the kernel does not let programs be attached to it"
        for link in self.spec.links:
            if link.program == spec.name:
                self._missing(link, AttachError(link.probe, f"Unable to attach probe: {link.probe}: {cause}"))

    def _load_btf(self) -> Any:
        if not self.spec.btf or not self.spec.programs:
            return None
        from probee.kernel.syscalls.btf import btf_load
        from probee.kernel.syscalls.fd import Descriptor

        return Descriptor(btf_load(self.spec.btf), "BTF of the script")

    def attach(self, pid: int = 0) -> None:
        """Attach all links, those in programs for one process if `pid` is one.

        AttachError when one cannot be that must, or when none could.
        """
        self._pid = pid
        wanted = [link for link in self.spec.links if link.kind not in RUN_BY_US]
        declared = [link for link in wanted if link.program in self.programs]
        for link in [link for link in declared if link.kind in IN_ORDER]:
            self._attach(link)
        for link in reversed([link for link in declared if link.kind not in IN_ORDER]):
            self._attach(link)
        self.probe_count += len(self.spec.links) - len(wanted)
        if wanted and not self.probe_count:  # begin and end count: a script whose other probes may be missing goes on
            raise AttachError("", "Attachment failed for all probes.")
        left_out = self.spec.options.get("left_out")
        if left_out and not self.spec.links:
            what = "benchmark" if left_out == "bench" else "test"
            raise AttachError("", f"No probes attached; use --{left_out} to run {what} probes.")

    def _attach(self, spec: LinkSpec) -> None:
        from probee.kernel.links.attach import attach

        try:
            link = attach(spec, self.programs[spec.program], functions=self._functions, pid=self._pid)
        except AttachError as error:
            self._missing(spec, error)
            return
        self.links.append(link)
        self.probe_count += link.targets if spec.kind in COUNTED else 1
        if link.skipped and self.spec.options.get("missing_probes") != "ignore":
            self.problems.append(Problem(_skipped_text(link), severity="warning"))

    def _missing(self, spec: LinkSpec, error: AttachError) -> None:
        wanted = self.spec.options.get("missing_probes", "error")
        if wanted == "ignore":
            return
        cause = str(error).removeprefix(f"Unable to attach probe: {spec.probe}").removeprefix(": ")
        if wanted == "warn":
            text = f"Unable to attach probe: {spec.probe}. Skipping.\n{cause}"
            self.problems.append(Problem(text.rstrip(), severity="warning"))
        else:
            text = f"Unable to attach probe: {spec.probe}. {_EXPECTED}\n{cause}"
            raise AttachError(spec.probe, text.rstrip()) from error

    def run_once(self, kind: str) -> None:
        """Run the programs of all links of a kind that we run ourselves, in the order of declaration."""
        for link in self.of_kind(kind):
            self.programs[link.program].test_run()

    def of_kind(self, kind: str) -> list[LinkSpec]:
        """Return the links of a kind."""
        return [link for link in self.spec.links if link.kind == kind]

    def pinned(self) -> list[str]:
        """Return the paths of iterators that stay when we go."""
        if not self.of_kind("iter"):
            return []
        from probee.kernel.links.iter import pin_path

        return [path for link in self.links if link.spec.kind == "iter" and (path := pin_path(link.spec))]

    # -- going

    def detach(self) -> None:
        """Detach everything, and return when none of the programs runs any more.

        Programs that look whether the end has come see that at once.  What takes the kernel too long to detach is left: to
        hand_over(), or else to close().
        """
        for live in self.of_role("exited"):
            live.update(bytes(live.key_size), (1).to_bytes(live.value_size, "little"))
        until_s = monotonic() + PATIENCE_S
        for link in self.links:
            link.close_until(until_s)
        if self.links:
            wait_for_programs()
        if not any(link.descriptors for link in self.links):
            for live in self.of_role("exited"):  # `end` is yet to come
                live.zero()

    def hand_over(self) -> None:
        """For a process that is about to end: if much is still attached, leave detaching it to another one."""
        if any(link.descriptors for link in self.links):
            from probee.runtime.straggler import hand_over

            hand_over(self.links)

    def close(self) -> None:
        """Detach and free everything; closing twice is nothing."""
        for link in self.links:
            link.close()
        for program in self.programs.values():
            program.close()
        for live in self.maps.values():
            live.close()


def _skipped_text(link: Link) -> str:
    """Return what to say of places that a pattern matched and that could not be attached."""
    names = [f"{name} ({reason})" for name, reason in link.skipped[:3]]
    more = f" and {len(link.skipped) - 3} more" if len(link.skipped) > 3 else ""
    places = len(link.skipped) + link.targets
    return f"{link.probe}: {len(link.skipped)} of {places} places could not be attached: {', '.join(names)}{more}"


def wait_for_programs() -> None:
    """Return when no program that has been detached runs any more: after an RCU grace period."""
    from probee.kernel.syscalls.libc import syscall

    number = {"x86_64": 324}.get(os.uname().machine, 283)  # membarrier(2)
    if syscall(number, 1) < 0:  # MEMBARRIER_CMD_GLOBAL; kernels with nohz_full CPUs refuse it
        import time

        time.sleep(0.02)
