"""The fate of each packet of any program, and its reason. Pure.

Only packets count: what a NAT had sent from an endpoint before another packet came to it there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.hops import Hop, Scene, hops, icmp_error, place

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
        self._filters = {scene.points.get(wan) for wan in scene.wans}
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

    @property
    def outside(self) -> frozenset[str]:
        """The capture points outside a NAT."""
        return self._scene.wans

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
            lines.append(f"{nat} {verb} {what} from {place(source)}{reason}")
        if len(counts) > _MOST_SHOWN:
            lines.append(f"... and {len(counts) - _MOST_SHOWN} more kinds of drops, in the capture")
        return lines

    @property
    def keeper(self) -> str | None:
        """The NAT that kept out most of what came from outside; None if none did."""
        counts = Counter(
            travel.dropped_by
            for travel in self.travels
            if travel.dropped_by is not None
            and travel.hops[-1].packet.protocol is Protocol.UDP
            and travel.hops[-1].arrival is not None
            and travel.hops[-1].arrival.point in self._scene.wans
        )
        return counts.most_common(1)[0][0] if counts else None

    @property
    def cause(self) -> str:
        """One sentence: why there was no direct path, as far as the packets tell."""
        keeper = self.keeper
        if keeper is None:
            return "No NAT kept out a datagram of the other host."
        return f"{keeper} kept out datagrams from where nothing had gone."

    @property
    def in_words(self) -> str:
        """The packets that each NAT dropped."""
        return "; ".join(self.drops()) or "No NAT dropped a packet."

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
        if self._scene.points[came.point] not in self._filters:
            return did  # a translator, for which both sides are alike
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
