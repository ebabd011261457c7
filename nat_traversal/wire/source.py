"""The source that a budget belongs to: an IPv4 address, or the /64 of an IPv6 address. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

HOST_BITS = 64
"""Of an IPv6 address: a host that has one has all of these (RFC 6177 section 2)."""


def source_of(address: str) -> str:
    """The source of an IP address, as text for people too."""
    return address if ":" not in address else _prefix(address)


@lru_cache(maxsize=4096)
def _prefix(address: str) -> str:
    known = ip_address(address.partition("%")[0])
    assert isinstance(known, IPv6Address)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return f"{IPv6Address(int(known) >> HOST_BITS << HOST_BITS)}/64"
