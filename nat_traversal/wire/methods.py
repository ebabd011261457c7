"""The names of the ways to a path, the rungs of the ladder, as options, events and results have them."""

from __future__ import annotations

from enum import StrEnum

from nat_traversal.errors import UsageError


class MethodName(StrEnum):
    """In the order in which they are tried."""

    ORDERED_HELLO = "ordered-hello"
    """The contract."""
    HOST = "host"
    """The contract between host addresses: for hosts that the server sees at one address."""
    IPV6 = "ipv6"
    """The contract between IPv6 addresses, where the server has seen the hosts by IPv4."""
    PORT_MAPPING = "port-mapping"
    """The contract with a port that a router leads to its host: by PCP, NAT-PMP or UPnP."""
    PREDICTION = "prediction"
    """Both aim at the port that a NAT gives next: for NATs that give ports in sequence, or of a small block."""
    BIRTHDAY = "birthday"
    """Many sockets of one host, many probes of the other: for a NAT that gives ports at random."""
    SIMULTANEOUS = "simultaneous"
    """First packets that cross: for NATs that are order-sensitive on both sides."""
    LOW_TTL = "low-ttl"
    """First packets that end between the NATs: for NATs that are order-sensitive on both sides."""
    RELAY = "relay"
    """Through the server."""
    RELAY_TCP = "relay-tcp"
    """Through the server, and to it by TCP: where UDP is blocked."""
    TURN = "turn"
    """Through a TURN server that one of the two hosts has: where the server relays nothing."""


ALL = tuple(MethodName)
FURTHER = (
    MethodName.HOST,
    MethodName.IPV6,
    MethodName.PORT_MAPPING,
    MethodName.PREDICTION,
    MethodName.BIRTHDAY,
    MethodName.SIMULTANEOUS,
    MethodName.LOW_TTL,
)
"""The rungs to which both hosts have to say yes when they register."""
RELAYS = frozenset({MethodName.RELAY, MethodName.RELAY_TCP, MethodName.TURN})


def parse_methods(text: str) -> tuple[MethodName, ...]:
    """Names with a comma between. Raises `UsageError`."""
    names = text.split(",")
    for name in names:
        if name not in set(MethodName):
            raise UsageError(f"{name!r} is no method: choose from {', '.join(ALL)}")
    if MethodName.ORDERED_HELLO not in names:
        raise UsageError("ordered-hello is the first of all methods: it cannot be left out")
    if MethodName.RELAY_TCP in names and MethodName.RELAY not in names:
        raise UsageError("relay-tcp stands in for relay: it needs that as well")
    return tuple(MethodName(name) for name in names)
