"""All but UDP, and packets to the NAT itself, as nftables rules; and the writing of rules.

Pure, as `natlab.nat.nftables`, of which it is a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from natlab.behavior import NatBehavior, Pooling, Protocols, Unsolicited, pool
from natlab.nat.ruleset import RouterPorts
from natlab.terms import TcpFiltering


def chain(name: str, *rules: str) -> list[str]:
    return [f"chain {name} {{", *indented(*rules), "}"]


def indented(*lines: str) -> list[str]:
    return [f"\t{line}" for line in lines]


def to_router(behavior: NatBehavior, router: RouterPorts) -> list[str]:
    """The rules for packets to the router itself."""
    hook = "type filter hook input priority filter;"
    wan = f'iifname "{router.wan}"'
    if behavior.unsolicited is Unsolicited.REJECT:
        # As OpenWrt's zone `wan`: TCP is reset, pings are answered (`Allow-Ping`).
        answers = [
            f"{wan} icmp type echo-request accept",
            f"{wan} meta l4proto tcp reject with tcp reset",
            f"{wan} meta l4proto != icmp reject with icmp port-unreachable",
        ]
    else:
        answers = []
    # Silence: else the router would answer, or book a stranger's tuple for itself.
    own = (f"ip daddr {each} meta l4proto udp drop" for each in pool(behavior, router.wan_address))
    return chain("input", hook, *answers, f"{wan} drop", *own)


def choice(behavior: NatBehavior, kind: str, values: Sequence[str]) -> str:
    """One of `values` for each address of the pool, as the NAT chooses that; `kind` is ``map`` or ``vmap``."""
    numbered = ", ".join(f"{place} : {value}" for place, value in enumerate(values))
    if behavior.pooling is Pooling.PAIRED:
        # Any function of the internal address will do; a seed of one's own makes it the same each time.
        number = f"jhash ct original ip saddr mod {len(values)} seed 1"
    else:
        number = f"numgen inc mod {len(values)}"
    return f"{number} {kind} {{ {numbered} }}"


def rest_outbound(behavior: NatBehavior, router: RouterPorts) -> str:
    addresses = pool(behavior, router.wan_address)
    chosen = choice(behavior, "map", addresses) if addresses[1:] else addresses[0]
    return f'oifname "{router.wan}" snat ip to {chosen}'


def rest_inbound(behavior: NatBehavior, router: RouterPorts) -> Iterator[str]:
    # Related: ICMP errors about the inside host's own packets (RFC 4787 REQ-10, RFC 5508 REQ-4).
    yield f'iifname "{router.wan}" ct state established,related accept'
    if behavior.tcp_filtering is not TcpFiltering.ADDRESS_AND_PORT_DEPENDENT:
        yield f'iifname "{router.wan}" meta l4proto tcp ct status dnat accept'
    yield f'iifname "{router.wan}" drop'
    # Untranslatable, so it would leave with an inside address.
    yield f'oifname "{router.wan}" ct state invalid drop'


def without_udp(behavior: NatBehavior, router: RouterPorts) -> Iterator[list[str]]:
    """No UDP, or nothing but TCP; and the rest as behind any NAT."""
    blocked = "udp" if behavior.protocols is Protocols.NO_UDP else "!= tcp"
    yield chain(
        "forward",
        "type filter hook forward priority filter;",
        f"meta l4proto {blocked} drop",
        *rest_inbound(behavior, router),
    )
    yield to_router(behavior, router)
    yield chain(
        "source",
        "type nat hook postrouting priority srcnat;",
        rest_outbound(behavior, router),
    )
