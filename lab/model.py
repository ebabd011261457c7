"""A NAT as a pure value machine: RFC 4787's behaviours, and the order-sensitive quirk.

It shares no code with the firewall rules, so that one can be held against the other. It has no I/O
and no clock, and takes its randomness from the caller.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

from nat_traversal.behavior import Filtering, Mapping, NatBehavior, Unsolicited
from nat_traversal.endpoint import Endpoint

UDP_TIMEOUT = 30.0
"""Seconds: `nf_conntrack_udp_timeout` of stock Linux. RFC 4787 REQ-5 asks for at least 120."""
_PORTS = range(1024, 65536)
"""Where stock Linux looks for a port when it cannot keep one above 1023."""
_Key = tuple[str, int]


class Fate(StrEnum):
    """What became of a packet that arrived from outside."""

    DELIVERED = "delivered"
    NO_MAPPING = "no-mapping"
    """Dropped: no internal endpoint has this external port."""
    FILTERED = "filtered"
    """Dropped: the internal endpoint has not sent to this source (RFC 4787 section 5)."""
    TAKEN_BY_ROUTER = "taken-by-router"
    """The order-sensitive NAT took it as its own, and answers with ICMP port unreachable."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fate`, and the internal endpoint that a delivered packet went to (else None)."""

    fate: Fate
    internal: Endpoint | None = None


@dataclass(slots=True)
class _Mapping:
    internal: Endpoint
    port: int
    used: float
    permitted: dict[_Key, float] = field(default_factory=dict)


class ModelNat:
    """One NAT with one public address. `behavior` None is a public host: nothing is changed.

    Endpoint-independent mappings preserve the port while it is free; the others take a random one
    for each destination. Filters are kept per mapping, as every NAT with connection tracking does.
    Mappings, filters and bookings end after `timeout` seconds without a packet that used them;
    packets of both directions count. Hairpinning is not modelled.
    """

    def __init__(
        self,
        behavior: NatBehavior | None,
        public_address: str,
        rng: random.Random,
        timeout: float = UDP_TIMEOUT,
    ) -> None:
        self.behavior = behavior
        self.public_address = public_address
        self._rng = rng
        self._timeout = timeout
        self._mappings: dict[tuple[Endpoint, _Key], _Mapping] = {}
        self._booked: dict[tuple[int, Endpoint], float] = {}

    def outbound(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Endpoint:
        """The source that a packet from inside has outside. `now` is in seconds and never falls."""
        if self.behavior is None:
            return source
        self._expire(now)
        general = (source, _key(self.behavior.mapping, destination))
        exact = (source, _key(Mapping.ADDRESS_AND_PORT_DEPENDENT, destination))
        mapping = self._mappings.get(exact) or self._mappings.get(general)
        if mapping is None:
            keep = self.behavior.mapping is Mapping.ENDPOINT_INDEPENDENT
            port = self._free_port(destination, source.port if keep else None)
            mapping = self._mappings[general] = _Mapping(source, port, now)
        if (mapping.port, destination) in self._booked:
            # The 5-tuple belongs to the router: this flow alone gets another port.
            port = self._free_port(destination, None)
            mapping = self._mappings[exact] = _Mapping(source, port, now)
        mapping.used = now
        mapping.permitted[_key(self.behavior.filtering, destination)] = now
        return Endpoint(self.public_address, mapping.port)

    def inbound(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Endpoint | None:
        """Where a packet from outside goes inside, or None if it does not get in."""
        return self.judge(source, destination, now).internal

    def judge(self, source: Endpoint, destination: Endpoint, now: float = 0.0) -> Verdict:
        """As `inbound`, with what happened. It changes state: call one of the two, once a packet."""
        if self.behavior is None:
            return Verdict(Fate.DELIVERED, destination)
        self._expire(now)
        mapping = self._at(destination.port) if self._is_mine(destination) else None
        key = _key(self.behavior.filtering, source)
        booking = (destination.port, source)
        if mapping is not None and key in mapping.permitted and booking not in self._booked:
            mapping.used = mapping.permitted[key] = now
            return Verdict(Fate.DELIVERED, mapping.internal)
        if self.behavior.unsolicited is Unsolicited.ORDER_SENSITIVE and self._is_mine(destination):
            self._booked[booking] = now
            return Verdict(Fate.TAKEN_BY_ROUTER)
        return Verdict(Fate.NO_MAPPING if mapping is None else Fate.FILTERED)

    def _is_mine(self, destination: Endpoint) -> bool:
        return destination.address == self.public_address

    def _at(self, port: int) -> _Mapping | None:
        return next((held for held in self._mappings.values() if held.port == port), None)

    def _free_port(self, destination: Endpoint, preferred: int | None) -> int:
        """`preferred` unless another internal endpoint holds it, else a random free port."""
        taken = {held.port for held in self._mappings.values()}
        if preferred is not None and preferred not in taken:
            return preferred
        start = self._rng.randrange(len(_PORTS))
        for offset in range(len(_PORTS)):
            port = _PORTS[(start + offset) % len(_PORTS)]
            if port not in taken and (port, destination) not in self._booked:
                return port
        raise RuntimeError(f"the NAT at {self.public_address} has no free port left")

    def _expire(self, now: float) -> None:
        oldest = now - self._timeout
        self._booked = {key: used for key, used in self._booked.items() if used >= oldest}
        self._mappings = {key: held for key, held in self._mappings.items() if held.used >= oldest}
        for held in self._mappings.values():
            held.permitted = {key: used for key, used in held.permitted.items() if used >= oldest}


def _key(axis: Mapping | Filtering, remote: Endpoint) -> _Key:
    """The part of `remote` on which `axis` depends, the rest zeroed."""
    match axis.value:
        case "endpoint-independent":
            return ("", 0)
        case "address-dependent":
            return (remote.address, 0)
        case _:
            return (remote.address, remote.port)
