"""Specs: what the compiler hands to the runtime.

An ObjectSpec holds programs, maps, links, actions and late constants, all inert and serialisable (formats/bundle.py).
Nothing in it depends on the boot, the host or the run: what does is a LateConstant, by name, which the loader patches.
Numbers are the kernel's (include/uapi/linux/bpf.h), kept as plain ints so that nothing is built at import.
"""

from __future__ import annotations

from probee.model.value import ValueType

PACKET_BYTES = 65_000  # of a packet in a record at most: the kernel counts a record's bytes in a u16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Parameter = int | str | list[str] | list[int]


class MapType:
    """enum bpf_map_type."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    STACK_TRACE = 7
    CGROUP_ARRAY = 8
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    HASH_OF_MAPS = 13
    DEVMAP = 14
    SOCKMAP = 15
    CPUMAP = 16
    XSKMAP = 17
    SOCKHASH = 18
    CGROUP_STORAGE = 19
    REUSEPORT_SOCKARRAY = 20
    PERCPU_CGROUP_STORAGE = 21
    QUEUE = 22
    STACK = 23
    SK_STORAGE = 24
    DEVMAP_HASH = 25
    STRUCT_OPS = 26
    RINGBUF = 27
    INODE_STORAGE = 28
    TASK_STORAGE = 29
    BLOOM_FILTER = 30
    USER_RINGBUF = 31
    CGRP_STORAGE = 32

    PER_CPU = frozenset((PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE))
    OF_MAPS = frozenset((ARRAY_OF_MAPS, HASH_OF_MAPS))
    LOCAL_STORAGE = frozenset((SK_STORAGE, INODE_STORAGE, TASK_STORAGE, CGRP_STORAGE))


class ProgramType:
    """enum bpf_prog_type."""

    SOCKET_FILTER = 1
    KPROBE = 2
    SCHED_CLS = 3
    SCHED_ACT = 4
    TRACEPOINT = 5
    XDP = 6
    PERF_EVENT = 7
    CGROUP_SKB = 8
    CGROUP_SOCK = 9
    LWT_IN = 10
    LWT_OUT = 11
    LWT_XMIT = 12
    SOCK_OPS = 13
    SK_SKB = 14
    CGROUP_DEVICE = 15
    SK_MSG = 16
    RAW_TRACEPOINT = 17
    CGROUP_SOCK_ADDR = 18
    LWT_SEG6LOCAL = 19
    LIRC_MODE2 = 20
    SK_REUSEPORT = 21
    FLOW_DISSECTOR = 22
    CGROUP_SYSCTL = 23
    RAW_TRACEPOINT_WRITABLE = 24
    CGROUP_SOCKOPT = 25
    TRACING = 26
    STRUCT_OPS = 27
    EXT = 28
    LSM = 29
    SK_LOOKUP = 30
    SYSCALL = 31
    NETFILTER = 32


class AttachType:
    """enum bpf_attach_type; programs that need none have NONE, which is the kernel's CGROUP_INET_INGRESS."""

    NONE = 0
    CGROUP_INET_INGRESS = 0
    CGROUP_INET_EGRESS = 1
    CGROUP_INET_SOCK_CREATE = 2
    CGROUP_SOCK_OPS = 3
    SK_SKB_STREAM_PARSER = 4
    SK_SKB_STREAM_VERDICT = 5
    CGROUP_DEVICE = 6
    SK_MSG_VERDICT = 7
    CGROUP_INET4_BIND = 8
    CGROUP_INET6_BIND = 9
    CGROUP_INET4_CONNECT = 10
    CGROUP_INET6_CONNECT = 11
    CGROUP_INET4_POST_BIND = 12
    CGROUP_INET6_POST_BIND = 13
    CGROUP_UDP4_SENDMSG = 14
    CGROUP_UDP6_SENDMSG = 15
    LIRC_MODE2 = 16
    FLOW_DISSECTOR = 17
    CGROUP_SYSCTL = 18
    CGROUP_UDP4_RECVMSG = 19
    CGROUP_UDP6_RECVMSG = 20
    CGROUP_GETSOCKOPT = 21
    CGROUP_SETSOCKOPT = 22
    TRACE_RAW_TP = 23
    TRACE_FENTRY = 24
    TRACE_FEXIT = 25
    MODIFY_RETURN = 26
    LSM_MAC = 27
    TRACE_ITER = 28
    CGROUP_INET4_GETPEERNAME = 29
    CGROUP_INET6_GETPEERNAME = 30
    CGROUP_INET4_GETSOCKNAME = 31
    CGROUP_INET6_GETSOCKNAME = 32
    XDP_DEVMAP = 33
    CGROUP_INET_SOCK_RELEASE = 34
    XDP_CPUMAP = 35
    SK_LOOKUP = 36
    XDP = 37
    SK_SKB_VERDICT = 38
    PERF_EVENT = 41
    TRACE_KPROBE_MULTI = 42
    LSM_CGROUP = 43
    TCX_INGRESS = 46
    TCX_EGRESS = 47
    TRACE_UPROBE_MULTI = 48
    TRACE_KPROBE_SESSION = 56

    OF_CGROUPS = frozenset((*range(4), 6, *range(8, 16), 18, 19, 20, 21, 22, *range(29, 33), 34))
    OF_SOCKET_MAPS = frozenset((SK_SKB_STREAM_PARSER, SK_SKB_STREAM_VERDICT, SK_MSG_VERDICT, SK_SKB_VERDICT))


class MapSpec:
    """A map to create.

    `role` says who reads it: "user" maps are the script's (printed at exit, name as in the script), "ring" is the event ring,
    "packets" the perf buffer of skboutput(), "scratch", "loss", "stack" and "constant" belong to the runtime.  `key` and
    `value` are how the script sees entries.
    `aggregation` is "" or one of count sum avg min max stats hist lhist tseries; then the value is stored as
    `aggregation_parameters` tells (see runtime/aggregate.py).  `scalar` maps have no key in the script.
    `inner` is, for a map of maps, the name of the object's map that the inner ones look like.  `pin` is a path in a BPF file
    system, "" for none: the map there is used, and made when there is none.
    """

    __slots__ = (
        "aggregation", "aggregation_parameters", "flags", "inner", "key", "key_size", "max_entries", "name", "pin", "role",
        "scalar", "type", "value", "value_size",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        type: int,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: int = 0,
        role: str = "user",
        key: ValueType | None = None,
        value: ValueType | None = None,
        scalar: bool = False,
        aggregation: str = "",
        aggregation_parameters: tuple[int | str, ...] = (),
        inner: str = "",
        pin: str = "",
    ) -> None:
        self.name = name
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.flags = flags
        self.role = role
        self.key = key
        self.value = value
        self.scalar = scalar
        self.aggregation = aggregation
        self.aggregation_parameters = aggregation_parameters
        self.inner = inner
        self.pin = pin


class Relocation:
    """A place in a program that the loader fills: `slot` counts 8-byte instruction slots.

    kind is "map" (a map's descriptor), "map_value" (address inside an array map's value, `addend` bytes from its start),
    "constant" (a late constant's 64-bit value), "function" (a subprogram's entry, bpf2bpf call or callback),
    "btf_kfunc", "btf_ksym" (ids in the kernel's BTF by name).
    """

    __slots__ = ("addend", "kind", "name", "slot")

    def __init__(self, slot: int, kind: str, name: str, addend: int = 0) -> None:
        self.slot = slot
        self.kind = kind
        self.name = name
        self.addend = addend


class FieldRelocation:
    """A kernel field access that was resolved against the local BTF: instruction `slot` holds the byte offset of
    `path` (member names joined by ".") in `root` ("struct task_struct").  `field` is "insn_offset" (16-bit) or "immediate".
    """

    __slots__ = ("field", "offset", "path", "root", "slot")

    def __init__(self, slot: int, root: str, path: str, offset: int, field: str) -> None:
        self.slot = slot
        self.root = root
        self.path = path
        self.offset = offset
        self.field = field


class ProgramSpec:
    """A program to load: `instructions` is the kernel's encoding, subprograms and callbacks included after the entry.

    `lines` is [(slot, span)] in rising order, spans into ObjectSpec.source_text; `func_info` and `line_info` are the raw
    records that go with ObjectSpec.btf.  `probe` is the probe's full name, for messages; `attach_target` names a BTF function
    (fentry, typed raw tracepoint).  `sleepable` programs get BPF_F_SLEEPABLE.
    """

    __slots__ = (
        "attach_target", "attach_type", "field_relocations", "func_info", "instructions", "line_info", "lines", "name",
        "probe", "relocations", "sleepable", "type",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        type: int,
        instructions: bytes,
        *,
        probe: str = "",
        attach_type: int = AttachType.NONE,
        attach_target: str = "",
        sleepable: bool = False,
        relocations: tuple[Relocation, ...] = (),
        field_relocations: tuple[FieldRelocation, ...] = (),
        lines: tuple[tuple[int, int], ...] = (),
        func_info: bytes = b"",
        line_info: bytes = b"",
    ) -> None:
        self.name = name
        self.type = type
        self.instructions = instructions
        self.probe = probe
        self.attach_type = attach_type
        self.attach_target = attach_target
        self.sleepable = sleepable
        self.relocations = relocations
        self.field_relocations = field_relocations
        self.lines = lines
        self.func_info = func_info
        self.line_info = line_info


class LinkSpec:
    """A program and what it is attached to.

    kind: "begin" "end" (run once by test run), "self" (by test run when we get {"signal": "SIGUSR1"}), "test" "bench" (by test
    run, in their modes, {"name": n}), "kprobe" "kretprobe" "tracepoint" "rawtracepoint" "interval" "profile"
    "software" "hardware" ….  `probe` is the full probe name as shown to the user.  `parameters` by kind:
      kprobe, kretprobe        {"function": name, "module": "", "offset": 0} or {"functions": [names]} for one multi link,
                               or {"pattern": "vfs_*", "module": "*"} expanded at attach
      tracepoint               {"category": c, "name": n}
      rawtracepoint            {"name": n}
      interval, profile        {"period_ns": n} or {"frequency_hz": n}; profile runs on every CPU, interval on one
      software, hardware       {"event": number, "period": n}
      uprobe, uretprobe        {"path": file} and {"function": name, "offset": in it} or {"functions": [names]} or
                               {"address": as the linker counts} or {"addresses": [...]} or {"offset": bytes into the file};
                               "build_id": of the file, or else it is refused; "debug_directories": where its symbols may be
      usdt                     {"path": file, "offsets": [...], "semaphores": [their offsets, or 0]}: all places of a probe
      watchpoint               {"address": where, "length": bytes, "mode": of "rwx", "pid": whose memory, 0 for the kernel's}
      iter                     {"pid": 0 for all, "pin": path or ""}
      fentry fexit fmod_ret lsm {}: the program's attach_target says where
      xdp                      {"device": name, "flags": XDP_FLAGS_*: 1 if there is none, 2 generic, 4 driver, 8 hardware}
      tc                       {"device": name, "direction": "ingress" or "egress"}
      socket                   {"device": name, "" for all}
      cgroup                   {"path": directory}; the program's attach_type says what of it
      perf_event               {"type": n, "config": n, "period" or "frequency_hz": n, "pid": -1 for all, "cpu": -1 for all}
    """

    __slots__ = ("kind", "parameters", "probe", "program", "span")

    def __init__(
        self, kind: str, program: str, probe: str, parameters: Mapping[str, Parameter], *, span: int = 0
    ) -> None:
        self.kind = kind
        self.program = program
        self.probe = probe
        self.parameters = parameters
        self.span = span


class LateConstant:
    """A 64-bit number that only the running machine knows, asked by name when programs are loaded.

    kind and argument: "kaddr" symbol · "param" (positional parameter number, as text) · "self_pid" · "child_pid" ·
    "filter_pid" · "start_boot_ns" · "possible_cpus" · "cgroup_id" path · "self_pidns_dev" · "self_pidns_ino" ·
    "sw_tai_offset_ns" · "page_offset" ….  `span` is where the script asks for it, for the error when there is no answer.
    """

    __slots__ = ("argument", "kind", "name", "span")

    def __init__(self, name: str, kind: str, argument: str = "", *, span: int = 0) -> None:
        self.name = name
        self.kind = kind
        self.argument = argument
        self.span = span


class Action:
    """What user space does when a record with this action's number arrives.

    A record is: u64 number of the action (its index in ObjectSpec.actions), then the fields at their offsets from the start
    of the record.  `size` is the whole record's, 0 when it varies.  kind:
      printf errorf warnf       `text` is the format, `fields` its arguments
      print                     one field: a value; `text` is "" or the map's name when fields are (key, value)
      print_map                 `text` is the map; numbers: top, div are fields[0..1] when not literal, else `parameters`
      clear zero                `text` is the map
      exit                      one field: the status
      process                   one field: a process of which addresses will be printed, seen for the first time
      time                      `text` is the strftime format
      join                      `text` is the separator; the fields are strings, an empty one ends the list
      cat system                `text` is the format, `fields` its arguments
      skboutput                 `text` is the file; comes through the perf buffer "packets": u64 boot time, length asked for and
                                offset after the number, then as much of the packet as there is room for
      strftime                  never sent: a format that timestamps refer to by number (value kind "timestamp")
      runtime_warning           `text` is the message to show, with `span`
    `parents` are the spans of the macro calls that `span` came from, innermost first.
    """

    __slots__ = ("fields", "kind", "parameters", "parents", "size", "span", "text")

    def __init__(
        self,
        kind: str,
        text: str = "",
        *,
        fields: tuple[tuple[int, ValueType], ...] = (),
        size: int = 0,
        parameters: tuple[int | str, ...] = (),
        span: int = 0,
        parents: tuple[int, ...] = (),
    ) -> None:
        self.kind = kind
        self.text = text
        self.fields = fields
        self.size = size
        self.parameters = parameters
        self.span = span
        self.parents = parents


class ObjectSpec:
    """Everything that the runtime needs to run a compiled program.

    `source_name` and `source_text` are kept so that verifier messages can point into it, and `source_parts` tells which
    imported texts it has at its end (errors.Source); `options` are the values of the configuration that the runtime honours
    (print_maps_on_exit, max_map_keys …); `btf` is this object's own BTF blob, and `types` the ids in it of what programs of
    C declare: "key NAME" and "leaf NAME" of a map, "event NAME" of what is sent through it.
    """

    __slots__ = (
        "actions", "btf", "constants", "kernel", "license", "links", "maps", "options", "programs", "source_name",
        "source_parts", "source_text", "types", "warnings",
    )  # fmt: skip

    def __init__(
        self,
        *,
        programs: tuple[ProgramSpec, ...],
        maps: tuple[MapSpec, ...],
        links: tuple[LinkSpec, ...],
        actions: tuple[Action, ...] = (),
        constants: tuple[LateConstant, ...] = (),
        btf: bytes = b"",
        source_name: str = "",
        source_text: str = "",
        source_parts: tuple[tuple[int, str], ...] = (),
        options: dict[str, int | str | bool] | None = None,
        warnings: tuple[str, ...] = (),
        license: str = "GPL",
        kernel: str = "",
        types: dict[str, int] | None = None,
    ) -> None:
        self.types = types or {}
        self.programs = programs
        self.maps = maps
        self.links = links
        self.actions = actions
        self.constants = constants
        self.btf = btf
        self.source_name = source_name
        self.source_text = source_text
        self.source_parts = source_parts
        self.options = options or {}
        self.warnings = warnings
        self.license = license
        self.kernel = kernel
