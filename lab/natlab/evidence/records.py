"""Any program's packets as the report's diagram shows them: each from host to host, or to the server. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from natlab.capture.packet import Protocol
from natlab.evidence.fates import Fates, Travel
from natlab.evidence.hops import Scene
from natlab.evidence.journey import HOMES, SERVER_LINK, Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.oracle.prediction import SERVER

MOST = 400
"""Records of a cell; the capture has the others."""
_HOSTS = {home.host: home for home in HOMES}
_NATS = {home.nat: home.host for home in HOMES}
_SERVER = SERVER_LINK.partition("-")[0]
_SERVERS = f"{SERVER.address.rpartition('.')[0]}."
"""How the addresses of the server begin."""
_KINDS: Mapping[Protocol, str] = {Protocol.UDP: "UDP", Protocol.TCP: "TCP"}


def records_of(fates: Fates, scene: Scene, zero: float) -> tuple[PacketRecord, ...]:
    """The UDP and TCP packets of a pair of NATs, in order, the first `MOST`; none in other networks.

    Of TCP only those with octets. Times are seconds since `zero`.
    """
    if scene.nats != frozenset(_NATS) or not set(_HOSTS) <= set(scene.points.values()):
        return ()  # shared_nat has two such NATs too
    found = (_record(travel, scene, zero) for travel in fates.travels)
    records = sorted((each for each in found if each is not None), key=lambda each: each.t)
    return tuple(records[:MOST])


def _record(travel: Travel, scene: Scene, zero: float) -> PacketRecord | None:
    first, last = travel.hops[0], travel.hops[-1]
    packet, came = first.packet, last.arrival
    if packet.protocol not in _KINDS or first.sender not in {*_HOSTS, _SERVER}:
        return None
    if packet.protocol is Protocol.TCP and not packet.payload:
        return None
    receiver = _receiver(travel)
    if receiver is None or receiver == first.sender:
        return None
    out = next((hop for hop in travel.hops if hop.packet.point in scene.wans), None)
    # The packet as it came to the receiver's NAT; to the server, or a host behind none, as it arrived.
    reached = next(
        (
            hop.arrival.time
            for hop in travel.hops
            if hop.arrival is not None
            and (hop.arrival.point in scene.wans or hop.receiver == _SERVER)
        ),
        None,
    )
    seen = {}
    for hop in travel.hops:
        seen[hop.packet.point] = round(hop.packet.time - zero, 6)
        if hop.arrival is not None:
            seen[hop.arrival.point] = round(hop.arrival.time - zero, 6)
    delivered = travel.is_delivered and came is not None
    return PacketRecord(
        round(packet.time - zero, 6),
        first.sender,
        receiver,
        None,
        _fate(travel, scene),
        _KINDS[packet.protocol],
        str(packet.source),
        str(out.packet.source) if out is not None else None,
        str(packet.destination),
        None if reached is None else round(reached - zero, 6),
        round(came.time - zero, 6) if delivered and came is not None else None,
        seen=seen,
    )


def _receiver(travel: Travel) -> str | None:
    """The host or server that it was for, whether it came there or not."""
    if travel.end is not None and travel.end not in _NATS:
        return travel.end
    sender = travel.hops[0].sender
    if travel.end in _NATS and _NATS[travel.end] != sender:
        return _NATS[travel.end]
    address = travel.hops[0].packet.destination.address
    if address.startswith(_SERVERS):
        return _SERVER
    return next((host for host in _HOSTS if host != sender), None)


def _fate(travel: Travel, scene: Scene) -> Fate:
    if travel.is_delivered:
        return Fate.DELIVERED
    if travel.end is None:
        return Fate.LOST
    came = travel.hops[-1].arrival
    if came is None or came.point not in scene.wans:
        return Fate.BLOCKED
    return Fate.TAKEN_BY_ROUTER if "refused" in travel.why else Fate.DROPPED
