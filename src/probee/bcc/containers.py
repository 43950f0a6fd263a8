"""bcc.containers: C that tools put before their own, which asks two pinned maps whether a task belongs to a chosen container.

`args.cgroupmap` is the path of a pinned hash of cgroup ids, `args.mntnsmap` of one of mount namespaces; without both nothing is
left out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PASS = "static inline int %s() { return 0; }\n"

_CGROUP = """
BPF_TABLE_PINNED("hash", u64, u64, cgroupset, 1024, "%s");
static inline int _cgroup_filter() {
    u64 id = bpf_get_current_cgroup_id();
    return cgroupset.lookup(&id) == NULL;
}
"""

# Programs that define struct mnt_namespace themselves look for MNT_NAMESPACE_DEFINED first.
_MOUNTS = """
#define MNT_NAMESPACE_DEFINED
BPF_TABLE_PINNED("hash", u64, u32, mount_ns_set, 1024, "%s");
static inline int _mntns_filter() {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    u64 id = (u64)task->nsproxy->mnt_ns->ns.inum;
    return mount_ns_set.lookup(&id) == NULL;
}
"""

_BOTH = """
static inline int container_should_be_filtered() {
    return _cgroup_filter() || _mntns_filter();
}
"""


def filter_by_containers(args: Any) -> str:
    """Return the C of `container_should_be_filtered()` for the maps that the command line named."""
    cgroups = _CGROUP % args.cgroupmap if args.cgroupmap else _PASS % "_cgroup_filter"
    mounts = _MOUNTS % args.mntnsmap if args.mntnsmap else _PASS % "_mntns_filter"
    return cgroups + mounts + _BOTH
