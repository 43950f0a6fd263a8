"""Macros and inline functions of kernel headers and of bcc, in words of ours.

MACROS: what follows the name in a macro's definition.  FUNCTIONS: the text of an inline function.  Both are looked up when a
program uses the name and defines no such thing itself.  What they read of kernel structures are its members in BTF.
"""

from __future__ import annotations


def _swapped(bits: int, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, f"(x) __builtin_bswap{bits}(x)")


def _same(type: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, f"(x) (({type})(x))")


def _of_mode(**kinds: str) -> dict[str, str]:
    return {f"S_IS{name}": f"(mode) (((mode) & S_IFMT) == S_IF{kind})" for name, kind in kinds.items()}


MACROS: dict[str, str] = {
    **_swapped(16, "ntohs", "htons", "__constant_htons", "__constant_ntohs", "be16_to_cpu", "cpu_to_be16", "__be16_to_cpu",
               "__cpu_to_be16", "bpf_ntohs", "bpf_htons", "swab16", "__swab16"),
    **_swapped(32, "ntohl", "htonl", "__constant_htonl", "__constant_ntohl", "be32_to_cpu", "cpu_to_be32", "__be32_to_cpu",
               "__cpu_to_be32", "bpf_ntohl", "bpf_htonl", "swab32", "__swab32"),
    **_swapped(64, "be64_to_cpu", "cpu_to_be64", "__be64_to_cpu", "__cpu_to_be64", "bpf_ntohll", "bpf_htonll", "swab64"),
    **_same("unsigned short", "le16_to_cpu", "cpu_to_le16", "__le16_to_cpu"),
    **_same("unsigned int", "le32_to_cpu", "cpu_to_le32", "__le32_to_cpu"),
    **_same("unsigned long long", "le64_to_cpu", "cpu_to_le64", "__le64_to_cpu"),
    **_of_mode(REG="REG", DIR="DIR", LNK="LNK", CHR="CHR", BLK="BLK", FIFO="IFO", SOCK="SOCK"),
    "likely": "(x) (!!(x))",
    "unlikely": "(x) (!!(x))",
    "READ_ONCE": "(x) (x)",
    "WRITE_ONCE": "(x, value) ((x) = (value))",
    "ACCESS_ONCE": "(x) (x)",
    "rcu_dereference": "(p) (p)",
    "ARRAY_SIZE": "(array) (sizeof(array) / sizeof((array)[0]))",
    "BIT": "(n) (1UL << (n))",
    "BIT_ULL": "(n) (1ULL << (n))",
    "_BITUL": "(n) (1UL << (n))",
    "GENMASK": "(high, low) ((~0UL << (low)) & (~0UL >> (63 - (high))))",
    "MASK": "(n) ((n) < 64 ? (1ULL << (n)) - 1 : ~0ULL)",
    "MASK128": "(n) ((n) < 128 ? ((unsigned __int128)1 << (n)) - 1 : ~(unsigned __int128)0)",
    "sizeof_field": "(type, member) sizeof(((type *)0)->member)",
    "FIELD_SIZEOF": "(type, member) sizeof(((type *)0)->member)",
    "offsetofend": "(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))",
    "container_of": "(pointer, type, member) ((type *)((void *)(pointer) - offsetof(type, member)))",
    "list_entry": "(pointer, type, member) container_of(pointer, type, member)",
    "hlist_entry": "(pointer, type, member) container_of(pointer, type, member)",
    "list_first_entry": "(head, type, member) container_of((head)->next, type, member)",
    "rb_entry": "(pointer, type, member) container_of(pointer, type, member)",
    "min_t": "(type, a, b) ({ type __first = (a); type __second = (b); __first < __second ? __first : __second; })",
    "max_t": "(type, a, b) ({ type __first = (a); type __second = (b); __first > __second ? __first : __second; })",
    "min": "(a, b) ({ typeof(a) __first = (a); typeof(b) __second = (b); __first < __second ? __first : __second; })",
    "max": "(a, b) ({ typeof(a) __first = (a); typeof(b) __second = (b); __first > __second ? __first : __second; })",
    "clamp_t": "(type, x, low, high) min_t(type, max_t(type, x, low), high)",
    "DIV_ROUND_UP": "(n, by) (((n) + (by) - 1) / (by))",
    "ALIGN": "(x, to) (((x) + ((typeof(x))(to) - 1)) & ~((typeof(x))(to) - 1))",
    "MAJOR": "(device) ((unsigned int)((device) >> 20))",
    "MINOR": "(device) ((unsigned int)((device) & 0xfffffu))",
    "MKDEV": "(major, minor) (((major) << 20) | (minor))",
    "tcp_flag_word": "(header) (((unsigned int *)(header))[3])",
    "TCP_SKB_CB": "(skb) ((struct tcp_skb_cb *)&((skb)->cb[0]))",
    "folio_page": "(folio, n) (&(folio)->page + (n))",
    "cursor_advance": "(cursor, length) ({ void *__here = (cursor); (cursor) += (length); __here; })",
    "TP_DATA_LOC_READ_CONST": "(to, field, length) "
    "bpf_probe_read_kernel((void *)(to), (length), (char *)args + (args->data_loc_##field & 0xffff))",
    "TP_DATA_LOC_READ": "(to, field) bpf_probe_read_kernel((void *)(to), (unsigned short)(args->data_loc_##field >> 16), "
    "(char *)args + (args->data_loc_##field & 0xffff))",
    "TP_DATA_LOC_READ_STR": "(to, field, length) "
    "bpf_probe_read_kernel_str((void *)(to), (length), (char *)args + (args->data_loc_##field & 0xffff))",
}  # fmt: skip


def _registers(names: dict[str, str]) -> dict[str, str]:
    """Return the PT_REGS_ macros: name → how a register is read from a struct pt_regs."""
    found = {f"PT_REGS_{name}": f"(ctx) ((ctx)->{member})" for name, member in names.items()}
    for index in range(1, 7):
        found[f"PT_REGS_PARM{index}_SYSCALL"] = f"(ctx) PT_REGS_PARM{index}(ctx)"
    found["PT_REGS_SYSCALL_CTX"] = "(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))"
    return found


MACROS_OF_ARCH: dict[str, dict[str, str]] = {
    "x86_64": {
        **_registers({
            "PARM1": "di", "PARM2": "si", "PARM3": "dx", "PARM4": "cx", "PARM5": "r8", "PARM6": "r9", "RET": "sp", "FP": "bp",
            "RC": "ax", "IP": "ip", "SP": "sp",
        }),
        "PT_REGS_PARM4_SYSCALL": "(ctx) ((ctx)->r10)",
    },
    "aarch64": _registers({
        **{f"PARM{n}": f"regs[{n - 1}]" for n in range(1, 9)}, "RET": "regs[30]", "FP": "regs[29]", "RC": "regs[0]",
        "SP": "sp", "IP": "pc",
    }),
}  # fmt: skip


def _cast(name: str, result: str, argument: str = "const struct sock *sk") -> str:
    return f"static inline {result} *{name}({argument}) {{ return ({result} *)sk; }}"


def _getter(name: str, result: str, argument: str, expression: str) -> str:
    return f"static inline {result} {name}({argument}) {{ return {expression}; }}"


def _header(name: str, tag: str, offset: str) -> str:
    return _getter(name, f"struct {tag} *", "const struct sk_buff *skb", f"(struct {tag} *)(skb->head + skb->{offset})")


def _at_offset(name: str, offset: str) -> str:
    return _getter(name, "unsigned char *", "const struct sk_buff *skb", f"skb->head + skb->{offset}")


FUNCTIONS: dict[str, str] = {
    "bpf_log2": """static inline unsigned int bpf_log2(unsigned int v) {
    unsigned int bits = (v > 0xffff) << 4, step;
    v >>= bits;
    step = (v > 0xff) << 3, v >>= step, bits += step;
    step = (v > 0xf) << 2, v >>= step, bits += step;
    step = (v > 0x3) << 1, v >>= step, bits += step;
    return bits + (v > 1);
}""",
    "bpf_log2l": """static inline unsigned int bpf_log2l(unsigned long v) {
    unsigned int base = 1;
    if (v >> 32)
        v >>= 32, base = 33;
    return bpf_log2(v) + base;
}""",
    "bpf_ntoh128": """static inline unsigned __int128 bpf_ntoh128(unsigned __int128 v) {
    return ((unsigned __int128)__builtin_bswap64(v) << 64) | __builtin_bswap64(v >> 64);
}""",
    "bpf_hton128": """static inline unsigned __int128 bpf_hton128(unsigned __int128 v) {
    return ((unsigned __int128)__builtin_bswap64(v) << 64) | __builtin_bswap64(v >> 64);
}""",
    "div_u64": _getter("div_u64", "u64", "u64 dividend, u32 divisor", "dividend / divisor"),
    "div64_u64": _getter("div64_u64", "u64", "u64 dividend, u64 divisor", "dividend / divisor"),
    "IS_ERR": _getter("IS_ERR", "bool", "const void *p", "(unsigned long)p >= (unsigned long)-4095"),
    "IS_ERR_OR_NULL": _getter("IS_ERR_OR_NULL", "bool", "const void *p", "!p || (unsigned long)p >= (unsigned long)-4095"),
    "PTR_ERR": _getter("PTR_ERR", "long", "const void *p", "(long)p"),
    "inet_sk": _cast("inet_sk", "struct inet_sock"),
    "inet_csk": _cast("inet_csk", "struct inet_connection_sock"),
    "tcp_sk": _cast("tcp_sk", "struct tcp_sock"),
    "udp_sk": _cast("udp_sk", "struct udp_sock"),
    "raw_sk": _cast("raw_sk", "struct raw_sock"),
    "unix_sk": _cast("unix_sk", "struct unix_sock"),
    "inet_rsk": _cast("inet_rsk", "struct inet_request_sock", "const struct request_sock *sk"),
    "tcp_rsk": _cast("tcp_rsk", "struct tcp_request_sock", "const struct request_sock *sk"),
    "sock_net": _getter("sock_net", "struct net *", "const struct sock *sk", "sk->__sk_common.skc_net.net"),
    "dev_net": _getter("dev_net", "struct net *", "const struct net_device *dev", "dev->nd_net.net"),
    "tcp_hdr": _header("tcp_hdr", "tcphdr", "transport_header"),
    "udp_hdr": _header("udp_hdr", "udphdr", "transport_header"),
    "icmp_hdr": _header("icmp_hdr", "icmphdr", "transport_header"),
    "ip_hdr": _header("ip_hdr", "iphdr", "network_header"),
    "ipv6_hdr": _header("ipv6_hdr", "ipv6hdr", "network_header"),
    "eth_hdr": _header("eth_hdr", "ethhdr", "mac_header"),
    "skb_transport_header": _at_offset("skb_transport_header", "transport_header"),
    "skb_network_header": _at_offset("skb_network_header", "network_header"),
    "skb_mac_header": _at_offset("skb_mac_header", "mac_header"),
    "skb_end_pointer": _at_offset("skb_end_pointer", "end"),
    "skb_tail_pointer": _at_offset("skb_tail_pointer", "tail"),
    "skb_shinfo": _header("skb_shinfo", "skb_shared_info", "end"),
    "ip_hdrlen": _getter("ip_hdrlen", "unsigned int", "const struct sk_buff *skb", "ip_hdr(skb)->ihl * 4"),
    "tcp_hdrlen": _getter("tcp_hdrlen", "unsigned int", "const struct sk_buff *skb", "tcp_hdr(skb)->doff * 4"),
    "skb_rx_queue_recorded": _getter("skb_rx_queue_recorded", "bool", "const struct sk_buff *skb", "skb->queue_mapping != 0"),
    "skb_get_rx_queue": _getter("skb_get_rx_queue", "u16", "const struct sk_buff *skb", "skb->queue_mapping - 1"),
    "skb_get_queue_mapping": _getter("skb_get_queue_mapping", "u16", "const struct sk_buff *skb", "skb->queue_mapping"),
    "skb_is_nonlinear": _getter("skb_is_nonlinear", "bool", "const struct sk_buff *skb", "skb->data_len != 0"),
    "skb_headlen": _getter("skb_headlen", "unsigned int", "const struct sk_buff *skb", "skb->len - skb->data_len"),
    "net_gso_ok": """static inline bool net_gso_ok(u64 features, int gso_type) {
    u64 wanted = (u64)gso_type << NETIF_F_GSO_SHIFT;
    return (features & wanted) == wanted;
}""",
    "sg_is_chain": _getter("sg_is_chain", "bool", "struct scatterlist *sg", "(sg->page_link & 1) != 0"),
    "sg_is_last": _getter("sg_is_last", "bool", "struct scatterlist *sg", "(sg->page_link & 2) != 0"),
    "sg_chain_ptr": _getter(
        "sg_chain_ptr", "struct scatterlist *", "struct scatterlist *sg", "(struct scatterlist *)(sg->page_link & ~3UL)"
    ),
    "file_inode": _getter("file_inode", "struct inode *", "const struct file *file", "file->f_inode"),
    "file_dentry": _getter("file_dentry", "struct dentry *", "const struct file *file", "file->f_path.dentry"),
    "d_inode": _getter("d_inode", "struct inode *", "const struct dentry *dentry", "dentry->d_inode"),
    "d_backing_inode": _getter("d_backing_inode", "struct inode *", "const struct dentry *dentry", "dentry->d_inode"),
    "i_size_read": _getter("i_size_read", "long long", "const struct inode *inode", "inode->i_size"),
    "blk_rq_bytes": _getter("blk_rq_bytes", "unsigned int", "const struct request *rq", "rq->__data_len"),
    "blk_rq_pos": _getter("blk_rq_pos", "sector_t", "const struct request *rq", "rq->__sector"),
    "blk_rq_sectors": _getter("blk_rq_sectors", "unsigned int", "const struct request *rq", "rq->__data_len >> 9"),
    "req_op": _getter("req_op", "unsigned int", "const struct request *rq", "rq->cmd_flags & 0xff"),
    "bio_op": _getter("bio_op", "unsigned int", "const struct bio *bio", "bio->bi_opf & 0xff"),
    "rq_data_dir": _getter("rq_data_dir", "int", "const struct request *rq", "rq->cmd_flags & 1"),
    "bio_data_dir": _getter("bio_data_dir", "int", "const struct bio *bio", "bio->bi_opf & 1"),
    "bio_sectors": _getter("bio_sectors", "unsigned int", "const struct bio *bio", "bio->bi_iter.bi_size >> 9"),
    "op_is_write": _getter("op_is_write", "bool", "unsigned int op", "(op & 1) != 0"),
    "new_encode_dev": """static inline u32 new_encode_dev(u32 dev) {
    u32 minor = dev & 0xfffff;
    return (minor & 0xff) | (dev >> 20) << 8 | (minor & ~0xffu) << 12;
}""",
    "huge_encode_dev": _getter("huge_encode_dev", "u64", "u32 dev", "new_encode_dev(dev)"),
    "__kuid_val": _getter("__kuid_val", "unsigned int", "kuid_t uid", "uid.val"),
    "__kgid_val": _getter("__kgid_val", "unsigned int", "kgid_t gid", "gid.val"),
    "task_nice": _getter("task_nice", "int", "const struct task_struct *task", "task->static_prio - 120"),
    "task_pid_nr": _getter("task_pid_nr", "pid_t", "struct task_struct *task", "task->pid"),
    "task_tgid_nr": _getter("task_tgid_nr", "pid_t", "struct task_struct *task", "task->tgid"),
    "ktime_to_ns": _getter("ktime_to_ns", "long long", "ktime_t time", "time"),
    "atomic_read": _getter("atomic_read", "int", "const atomic_t *value", "value->counter"),
}
