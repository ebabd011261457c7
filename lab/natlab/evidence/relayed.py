"""Programs' datagrams that went from host to host through the server or a TURN server, as the captures show them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nat_traversal.errors import WireError
from nat_traversal.wire import DEFAULT_PORT, datagrams
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.journey import HOMES, SERVER_LINK, TURN_LINK, TURN_POINTS
from natlab.oracle.turn import TURN

_LENGTH = 2
"""Octets before each datagram of a relay by TCP."""
_CHANNEL_HEADER, _STUN_HEADER = 4, 20
_CHANNELS = range(0x4000, 0x5000)
"""RFC 8656 section 12: a channel's number is before each datagram of it."""


@dataclass(frozen=True, slots=True)
class Handed:
    """One frame of a program that a host sent to a relay, and the relay to the other host. Times in s."""

    sender: str
    receiver: str
    sent: float
    arrived: float
    through: str = "server"
    """The node of the relay."""
    owner: str | None = None
    """The host whose TURN server that is: the one that has a channel there."""


def handed_on(packets: Iterable[Packet]) -> Iterator[Handed]:
    """Every such frame, in order of its arrival. `packets` must be in order of time.

    A relay adds nothing to a frame, so the same octets pass all four points on its way, also where a
    host has them by TCP, or in a channel.
    """
    ordered = [each for packet in packets for each in _datagrams(packet)]
    left = _first(ordered, {home.host_link for home in HOMES})
    through = _first(ordered, {SERVER_LINK, TURN_LINK})
    hosts = {home.host_link: home.host for home in HOMES}
    other = {home.host_link: peer.host_link for home, peer in (HOMES, HOMES[::-1])}
    seen: set[bytes] = set()
    for packet in ordered:
        payload = packet.payload
        if packet.outgoing or packet.point not in hosts or payload in seen:
            continue
        sent = left.get((other[packet.point], payload))
        relayed = min(
            (each for link in (SERVER_LINK, TURN_LINK) if (each := through.get((link, payload)))),
            key=lambda each: each.time,
            default=None,
        )
        if sent is None or relayed is None or not sent.time <= relayed.time <= packet.time:
            continue
        if not carries_program(payload):
            continue
        seen.add(payload)
        sender, receiver = hosts[other[packet.point]], hosts[packet.point]
        owner = None
        if relayed.point == TURN_LINK:
            owner = sender if sent.destination == TURN else receiver
        yield Handed(sender, receiver, sent.time, packet.time, TURN_POINTS[relayed.point], owner)


def _datagrams(packet: Packet) -> Iterator[Packet]:
    """`packet`, or each datagram of a relay by TCP, or in a channel of a TURN server, without what is around it."""
    ends = {packet.source, packet.destination}
    if packet.protocol is Protocol.UDP and TURN in ends:
        yield from _in_channels(packet)
    elif packet.protocol is Protocol.UDP:
        yield packet
    elif packet.protocol is Protocol.TCP and TURN in ends:
        yield from _in_channels(packet)
    elif packet.protocol is Protocol.TCP and DEFAULT_PORT in {each.port for each in ends}:
        left = packet.payload
        while len(left) > _LENGTH:
            end = _LENGTH + int.from_bytes(left[:_LENGTH])
            if end > len(left):
                return  # control messages are text, whose first two octets are more than any length
            yield replace(packet, protocol=Protocol.UDP, payload=left[_LENGTH:end])
            left = left[end:]


def _in_channels(packet: Packet) -> Iterator[Packet]:
    """The datagrams in channels; of TCP those that are whole in the segment."""
    left = packet.payload
    while len(left) > _CHANNEL_HEADER:
        first, length = int.from_bytes(left[:2]), int.from_bytes(left[2:_CHANNEL_HEADER])
        end = (_CHANNEL_HEADER if first in _CHANNELS else _STUN_HEADER) + length
        if end > len(left):
            return
        if first in _CHANNELS:
            yield replace(packet, protocol=Protocol.UDP, payload=left[_CHANNEL_HEADER:end])
        left = left[end + -end % 4 :]


def _first(packets: Iterable[Packet], points: set[str]) -> Mapping[tuple[str, bytes], Packet]:
    """The packet with each payload that was the first to leave each of these points."""
    found: dict[tuple[str, bytes], Packet] = {}
    for packet in packets:
        if packet.point in points and packet.outgoing:
            found.setdefault((packet.point, packet.payload), packet)
    return found


def carries_program(payload: bytes) -> bool:
    """Whether a UDP payload is a frame with a program's datagrams."""
    try:
        datagram = datagrams.decode(payload)
    except WireError:
        return False
    return isinstance(datagram, datagrams.Frame) and datagram.kind in datagrams.PROGRAMS
