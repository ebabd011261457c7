"""Captured packets of any program as a ladder diagram in plain text. Pure.

A row is one packet on one link: from the node that sent it there to the node that received it. A packet
that a NAT takes in and does not send on ends there, and the row says so. In order of time, not to scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from natlab.capture.packet import Packet, Protocol
from natlab.evidence.hops import TWO_NATS_SCENE, Hop, Scene, hops, icmp_error, place

_LEAST_WIDTH = 12
_SHOWN_OCTETS = 16
_MOST_ROWS = 2000
PAUSE = 1.0
"""Seconds without a packet from which the diagram shows a break."""
_LEGEND = "(o sent there, > or < came to a node, x ended there, ... seconds pass)"
_MOST_LANES = 9
"""In a larger scene only nodes that sent or received something have a lane."""


def draw(packets: Iterable[Packet], scene: Scene = TWO_NATS_SCENE) -> str:
    """The diagram; times in seconds since the first packet."""
    rows = hops(packets, scene)
    if not rows:
        return "No UDP, TCP or ICMP was captured.\n"
    start = rows[0].packet.time
    lanes = _Lanes.of(rows, scene)
    drawn = [lanes.head()]
    before = start
    for hop in rows[:_MOST_ROWS]:
        if hop.packet.time - before >= PAUSE:
            drawn.append(f"       ... {lanes.pause()} {hop.packet.time - before:.1f} s pass")
        before = hop.packet.time
        drawn.append(f"{before - start:10.6f} {lanes.arrow(hop)} {_words(hop)}")
    if len(rows) > _MOST_ROWS:
        drawn.append(f"... and {len(rows) - _MOST_ROWS} more, in the capture")
    drawn.append(_LEGEND)
    return "\n".join(drawn) + "\n"


@dataclass(frozen=True, slots=True)
class _Lanes:
    names: tuple[str, ...]
    width: int

    @classmethod
    def of(cls, rows: Iterable[Hop], scene: Scene) -> _Lanes:
        names = scene.lanes
        if len(names) > _MOST_LANES:
            part = {node for hop in rows for node in (hop.sender, hop.receiver)}
            names = tuple(name for name in names if name in part)
        return cls(names, max(_LEAST_WIDTH, *(len(name) + 2 for name in names)))

    def head(self) -> str:
        return (" " * 11 + "".join(f"{name:^{self.width}}" for name in self.names)).rstrip()

    def _centre(self, name: str) -> int:
        return self.names.index(name) * self.width + self.width // 2

    def pause(self) -> str:
        row = [" "] * (self.width * len(self.names))
        for name in self.names:
            row[self._centre(name)] = ":"
        return "".join(row)

    def arrow(self, hop: Hop) -> str:
        row = [" "] * (self.width * len(self.names))
        for name in self.names:
            row[self._centre(name)] = "|"
        middle = self._centre(self.names[len(self.names) // 2])
        if hop.sender is None:
            assert hop.receiver is not None
            end = self._centre(hop.receiver)
            begin = end + _LEAST_WIDTH // 2 * (1 if end < middle else -1)
        else:
            begin = self._centre(hop.sender)
        if hop.receiver is None:
            towards_left = begin > middle
            end = begin - 4 if towards_left else begin + 4
        else:
            end = self._centre(hop.receiver)
            towards_left = end < begin
        step = -1 if towards_left else 1
        for column in range(begin + step, end, step):
            row[column] = "-"
        row[begin] = "o"
        if hop.receiver is None or not hop.goes_on:
            row[end] = "x"
        else:
            row[end - step] = "<" if towards_left else ">"
        return "".join(row)


def _words(hop: Hop) -> str:
    text = described(hop.packet)
    if hop.receiver is None:
        return f"{text}: reached nobody"
    return text if hop.goes_on else f"{text}: ended at {hop.receiver}"


def described(packet: Packet) -> str:
    """One line: what it is, from where to where, how long, and how it begins."""
    if packet.refused is not None:
        error = packet.refused
        about = f"{place(error.source)} > {place(error.destination)}"
        return f"ICMP {icmp_error(packet)} from {packet.source.address} about {about}"
    if packet.echo is not None:
        kind = "request" if packet.echo.is_request else "reply"
        name = f"ICMP echo {kind} {packet.echo.sequence}"
    elif packet.protocol is Protocol.FRAGMENT:
        name = "fragment"
    else:
        name = Protocol(packet.protocol).name
    ways = f"{place(packet.source)} > {place(packet.destination)}"
    text = f"{name} {ways}, {len(packet.payload)} octets"
    if packet.fragment is not None:
        end = "" if packet.fragment.more else ", the last"
        text += f" at {packet.fragment.offset} of a packet in fragments{end}"
    shown = packet.payload[:_SHOWN_OCTETS] if packet.echo is None else b""
    if shown:
        text += " " + "".join(chr(octet) if 32 < octet < 127 else "." for octet in shown)
    return text
