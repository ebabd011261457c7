"""Following one datagram from capture point to capture point. Pure.

A datagram is recognised by its octets, which translation does not touch, and by the address that no
NAT on that stretch rewrites.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from nat_traversal.errors import WireError
from nat_traversal.wire import datagrams
from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Icmp, Packet, Protocol


class Fate(StrEnum):
    """The fate of one transmission."""

    DELIVERED = "delivered"
    PORT_CLOSED = "port-closed"
    """Reached the host, which answered with ICMP: that socket is gone."""
    DROPPED = "dropped"
    """Reached the peer's NAT and went no further, in silence."""
    TAKEN_BY_ROUTER = "taken-by-router"
    """Reached the peer's NAT, which answered with ICMP port unreachable: it took the packet as its
    own, or rejects what its filter does not let in.

    That answer is rate-limited, so one for the same 5-tuple is enough."""
    EXPIRED = "expired"
    """Its TTL ended between the two NATs, or at one of them."""
    LOST = "lost"
    """Left the sender's NAT and never reached the peer's."""
    BLOCKED = "blocked"
    """Never left the sender's NAT."""


@dataclass(frozen=True, slots=True)
class Home:
    """A host, its NAT, and the interfaces on which packets between the two were captured."""

    host: str
    host_link: str
    nat: str
    lan: str
    wan: str


HOMES = tuple(
    Home(f"host_{x}", f"host_{x}-eth0", f"nat_{x}", f"nat_{x}-lan", f"nat_{x}-wan") for x in "ab"
)
SERVER_LINK = "server-eth0"
TURN_LINK = "turn-eth0"
CAPTURE_POINTS = {
    **{home.host_link: home.host for home in HOMES},
    **{point: home.nat for home in HOMES for point in (home.lan, home.wan)},
    SERVER_LINK: "server",
}
"""The interfaces that `reconstruct` reads, each with its node."""
TURN_POINTS = {**CAPTURE_POINTS, TURN_LINK: "turn"}
"""The same where there is a TURN server."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One transmission of one datagram, from the sender's socket to where it ended. Times in s."""

    datagram: datagrams.Datagram
    sender: str
    receiver: str
    source: Endpoint
    """The sender's socket."""
    destination: Endpoint
    """Where the sender sent it."""
    sent: float
    translated: Endpoint | None
    """The source outside the sender's NAT; None if it never got there."""
    reached: float | None
    """When it came to the receiver's NAT, or to the server."""
    arrived: float | None
    """When it came to the receiver itself."""
    fate: Fate
    seen: tuple[tuple[str, float], ...] = ()
    """Every capture point that it passed, with the time, in order."""

    @property
    def is_delivered(self) -> bool:
        return self.fate is Fate.DELIVERED


def follow_all(packets: Iterable[Packet]) -> tuple[Passage, ...]:
    """Every transmission of the project's datagrams by either host, in order of sending.

    `packets` must be in order of time. The server's datagrams are left out.
    """
    ordered = list(packets)
    sightings = _Sightings(ordered)
    first, second = HOMES
    found: list[Passage] = []
    for own, peer in ((first, second), (second, first)):
        for sent, datagram, until in _transmissions(ordered, own):
            if isinstance(datagram, datagrams.Announce):
                found.append(sightings.follow_to_server(sent, datagram, own, until))
            else:
                found.append(sightings.follow(sent, datagram, own, peer, until))
    return tuple(sorted(found, key=lambda passage: passage.sent))


def decode(packet: Packet) -> datagrams.Datagram | None:
    """The datagram in a UDP packet, or None if it is none of ours."""
    if packet.protocol is not Protocol.UDP:
        return None
    try:
        return datagrams.decode(packet.payload)
    except WireError:
        return None


class _Sightings:
    """All UDP packets by place and octets, and all ICMP errors by place and 5-tuple."""

    def __init__(self, packets: list[Packet]) -> None:
        self._seen: dict[tuple[str, bool, bytes], list[Packet]] = defaultdict(list)
        self._refused: dict[tuple[str, Icmp, Endpoint, Endpoint], list[Packet]] = defaultdict(list)
        self._quoted: dict[tuple[str, bool], set[bytes]] = defaultdict(set)
        for packet in packets:
            if packet.protocol is Protocol.UDP:
                self._seen[packet.point, packet.outgoing, packet.payload].append(packet)
            elif packet.refused is not None:
                error = packet.refused
                key = (packet.point, error.type, error.source, error.destination)
                self._refused[key].append(packet)
                self._quoted[packet.point, packet.outgoing].add(error.payload)

    def follow(
        self, sent: Packet, datagram: datagrams.Datagram, own: Home, peer: Home, until: float
    ) -> Passage:
        """From host to host. `until`: when the sender next sent the same octets to the same place."""
        entered = self._next(sent, own.lan, False, until, source=sent.source)
        left = self._next(sent, own.wan, True, until, destination=sent.destination)
        reached, until = self._between(left, peer, until) if left else (None, until)
        inside = reached and self._next(reached, peer.lan, True, until, source=reached.source)
        arrived = inside and self._next(inside, peer.host_link, False, until, source=inside.source)
        return Passage(
            datagram,
            own.host,
            peer.host,
            sent.source,
            sent.destination,
            sent.time,
            left.source if left else None,
            reached.time if reached else None,
            arrived.time if arrived else None,
            self._fate(left, reached, arrived, own, peer)
            if left
            else self._fate_inside(entered, own),
            _seen(sent, entered, left, reached, inside, arrived),
        )

    def _between(self, left: Packet, peer: Home, until: float) -> tuple[Packet | None, float]:
        """The same datagram where it comes to the peer's NAT, and when the next of the same octets comes there.

        Far away the next one leaves before this one comes. Where as many have come as have left, they came in their order.
        """
        out = self._seen[left.point, True, left.payload]
        ways = (left.source, left.destination)
        sent = [each.time for each in out if (each.source, each.destination) == ways]
        into = self._seen.get((peer.wan, False, left.payload), [])
        came = [each for each in into if (each.source, each.destination) == ways]
        if len(sent) != len(came):
            return self._next(left, peer.wan, False, until, source=left.source), until
        place = sent.index(left.time)
        return came[place], came[place + 1].time if came[place + 1 :] else inf

    def follow_to_server(
        self, sent: Packet, datagram: datagrams.Datagram, own: Home, until: float
    ) -> Passage:
        """From host to server, which announces the source that it sees to the peer."""
        entered = self._next(sent, own.lan, False, until, source=sent.source)
        left = self._next(sent, own.wan, True, until, destination=sent.destination)
        arrived = left and self._next(left, SERVER_LINK, False, until, source=left.source)
        time = arrived.time if arrived else None
        fate = Fate.DELIVERED if arrived else Fate.LOST if left else Fate.BLOCKED
        translated = left.source if left else None
        return Passage(
            datagram,
            own.host,
            "server",
            sent.source,
            sent.destination,
            sent.time,
            translated,
            time,
            time,
            fate,
            _seen(sent, entered, left, arrived),
        )

    def _next(
        self,
        before: Packet,
        point: str,
        outgoing: bool,
        until: float,
        *,
        source: Endpoint | None = None,
        destination: Endpoint | None = None,
    ) -> Packet | None:
        """The same datagram at its next point, recognised by the address that stays the same."""
        seen = self._seen.get((point, outgoing, before.payload), [])
        start = bisect_left(seen, before.time, key=lambda packet: packet.time)
        for packet in seen[start:]:
            if packet.time >= until:
                return None
            if source in (None, packet.source) and destination in (None, packet.destination):
                return packet
        return None

    def _fate_inside(self, entered: Packet | None, own: Home) -> Fate:
        """Of one that never left the sender's NAT."""
        expired = entered and self._errors(own.lan, Icmp.TIME_EXCEEDED, entered)
        return Fate.EXPIRED if expired else Fate.BLOCKED

    def _fate(
        self,
        left: Packet,
        reached: Packet | None,
        arrived: Packet | None,
        own: Home,
        peer: Home,
    ) -> Fate:
        if reached is None:
            expired = self._errors(own.wan, Icmp.TIME_EXCEEDED, left)
            return Fate.EXPIRED if expired else Fate.LOST
        if arrived is None and self._errors(peer.wan, Icmp.TIME_EXCEEDED, reached):
            return Fate.EXPIRED
        if arrived is None:
            # A packet that the host itself refuses passes here too, translated; it came in from the LAN.
            from_host = self._quoted[peer.lan, False]
            refused = any(
                error.refused and error.refused.payload not in from_host
                for error in self._errors(peer.wan, Icmp.UNREACHABLE, reached)
            )
            return Fate.TAKEN_BY_ROUTER if refused else Fate.DROPPED
        for error in self._errors(peer.host_link, Icmp.UNREACHABLE, arrived):
            # A closed socket stays closed, so an earlier answer counts; a later one only if it
            # quotes this very datagram.
            if error.time <= arrived.time or (
                error.refused and error.refused.payload == arrived.payload
            ):
                return Fate.PORT_CLOSED
        return Fate.DELIVERED

    def _errors(self, point: str, kind: Icmp, packet: Packet) -> list[Packet]:
        return self._refused.get((point, kind, packet.source, packet.destination), [])


def _seen(*packets: Packet | None) -> tuple[tuple[str, float], ...]:
    return tuple((packet.point, packet.time) for packet in packets if packet is not None)


def _transmissions(
    packets: list[Packet], own: Home
) -> Iterator[tuple[Packet, datagrams.Datagram, float]]:
    """The datagrams of `own`'s host, and for each when the same was sent again (infinity: never)."""
    sent = [
        packet
        for packet in packets
        if packet.point == own.host_link and packet.outgoing and packet.protocol is Protocol.UDP
    ]
    next_time: dict[tuple[bytes, Endpoint], float] = {}
    found = []
    for packet in reversed(sent):
        key = (packet.payload, packet.destination)
        datagram = decode(packet)
        if datagram is not None:
            found.append((packet, datagram, next_time.get(key, inf)))
        next_time[key] = packet.time
    return reversed(found)
