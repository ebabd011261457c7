"""A NAT's TCP (RFC 5382) as nftables rules. Pure, as `natlab.nat.table`, of which it is a part.

Connection tracking translates, and knows which packets belong to a connection. These rules say which
port a connection gets, and who else may connect to an endpoint that has a mapping: `tcp_address` and
`tcp_port` are the internal endpoint of an external port, `tcp_open` who may come to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from natlab.behavior import NatBehavior
from natlab.nat.rest import chain, indented
from natlab.nat.ruleset import RouterPorts
from natlab.terms import CrossingSyn, Syn, TcpFiltering, TcpMapping

SYN_GROUP = 5382
"""The kernel tells of the SYNs that are held, and of those that the inside sends, in this log group."""
_TRANSITORY = ("syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack")
_UNANSWERED = ("max_retrans", "unacknowledged")
_NFLOG = f"log group {SYN_GROUP} queue-threshold 1"

PREFIX = "tcp_"
"""How the names of its maps, sets and chains begin."""
OPEN_FOR = 240
"""Seconds for which others may come after the last packet from inside: what RFC 5382 REQ-5 asks of a
connection that is not established."""
_SYN = "tcp flags & (fin | syn | rst | ack) == syn"
_ANSWERS = {
    Syn.DROP: "drop",
    Syn.RESET: "reject with tcp reset",
    Syn.UNREACHABLE: "reject with icmp port-unreachable",
}


def parts(behavior: NatBehavior, router: RouterPorts) -> Iterator[list[str]]:
    """Maps, sets and chains; none where all is as connection tracking does it."""
    wan = f'"{router.wan}"'
    if behavior.tcp_filtering is not TcpFiltering.ADDRESS_AND_PORT_DEPENDENT:
        yield from _strangers(behavior, router)
    if behavior.tcp_mapping is TcpMapping.FRESH:
        fresh = f"oifname {wan} meta l4proto tcp snat ip to {router.wan_address} fully-random"
        # Before what translates all but UDP: the first that translates decides.
        yield chain("tcp_source", "type nat hook postrouting priority srcnat - 1;", fresh)
    if behavior.crossing_syn is CrossingSyn.DROPPED:
        crossing = f"iifname {wan} {_SYN} ct direction reply drop"
        yield chain("tcp_forward", "type filter hook forward priority filter - 1;", crossing)
    if behavior.tcp_sessions:
        # Connection tracking is the table: what has closed does not count.
        full = f"oifname {wan} meta l4proto tcp ct state new ct count over {behavior.tcp_sessions} drop"
        yield chain("tcp_full", "type filter hook forward priority filter - 2;", full)
    if behavior.syn is Syn.HELD:
        held = f"iifname {wan} {_SYN} {_NFLOG}"
        silent = f"iifname {wan} meta l4proto tcp drop"
        yield chain("tcp_held", "type filter hook input priority filter - 1;", held, silent)
        # As it looks outside.
        sent = f"oifname {wan} {_SYN} {_NFLOG}"
        yield chain("tcp_sent", "type filter hook postrouting priority srcnat + 200;", sent)
    if behavior.syn in _ANSWERS:
        answer = f"iifname {wan} meta l4proto tcp {_ANSWERS[behavior.syn]}"
        yield chain("tcp_input", "type filter hook input priority filter - 1;", answer)


def lifetimes(behavior: NatBehavior) -> Iterator[tuple[str, int]]:
    """Connection tracking's settings: how long it remembers what kind of TCP connection (RFC 5382 REQ-5)."""
    established, transitory = behavior.tcp_established, behavior.tcp_transitory
    own = "net.netfilter.nf_conntrack_tcp_timeout_"
    yield f"{own}established", established
    yield from ((own + state, transitory) for state in _TRANSITORY)
    # Of an established one whose data nobody acknowledges.
    yield from ((own + state, min(established, max(transitory, 300))) for state in _UNANSWERED)


def _strangers(behavior: NatBehavior, router: RouterPorts) -> Iterator[list[str]]:
    """The rules for strangers, without a connection, that come to an endpoint with one."""
    by_address = behavior.tcp_filtering is TcpFiltering.ADDRESS_DEPENDENT
    comes, goes = (
        ("tcp dport . ip saddr", "tcp sport . ip daddr")
        if by_address
        else ("tcp dport", "tcp sport")
    )
    for kind, name, of in (
        ("map", "tcp_address", "tcp dport : ip daddr"),
        ("map", "tcp_port", "tcp dport : tcp dport"),
        ("set", "tcp_open", comes),
    ):
        options = f"flags dynamic,timeout; timeout {OPEN_FOR}s;"
        yield [f"{kind} {name} {{", f"\ttypeof {of}", *indented(options), "}"]
    inside = "dnat ip to tcp dport map @tcp_address : tcp dport map @tcp_port"
    known = f'iifname "{router.wan}" ip daddr {router.wan_address} {_SYN} {comes} @tcp_open'
    hook = "type nat hook prerouting priority dstnat;"
    yield chain("tcp_destination", hook, f"{known} {inside}")
    out = f'oifname "{router.wan}" meta l4proto tcp ct direction original update'
    yield chain(
        "tcp_learn",
        # After the source NAT, where the external port can be read off the packet.
        "type filter hook postrouting priority srcnat + 200;",
        f"{out} @tcp_address {{ tcp sport : ct original ip saddr }}",
        f"{out} @tcp_port {{ tcp sport : ct original proto-src }}",
        f"{out} @tcp_open {{ {goes} }}",
    )
