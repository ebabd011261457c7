"""The fate of each packet of any program, its reason, and by which way two hosts' datagrams go. Pure.

Only packets count: what a NAT had sent from an endpoint before another packet came to it there.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Packet, Protocol
from natlab.report.text_ladder import Hop, Scene, hops, icmp_error

_CLOSE = 1.0
"""Seconds within which a relay passes on what it received."""
_LEAST, _FRAMING = 8, 64
"""Octets that two datagrams must share to be one that was relayed; and how much a relay adds at most
(RFC 8656: 4 in a channel, 36 in an indication, and what an extension needs)."""
_MOST_SHOWN = 5
_Key = tuple[str, Protocol, Endpoint]


@dataclass(frozen=True, slots=True)
class Travel:
    """One packet from the node that made it to the one where it ended."""

    hops: tuple[Hop, ...]
    end: str | None
    """None: lost on a link."""
    dropped_by: str | None = None
    """The NAT at which it ended, though it was not for that NAT."""
    why: str = ""

    @property
    def sender(self) -> str:
        return self.hops[0].sender or "a router"

    @property
    def is_delivered(self) -> bool:
        return self.end is not None and self.dropped_by is None

    def __str__(self) -> str:
        """``host_a to nat_b: dropped there: only 192.0.2.2:3478 had been sent to from ...``"""
        if self.end is None:
            return f"{self.sender}: lost after {self.hops[-1].sender}"
        if self.dropped_by is None:
            return f"{self.sender} to {self.end}: delivered"
        return f"{self.sender} to {self.end}: {self.why}"


class Fates:
    """All packets of a capture, followed."""

    def __init__(self, packets: Iterable[Packet], scene: Scene) -> None:
        self._scene = scene
        self._packets = sorted(packets, key=lambda packet: packet.time)
        self._sent: dict[_Key, dict[Endpoint, float]] = defaultdict(dict)
        self._refusals: dict[tuple[str, Endpoint, Endpoint], Packet] = {}
        for packet in self._packets:
            if packet.outgoing:
                key = packet.point, packet.protocol, packet.source
                self._sent[key].setdefault(packet.destination, packet.time)
                if packet.refused is not None:
                    error = packet.refused
                    self._refusals[packet.point, error.source, error.destination] = packet
        found = hops(self._packets, scene)
        continued = {id(hop.before) for hop in found if hop.before is not None}
        self.travels = tuple(self._travel(hop) for hop in found if id(hop) not in continued)

    def comments(self) -> dict[tuple[str, float], str]:
        """The fate of each packet, for every interface and time at which it was seen."""
        return {
            (packet.point, packet.time): str(travel)
            for travel in self.travels
            for hop in travel.hops
            for packet in (hop.packet, hop.arrival)
            if packet is not None
        }

    def drops(self) -> list[str]:
        """``nat_b dropped 40 datagrams from ...: only ... had been sent to from ...``, the most first."""
        counts = Counter(
            (travel.dropped_by, last.protocol, last.source, travel.why)
            for travel in self.travels
            if travel.dropped_by is not None
            for last in (travel.hops[-1].packet,)
        )
        lines = []
        for (nat, protocol, source, why), count in counts.most_common(_MOST_SHOWN):
            verb, _, reason = why.partition(" here")
            kind = {Protocol.UDP: "datagram", Protocol.TCP: "segment"}.get(protocol, "packet")
            what = f"{count} {kind}{'' if count == 1 else 's'}"
            lines.append(f"{nat} {verb} {what} from {_place(source)}{reason}")
        if len(counts) > _MOST_SHOWN:
            lines.append(f"... and {len(counts) - _MOST_SHOWN} more kinds of drops, in the capture")
        return lines

    def _travel(self, last: Hop) -> Travel:
        chain = [last]
        while chain[0].before is not None:
            chain.insert(0, chain[0].before)
        came = last.arrival
        if last.receiver is None or came is None:
            return Travel(tuple(chain), None)
        nat = last.receiver
        if last.goes_on or self._is_its_own(came):
            return Travel(tuple(chain), nat)
        return Travel(tuple(chain), nat, nat, self._why(came))

    def _is_its_own(self, came: Packet) -> bool:
        """The answer to an echo of the NAT's, or an error about a packet that no inside host sent."""
        if came.refused is not None:
            quoted, to = came.refused.source, came.refused.destination
            sent = (
                self._sent.get((came.point, protocol, quoted), {})
                for protocol in (Protocol.UDP, Protocol.TCP)
            )
            return not any(to in places for places in sent)
        known = self._sent.get((came.point, came.protocol, came.destination), {})
        return came.echo is not None and came.source in known

    def _why(self, came: Packet) -> str:
        refusal = self._refusals.get((came.point, came.source, came.destination))
        did = f"refused here (ICMP {icmp_error(refusal)})" if refusal else "dropped here"
        if came.point not in self._scene.wans:
            return f"{did}: it came from inside and was not sent on"
        if came.protocol not in {Protocol.UDP, Protocol.TCP}:
            return did
        known = self._sent.get((came.point, came.protocol, came.destination), {})
        places = [str(to) for to, time in known.items() if time < came.time]
        if not places:
            return f"{did}: nothing had been sent from {came.destination}"
        only = " and ".join(places[:3]) + (" and others" if len(places) > 3 else "")
        return f"{did}: only {only} had been sent to from {came.destination}"


class Kind(StrEnum):
    """How datagrams of two hosts reach each other."""

    DIRECT = "direct"
    RELAYED = "relayed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PathFound:
    """The way on which two hosts' datagrams went both ways, as late in the capture as there was one."""

    kind: Kind
    through: str | None = None
    """The node that relayed."""
    since: float | None = None
    """Since when they went both ways on it, in seconds since 1970."""

    def __str__(self) -> str:
        return f"relayed through {self.through}" if self.through else str(self.kind)


def path_between(fates: Fates, one: str, other: str) -> PathFound:
    """By the UDP packets that hosts `one` and `other` received.

    A datagram is relayed if a third node sends on, within a second, what one host sent it, in whatever
    frame (TURN). What a relay encrypts anew is not recognised.
    """
    firsts: dict[str | None, dict[str, float]] = defaultdict(dict)
    latest: str | None = None
    found = False
    for time, sender, through in _passed_on(fates.travels, one, other):
        firsts[through].setdefault(sender, time)
        if len(firsts[through]) == 2:
            latest, found = through, True
    if not found:
        return PathFound(Kind.NONE)
    kind = Kind.DIRECT if latest is None else Kind.RELAYED
    return PathFound(kind, latest, max(firsts[latest].values()))


def _passed_on(
    travels: Iterable[Travel], one: str, other: str
) -> Iterator[tuple[float, str, str | None]]:
    """When a datagram of which host came to the other, and through which node (None: directly)."""
    pair: Mapping[str, str] = {one: other, other: one}
    waiting: dict[tuple[str, str], deque[tuple[float, bytes]]] = defaultdict(deque)
    arrivals = [
        (arrival.time, travel, arrival)
        for travel in travels
        if travel.is_delivered
        and (arrival := travel.hops[-1].arrival) is not None
        and arrival.protocol is Protocol.UDP
        and arrival.payload
    ]
    for time, travel, arrival in sorted(arrivals, key=lambda each: each[0]):
        assert travel.end is not None
        if pair.get(travel.sender) == travel.end:
            yield time, travel.sender, None
        elif travel.sender in pair:
            waiting[travel.sender, travel.end].append((time, arrival.payload))
        elif travel.end in pair:
            held = waiting[pair[travel.end], travel.sender]
            sent = travel.hops[0].packet.time
            while held and held[0][0] < sent - _CLOSE:
                held.popleft()
            if any(came <= sent and _carries(inner, arrival.payload) for came, inner in held):
                yield time, pair[travel.end], travel.sender


def _carries(one: bytes, other: bytes) -> bool:
    """The middle of the shorter is in the longer, which is little more."""
    short, long = sorted((one, other), key=len)
    middle = max(0, len(short) // 2 - _LEAST // 2)
    return len(long) - len(short) <= _FRAMING and short[middle : middle + _LEAST] in long


def _place(endpoint: Endpoint) -> str:
    return str(endpoint) if endpoint.port else endpoint.address
