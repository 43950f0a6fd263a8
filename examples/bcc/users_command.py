#!/usr/bin/env python3
"""users_command: what everybody types into bash: time, user, process and command.

bash reads a line with its function readline(); a probe on its return sees the line before bash runs it.

    users_command.py                    every bash on the machine
    users_command.py -u alice           only what alice types
    users_command.py -s /opt/bin/bash   another bash
"""

import argparse
import contextlib
import pwd
import signal
import sys
import time

from bcc import BPF

PROGRAM = r"""
#include <uapi/linux/ptrace.h>

struct command_t {
    u32 pid;
    u32 uid;
    char line[LINE_SIZE];
};

BPF_RINGBUF_OUTPUT(commands, 16);  // pages; all CPUs share it, so lines come in the order of typing

int on_readline_return(struct pt_regs *ctx)
{
    char *line = (char *)PT_REGS_RC(ctx);
    struct command_t command = {};

    if (!line)  // end of file: Ctrl-D
        return 0;
    command.uid = bpf_get_current_uid_gid();
    if (ONLY_UID)
        return 0;
    command.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(command.line, sizeof(command.line), line);
    commands.ringbuf_output(&command, sizeof(command), 0);
    return 0;
}
"""
LINE_SIZE = 256


def arguments():
    parser = argparse.ArgumentParser(
        description="Show what users type into bash.", epilog="Needs root. Ctrl-C ends."
    )
    parser.add_argument("-u", "--user", help="only this user's commands (a name or a number)")
    parser.add_argument("-s", "--shell", default="/bin/bash", help="the bash to watch, or the library with its readline()")
    return parser.parse_args()


def uid_of(user):
    """Return the number of a user given by name or number."""
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        sys.exit(f"users_command: there is no user {user}")


def name_of(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def main():
    options = arguments()
    condition = f"command.uid != {uid_of(options.user)}" if options.user else "0"
    program = PROGRAM.replace("LINE_SIZE", str(LINE_SIZE)).replace("ONLY_UID", condition)
    bpf = BPF(text=program)
    bpf.attach_uretprobe(name=options.shell, sym="readline", fn_name="on_readline_return")

    def show(context, data, size):
        command = bpf["commands"].event(data)
        line = command.line.decode("utf-8", "replace")
        print(f"{time.strftime('%H:%M:%S'):<9} {name_of(command.uid):<16} {command.pid:<8} {line}", flush=True)

    bpf["commands"].open_ring_buffer(show)
    print(f"{'TIME':<9} {'USER':<16} {'PID':<8} COMMAND", flush=True)
    while True:
        bpf.ring_buffer_poll()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main()
