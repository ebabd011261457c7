"""How many entries each NAT made in its table of connections, by the packets that it let through. Pure.

An entry is a 5-tuple that the kernel tracks: one for each remote endpoint that an inside socket spoke
with. These, not mappings, are what fills a router (Linux: ``nf_conntrack_max``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Protocol
from natlab.evidence.fates import Fates
from natlab.evidence.hops import Scene

_TRACKED = (Protocol.UDP, Protocol.TCP)


def entries_made(fates: Fates, scene: Scene) -> Mapping[str, int]:
    """By NAT node: the different pairs of an outside endpoint of its own and a remote one, of UDP and TCP."""
    found: dict[str, set[tuple[Protocol, Endpoint, Endpoint]]] = defaultdict(set)
    for travel in fates.travels:
        for hop in travel.hops:
            packet = hop.packet
            if packet.protocol not in _TRACKED:
                continue
            if hop.sender in scene.nats and packet.point in scene.wans:
                found[hop.sender].add((packet.protocol, packet.source, packet.destination))
            came = hop.arrival
            if came is not None and came.point in scene.wans and hop.goes_on:
                assert hop.receiver is not None
                found[hop.receiver].add((came.protocol, came.destination, came.source))
    return {nat: len(found[nat]) for nat in sorted(scene.nats)}
