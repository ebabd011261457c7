"""NAT behaviour as iptables rules. Pure: text in, text out."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.errors import UsageError
from natlab.behavior import NatBehavior, parse_behavior
from natlab.nat.ruleset import FORWARD, RouterPorts, RuleSet

_STOCK = parse_behavior("EIM+APDF+order-sensitive+inbound-refresh")


def masquerade(behavior: NatBehavior, router: RouterPorts) -> RuleSet:
    """Stock Linux: MASQUERADE, an input chain that lets everything in, conntrack as the filter."""
    lifetime = behavior.lifetime
    if replace(behavior, lifetime=_STOCK.lifetime) != _STOCK:
        raise UsageError(
            f"no rules make {behavior}: order-sensitive is stock Linux, {_STOCK} with a lifetime"
        )
    inbound = f"-A FORWARD -i {router.wan}"
    return RuleSet(
        iptables=(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
            f"{inbound} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n"
            f"{inbound} -j DROP\nCOMMIT\n"
            "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
            f":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o {router.wan} -j MASQUERADE\nCOMMIT\n"
        ),
        sysctls=(
            FORWARD,
            ("net.netfilter.nf_conntrack_udp_timeout", lifetime),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", lifetime),
        ),
    )
