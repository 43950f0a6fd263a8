"""A Resolver for tests, which shows what it was asked."""

from __future__ import annotations


class Names:
    def ksym(self, address):
        return f"ksym({address:#x})"

    def usym(self, address, pid):
        return f"usym({address:#x}, {pid})"

    def username(self, uid):
        return f"user {uid}"

    def timestamp(self, ns, clock, format):
        return f"time {ns} {clock} {format}"

    def cgroup_path(self, id, pattern):
        return f"cgroup {id} {pattern}"

    def kstack(self, type, stack_id):
        return f"kstack {stack_id}"

    def ustack(self, type, stack_id, pid):
        return f"ustack {stack_id} {pid}"

    def tseries_offset_ns(self):
        return 0
