"""A router's IPv6, filtered and perhaps translated, as the input of ``nft -f -``. Pure text.

A filter is of internal endpoints, whose addresses the `forward` hook sees on both ways. Connection tracking
translates: prefix for prefix (the kernel's NETMAP), or as stock MASQUERADE.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network

from nat_traversal.errors import UsageError
from natlab.behavior import LIFETIME, NatBehavior
from natlab.nat.rest import chain, indented
from natlab.terms import Ipv6, Ipv6Filtering

TABLE = "nat_lab_ipv6"
SITE = 48
"""Bits of a site's prefix. The next 16 are the subnet's."""
_MASQUERADES = {
    Ipv6.NAT66: "masquerade",
    Ipv6.NAT66_FRESH: "masquerade fully-random",
}
_ADDED = {
    Ipv6Filtering.ENDPOINT_INDEPENDENT: "",
    Ipv6Filtering.ADDRESS_DEPENDENT: " . ip6 {}",
}


def stateful_firewall(
    wan: str, behavior: NatBehavior | None = None, inside: str = "", outside: str = ""
) -> str:
    """The rules for a router that filters and translates IPv6 as `behavior` says; None: as a NAT usually does.

    `inside` and `outside` are the prefixes of `Ipv6.NPTV6`. Neighbour discovery is the link's own business and
    stays open (RFC 4890 section 4.4). Raises `UsageError` for what they cannot make.
    """
    usual = Ipv6.FIREWALL, Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT, LIFETIME
    ipv6, filtering, lifetime = (
        (behavior.ipv6, behavior.ipv6_filtering, behavior.lifetime) if behavior else usual
    )
    refuse_the_unfaithful(ipv6, filtering)
    parts = [
        *_filter(wan, filtering, lifetime),
        *_translation(wan, ipv6, inside, outside),
    ]
    body = "\n".join(f"\t{line}" for part in parts for line in part)
    return f"table ip6 {TABLE} {{}}\ndelete table ip6 {TABLE}\ntable ip6 {TABLE} {{\n{body}\n}}\n"


def refuse_the_unfaithful(ipv6: Ipv6, filtering: Ipv6Filtering) -> None:
    """Raise `UsageError`, with the reason, for what the rules cannot make."""
    if ipv6 is Ipv6.NAT64 and filtering is not Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT:
        raise UsageError(f"no rules make {ipv6} with {filtering}: the NAT of IPv4 filters there")
    if ipv6 in _MASQUERADES and filtering in _ADDED:
        raise UsageError(
            f"no rules make {ipv6} with {filtering}: it is stock MASQUERADE, which leads a stranger's packet"
            " to no host"
        )


def outer_prefix(inside: str, site: str) -> str:
    """The prefix outside that RFC 6296 gives a subnet `inside`, at the outer `site` prefix (section 3.1).

    Both sites have /48: then the bits that keep checksums right are those of the subnet (section 3.4), and hosts
    keep their last 64 bits.
    """
    one, other = IPv6Network(inside), IPv6Network(site)
    own = one.supernet(new_prefix=SITE)
    subnet = int(one.network_address) >> 64 & 0xFFFF
    word = (
        subnet + _sum(own) - _sum(other)
    ) % 0xFFFF  # one's complement; 0xFFFF is 0 (section 3.6)
    return str(IPv6Network((int(other.network_address) | word << 64, 64)))


def _sum(prefix: IPv6Network) -> int:
    number = int(prefix.network_address)
    return sum(number >> bits & 0xFFFF for bits in (80, 96, 112))


def _filter(wan: str, filtering: Ipv6Filtering, lifetime: int) -> Iterator[list[str]]:
    added = _ADDED.get(filtering)
    goes, comes, own = [], [], "typeof ip6 saddr . udp sport"
    if added is not None:
        sent = f"ip6 saddr . udp sport{added.format('daddr')}"
        asks = f"ip6 daddr . udp dport{added.format('saddr')}"
        own += added.format("daddr")
        options = f"flags dynamic,timeout; timeout {lifetime}s;"
        yield ["set sent {", *indented(own, options), "}"]
        goes = [f'oifname "{wan}" meta l4proto udp update @sent {{ {sent} }}']
        comes = [f'iifname "{wan}" meta l4proto udp {asks} @sent accept']
    yield chain(
        "input",
        "type filter hook input priority filter;",
        f'iifname "{wan}" meta l4proto ipv6-icmp accept',
        f'iifname "{wan}" drop',
    )
    yield chain(
        "forward",
        "type filter hook forward priority filter;",
        *goes,
        f'iifname "{wan}" ct state established,related accept',
        *comes,
        f'iifname "{wan}" drop',
    )


def _translation(wan: str, ipv6: Ipv6, inside: str, outside: str) -> Iterator[list[str]]:
    hook = "type nat hook postrouting priority srcnat;"
    if ipv6 in _MASQUERADES:
        yield chain("source", hook, f'oifname "{wan}" {_MASQUERADES[ipv6]}')
    if ipv6 is Ipv6.NPTV6:
        out = f"snat ip6 prefix to ip6 saddr map {{ {inside} : {outside} }}"
        back = f"dnat ip6 prefix to ip6 daddr map {{ {outside} : {inside} }}"
        yield chain("source", hook, f'oifname "{wan}" {out}')
        hook = "type nat hook prerouting priority dstnat;"
        yield chain("destination", hook, f'iifname "{wan}" {back}')
