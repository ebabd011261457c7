"""Captured packets of any program, followed over each link of any topology. Pure.

A packet that a NAT takes in and does not send on ends there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Icmp, Packet, Protocol
from natlab.evidence.journey import CAPTURE_POINTS


@dataclass(frozen=True, slots=True)
class Scene:
    """Where packets were captured, and what the diagram shows."""

    points: Mapping[str, str]
    """Each capture point's node."""
    lanes: tuple[str, ...]
    """Left to right, the server in the middle. Routers are between, and have no lane."""
    nats: frozenset[str]
    wans: frozenset[str] = frozenset()
    """The capture points outside a NAT."""
    own: frozenset[str] = frozenset()
    """Addresses at which one of `nats` answers itself: a NAT64's DNS64."""


TWO_NATS_SCENE = Scene(
    CAPTURE_POINTS,
    ("host_a", "nat_a", "server", "nat_b", "host_b"),
    frozenset({"nat_a", "nat_b"}),
    frozenset({"nat_a-wan", "nat_b-wan"}),
)


@dataclass(slots=True)
class Hop:
    """One packet on one link."""

    packet: Packet
    """As the sender sent it."""
    sender: str | None
    """None: a router between the lanes, which nobody captures."""
    receiver: str | None = None
    """None: it came to no node."""
    goes_on: bool = False
    """Its receiver is no NAT, or sent it on."""
    before: Hop | None = None
    """The hop after which a NAT sent it on here."""
    arrival: Packet | None = None
    """As the receiver received it."""


def hops(packets: Iterable[Packet], scene: Scene = TWO_NATS_SCENE) -> list[Hop]:
    """The packets on each link, in order of time, and their fate there.

    Of equal packets, which retransmission makes, the latest is taken for the one that goes on.
    """
    found = []
    on_the_way: dict[tuple[object, ...], list[Hop]] = defaultdict(list)
    taken_in: dict[tuple[object, ...], list[Hop]] = defaultdict(list)
    for packet in sorted(packets, key=lambda packet: packet.time):
        node = scene.points[packet.point]
        inside = taken_in[node, _SAME.get(packet.protocol, packet.protocol), _content(packet)]
        if packet.outgoing:
            found.append(Hop(packet, node))
            if inside:
                earlier = inside.pop()
                earlier.goes_on = True
                found[-1].before = earlier if node in scene.nats else None
            on_the_way[_identity(packet)].append(found[-1])
        elif on_the_way[_identity(packet)]:
            hop = on_the_way[_identity(packet)].pop()
            hop.receiver, hop.arrival = node, packet
            hop.goes_on = node not in scene.nats or packet.destination.address in scene.own
            inside.append(hop)
        elif packet.refused is not None:
            # No node with a lane sent it, so it is a router's own error.
            found.append(Hop(packet, None, node, node not in scene.nats, arrival=packet))
            inside.append(found[-1])
    return found


_SAME = {Protocol.ICMPV6: Protocol.ICMP}
"""As a translator between IPv6 and IPv4 makes it."""


def _identity(packet: Packet) -> tuple[object, ...]:
    """The fields that stay the same on a link."""
    return (packet.protocol, packet.source, packet.destination, _content(packet))


def _content(packet: Packet) -> object:
    """The fields that a NAT does not touch. Of an ICMP error it translates even the quotation's addresses."""
    if packet.refused is not None:
        return packet.refused.type, packet.refused.code, packet.refused.payload
    if packet.echo is not None:
        return packet.echo.is_request, packet.echo.sequence, packet.payload
    if packet.fragment is not None:
        return packet.fragment.offset, packet.payload
    return packet.payload


_UNREACHABLE = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    9: "network prohibited",
    10: "host prohibited",
    13: "prohibited",
}
"""RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1."""
_UNREACHABLE6 = {
    0: "no route",
    1: "prohibited",
    3: "address unreachable",
    4: "port unreachable",
    5: "source address refused",
    6: "route rejects",
}
"""RFC 4443 section 3.1."""


def icmp_error(packet: Packet) -> str:
    """``port unreachable``, or ``fragmentation needed (MTU 1400)``, of an ICMP error."""
    error = packet.refused
    assert error is not None
    match error.type:
        case Icmp.UNREACHABLE:
            known = _UNREACHABLE if packet.protocol is Protocol.ICMP else _UNREACHABLE6
            text = known.get(error.code, f"unreachable, code {error.code}")
        case Icmp.TIME_EXCEEDED:
            text = "reassembly time exceeded" if error.code else "time exceeded"
        case _:
            text = error.type.name.lower().replace("_", " ")
    return text if error.mtu is None else f"{text} (MTU {error.mtu})"


def place(endpoint: Endpoint) -> str:
    """In words: of what has no ports, the address alone."""
    return str(endpoint) if endpoint.port else endpoint.address
