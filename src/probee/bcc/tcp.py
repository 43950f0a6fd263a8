"""bcc.tcp: names of TCP states (include/net/tcp_states.h) and of flags in its header (include/net/tcp.h)."""

from __future__ import annotations

_STATES = (
    "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN",
    "CLOSING", "NEW_SYN_RECV",
)  # fmt: skip
tcpstate = dict(enumerate(_STATES, 1))
_tcpstate = tcpstate  # bcc's name

TCPHDR_FIN, TCPHDR_SYN, TCPHDR_RST, TCPHDR_PSH, TCPHDR_ACK, TCPHDR_URG, TCPHDR_ECE, TCPHDR_CWR = (1 << bit for bit in range(8))
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")


def flags2str(flags: int) -> str:
    """Return the names of the flags that are set, "SYN|ACK"."""
    return "|".join([name for bit, name in enumerate(_FLAGS) if flags >> bit & 1])


def state2str(state: int) -> str:
    """Return a state's name, its number as text when it has none."""
    return tcpstate.get(state, str(state))
