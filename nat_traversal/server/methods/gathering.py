"""Step 1 of a round, whatever the method: both hosts show a socket that no round has used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nat_traversal.machine import actions as do
from nat_traversal.server.addresses import obstacle
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.methods.method import Attempt, NoPath
from nat_traversal.wire import TOKEN_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.methods import MethodName

NO_QUESTIONS = m.OpenSocket(0)
_ABOUT_PORTS = {
    MethodName.PREDICTION,
    MethodName.BIRTHDAY,
    MethodName.SIMULTANEOUS,
    MethodName.LOW_TTL,
}
"""Methods that depend on whether a NAT keeps its hosts' ports."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a host speaks to in a round, and from how many fresh sockets; 0: from the announced one."""

    candidates: tuple[m.Candidate, ...]
    sockets: int = 0
    ports: tuple[int, ...] = ()
    """Further ones at the first candidate's address."""


NO_AIMS: Mapping[str, Aim] = MappingProxyType({})


class Gathering:
    """The gathering before each round of an attempt, one after the other."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._settings = attempt.settings
        self.deadline = 0.0
        """When to call `timed_out`."""
        self._ends_at = 0.0
        """When it ends at the latest; the deadline is earlier, once."""
        self._asked_at: float | None = None

    def begin(
        self, now: float, *, goes_on: bool = False, samples: int = 0, spare: bool = False
    ) -> list[do.Action]:
        """Order the sockets that are missing. `goes_on`: the round before does. `samples`: with so many each.
        `spare`: with one beside it that speaks to nobody yet."""
        actions: list[do.Action] = []
        asks = self._questions() if goes_on else NO_QUESTIONS
        first, second = self._attempt.members
        asks = replace(asks, own_port=bool(_ABOUT_PORTS & first.methods & second.methods))
        way = 0.0
        for member in self._attempt.members:
            if member.socket is SocketState.USED:
                member.expect(member.generation % MAX_COUNTER + 1)
                way = max(way, member.round_trip)
                member.hosts = None if asks.hosts or asks.ipv6 else ()
                order = replace(asks, generation=member.generation, goes_on=goes_on)
                order = replace(order, samples=samples, spare=spare)
                actions.append(do.SendMessage(order, member.connection))
        self._asked_at = None
        self.deadline = now + self._settings.ask_after
        self._ends_at = now + self._settings.gather_within + way
        return actions

    @property
    def is_complete(self) -> bool:
        """Both have been seen."""
        return not self._not_seen()

    def start(
        self, method: str, round_: int, a: Member, b: Member, aims: Mapping[str, Aim] = NO_AIMS
    ) -> list[do.Action] | NoPath:
        """The round begins, with these roles, unless one cannot reach the other's address. `aims`: where a
        host, by its id, speaks to, if that is not where the other was seen."""
        for host, peer in (self._attempt.members, self._attempt.members[::-1]):
            if (problem := obstacle(host, peer)) is not None:
                return NoPath(m.Verdict.NO_ADDRESS, problem)
        attempt, token = self._attempt.number, self._attempt.rng.randbytes(TOKEN_BYTES)
        actions: list[do.Action] = []
        for role, member, other in ((m.Role.A, a, b), (m.Role.B, b, a)):
            member.socket = SocketState.USED
            aim = aims.get(member.id) or Aim(_candidates(other, member))
            theirs = aim.candidates, other.offer, method, aim.sockets, aim.ports
            start = m.StartRound(attempt, round_, role, token, *theirs)
            actions.append(do.SendMessage(start, member.connection))
        return actions

    def timed_out(self, now: float) -> list[do.Action] | NoPath:
        """The deadline is due: ask the silent hosts whether they live, or give up."""
        if self._asked_at is not None:
            return self._not_gathered(self._asked_at)
        self._asked_at = now
        self.deadline = self._ends_at
        return [
            do.SendMessage(m.Heartbeat(next(self._attempt.transactions)), member.connection)
            for member in self._not_seen()
        ]

    def _questions(self) -> m.OpenSocket:
        """The questions to both hosts for further candidates, where both take part in them.

        Host addresses, if it sees them at one address. IPv6 addresses, if it sees them by IPv4.
        """
        first, second = self._attempt.members
        both = first.methods & second.methods
        seen = [{each.address for each in member.endpoints} for member in (first, second)]
        is_ipv4 = all(each.family == 4 for member in (first, second) for each in member.endpoints)
        return m.OpenSocket(
            0,
            hosts=MethodName.HOST in both and bool(seen[0] & seen[1]),
            ipv6=MethodName.IPV6 in both and is_ipv4,
            maps=MethodName.PORT_MAPPING in both,
        )

    def _not_seen(self) -> list[Member]:
        return [each for each in self._attempt.members if not each.is_ready]

    def _not_gathered(self, asked_at: float) -> NoPath:
        mute = [member.id for member in self._not_seen() if member.heard_at < asked_at]
        if mute:
            text = f"{' and '.join(mute)} answered the server neither over TCP nor UDP"
            return NoPath(m.Verdict.PEER_SILENT, text)
        silent = [member.id for member in self._not_seen()]
        where = "UDP to its port must not be blocked"
        if len(silent) > 1:
            where = (
                "the server's own firewall is the likely cause: it must let UDP in, as it does TCP"
            )
        text = f"no UDP packet from {' and '.join(silent)} reached the server: {where}"
        return NoPath(m.Verdict.UDP_BLOCKED, text)


def _candidates(host: Member, peer: Member) -> tuple[m.Candidate, ...]:
    """Where `peer` may reach `host`: IPv6 addresses only if it has one itself."""
    families = {each.endpoint.family for each in (*(peer.hosts or ()), *peer.candidates)}
    told = [each for each in host.hosts or () if each.endpoint.family in families]
    return (*told, *host.candidates)
