"""IP addresses by what can be reached at them: by nobody, on this host alone, in a private network. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
"""RFC 1918, RFC 6598 and RFC 4193. `ipaddress` also counts networks that documents and labs use."""
REMEMBERED = 4096
"""Addresses whose answer is at hand: few come again and again, one with each datagram."""
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3: Linux takes some of it for this host."""


@lru_cache(REMEMBERED)
def is_usable(address: str) -> bool:
    """Whether a host can be there at all: not unspecified, multicast, broadcast or reserved."""
    known = _plain(address)
    if isinstance(known, IPv4Address) and (known.is_reserved or known in _THIS_NETWORK):
        return False  # of IPv6 `is_reserved` has ::1 in it
    return not (known.is_unspecified or known.is_multicast)


@lru_cache(REMEMBERED)
def is_private(address: str) -> bool:
    """Whether it means another host elsewhere, or none."""
    known = _plain(address)
    return any(known in network for network in _PRIVATE if network.version == known.version)


def same_private_network(one: str, other: str) -> bool:
    """Whether both are private, and of the same of those networks."""
    return any(
        network.version == _plain(one).version == _plain(other).version
        and _plain(one) in network
        and _plain(other) in network
        for network in _PRIVATE
    )


@lru_cache(REMEMBERED)
def is_loopback(address: str) -> bool:
    """Whether only programs on the same host can use it."""
    return _plain(address).is_loopback


@lru_cache(REMEMBERED)
def is_link_local(host: str) -> bool:
    """Whether `host` is an address, not a name, and only hosts of one link can use it."""
    try:
        return _plain(host).is_link_local
    except ValueError:
        return False


@lru_cache(REMEMBERED)
def is_elsewhere(address: str) -> bool:
    """Whether a host of another network may be there, at the address as it is written: no IPv4 in IPv6's clothes."""
    is_mapped = ":" in address and _plain(address).version == 4
    return is_usable(address) and not (is_mapped or is_loopback(address) or is_link_local(address))


@lru_cache(REMEMBERED)
def octets_of(address: str) -> bytes:
    """Its 4 or 16 octets."""
    return ip_address(address).packed


@lru_cache(REMEMBERED)
def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address; an IPv4 address in IPv6's clothes (RFC 4291 section 2.5.5.2) as what it is."""
    known = ip_address(address)
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped or known
