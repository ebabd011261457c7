"""The hosts' actions, read from the packets at all capture points.

Pure: `Packet` values in, a `Trace` out. Only packets count: nothing here knows what a program said
about itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire import DEFAULT_PORT, control, datagrams, messages
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.opener import Opener
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.journey import HOMES, SERVER_LINK, Passage, decode, follow_all
from natlab.evidence.methods.ordered_hello_round import Round, rounds_of
from natlab.evidence.relayed import Handed, handed_on
from natlab.evidence.way import Kind
from natlab.oracle.outcome import Outcome

_COUNTED = (Protocol.UDP, Protocol.TCP)


@dataclass(frozen=True, slots=True)
class Said:
    """A control message that a host sent to the server."""

    time: float
    host: str
    message: messages.Message


@dataclass(frozen=True, slots=True)
class Knocked:
    """A KNOCK of the server came to a host by a port that its router leads there."""

    time: float
    host: str
    outside: Endpoint
    inside: Endpoint
    server: Endpoint


@dataclass(frozen=True, slots=True)
class Trace:
    """The evidence in order of time."""

    rounds: tuple[Round, ...]
    announces: tuple[Passage, ...]
    said: tuple[Said, ...]
    strangers: tuple[Packet, ...]
    """Peer datagrams that came to a host though its peer did not send them."""
    handed_on: tuple[Handed, ...] = ()
    """Programs' frames that went through the server, or through a TURN server."""
    knocks: tuple[Knocked, ...] = ()
    openers: tuple[Passage, ...] = ()
    """Datagrams of `low-ttl` that are to end on their way."""
    both_began: float | None = None
    """When the later of the hosts sent its first packet."""

    @property
    def zero(self) -> float:
        """When the first of the packets was sent; times for people count from here."""
        times = [passage.sent for passage in self.passages()] + [said.time for said in self.said]
        return min(times, default=0.0)

    @property
    def connected_round(self) -> Round | None:
        return next((round_ for round_ in self.rounds if round_.is_connected), None)

    @property
    def outcome(self) -> Outcome:
        return Outcome.FAILED if self.connected_round is None else Outcome.CONNECTED

    @property
    def unheard(self) -> tuple[str, ...]:
        """The hosts that sent ANNOUNCEs of which none reached the server: no round can begin."""
        hosts = dict.fromkeys(announce.sender for announce in self.announces)
        heard = {announce.sender for announce in self.announces if announce.is_delivered}
        return tuple(sorted(host for host in hosts if host not in heard))

    @property
    def spares(self) -> tuple[tuple[float, str, int], ...]:
        """Each own port of a socket that had spoken to nobody: when the host told the server, which host, the port."""
        return tuple(
            (said.time, said.host, said.message.port)
            for said in self.said
            if isinstance(said.message, messages.SparePort)
        )

    def is_spare(self, hello: Passage) -> bool:
        """It went to such a port."""
        ports = {port for _, host, port in self.spares if host == hello.receiver}
        return hello.destination.port in ports

    @property
    def both_registered(self) -> float | None:
        """When the later of the two hosts sent its first registration."""
        first: dict[str, float] = {}
        for said in self.said:
            if isinstance(said.message, messages.Register):
                first.setdefault(said.host, said.time)
        return max(first.values()) if len(first) == 2 else None

    @property
    def connect_seconds(self) -> float | None:
        """From `both_registered` until both hosts have proof; None if they never do."""
        round_, start = self.connected_round, self.both_registered
        if round_ is None or start is None:
            return None
        conclusion = round_.conclusion
        assert conclusion is not None
        assert conclusion.arrived is not None
        return conclusion.arrived - start

    @property
    def bound_seconds(self) -> float | None:
        """The least that `connect_seconds` can be in round 1 on this cell's wires, programs aside.

        2 R + 1 P until B has proof, half a P more until A has. R and P are twice the shortest way
        of an ANNOUNCE and of a datagram between the hosts, from link to link.
        """
        round_ = self.connected_round
        if round_ is None or round_.number != 1:
            return None
        to_server, to_peer = self.shortest_ways
        return 4 * to_server + 3 * to_peer if to_server and to_peer else None

    @property
    def shortest_ways(self) -> tuple[float | None, float | None]:
        """Seconds of an ANNOUNCE to the server, and of a datagram between the hosts on the path, at best."""
        round_ = self.connected_round
        between = (*round_.hellos, *round_.confirms, *round_.data) if round_ else ()
        return _shortest(self.announces), _shortest(between)

    @property
    def path(self) -> Kind:
        """By which way programs' datagrams have gone both ways, as late as there was one."""
        if self.connected_round is not None:
            return Kind.DIRECT
        return Kind.RELAYED if self._relayed else Kind.NONE

    @property
    def through(self) -> str | None:
        """The node that relayed, if one did."""
        return self._relayed[-1].through if self.path is Kind.RELAYED else None

    @property
    def turned_by(self) -> str | None:
        """The host whose TURN server relayed, if one did."""
        return self._relayed[-1].owner if self.path is Kind.RELAYED else None

    @property
    def first_datagram_seconds(self) -> float | None:
        """From `both_began` until the first program's datagram came to the other host."""
        arrivals = [each.arrived for each in self.handed_on]
        for round_ in self.rounds:
            arrivals += [each.arrived for each in round_.data if each.arrived is not None]
        return self._since_both_began(min(arrivals, default=None))

    @property
    def final_path_seconds(self) -> float | None:
        """From `both_began` until programs' datagrams had gone both ways on the path that was used last."""
        round_ = self.connected_round
        if round_ is None:
            found: dict[str, float] = {}
            for relayed in self._relayed:
                found.setdefault(relayed.receiver, relayed.arrived)
            return self._since_both_began(max(found.values(), default=None))
        firsts: dict[str, float] = {}
        for each in round_.data:
            if each.is_delivered and each.arrived is not None:
                firsts.setdefault(each.receiver, each.arrived)
        return self._since_both_began(max(firsts.values()))

    @property
    def _relayed(self) -> tuple[Handed, ...]:
        """The frames by the relay on which they went both ways, as late as there was one; none: on none."""
        by_relay: dict[tuple[str, str | None], list[Handed]] = {}
        for each in self.handed_on:
            by_relay.setdefault((each.through, each.owner), []).append(each)
        both = [ways for ways in by_relay.values() if len({each.receiver for each in ways}) == 2]
        latest: list[Handed] = max(both, key=lambda ways: ways[-1].arrived, default=[])
        return tuple(latest)

    def _since_both_began(self, time: float | None) -> float | None:
        return None if time is None or self.both_began is None else time - self.both_began

    def passages(self) -> tuple[Passage, ...]:
        """Every transmission between the hosts and to the server, in order."""
        found = [*self.announces, *self.openers]
        for round_ in self.rounds:
            found += [*round_.hellos, *round_.confirms, *round_.data]
        return tuple(sorted(found, key=lambda passage: passage.sent))


def reconstruct(packets: Iterable[Packet]) -> Trace:
    """Follow every HELLO, CONFIRM, application datagram and ANNOUNCE through the capture."""
    ordered = sorted(packets, key=lambda packet: packet.time)
    passages = follow_all(ordered)
    return Trace(
        rounds=tuple(rounds_of(passages)),
        announces=tuple(p for p in passages if isinstance(p.datagram, datagrams.Announce)),
        said=tuple(_said(ordered)),
        strangers=tuple(_strangers(ordered, passages)),
        handed_on=tuple(handed_on(ordered)),
        knocks=tuple(_knocks(ordered)),
        openers=tuple(p for p in passages if isinstance(p.datagram, Opener)),
        both_began=_both_began(ordered),
    )


def _knocks(packets: Iterable[Packet]) -> Iterator[Knocked]:
    hosts = {home.host_link: home.host for home in HOMES}
    sent: dict[bytes, Packet] = {}
    for packet in packets:
        if not isinstance(decode(packet), Knock):
            continue
        if packet.point == SERVER_LINK and packet.outgoing:
            sent[packet.payload] = packet
        elif packet.point in hosts and not packet.outgoing and packet.payload in sent:
            knock = sent[packet.payload]
            where = knock.destination, packet.destination, knock.source
            yield Knocked(packet.time, hosts[packet.point], *where)


def _both_began(packets: Iterable[Packet]) -> float | None:
    hosts = {home.host_link for home in HOMES}
    first: dict[str, float] = {}
    for packet in packets:
        if packet.point in hosts and packet.outgoing and packet.protocol in _COUNTED:
            first.setdefault(packet.point, packet.time)
    return max(first.values()) if len(first) == len(hosts) else None


def _said(packets: list[Packet]) -> Iterator[Said]:
    hosts = {home.host_link: home.host for home in HOMES}
    for packet in packets:
        if (
            packet.protocol is Protocol.TCP
            and packet.outgoing
            and packet.point in hosts
            and packet.destination.port == DEFAULT_PORT
        ):
            for line in packet.payload.splitlines():
                try:
                    message = control.decode(line)
                except WireError:
                    continue
                if not isinstance(message, messages.UnknownMessage):
                    yield Said(packet.time, hosts[packet.point], message)


def _strangers(packets: list[Packet], passages: Iterable[Passage]) -> Iterator[Packet]:
    # By what it is and where from, not by when: a link may deliver one packet twice.
    known = {(passage.receiver, passage.translated, passage.datagram) for passage in passages}
    hosts = {home.host_link: home.host for home in HOMES}
    for packet in packets:
        if packet.outgoing or packet.point not in hosts:
            continue
        datagram = decode(packet)
        if (hosts[packet.point], packet.source, datagram) not in known and isinstance(
            datagram, datagrams.Hello | datagrams.Confirm
        ):
            yield packet


def _shortest(passages: Iterable[Passage]) -> float | None:
    ways = [passage.arrived - passage.sent for passage in passages if passage.arrived is not None]
    return min(ways, default=None)
