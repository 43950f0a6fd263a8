#!/usr/bin/env python3
"""filetop: which process reads and writes which file, as a top that refreshes.

Counts in the kernel, where vfs_read() and vfs_write() begin: each thread and file has one entry in a table, which is
taken out and shown once an interval, so that every call is in one of the tables.  Bytes are those asked for.

    filetop.py                every second until Ctrl-C
    filetop.py 5 3            every five seconds, three times
    filetop.py -s wbytes -r 10   the ten that write most
    filetop.py -a             sockets, pipes and devices, too
"""

import argparse
import contextlib
import signal
import sys
import time

from bcc import BPF

PROGRAM = r"""
#include <uapi/linux/ptrace.h>
#include <linux/fs.h>
#include <linux/dcache.h>

#define NAME_SIZE 48

struct key_t {
    u64 inode;
    u32 device;
    u32 tid;
    char command[TASK_COMM_LEN];
    char file[NAME_SIZE];
    char type;
};

struct counts_t {
    u64 reads;
    u64 writes;
    u64 read_bytes;
    u64 write_bytes;
};

BPF_HASH(counts, struct key_t, struct counts_t);

static int count(struct file *file, size_t size, int is_write)
{
    u64 id = bpf_get_current_pid_tgid();
    u32 pid = id >> 32;
    struct key_t key = {};
    struct counts_t *found, zero = {};
    struct dentry *entry = file->f_path.dentry;
    int mode = file->f_inode->i_mode;

    if (ONLY_PID)
        return 0;
    if (S_ISREG(mode))
        key.type = 'R';
    else if (S_ISSOCK(mode))
        key.type = 'S';
    else
        key.type = 'O';
    if (ONLY_REGULAR && key.type != 'R')
        return 0;
    key.tid = id;
    key.inode = file->f_inode->i_ino;
    key.device = file->f_inode->i_sb->s_dev;
    bpf_get_current_comm(&key.command, sizeof(key.command));
    bpf_probe_read_kernel_str(&key.file, sizeof(key.file), entry->d_name.name);

    found = counts.lookup_or_try_init(&key, &zero);
    if (!found)
        return 0;
    if (is_write) {
        lock_xadd(&found->writes, 1);
        lock_xadd(&found->write_bytes, size);
    } else {
        lock_xadd(&found->reads, 1);
        lock_xadd(&found->read_bytes, size);
    }
    return 0;
}

int on_read(struct pt_regs *ctx, struct file *file, char __user *buffer, size_t size)
{
    return count(file, size, 0);
}

int on_write(struct pt_regs *ctx, struct file *file, char __user *buffer, size_t size)
{
    return count(file, size, 1);
}
"""
ORDERS = {
    "reads": lambda row: row[1].reads,
    "writes": lambda row: row[1].writes,
    "rbytes": lambda row: row[1].read_bytes,
    "wbytes": lambda row: row[1].write_bytes,
    "all": lambda row: row[1].read_bytes + row[1].write_bytes,
}


def arguments():
    parser = argparse.ArgumentParser(description="Reads and writes by process and file.", epilog="Needs root. Ctrl-C ends.")
    parser.add_argument("interval", nargs="?", type=positive, default=1, help="seconds between two tables (default: 1)")
    parser.add_argument("count", nargs="?", type=positive, help="how many tables (default: until Ctrl-C)")
    parser.add_argument("-a", "--all-files", action="store_true", help="not only regular files: sockets, pipes, devices")
    parser.add_argument("-C", "--noclear", action="store_true", help="do not clear the screen before each table")
    parser.add_argument("-p", "--pid", type=positive, help="only this process")
    parser.add_argument("-r", "--maxrows", type=positive, default=20, help="lines of a table (default: 20)")
    parser.add_argument("-s", "--sort", choices=ORDERS, default="all", help="what the order is by (default: all, both bytes)")
    return parser.parse_args()


def positive(text):
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def show(rows, options):
    if not options.noclear and sys.stdout.isatty():
        print("\x1b[H\x1b[2J", end="")
    with open("/proc/loadavg") as file:
        print(f"{time.strftime('%H:%M:%S')} loadavg: {file.read().strip()}")
    print(f"\n{'TID':<8} {'COMM':<16} {'READS':>7} {'WRITES':>7} {'R_Kb':>9} {'W_Kb':>9} T FILE")
    rows.sort(key=ORDERS[options.sort], reverse=True)
    for key, value in rows[: options.maxrows]:
        command, file, type = (field.decode("utf-8", "replace") for field in (key.command, key.file, key.type))
        kilobytes = f"{value.read_bytes / 1024:>9.1f} {value.write_bytes / 1024:>9.1f}"
        print(f"{key.tid:<8} {command:<16} {value.reads:>7} {value.writes:>7} {kilobytes} {type} {file}")
    print(flush=True)


def main():
    options = arguments()
    program = PROGRAM.replace("ONLY_PID", f"pid != {options.pid}" if options.pid else "0")
    program = program.replace("ONLY_REGULAR", "0" if options.all_files else "1")
    bpf = BPF(text=program)
    bpf.attach_kprobe(event="vfs_read", fn_name="on_read")
    bpf.attach_kprobe(event="vfs_write", fn_name="on_write")
    counts = bpf["counts"]
    print(f"Tracing... Output every {options.interval} secs. Hit Ctrl-C to end", flush=True)

    left, ending = options.count, False
    while left != 0 and not ending:
        try:
            time.sleep(options.interval)
        except KeyboardInterrupt:
            ending = True  # show what there is, then end
        show(list(counts.items_lookup_and_delete_batch()), options)
        left = None if left is None else left - 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main()
