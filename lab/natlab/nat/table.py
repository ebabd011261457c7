"""NAT behaviour as one nftables table: every NAT but the order-sensitive one. Pure: text in, text out."""

from __future__ import annotations

from natlab.behavior import NatBehavior
from natlab.nat import asked, nftables, quirks, tcp
from natlab.nat.faithful import refuse_the_unfaithful
from natlab.nat.rest import without_udp
from natlab.nat.ruleset import EVERY_ERROR, FORWARD, RouterPorts, RuleSet
from natlab.terms import Syn

TABLE = "nat_lab"


def table_for(behavior: NatBehavior, router: RouterPorts) -> RuleSet:
    """The table under which `router` behaves as `behavior` says, towards both UDP and the rest.

    Raises `UsageError` for a behaviour that it cannot make faithfully, with the reason.
    """
    refuse_the_unfaithful(behavior)
    made = without_udp if behavior.blocks_udp else nftables.parts
    parts = [
        *made(behavior, router),
        *tcp.parts(behavior, router),
        *quirks.parts(behavior, router),
    ]
    body = "\n".join(f"\t{line}" for part in parts for line in part)
    is_asked = asked.is_asked(behavior)
    return RuleSet(
        # Deleting takes a table that exists; this makes one if there is none.
        nft=f"table ip {TABLE} {{}}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n{body}\n}}\n"
        + (asked.CHAINS if is_asked else ""),
        sysctls=(
            FORWARD,
            ("net.netfilter.nf_conntrack_udp_timeout", behavior.lifetime),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", behavior.lifetime),
            *tcp.lifetimes(behavior),
            EVERY_ERROR,
        ),
        syn_group=tcp.SYN_GROUP if behavior.syn is Syn.HELD else 0,
        miniupnpd=asked.configuration(router) if is_asked else "",
    )
