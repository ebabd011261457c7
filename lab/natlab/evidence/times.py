"""From when a cell's times count, and how they are told. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from natlab.capture.packet import Packet, Protocol
from natlab.evidence.hops import Scene

COUNTED = (Protocol.UDP, Protocol.TCP)
"""The packets that count as the hosts' own."""


def both_began(packets: Sequence[Packet], scene: Scene, hosts: tuple[str, str]) -> float | None:
    """When the later of the hosts sent its first packet."""
    first: dict[str, float] = {}
    for packet in packets:
        node = scene.points[packet.point]
        if node in hosts and packet.outgoing and packet.protocol in COUNTED:
            first.setdefault(node, packet.time)
    return max(first.values()) if len(first) == len(hosts) else None


def milliseconds(time: float | None, zero: float | None) -> float | None:
    """From `zero` until `time`, both in seconds; None where one of them is not known."""
    return None if time is None or zero is None else round(max(time - zero, 0.0) * 1000, 3)
