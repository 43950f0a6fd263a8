"""<bcc/proto.h>: the headers of packets as structs whose fields a program names.

Field names, widths and order are what programs rely on; a field that is no bit field may still be read from a packet at any
offset, in network order.
"""

from __future__ import annotations

_U8, _U16, _U32, _U64 = "unsigned char", "unsigned short", "unsigned int", "unsigned long long"

# struct → (type of its fields, "name" or "name:bits" or "name[count]") in their order
_HEADERS: dict[str, tuple[tuple[str, str], ...]] = {
    "ethernet_t": ((_U64, "dst:48 src:48"), (_U32, "type:16")),
    "dot1q_t": ((_U16, "pri:3 cfi:1 vlanid:12 type"),),
    "arp_t": ((_U16, "htype ptype"), (_U8, "hlen plen"), (_U16, "oper"), (_U64, "sha:48 spa:32 tha:48"), (_U32, "tpa")),
    "ip_t": (
        (_U8, "ver:4 hlen:4 tos"), (_U16, "tlen identification ffo_unused:1 df:1 mf:1 foffset:13"), (_U8, "ttl nextp"),
        (_U16, "hchecksum"), (_U32, "src dst"),
    ),
    "icmp_t": ((_U8, "type code"), (_U16, "checksum")),
    "ip6_t": (
        (_U32, "ver:4 priority:8 flow_label:20"), (_U16, "payload_len"), (_U8, "next_header hop_limit"),
        (_U64, "src_hi src_lo dst_hi dst_lo"),
    ),
    "ip6_opt_t": ((_U8, "next_header ext_len pad[6]"),),
    "icmp6_t": ((_U8, "type code"), (_U16, "checksum")),
    "udp_t": ((_U16, "sport dport length crc"),),
    "tcp_t": (
        (_U16, "src_port dst_port"), (_U32, "seq_num ack_num"),
        (_U8, "offset:4 reserved:4 flag_cwr:1 flag_ece:1 flag_urg:1 flag_ack:1 flag_psh:1 flag_rst:1 flag_syn:1 flag_fin:1"),
        (_U16, "rcv_wnd cksum urg_ptr"),
    ),
    "vxlan_t": ((_U32, "rsv1:4 iflag:1 rsv2:3 rsv3:24 key:24 rsv4:8"),),
    "vxlan_gbp_t": ((_U32, "gflag:1 rsv1:3 iflag:1 rsv2:3 rsv3:1 dflag:1 rsv4:1 aflag:1 rsv5:3 tag:16 key:24 rsv6:8"),),
}  # fmt: skip


def _text() -> str:
    lines = []
    for tag, groups in _HEADERS.items():
        fields = " ".join(f"{type} {name};" for type, names in groups for name in names.split())
        lines.append(f"struct {tag} {{ {fields} }} BPF_PACKET_HEADER;\n")
    return "".join(lines)


TEXT = _text()
