"""Programs' datagrams that went from host to host through the project's server, as the captures show them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nat_traversal.errors import WireError
from nat_traversal.wire import DEFAULT_PORT, datagrams
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.journey import SERVER_LINK, SIDES

METHOD = "relay"
"""As the programs name it."""
_LENGTH = 2
"""Octets before each datagram of a relay by TCP."""


@dataclass(frozen=True, slots=True)
class Handed:
    """One frame of a program that a host sent to the server, and the server to the other host. Times in s."""

    sender: str
    receiver: str
    sent: float
    arrived: float


def handed_on(packets: Iterable[Packet]) -> Iterator[Handed]:
    """Every such frame, in order of its arrival. `packets` must be in order of time.

    The server adds nothing to a frame, so the same octets pass all four points on its way, also where a
    host has them by TCP.
    """
    ordered = [each for packet in packets for each in _datagrams(packet)]
    left = _first(ordered, {side.host_link: True for side in SIDES})
    through = _first(ordered, {SERVER_LINK: True})
    hosts = {side.host_link: side.host for side in SIDES}
    other = {side.host_link: peer.host_link for side, peer in (SIDES, SIDES[::-1])}
    seen: set[bytes] = set()
    for packet in ordered:
        payload = packet.payload
        if packet.outgoing or packet.point not in hosts or payload in seen:
            continue
        sent, relayed = (
            left.get((other[packet.point], payload)),
            through.get((SERVER_LINK, payload)),
        )
        if sent is None or relayed is None or not sent <= relayed <= packet.time:
            continue
        if not carries_program(payload):
            continue
        seen.add(payload)
        yield Handed(hosts[other[packet.point]], hosts[packet.point], sent, packet.time)


def _datagrams(packet: Packet) -> Iterator[Packet]:
    """`packet`, or each datagram of a segment of a relay by TCP: after its length, and whole in the segment."""
    if packet.protocol is Protocol.UDP:
        yield packet
    elif packet.protocol is Protocol.TCP and DEFAULT_PORT in {
        packet.source.port,
        packet.destination.port,
    }:
        left = packet.payload
        while len(left) > _LENGTH:
            end = _LENGTH + int.from_bytes(left[:_LENGTH])
            if end > len(left):
                return  # control messages are text, whose first two octets are more than any length
            yield replace(packet, protocol=Protocol.UDP, payload=left[_LENGTH:end])
            left = left[end:]


def _first(
    packets: Iterable[Packet], points: Mapping[str, bool]
) -> Mapping[tuple[str, bytes], float]:
    """When each payload first left these points."""
    found: dict[tuple[str, bytes], float] = {}
    for packet in packets:
        if packet.point in points and packet.outgoing:
            found.setdefault((packet.point, packet.payload), packet.time)
    return found


def carries_program(payload: bytes) -> bool:
    """Whether a UDP payload is a frame with a program's datagrams."""
    try:
        datagram = datagrams.decode(payload)
    except WireError:
        return False
    return isinstance(datagram, datagrams.Frame) and datagram.kind in datagrams.PROGRAMS
