"""IPv4 addresses within IPv6 ones (RFC 6052), as a NAT64 leads to them (RFC 6146). Pure.

A host that has IPv6 alone sends to an IPv4 host at the address that its network's prefix makes of that. So a datagram
from within the prefix is from the IPv4 host. Both ways are one bijection, and everything inside it speaks of IPv4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from nat_traversal.wire.addresses import (
    REMEMBERED,
    is_link_local,
    is_loopback,
    is_private,
    is_usable,
    octets_of,
)
from nat_traversal.wire.endpoint import Endpoint

NAME = "ipv4only.arpa"
"""It has IPv4 addresses alone, so that IPv6 ones of it come from a DNS64 (RFC 7050 section 3)."""
_OF_NAME = ("192.0.0.170", "192.0.0.171")
LENGTHS = (32, 40, 48, 56, 64, 96)
"""Of prefixes, in bits (RFC 6052 section 2.2)."""
_U = 8
"""The octet that is 0 in every such address, and stays out of the IPv4 one (the same)."""
_PROTOCOLS = IPv4Network("192.0.0.0/24")
"""IETF protocol assignments (RFC 6890 section 2.2.2), among them the addresses of a host's own translator."""
MOST_PREFIXES = 4


@dataclass(frozen=True, slots=True)
class Prefix:
    """The IPv6 addresses that begin with the first `length` bits of `octets`, the rest of which are 0."""

    octets: bytes
    length: int

    def embed(self, address: str) -> str:
        """The IPv6 address of an IPv4 one."""
        octets = bytearray(self.octets)
        for place, octet in zip(_places(self.length), octets_of(address), strict=True):
            octets[place] = octet
        return str(IPv6Address(bytes(octets)))

    def extract(self, address: str) -> str | None:
        """The IPv4 address of an IPv6 one; None: it is none that `embed` makes."""
        octets = octets_of(address)
        if len(octets) != 16:
            return None
        found = str(IPv4Address(bytes(octets[place] for place in _places(self.length))))
        return found if self.embed(found) == address else None

    @property
    def is_well_known(self) -> bool:
        """It is 64:ff9b::/96."""
        return self == _WELL_KNOWN

    def __str__(self) -> str:
        return f"{IPv6Address(self.octets)}/{self.length}"


_WELL_KNOWN = Prefix(octets_of("64:ff9b::"), 96)
"""RFC 6052 section 2.1."""


def prefixes_in(addresses: Iterable[str]) -> tuple[Prefix, ...]:
    """The prefixes by which a DNS64 has made these IPv6 addresses of `NAME` (RFC 7050 section 3)."""
    read = (each for address in addresses for each in _readings(address))
    found = dict.fromkeys(prefix for prefix, ipv4 in read if ipv4 in _OF_NAME)
    return tuple(found)[:MOST_PREFIXES]


def may_be_translated(addresses: Iterable[str]) -> bool:
    """Whether one of these addresses of a host looks like what a DNS64 has made of another."""
    every = set(addresses)
    return any(ipv4 in every for address in every for _, ipv4 in _readings(address))


def may_cross(endpoint: Endpoint) -> bool:
    """Whether a translator may lead to that host: one of IPv4, with no special address (RFC 6890)."""
    address = endpoint.address
    if endpoint.family == 6 or not is_usable(address):
        return False
    is_near = is_loopback(address) or is_link_local(address)
    return not is_near and IPv4Address(address) not in _PROTOCOLS


def behind(endpoint: Endpoint, prefix: Prefix) -> Endpoint | None:
    """Where a host has to send to, so that it is for the IPv4 `endpoint`; None: the prefix does not lead there."""
    if not may_cross(endpoint):
        return None
    there = Endpoint(prefix.embed(endpoint.address), endpoint.port)
    return there if _may_cross(endpoint.address, prefix, there.address) else None


def _readings(address: str) -> Iterator[tuple[Prefix, str]]:
    """The ways to read an IPv6 address as a prefix and an IPv4 one."""
    octets = octets_of(address)
    for length in LENGTHS if len(octets) == 16 else ():
        begin = octets[: length // 8]
        prefix = Prefix(begin + bytes(16 - len(begin)), length)
        ipv4 = prefix.extract(address)
        if ipv4 is not None and _leads(prefix):
            yield prefix, ipv4


def _leads(prefix: Prefix) -> bool:
    """Whether a router may have it: one of hosts, and not IPv4 in IPv6's clothes."""
    address = str(IPv6Address(prefix.octets))
    return is_usable(address) and not is_link_local(address) and not prefix.octets[_U]


@lru_cache(len(LENGTHS))
def _places(length: int) -> tuple[int, ...]:
    """Where the four octets of the IPv4 address are."""
    return tuple(place for place in range(length // 8, 16) if place != _U)[:4]


@dataclass(frozen=True, slots=True)
class Nat64:
    """The way by `prefix`, by which this host has reached `server`."""

    prefix: Prefix
    server: Endpoint
    """It keeps its IPv6 form: this host speaks to it as it has found it."""

    def outside(self, endpoint: Endpoint) -> Endpoint:
        """Where to send what is for `endpoint`: itself, unless that is an IPv4 one to which the prefix leads."""
        if endpoint.family == 6 or not self._translates(endpoint.address):
            return endpoint
        found = Endpoint(self.prefix.embed(endpoint.address), endpoint.port)
        return endpoint if found == self.server else found

    def inside(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it is known, where something has come from `endpoint`."""
        address = None if endpoint == self.server else self.prefix.extract(endpoint.address)
        if address is None or not self._translates(address):
            return endpoint
        return Endpoint(address, endpoint.port)

    def _translates(self, address: str) -> bool:
        return _may_cross(address, self.prefix, self.server.address)


@lru_cache(REMEMBERED)
def _may_cross(address: str, prefix: Prefix, server: str) -> bool:
    """Whether an IPv4 host there is behind the translator: no special address (RFC 6890), and a private one only where
    the server has such a one too. The well-known prefix is for global ones alone (RFC 6052 section 3.1)."""
    is_special = not may_cross(Endpoint(address, 0))
    if is_special or (prefix.is_well_known and not IPv4Address(address).is_global):
        return False
    place = prefix.extract(server)
    return not is_private(address) or (place is not None and is_private(place))


def way_to(server: Endpoint, prefixes: Iterable[Prefix]) -> Nat64 | None:
    """The NAT64 by which `server` was reached; None: by none of these."""
    within = (each for each in prefixes if each.extract(server.address) is not None)
    prefix = next(within, None)
    return None if prefix is None else Nat64(prefix, server)
