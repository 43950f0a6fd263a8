"""A small kernel for unit tests: `build_target()` returns a Target made from the declarations below.

The structs are not the kernel's: they have the members that programs ask for, laid out by the ABI, in an order that is
stable.  To need another member, function or tracepoint in a test, add it here; offsets may then move, and no test should
know them by heart (`offset_of` tells them).
"""

from __future__ import annotations

from functools import cache

from btf_from_c import Declarations
from probee.formats.btf.blob import Buffer
from probee.formats.btf.reader import Btf
from probee.formats.target import FileTarget
from probee.formats.target_image import TargetImage, encode_image
from probee.model.ctype import StructType

TYPES = """
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef signed char __s8; typedef short __s16; typedef int __s32; typedef long long __s64;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef u8 uint8_t; typedef u16 uint16_t; typedef u32 uint32_t; typedef u64 uint64_t;
typedef s8 int8_t; typedef s16 int16_t; typedef s32 int32_t; typedef s64 int64_t;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64;
typedef _Bool bool; typedef unsigned long size_t; typedef long ssize_t; typedef long long loff_t; typedef int pid_t;
typedef unsigned int uid_t; typedef unsigned int gid_t; typedef unsigned short umode_t; typedef u32 dev_t;
typedef u64 sector_t; typedef unsigned int gfp_t; typedef long long ktime_t; typedef unsigned long uintptr_t;
typedef unsigned short sa_family_t; typedef unsigned int fmode_t; typedef u64 blkcnt_t; typedef u8 blk_status_t;
typedef unsigned int blk_opf_t;
typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { uid_t val; } kuid_t;
typedef struct { gid_t val; } kgid_t;

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct rb_node { unsigned long __rb_parent_color; struct rb_node *rb_right; struct rb_node *rb_left; };
struct refcount_struct { atomic_t refs; };
struct timespec64 { s64 tv_sec; long tv_nsec; };
struct __kernel_timespec { long long tv_sec; long long tv_nsec; };
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID, PIDTYPE_MAX };
enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE,
       TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV, TCP_MAX_STATES };
enum migrate_mode { MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC };
enum skb_drop_reason { SKB_NOT_DROPPED_YET, SKB_CONSUMED, SKB_DROP_REASON_NOT_SPECIFIED, SKB_DROP_REASON_NO_SOCKET };
enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
struct xdp_md { __u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
struct ethhdr { unsigned char h_dest[6], h_source[6]; __be16 h_proto; };
struct iphdr { __u8 ihl:4, version:4; __u8 tos; __be16 tot_len, id, frag_off; __u8 ttl, protocol; __u16 check;
    __be32 saddr, daddr; };
struct bpf_raw_tracepoint_args { __u64 args[0]; };
struct bpf_perf_event_data { struct pt_regs regs; __u64 sample_period, addr; };
enum signed_example { EXAMPLE_NEGATIVE = -1, EXAMPLE_ZERO, EXAMPLE_HIGH = 1000 };

struct kref { struct refcount_struct refcount; };
struct ns_common { void *ops; unsigned int inum; };
struct pid_namespace { struct ns_common ns; struct pid_namespace *parent; unsigned int level; };
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct uts_namespace { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct net { struct ns_common ns; int ifindex; };
struct nsproxy { struct uts_namespace *uts_ns; struct mnt_namespace *mnt_ns; struct pid_namespace *pid_ns_for_children;
    struct net *net_ns; };
struct cred { kuid_t uid; kgid_t gid; kuid_t suid; kuid_t euid; kgid_t egid; };

struct qstr { union { struct { u32 hash; u32 len; }; u64 hash_len; }; const unsigned char *name; };
struct super_block { dev_t s_dev; unsigned long s_magic; char s_id[32]; struct dentry *s_root; };
struct inode { umode_t i_mode; kuid_t i_uid; kgid_t i_gid; unsigned int i_flags; struct super_block *i_sb;
    unsigned long i_ino; union { const unsigned int i_nlink; unsigned int __i_nlink; }; dev_t i_rdev; loff_t i_size; };
struct dentry { unsigned int d_flags; struct dentry *d_parent; struct qstr d_name; struct inode *d_inode;
    unsigned char d_iname[32]; struct super_block *d_sb; };
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; int mnt_flags; };
struct mount { struct hlist_node mnt_hash; struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct nameidata { struct path path; struct qstr last; struct path root; unsigned int flags; };
struct filename { const char *name; const char __user *uptr; };
struct open_how { __u64 flags; __u64 mode; __u64 resolve; };
struct file_operations { void *owner; ssize_t (*read)(struct file *, char __user *, size_t, loff_t *); };
struct file { fmode_t f_mode; const struct file_operations *f_op; void *private_data; struct inode *f_inode;
    unsigned int f_flags; const struct cred *f_cred; struct path f_path; loff_t f_pos; };
struct fdtable { unsigned int max_fds; struct file __rcu **fd; };
struct files_struct { atomic_t count; struct fdtable __rcu *fdt; };
struct fs_struct { int users; int umask; struct path root, pwd; };
struct kiocb { struct file *ki_filp; loff_t ki_pos; int ki_flags; };
struct iov_iter { u8 iter_type; size_t iov_offset; size_t count; };

struct mm_struct { unsigned long start_code, end_code, start_brk, brk, start_stack, arg_start, arg_end, env_start, env_end;
    struct file __rcu *exe_file; unsigned long total_vm; };
struct vm_area_struct { unsigned long vm_start; unsigned long vm_end; struct mm_struct *vm_mm; unsigned long vm_flags;
    struct file *vm_file; };
struct load_weight { unsigned long weight; u32 inv_weight; };
struct cfs_rq { struct load_weight load; unsigned int nr_queued; unsigned int h_nr_running; u64 min_vruntime; };
struct sched_entity { struct load_weight load; struct rb_node run_node; u64 vruntime; u64 sum_exec_runtime;
    struct cfs_rq *cfs_rq; };
struct thread_info { unsigned long flags; u32 cpu; };
struct signal_struct { int nr_threads; struct pid *pids[4]; int group_exit_code; };
struct css_set { int count; };
struct kernfs_node { u64 id; const char *name; };
struct cgroup_subsys_state { struct cgroup *cgroup; int id; };
struct cgroup { struct cgroup_subsys_state self; unsigned long flags; struct kernfs_node *kn; };
struct mem_cgroup { struct cgroup_subsys_state css; };
struct task_struct {
    struct thread_info thread_info;
    unsigned int __state;
    void *stack;
    unsigned int flags;
    int on_cpu;
    int prio, static_prio, normal_prio;
    struct sched_entity se;
    struct mm_struct *mm, *active_mm;
    int exit_state, exit_code, exit_signal;
    unsigned int in_execve : 1;
    unsigned int in_iowait : 1;
    unsigned int sched_class_bits : 5;
    unsigned int wide_field : 27;
    pid_t pid;
    pid_t tgid;
    struct task_struct __rcu *real_parent;
    struct task_struct __rcu *parent;
    struct list_head children, sibling;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    u64 utime, stime;
    u64 start_time, start_boottime;
    const struct cred __rcu *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct signal_struct *signal;
    struct css_set __rcu *cgroups;
    unsigned long long_array[4];
    int matrix[2][3];
};
struct rq { unsigned int nr_running; struct cfs_rq cfs; struct task_struct *curr; u64 clock; };
struct oom_control { void *zonelist; struct mem_cgroup *memcg; gfp_t gfp_mask; int order; unsigned long totalpages;
    struct task_struct *chosen; long chosen_points; };

struct in6_addr { union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u; };
struct in_addr { __be32 s_addr; };
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_in { sa_family_t sin_family; __be16 sin_port; struct in_addr sin_addr; unsigned char __pad[8]; };
typedef struct { struct net *net; } possible_net_t;
struct sock_common {
    union { u64 skc_addrpair; struct { __be32 skc_daddr; __be32 skc_rcv_saddr; }; };
    unsigned int skc_hash;
    union { u32 skc_portpair; struct { __be16 skc_dport; __u16 skc_num; }; };
    unsigned short skc_family;
    volatile unsigned char skc_state;
    unsigned char skc_reuse : 4;
    unsigned char skc_reuseport : 1;
    unsigned char skc_ipv6only : 1;
    int skc_bound_dev_if;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
};
struct sock { struct sock_common __sk_common; int sk_rcvbuf; int sk_sndbuf; int sk_err; u32 sk_ack_backlog;
    u32 sk_max_ack_backlog; u16 sk_type; u16 sk_protocol; struct socket *sk_socket; unsigned long sk_flags; };
struct socket { int state; short type; unsigned long flags; struct file *file; struct sock *sk; };
struct inet_sock { struct sock sk; __be32 inet_saddr; __be16 inet_sport; };
struct inet_connection_sock { struct inet_sock icsk_inet; u8 icsk_retransmits; };
struct tcp_sock { struct inet_connection_sock inet_conn; u32 snd_cwnd; u32 srtt_us; u64 bytes_received; u64 bytes_acked; };
struct msghdr { void *msg_name; int msg_namelen; unsigned int msg_flags; };
struct net_device { char name[16]; unsigned int flags; int ifindex; unsigned int mtu; unsigned char addr_len;
    const unsigned char *dev_addr; };
struct sk_buff { struct sk_buff *next; struct net_device *dev; struct sock *sk; char cb[48]; unsigned int len, data_len;
    __u16 mac_len; __be16 protocol; __u16 transport_header; __u16 network_header; __u16 mac_header;
    unsigned char *head, *data; };
struct iphdr { __u8 ihl : 4; __u8 version : 4; __u8 tos; __be16 tot_len; __be16 id; __be16 frag_off; __u8 ttl; __u8 protocol;
    __u16 check; __be32 saddr; __be32 daddr; };
struct tcphdr { __be16 source; __be16 dest; __be32 seq; __be32 ack_seq; __u16 res1 : 4; __u16 doff : 4; __u16 fin : 1;
    __u16 syn : 1; };
struct request_sock { struct sock_common __req_common; };

struct gendisk { int major; int first_minor; char disk_name[32]; };
struct block_device { sector_t bd_start_sect; struct gendisk *bd_disk; dev_t bd_dev; };
struct bio { struct bio *bi_next; struct block_device *bi_bdev; blk_opf_t bi_opf; unsigned int bi_size; };
struct request_queue { void *queuedata; struct gendisk *disk; };
struct request { struct request_queue *q; blk_opf_t cmd_flags; unsigned int __data_len; sector_t __sector; struct bio *bio;
    u64 start_time_ns; u64 io_start_time_ns; };
struct page { unsigned long flags; };
struct folio { struct page page; };
struct swap_iocb { struct kiocb iocb; };

struct input_id { __u16 bustype, vendor, product, version; };
struct input_dev { const char *name; const char *phys; const char *uniq; struct input_id id; unsigned long propbit[1];
    unsigned int keycodemax; };
struct user_namespace { struct ns_common ns; int level; };
struct user_arg_ptr { bool is_compat; const char __user *const __user *native; };
struct linux_binprm { struct mm_struct *mm; int argc, envc; const char *filename; const char *interp; };
struct work_struct { atomic64_t data; void (*func)(struct work_struct *work); };
struct hrtimer { ktime_t _softexpires; enum hrtimer_restart (*function)(struct hrtimer *); };
union sigval { int sival_int; void *sival_ptr; };
struct bpf_map { char name[16]; u32 id; u32 key_size; };
struct bpf_iter_meta { void *seq; u64 session_id; u64 seq_num; };
struct bpf_iter__task { union { struct bpf_iter_meta *meta; u64 __meta; }; union { struct task_struct *task; u64 __task; }; };
"""

FUNCTIONS = """
ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos);
ssize_t vfs_write(struct file *file, const char __user *buf, size_t count, loff_t *pos);
int vfs_open(const struct path *path, struct file *file);
int vfs_fsync(struct file *file, int datasync);
int vfs_create(struct user_namespace *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool want_excl);
int vfs_unlink(struct user_namespace *idmap, struct inode *dir, struct dentry *dentry, struct inode **delegated_inode);
long do_sys_openat2(int dfd, const char __user *filename, struct open_how *how);
struct file *do_filp_open(int dfd, struct filename *pathname, const void *op);
struct dentry *d_lookup(const struct dentry *parent, const struct qstr *name);
struct dentry *lookup_fast(struct nameidata *nd);
int filp_close(struct file *filp, void *id);
int security_file_open(struct file *file);
void input_event(struct input_dev *dev, unsigned int type, unsigned int code, int value);
struct sk_buff *arp_create(int type, int ptype, __be32 dest_ip, struct net_device *dev, __be32 src_ip,
    const unsigned char *dest_hw, const unsigned char *src_hw, const unsigned char *target_hw);
int tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);
int tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len);
int tcp_connect(struct sock *sk);
int tcp_v4_connect(struct sock *sk, struct sockaddr *uaddr, int addr_len);
int tcp_v6_connect(struct sock *sk, struct sockaddr *uaddr, int addr_len);
void tcp_set_state(struct sock *sk, int state);
void tcp_close(struct sock *sk, long timeout);
int tcp_retransmit_skb(struct sock *sk, struct sk_buff *skb, int segs);
void tcp_drop(struct sock *sk, struct sk_buff *skb);
struct sock *tcp_v4_syn_recv_sock(const struct sock *sk, struct sk_buff *skb, struct request_sock *req);
struct sock *tcp_v6_syn_recv_sock(const struct sock *sk, struct sk_buff *skb, struct request_sock *req);
struct sock *inet_csk_accept(struct sock *sk, void *arg);
int ip_queue_xmit(struct sock *sk, struct sk_buff *skb, void *fl);
int unix_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags);
int unix_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags);
int skb_copy_datagram_iter(const struct sk_buff *from, int offset, struct iov_iter *to, int size);
void oom_kill_process(struct oom_control *oc, const char *message);
int cap_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts);
void blk_account_io_start(struct request *rq);
void blk_account_io_done(struct request *rq, u64 now);
void blk_mq_start_request(struct request *rq);
int md_flush_request(void *mddev, struct bio *bio);
void swap_readpage(struct page *page, bool do_poll);
void swap_read_folio(struct folio *folio, struct swap_iocb **plug);
int wake_up_new_task(struct task_struct *p);
void do_exit(long code);
int do_nanosleep(struct hrtimer *t, int mode);
unsigned long hrtimer_nanosleep(ktime_t rqtp, int mode, int clockid);
long ksys_read(unsigned int fd, char __user *buf, size_t count);
long __x64_sys_openat(const struct pt_regs *regs);
long __x64_sys_read(const struct pt_regs *regs);
long __x64_sys_nanosleep(const struct pt_regs *regs);
int printk_like(const char *fmt, ...);
void schedule(void);
u64 returns_u64(u8 a, s16 b, bool c, enum migrate_mode mode, union sigval value);
struct timespec64 returns_struct(int which);
bool queue_work_on(int cpu, void *wq, struct work_struct *work);
int bpf_fentry_test1(int a);
PER_CPU(struct rq, runqueues);
PER_CPU(unsigned long, process_counts);
TRACEPOINT(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state);
TRACEPOINT(sched_wakeup, struct task_struct *p);
TRACEPOINT(sched_process_exec, struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm);
TRACEPOINT(sys_enter, struct pt_regs *regs, long id);
TRACEPOINT(sys_exit, struct pt_regs *regs, long ret);
TRACEPOINT(kfree_skb, struct sk_buff *skb, void *location, enum skb_drop_reason reason, struct sock *rx_sk);
TRACEPOINT(block_rq_issue, struct request *rq);
TRACEPOINT(block_rq_complete, struct request *rq, blk_status_t error, unsigned int nr_bytes);
"""

# A module, whose BTF is split: it refers to vmlinux's types.
MODULE = "demo_mod"
MODULE_DECLARATIONS = """
struct demo_state { int level; u64 events; char label[8]; struct task_struct *owner; };
int demo_open(struct demo_state *state, int flags);
TRACEPOINT(demo_event, struct demo_state *state, int level);
"""

# What a kprobe can sit on although BTF does not describe it, with its module.
UNTYPED_FUNCTIONS = [("vfs_read_untyped", ""), ("asm_helper", ""), ("demo_untyped", MODULE), ("tcp_ack.isra.0", "")]

# Untyped and not traceable, or data: only in kallsyms.
SYMBOLS = ["jiffies", "init_task", "avenrun", "_stext", "bpf_prog_active"]

FEATURES = {
    "kprobe_multi": True, "uprobe_multi": True, "kprobe_session": True, "fentry": True, "ringbuf": True,
    "perf_link": True, "bpf_cookie": True, "bpf_loop": True, "for_each_map_elem": True, "module_btf": True,
    "get_current_cgroup_id": True, "send_signal": True, "override_return": False, "d_path": True, "get_func_ip": True,
    "atomic_fetch": True, "ktime_get_boot_ns": True, "ktime_get_tai_ns": True, "probe_read_kernel": True,
    "snprintf": True, "get_branch_snapshot": False, "task_storage": True, "tracing_multi": False, "kfuncs": True,
}  # fmt: skip

KCONFIG = {"HZ": "250", "BPF": "y", "KPROBES": "y", "FTRACE_SYSCALLS": "y", "DEBUG_INFO_BTF": "y", "NR_CPUS": "8192"}

# system call → fields of sys_enter; every field takes 8 bytes, as in the kernel's own formats.
SYSCALLS = {
    "openat": ["int dfd", "const char * filename", "int flags", "umode_t mode"],
    "open": ["const char * filename", "int flags", "umode_t mode"],
    "openat2": ["int dfd", "const char * filename", "struct open_how * how", "size_t usize"],
    "creat": ["const char * pathname", "umode_t mode"],
    "close": ["unsigned int fd"],
    "read": ["unsigned int fd", "char * buf", "size_t count"],
    "write": ["unsigned int fd", "const char * buf", "size_t count"],
    "mkdir": ["const char * pathname", "umode_t mode"],
    "mkdirat": ["int dfd", "const char * pathname", "umode_t mode"],
    "unlink": ["const char * pathname"],
    "execve": ["const char * filename", "const char *const * argv", "const char *const * envp"],
    "execveat": ["int fd", "const char * filename", "const char *const * argv", "const char *const * envp", "int flags"],
    "kill": ["pid_t pid", "int sig"],
    "tkill": ["pid_t pid", "int sig"],
    "tgkill": ["pid_t tgid", "pid_t pid", "int sig"],
    "connect": ["int fd", "struct sockaddr * uservaddr", "int addrlen"],
    "nanosleep": ["struct __kernel_timespec * rqtp", "struct __kernel_timespec * rmtp"],
    "clock_nanosleep": ["const clockid_t which_clock", "int flags", "const struct __kernel_timespec * rqtp",
                        "struct __kernel_timespec * rmtp"],
    "newstat": ["const char * filename", "struct stat * statbuf"],
    "newlstat": ["const char * filename", "struct stat * statbuf"],
    "statx": ["int dfd", "const char * filename", "unsigned flags", "unsigned int mask", "struct statx * buffer"],
    "statfs": ["const char * pathname", "struct statfs * buf"],
    "setuid": ["uid_t uid"],
    "setresuid": ["uid_t ruid", "uid_t euid", "uid_t suid"],
    "setfsuid": ["uid_t uid"],
    "sync": [],
    "syncfs": ["int fd"],
    "fsync": ["unsigned int fd"],
    "fdatasync": ["unsigned int fd"],
    "msync": ["unsigned long start", "size_t len", "int flags"],
    "sync_file_range": ["int fd", "loff_t offset", "loff_t nbytes", "unsigned int flags"],
}  # fmt: skip

# tracepoint → rows of (declaration, size, signed); offsets follow from natural alignment.
TRACEPOINTS: dict[str, list[tuple[str, int, int]]] = {
    "sched:sched_switch": [
        ("char prev_comm[16]", 16, 0), ("pid_t prev_pid", 4, 1), ("int prev_prio", 4, 1), ("long prev_state", 8, 1),
        ("char next_comm[16]", 16, 0), ("pid_t next_pid", 4, 1), ("int next_prio", 4, 1)],
    "sched:sched_wakeup": [("char comm[16]", 16, 0), ("pid_t pid", 4, 1), ("int prio", 4, 1), ("int target_cpu", 4, 1)],
    "sched:sched_wakeup_new": [("char comm[16]", 16, 0), ("pid_t pid", 4, 1), ("int prio", 4, 1), ("int target_cpu", 4, 1)],
    "sched:sched_process_exec": [("__data_loc char[] filename", 4, 0), ("pid_t pid", 4, 1), ("pid_t old_pid", 4, 1)],
    "sched:sched_process_fork": [
        ("char parent_comm[16]", 16, 0), ("pid_t parent_pid", 4, 1), ("char child_comm[16]", 16, 0),
        ("pid_t child_pid", 4, 1)],
    "sched:sched_process_exit": [("char comm[16]", 16, 0), ("pid_t pid", 4, 1), ("int prio", 4, 1)],
    "raw_syscalls:sys_enter": [("long id", 8, 1), ("unsigned long args[6]", 48, 0)],
    "raw_syscalls:sys_exit": [("long id", 8, 1), ("long ret", 8, 1)],
    "block:block_rq_issue": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned int nr_sector", 4, 0), ("unsigned int bytes", 4, 0),
        ("char rwbs[8]", 8, 0), ("char comm[16]", 16, 0), ("__data_loc char[] cmd", 4, 0)],
    "block:block_rq_complete": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned int nr_sector", 4, 0), ("int error", 4, 1),
        ("char rwbs[8]", 8, 0), ("__data_loc char[] cmd", 4, 0)],
    "block:block_io_start": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned int nr_sector", 4, 0), ("unsigned int bytes", 4, 0),
        ("char rwbs[8]", 8, 0), ("char comm[16]", 16, 0), ("__data_loc char[] cmd", 4, 0)],
    "block:block_io_done": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned int nr_sector", 4, 0), ("unsigned int bytes", 4, 0),
        ("char rwbs[8]", 8, 0), ("char comm[16]", 16, 0), ("__data_loc char[] cmd", 4, 0)],
    "block:block_bio_queue": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned int nr_sector", 4, 0), ("char rwbs[8]", 8, 0),
        ("char comm[16]", 16, 0)],
    "block:block_bio_complete": [
        ("dev_t dev", 4, 0), ("sector_t sector", 8, 0), ("unsigned nr_sector", 4, 0), ("int error", 4, 1),
        ("char rwbs[8]", 8, 0)],
    "skb:kfree_skb": [
        ("void * skbaddr", 8, 0), ("void * location", 8, 0), ("void * rx_sk", 8, 0), ("unsigned short protocol", 2, 0),
        ("enum skb_drop_reason reason", 4, 0)],
    "sock:inet_sock_set_state": [
        ("const void * skaddr", 8, 0), ("int oldstate", 4, 1), ("int newstate", 4, 1), ("__u16 sport", 2, 0),
        ("__u16 dport", 2, 0), ("__u16 family", 2, 0), ("__u16 protocol", 2, 0), ("__u8 saddr[4]", 4, 0),
        ("__u8 daddr[4]", 4, 0), ("__u8 saddr_v6[16]", 16, 0), ("__u8 daddr_v6[16]", 16, 0)],
    "writeback:writeback_start": [
        ("char name[32]", 32, 0), ("long nr_pages", 8, 1), ("dev_t sb_dev", 4, 0), ("int sync_mode", 4, 1),
        ("int reason", 4, 1)],
    "writeback:writeback_written": [
        ("char name[32]", 32, 0), ("long nr_pages", 8, 1), ("dev_t sb_dev", 4, 0), ("int sync_mode", 4, 1),
        ("int reason", 4, 1)],
    "irq:irq_handler_entry": [("int irq", 4, 1), ("__data_loc char[] name", 4, 0)],
    "net:netif_receive_skb": [("void * skbaddr", 8, 0), ("unsigned int len", 4, 0), ("__rel_loc char[] name", 4, 0)],
    "kmem:kmalloc": [
        ("unsigned long call_site", 8, 0), ("const void * ptr", 8, 0), ("size_t bytes_req", 8, 0),
        ("size_t bytes_alloc", 8, 0), ("unsigned long gfp_flags", 8, 0), ("bool accounted", 1, 0)],
}  # fmt: skip

_COMMON = [
    ("unsigned short common_type", 2, 0), ("unsigned char common_flags", 1, 0),
    ("unsigned char common_preempt_count", 1, 0), ("int common_pid", 4, 1),
]  # fmt: skip


def format_text(name: str, id: int, rows: list[tuple[str, int, int, int]], print_format: str = '""') -> str:
    """Return a format file of rows of (declaration, offset, size, signed), common fields before them."""
    common, at = [], 0
    for declaration, size, signed in _COMMON:
        common.append((declaration, at, size, signed))
        at += size
    lines = ["".join(f"\tfield:{d};\toffset:{o};\tsize:{s};\tsigned:{g};\n" for d, o, s, g in part) for part in (common, rows)]
    return f"name: {name}\nID: {id}\nformat:\n{lines[0]}\n{lines[1]}\nprint fmt: {print_format}\n"


def _aligned(rows: list[tuple[str, int, int]]) -> list[tuple[str, int, int, int]]:
    placed, at = [], 8
    for declaration, size, signed in rows:
        step = 1 if declaration.startswith(("char ", "__u8 ")) else 8 if size % 8 == 0 else size
        at = -(-at // step) * step
        placed.append((declaration, at, size, signed))
        at += size
    return placed


def tracepoint_formats() -> dict[str, str]:
    """Return `category:name` → text of its format file."""
    formats = {}
    for number, (full, rows) in enumerate(TRACEPOINTS.items(), 300):
        formats[full] = format_text(full.partition(":")[2], number, _aligned(rows))
    nr = ("int __syscall_nr", 8, 4, 1)
    for number, (call, fields) in enumerate(SYSCALLS.items(), 600):
        rows4 = [nr, *((field, 16 + 8 * n, 8, 0) for n, field in enumerate(fields))]
        formats[f"syscalls:sys_enter_{call}"] = format_text(f"sys_enter_{call}", 2 * number, rows4)
        exits = [nr, ("long ret", 16, 8, 1)]
        formats[f"syscalls:sys_exit_{call}"] = format_text(f"sys_exit_{call}", 2 * number + 1, exits, '"0x%lx", REC->ret')
    return formats


@cache
def btf_blobs() -> dict[str, Buffer]:
    """Return the BTF of vmlinux and of the module."""
    vmlinux = Declarations()
    vmlinux.parse(TYPES)
    vmlinux.parse(FUNCTIONS)
    blob = vmlinux.blob()
    module = Declarations(vmlinux)
    module.parse(MODULE_DECLARATIONS)
    return {"vmlinux": blob, MODULE: module.blob()}


@cache
def target_image() -> TargetImage:
    """Return the inert form, for tests that write target files."""
    vmlinux = Btf(btf_blobs()["vmlinux"])
    typed = [(name, "") for name in vmlinux.functions() if not name.startswith("__traceiter_")]
    functions = [*typed, ("demo_open", MODULE), *UNTYPED_FUNCTIONS]
    return TargetImage(
        "x86_64", "6.12.0-test", btf=btf_blobs(), formats=tracepoint_formats(), functions=functions,
        symbols=[name for name, _ in functions] + SYMBOLS, kconfig=KCONFIG, features=FEATURES,
    )  # fmt: skip


@cache
def _target_bytes() -> bytes:
    return encode_image(target_image())


def build_target() -> FileTarget:
    """Return a fresh Target, with nothing read yet."""
    return FileTarget(_target_bytes())


def offset_of(target: FileTarget, struct: str, member: str) -> int:
    """Return the byte offset of a member, `a.b.c` through nested structs."""
    ctype, total = target.type_named("struct", struct), 0
    for name in member.split("."):
        assert isinstance(ctype, StructType)
        path = ctype.find(name)
        assert path, f"struct {struct} has no {member}"
        total += sum(step.offset for step in path)
        ctype = path[-1].type
    return total
