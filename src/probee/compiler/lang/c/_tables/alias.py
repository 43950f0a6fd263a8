"""Names that kernel headers define for members that lie deeper: #define sk_state __sk_common.skc_state, and the like.

They are looked up when a struct has no member of the name, so that a variable or a struct of the program's may have it too.
Sources: include/net/sock.h, inet_sock.h, inet_timewait_sock.h, request_sock.h, flow.h, ip_fib.h, uapi/linux/in6.h, icmpv6.h, if.h,
uapi/asm-generic/siginfo.h, linux/fs.h, linux/blkdev.h.
"""

from __future__ import annotations


def _common(prefix: str, names: str, base: str = "__sk_common") -> dict[str, tuple[str, ...]]:
    """Aliases of members of struct sock_common: PREFIX_x is base.skc_x."""
    return {f"{prefix}_{name}": (f"{base}.skc_{name}",) for name in names.split()}


def _within(prefix: str, base: str, paths: str) -> dict[str, tuple[str, ...]]:
    """Aliases of members that lie in another: PREFIX_x is BASE.….x, or BASE.….y_x."""
    return {f"{prefix}_{_last(path)}": (f"{base}.{path}",) for path in paths.split()}


def _last(path: str) -> str:
    return path.rpartition(".")[2].removeprefix("ifru").strip("_")


_OF_SOCK = (
    "node nulls_node refcnt tx_queue_mapping rx_queue_mapping dontcopy_begin dontcopy_end hash portpair num dport addrpair "
    "daddr rcv_saddr family state reuse reuseport ipv6only net_refcnt bound_dev_if bind_node prot net v6_daddr v6_rcv_saddr "
    "cookie incoming_cpu flags rxhash"
)
_OF_INET = "daddr rcv_saddr dport num portpair addrpair"

ALIASES: dict[str, tuple[str, ...]] = {
    **_common("sk", _OF_SOCK),
    **{f"inet_{name}": (f"sk.__sk_common.skc_{name}", f"icsk_inet.sk.__sk_common.skc_{name}") for name in _OF_INET.split()},
    **_common("tw", "family state reuse reuseport ipv6only bound_dev_if node bind_node prot net daddr v6_daddr rcv_saddr "
              "v6_rcv_saddr dport num hash refcnt cookie", "__tw_common"),
    "tw_dr": ("__tw_common.skc_tw_dr",),
    "rsk_refcnt": ("__req_common.skc_refcnt",), "rsk_hash": ("__req_common.skc_hash",),
    "rsk_listener": ("__req_common.skc_listener",), "rsk_window_clamp": ("__req_common.skc_window_clamp",),
    "rsk_rcv_wnd": ("__req_common.skc_rcv_wnd",),
    "ir_loc_addr": ("req.__req_common.skc_rcv_saddr",), "ir_rmt_addr": ("req.__req_common.skc_daddr",),
    "ir_num": ("req.__req_common.skc_num",), "ir_rmt_port": ("req.__req_common.skc_dport",),
    "ir_v6_rmt_addr": ("req.__req_common.skc_v6_daddr",), "ir_v6_loc_addr": ("req.__req_common.skc_v6_rcv_saddr",),
    "ireq_family": ("req.__req_common.skc_family",), "ireq_state": ("req.__req_common.skc_state",),
    "s6_addr": ("in6_u.u6_addr8",), "s6_addr16": ("in6_u.u6_addr16",), "s6_addr32": ("in6_u.u6_addr32",),
    "tcp_flags": ("tcp_flags",), "i_nlink": ("__i_nlink",), "f_dentry": ("f_path.dentry",), "f_vfsmnt": ("f_path.mnt",),
    "d_iname": ("d_shortname.string",),
    **_within("si", "_sifields", "_kill._pid _kill._uid _timer._tid _timer._overrun _sigchld._status _sigchld._utime "
              "_sigchld._stime _sigfault._addr _sigpoll._band _sigpoll._fd _sigsys._call_addr _sigsys._syscall _sigsys._arch"),
    "si_value": ("_sifields._rt._sigval",), "si_int": ("_sifields._rt._sigval.sival_int",),
    "si_ptr": ("_sifields._rt._sigval.sival_ptr",),
    **_within("icmp6", "icmp6_dataun", "u_echo.identifier u_echo.sequence u_nd_advt.router u_nd_advt.solicited "
              "u_nd_advt.override u_nd_ra.hop_limit u_nd_ra.rt_lifetime"),
    **{f"flowi{version}_{name}": (f"{base}__fl_common.flowic_{name}",) for version, base in (("4", ""), ("6", ""), ("", "u."))
       for name in ["oif", "iif", "l3mdev", "mark", "tos", "dscp", "scope", "proto", "flags", "secid", "tun_key", "uid"]},
    **{f"fl{version}_{name}": (f"uli.{path}",) for version in "46" for name, path in (
        ("sport", "ports.sport"), ("dport", "ports.dport"), ("icmp_type", "icmpt.type"), ("icmp_code", "icmpt.code"))},
    **{f"fib_nh_{name}": (f"nh_common.nhc_{name}",) for name in ["family", "dev", "oif", "flags", "scope", "gw_family", "weight"]},
    "ifr_name": ("ifr_ifrn.ifrn_name",), "ifr_ifindex": ("ifr_ifru.ifru_ivalue",), "ifr_metric": ("ifr_ifru.ifru_ivalue",),
    **_within("ifr", "ifr_ifru", "ifru_hwaddr ifru_addr ifru_dstaddr ifru_netmask ifru_flags ifru_mtu ifru_data ifru_newname"),
    "cpu": ("thread_info.cpu",), "state": ("__state",),  # of tasks, before Linux 5.16 and 5.14
    "cpus_allowed": ("cpus_mask",), "real_start_time": ("start_boottime",),  # of tasks, before Linux 5.3 and 5.5
    "mmap_sem": ("mmap_lock",), "proc_inum": ("ns.inum",), "parent": ("__parent",),  # before Linux 5.8, 3.19; of kernfs, 6.15
    "i_atime": ("__i_atime",), "i_mtime": ("__i_mtime",), "i_ctime": ("__i_ctime",),  # before Linux 6.6 and 6.7
    "d_child": ("d_sib",), "d_subdirs": ("d_children",),  # of dentries, before Linux 6.8
    "sk_rmem_alloc": ("sk_backlog.rmem_alloc",),
    "rt_saddr": ("rt_src",), "bi_sector": ("bi_iter.bi_sector",), "bi_size": ("bi_iter.bi_size",),
}  # fmt: skip
