#!/usr/bin/env python3
"""tracepoint: the way of packets through the kernel, at its own tracepoints.

    out         net:net_dev_queue           a packet is queued to be sent by a device
    in          net:netif_receive_skb       a packet has arrived from a device
    state       sock:inet_sock_set_state    a TCP connection opens, is established, closes
    retransmit  tcp:tcp_retransmit_skb      TCP sends a segment once more
    drop        skb:kfree_skb               the kernel drops a packet, and why

    tracepoint.py                      all of them
    tracepoint.py -e state,retransmit  two of them
    tracepoint.py -e in,out -d eth0    one device
"""

import argparse
import contextlib
import ipaddress
import os
import re
import signal
import sys
import time

from bcc import BPF
from bcc.tcp import state2str

HEAD = r"""
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>
#include <linux/in.h>
#include <linux/skbuff.h>

#define DEVICE_SIZE 16

enum kind { OUT, IN, STATE, RETRANSMIT, DROP };

struct event_t {
    u32 kind;
    u32 pid;
    u32 length;          // of a packet
    u32 protocol;        // of a dropped one
    u32 reason;          // why it was dropped
    u32 old_state;
    u32 new_state;
    u16 source_port;
    u16 target_port;
    u64 location;        // where the kernel dropped it
    u8 source[16];       // IPv6, or IPv4 mapped to it
    u8 target[16];
    char device[DEVICE_SIZE];
    char command[TASK_COMM_LEN];
};

BPF_RINGBUF_OUTPUT(events, 256);  // pages; all CPUs share it, so events come in order
BPF_ARRAY(lost, u64, 1);

static inline void begin(struct event_t *event, u32 kind)
{
    event->kind = kind;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&event->command, sizeof(event->command));
}
"""
PACKET = r"""
TRACEPOINT_PROBE(net, %s)
{
    struct event_t event = {};

    begin(&event, %s);
    event.length = args->len;
    TP_DATA_LOC_READ_STR(&event.device, name, sizeof(event.device));
    SEND;
    return 0;
}
"""
STATE = r"""
TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
    struct event_t event = {};

    if (args->protocol != IPPROTO_TCP)
        return 0;
    begin(&event, STATE);
    event.old_state = args->oldstate;
    event.new_state = args->newstate;
    event.source_port = args->sport;
    event.target_port = args->dport;
    __builtin_memcpy(event.source, args->saddr_v6, sizeof(event.source));
    __builtin_memcpy(event.target, args->daddr_v6, sizeof(event.target));
    SEND;
    return 0;
}
"""
RETRANSMIT = r"""
TRACEPOINT_PROBE(tcp, tcp_retransmit_skb)
{
    struct event_t event = {};

    begin(&event, RETRANSMIT);
    event.new_state = args->state;
    event.source_port = args->sport;
    event.target_port = args->dport;
    __builtin_memcpy(event.source, args->saddr_v6, sizeof(event.source));
    __builtin_memcpy(event.target, args->daddr_v6, sizeof(event.target));
    SEND;
    return 0;
}
"""
DROP = r"""
TRACEPOINT_PROBE(skb, kfree_skb)
{
    struct event_t event = {};

    begin(&event, DROP);
    event.protocol = args->protocol;
    event.location = (u64)args->location;
    REASON
    SEND;
    return 0;
}
"""
PROBES = {
    "out": PACKET % ("net_dev_queue", "OUT"),
    "in": PACKET % ("netif_receive_skb", "IN"),
    "state": STATE,
    "retransmit": RETRANSMIT,
    "drop": DROP,
}
KINDS = list(PROBES)
SEND = "if (events.ringbuf_output(&event, sizeof(event), 0)) lost.atomic_increment(0)"
PROTOCOLS = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP"}


def arguments():
    parser = argparse.ArgumentParser(
        description="Packets and connections at the kernel's tracepoints.", epilog="Needs root. Ctrl-C ends.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-e", "--events", type=kinds, default=KINDS, help=f"some of {','.join(KINDS)} (default: all)")
    parser.add_argument("-d", "--device", help="of packets in and out only those of this device")
    return parser.parse_args()


def kinds(text):
    wanted = text.split(",")
    for kind in wanted:
        if kind not in PROBES:
            raise argparse.ArgumentTypeError(f"{kind} is none of {','.join(KINDS)}")
    return wanted


def reasons():
    """Return the names of the reasons to drop a packet, which the tracepoint's description lists with their numbers."""
    for root in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        path = f"{root}/events/skb/kfree_skb/format"
        if os.path.exists(path):
            with open(path) as file:
                listed = file.read().partition("REC->reason")[2]
            return {int(number, 0): name for number, name in re.findall(r'\{ *(\w+), *"(\w+)" *\}', listed)}
    return {}


def has_reason():
    """Whether the kernel tells why (Linux does since 5.17)."""
    return BPF.kernel_struct_has_field(b"trace_event_raw_kfree_skb", b"reason") == 1


def address(octets, port):
    found = ipaddress.IPv6Address(bytes(octets))
    return f"{found.ipv4_mapped}:{port}" if found.ipv4_mapped else f"[{found}]:{port}"


def describe(bpf, event, names):
    """Return the part of an event's line that is its own."""
    if event.kind <= KINDS.index("in"):
        return f"{event.device.decode():<16} {event.length} bytes"
    if event.kind == KINDS.index("drop"):
        protocol = PROTOCOLS.get(event.protocol, f"{event.protocol:#06x}")
        place = bpf.ksym(event.location).decode("utf-8", "replace")
        return f"{protocol:<16} {names.get(event.reason, event.reason)} in {place}"
    connection = f"{address(event.source, event.source_port)} -> {address(event.target, event.target_port)}"
    if event.kind == KINDS.index("state"):
        return f"{connection} {state2str(event.old_state)} -> {state2str(event.new_state)}"
    return f"{connection} {state2str(event.new_state)}"


def main():
    options = arguments()
    told = "event.reason = args->reason;" if has_reason() else ""
    probes = "".join(PROBES[kind] for kind in options.events)
    bpf = BPF(text=HEAD + probes.replace("REASON", told).replace("SEND", SEND))
    names = reasons()

    def show(context, data, size):
        event = bpf["events"].event(data)
        packet = event.kind <= KINDS.index("in")
        if packet and options.device and event.device.decode() != options.device:
            return
        who = f"{event.command.decode('utf-8', 'replace'):<16} {event.pid:<8}"
        print(f"{time.strftime('%H:%M:%S')} {KINDS[event.kind]:<10} {who} {describe(bpf, event, names)}", flush=True)

    bpf["events"].open_ring_buffer(show)
    print(f"{'TIME':<8} {'EVENT':<10} {'COMM':<16} {'PID':<8} WHAT", flush=True)
    lost = 0
    while True:
        bpf.ring_buffer_poll(500)
        count = bpf["lost"][0].value
        if count > lost:
            print(f"lost {count - lost} events", file=sys.stderr, flush=True)
        lost = count


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main()
