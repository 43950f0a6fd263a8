#!/usr/bin/env python3
"""xdp_drop_count: drop what arrives at a network device before the kernel sees it, and count it by IP protocol.

Everything is dropped, or with -p one protocol only: the rest passes and is counted, too.  The program is removed from
the device whenever this ends.  Do not try it on the device that you are connected through.

    xdp_drop_count.py eth1            drop all
    xdp_drop_count.py -p udp eth1     drop UDP, let the rest pass
    xdp_drop_count.py -S lo           generic mode: on devices whose driver has no XDP
"""

import argparse
import contextlib
import signal
import socket
import sys
import time

from bcc import BPF

PROGRAM = r"""
#include <uapi/linux/bpf.h>
#include <linux/in.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

// By protocol: 0 to 255 are IP's, then what is none.
#define NOT_IP 256
#define KINDS 257

BPF_PERCPU_ARRAY(dropped, u64, KINDS);
BPF_PERCPU_ARRAY(passed, u64, KINDS);

static inline u32 protocol_of(void *data, void *end)
{
    struct ethhdr *ethernet = data;
    u64 offset = sizeof(*ethernet);
    u16 type;

    if (data + offset > end)
        return NOT_IP;
    type = ethernet->h_proto;
    if (type == htons(ETH_P_8021Q) || type == htons(ETH_P_8021AD)) {
        struct vlan_hdr *vlan = data + offset;

        offset += sizeof(*vlan);
        if (data + offset > end)
            return NOT_IP;
        type = vlan->h_vlan_encapsulated_proto;
    }
    if (type == htons(ETH_P_IP)) {
        struct iphdr *ip = data + offset;

        if ((void *)(ip + 1) > end)
            return NOT_IP;
        return ip->protocol;
    }
    if (type == htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = data + offset;

        if ((void *)(ip + 1) > end)
            return NOT_IP;
        return ip->nexthdr;
    }
    return NOT_IP;
}

int drop_and_count(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    u32 protocol = protocol_of(data, end);

    if (TO_DROP) {
        dropped.increment(protocol);
        return XDP_DROP;
    }
    passed.increment(protocol);
    return XDP_PASS;
}
"""
ENDING = {signal.SIGINT, signal.SIGTERM}
NOT_IP = 256
NAMES = {number: name[8:] for name, number in vars(socket).items() if name.startswith("IPPROTO_") and number < NOT_IP}
NAMES[NOT_IP] = "not IP"


def arguments():
    parser = argparse.ArgumentParser(
        description="Drop and count what arrives at a network device.",
        epilog="Needs root. Ctrl-C ends, and removes the program.",
    )
    parser.add_argument("device", help="for example eth1")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("-S", "--skb", action="store_true", help="generic mode: works on every device, costs more")
    mode.add_argument("-D", "--driver", action="store_true", help="the driver's mode or none")
    parser.add_argument("-p", "--protocol", help="drop this IP protocol only: a number or a name like udp")
    parser.add_argument("-i", "--interval", type=float, default=1, help="seconds between two tables (default: 1)")
    return parser.parse_args()


def number_of(protocol):
    """Return the number of an IP protocol given by name or number."""
    if protocol.isdigit():
        return int(protocol)
    found = [number for number, name in NAMES.items() if name == protocol.upper()]
    if not found:
        sys.exit(f"xdp_drop_count: there is no IP protocol {protocol}")
    return found[0]


def read(table):
    """Return how many packets of each protocol there were, on all CPUs together."""
    counts = {key.value: table.sum(key).value for key in table}
    return {protocol: count for protocol, count in counts.items() if count}


def show(what, now, before, seconds):
    for protocol, count in sorted(now.items()):
        new = count - before.get(protocol, 0)
        if new:
            rate = new / seconds
            print(f"{what:<8} {NAMES.get(protocol, protocol):<10} {count:>12} {rate:>12.1f} pkt/s", flush=True)


def main():
    options = arguments()
    condition = f"protocol == {number_of(options.protocol)}" if options.protocol else "1"
    flags = BPF.XDP_FLAGS_SKB_MODE if options.skb else BPF.XDP_FLAGS_DRV_MODE if options.driver else 0
    bpf = BPF(text=PROGRAM.replace("TO_DROP", condition), cflags=["-w"])
    program = bpf.load_func("drop_and_count", BPF.XDP)
    counts = {"dropped": bpf["dropped"], "passed": bpf["passed"]}
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # nobody ends us between attaching and the `try` that removes it
    bpf.attach_xdp(options.device, program, flags)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        print(f"Dropping on {options.device}, hit Ctrl-C to stop", flush=True)
        before, last = {what: {} for what in counts}, time.monotonic()
        while True:
            time.sleep(options.interval)
            now, seconds = {what: read(table) for what, table in counts.items()}, time.monotonic() - last
            for what in counts:
                show(what, now[what], before[what], seconds)
            before, last = now, last + seconds
    except KeyboardInterrupt:
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        bpf.remove_xdp(options.device, flags)
    total = {what: read(table) for what, table in counts.items()}  # nothing counts any more: these are exact
    sums = ", ".join(f"{sum(total[what].values())} {what}" for what in total)
    print(f"Removed from {options.device}: {sums}")
    for what, found in total.items():
        for protocol, count in sorted(found.items()):
            print(f"{what:<8} {NAMES.get(protocol, protocol):<10} {count:>12}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        main()
