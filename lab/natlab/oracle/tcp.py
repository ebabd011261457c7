"""Whether two hosts behind NATs that connect to each other by TCP get a connection, on the model alone. Pure.

Each host has connected to a server, which has told both where it saw the other. Then each listens at that
port and connects to the other (RFC 5128 section 3.4).
"""

from __future__ import annotations

import random
from dataclasses import replace

from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation, Refresh
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Overflow, Protocols, Unsolicited
from natlab.oracle.model import Admission, ModelNat
from natlab.oracle.prediction import NAT_ADDRESS, SERVER
from natlab.presets import preset
from natlab.terms import HELD_FOR, CrossingSyn, Syn, TcpFiltering, TcpMapping

_A, _B = NAT_ADDRESS
_SOCKETS = {_A: Endpoint("10.0.1.2", 40_000), _B: Endpoint("10.0.2.2", 50_000)}
_FILTERS = {
    TcpFiltering.ENDPOINT_INDEPENDENT: Filtering.ENDPOINT_INDEPENDENT,
    TcpFiltering.ADDRESS_DEPENDENT: Filtering.ADDRESS_DEPENDENT,
    TcpFiltering.ADDRESS_AND_PORT_DEPENDENT: Filtering.ADDRESS_AND_PORT_DEPENDENT,
}
_ANSWERS = {
    Syn.DROP: Unsolicited.DROP,
    Syn.RESET: Unsolicited.REJECT,
    Syn.UNREACHABLE: Unsolicited.REJECT,
    Syn.HELD: Unsolicited.DROP,
}
_REFUSED = (Admission.REJECTED, Admission.TAKEN_BY_ROUTER)


def tcp_side(behavior: NatBehavior) -> NatBehavior:
    """The NAT that does to every protocol what `behavior` does to TCP."""
    fresh = behavior.tcp_mapping is TcpMapping.FRESH
    return replace(
        behavior,
        mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT if fresh else Mapping.ENDPOINT_INDEPENDENT,
        allocation=PortAllocation.RANDOM if fresh else PortAllocation.PRESERVING,
        filtering=_FILTERS[behavior.tcp_filtering],
        unsolicited=_ANSWERS.get(behavior.syn, behavior.unsolicited),
        hairpin=Hairpin.NONE,
        refresh=Refresh.OUTBOUND,
        protocols=Protocols.ANY,
        sessions=behavior.tcp_sessions,
        overflow=Overflow.REFUSE,
        background=0,
        lifetime=behavior.tcp_transitory,
    )


def tcp_opens(nat_a: str, nat_b: str, *, crossing: bool, later: float = 1.0) -> bool:
    """Whether host_a and host_b, behind the presets of these names, get a connection.

    Their SYNs are `crossing` on the way, or host_a's has met its fate when host_b's leaves, so many seconds
    `later`. A SYN that was dropped is sent again. Raises `UsageError` for a name that is no preset.
    """
    return _Attempt(nat_a, nat_b, later).opens(crossing)


class _Attempt:
    def __init__(self, nat_a: str, nat_b: str, later: float) -> None:
        self._later = later
        rng = random.Random(0)  # noqa: S311 - model ports, not secrets
        self._behaviors = {_A: preset(nat_a).behavior, _B: preset(nat_b).behavior}
        self._nats = {
            host: ModelNat(behavior and tcp_side(behavior), NAT_ADDRESS[host], rng)
            for host, behavior in self._behaviors.items()
        }
        self._sockets = {
            host: _SOCKETS[host] if behavior else Endpoint(NAT_ADDRESS[host], _SOCKETS[host].port)
            for host, behavior in self._behaviors.items()
        }
        self._announced = {
            host: self._nats[host].outbound(self._sockets[host], SERVER) for host in _SOCKETS
        }
        self._sources: dict[str, Endpoint] = {}
        """From where each host's SYN comes, once it has left."""
        self._ended: set[str] = set()
        """The hosts whose own attempt a reset or an ICMP error has ended."""

    def opens(self, crossing: bool) -> bool:
        if crossing:
            self._leaves(_A)
            self._leaves(_B)
        else:
            self._leaves(_A)
            if self._arrives(_A, _B):
                return True
            receiver = self._behaviors[_B]
            if receiver and receiver.syn is Syn.HELD and self._later > HELD_FOR:
                self._ended.add(_A)
            self._leaves(_B)
        # The second time is the one that TCP sends again.
        ways = 2 * ((_B, _A), (_A, _B))
        return any(self._arrives(sender, receiver) for sender, receiver in ways)

    def _leaves(self, host: str) -> None:
        peer = _B if host == _A else _A
        self._sources[host] = self._nats[host].outbound(self._sockets[host], self._announced[peer])

    def _arrives(self, sender: str, receiver: str) -> bool:
        """Whether the SYN of `sender`, which has left, reaches the other host."""
        if sender in self._ended:
            return False
        source, target = self._sources[sender], self._announced[receiver]
        has_sent = receiver in self._sources and self._announced[sender] == source
        if has_sent and self._sources[receiver] == target:
            # It comes on the connection that the receiver's own SYN has begun.
            behavior = self._behaviors[receiver]
            drops = behavior is not None and behavior.crossing_syn is CrossingSyn.DROPPED
            if drops or receiver in self._ended:
                return False
        admission = self._nats[receiver].judge(source, target).admission
        if admission in _REFUSED:
            self._ended.add(sender)
        return admission is Admission.DELIVERED
