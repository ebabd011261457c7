"""A pair's path through the TURN server of one of its hosts: whose it is, and the address that goes to the other."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.wire import messages as m
from nat_traversal.wire.addresses import is_usable

LASTED = 30.0
"""Seconds after which a path that ends has stood: hosts give up one that does not stand after 15."""


class Turning:
    """Of one session. The server hands on words alone: no datagram of such a path comes to it."""

    def __init__(self, members: tuple[Member, Member]) -> None:
        first, second = sorted(members, key=lambda member: member.id)
        self._members = (first, second)
        self._number: int | None = None
        """Of the path that was ordered last, until a host has done with it."""
        self._host: Member | None = None
        """The one whose TURN server relays."""
        self._began_at = 0.0
        self._is_told = False
        """Its peer has the address."""
        self._tried: set[str] = set()
        """The hosts whose TURN servers have had their turn in this attempt."""

    @property
    def is_open(self) -> bool:
        """A path was ordered, and no host has done with it."""
        return self._number is not None

    def attempt_began(self) -> None:
        """All may be tried anew."""
        self._tried.clear()

    @property
    def host(self) -> Member | None:
        """The one whose TURN server is to relay next: its peer has to take part, and to be seen over UDP."""
        first, second = self._members
        for host, peer in ((first, second), (second, first)):
            takes = host.turn is m.TurnPart.HAS and peer.turn is not m.TurnPart.NEVER
            if takes and host.id not in self._tried and peer.was_seen is not None:
                return host
        return None

    def begin(self, number: int, token: bytes, now: float) -> list[do.Action]:
        """Order a path through the TURN server of `host`, who there is, and both have a key for."""
        host = self._host = self.host
        assert host is not None, "the caller has looked"
        self._number, self._began_at, self._is_told = number, now, False
        self._tried.add(host.id)
        actions: list[do.Action] = []
        for member, peer in (self._members, self._members[::-1]):
            offer = replace(peer.offer, public=peer.relay_public)
            seen = peer.was_seen if member is host else None
            candidates = () if seen is None else (m.Candidate("srflx", seen),)
            order = m.OpenTurn(number, token, offer, candidates)
            actions.append(do.SendMessage(order, member.connection))
        for member in self._members:
            member.relay_public = b""
        return actions

    def told(self, member: Member, address: m.TurnAddress) -> list[do.Action]:
        """A host says where its TURN server relays for this path: its peer learns that, once."""
        endpoint = address.candidate.endpoint
        fits = member is self._host and address.relay == self._number and not self._is_told
        if not fits or not is_usable(endpoint.address):
            return []
        self._is_told = True
        first, second = self._members
        peer = second if member is first else first
        handed_on = m.TurnAddress(address.relay, m.Candidate("relay", endpoint))
        return [do.SendMessage(handed_on, peer.connection)]

    def done(self, relay: int, member: Member, now: float) -> list[do.Action] | None:
        """A host has done with that path, of which its peer learns. None: it is another one."""
        if relay != self._number or self._host is None:
            return None
        if now - self._began_at >= LASTED:
            self._tried.discard(self._host.id)
        self._number = self._host = None
        first, second = self._members
        peer = second if member is first else first
        text = f"{member.id} does not use the TURN server any more"
        return [do.SendMessage(m.RelayNews(relay, m.RelayCode.DONE, text), peer.connection)]
