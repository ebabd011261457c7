"""A client's own limits towards one peer: where a round may send, and how often the server may order things."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import (
    ATTEMPT_BURST,
    MOST_HOSTS,
    RELAY_BURST,
    SOCKET_BURST,
    SOCKET_INTERVAL,
    Pace,
    Surroundings,
    TrafficBudget,
)
from nat_traversal.paths.probing import Probes
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.addresses import is_private
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName


@dataclass(frozen=True, slots=True)
class Breach:
    """The server ordered what no honest server orders: the connection to it ends."""

    reason: str
    """For people, in one line."""
    wait: float = 0.0
    """Seconds until the same would be allowed."""


class Restraint:
    """The limits of one peer, whatever the server orders. No datagram leaves past `budget`."""

    def __init__(self, settings: ClientSettings, probes: Probes | None = None) -> None:
        self._settings = settings
        self._sockets = Pace(SOCKET_BURST, SOCKET_INTERVAL)
        self._attempts = Pace(ATTEMPT_BURST, settings.retry_first / 2)
        self._relays = Pace(RELAY_BURST, settings.relay_within)
        """Those of other servers."""
        self._failures = 0
        self._attempt: int | None = None
        self.budget = TrafficBudget()
        """Of the present attempt."""
        self._hosts: tuple[Endpoint, ...] = ()
        """The host addresses that the server has been told for the present attempt."""
        self._breach: Breach | None = None
        self._probes = probes or Probes()
        self._lasts_until = 0.0
        self._guess_at = 0.0
        """When the server lets this pair guess ports."""

    def take_breach(self, *, in_round: bool) -> Breach | None:
        """The server's order that no honest one gives, once; None if there was none."""
        breach, self._breach = self._breach, None
        if breach is None and in_round and self.budget.is_spent:
            return Breach("an attempt asks for more datagrams than any that is meant to succeed")
        return breach

    def allows_socket(self, now: float) -> bool:
        """The server orders a fresh socket. False is a breach, here and below."""
        if wait := self._sockets.take(now):
            self._breach = Breach("the server orders fresh sockets without end", wait)
        return not wait

    def allows_relay(self, order: m.OpenRelay, around: Surroundings, now: float) -> bool:
        """The server orders a relay. At another server that is plausible, and now and then."""
        if order.at is None or order.at == around.server:
            return True
        objection = around.forbids(order.at)
        if objection is None and not around.makes_plausible(order.at):
            objection = "it is private"
        if objection is not None:
            self._breach = Breach(f"the server names {order.at} for a relay: {objection}")
        elif wait := self._relays.take(now):
            self._breach = Breach("the server sends this host from relay to relay", wait)
        return self._breach is None

    def allows_turn(self, at: Endpoint | None, around: Surroundings, now: float) -> bool:
        """A TURN server is to relay: the peer's at the address `at`, or this host's own. No breach, as the peer may be wrong."""
        if at is not None and (around.forbids(at) or not around.makes_plausible(at)):
            return False
        return not self._relays.take(now)

    def tells_hosts(self, found: tuple[Endpoint, ...], generation: int) -> m.HostAddresses:
        """Those that the server may know: private ones, and IPv6. At other IPv4 addresses it sees this host anyway.
        `found`: the likeliest of each family first."""
        ipv6 = [each for each in found if each.family == 6]
        ipv4 = [each for each in found if each.family == 4 and is_private(each.address)]
        told = [*ipv4[: MOST_HOSTS - bool(ipv6)], *ipv6][:MOST_HOSTS]
        self._hosts = tuple(each for each in told if is_private(each.address))
        candidates = tuple(m.Candidate("host", each) for each in told)
        return m.HostAddresses(generation, candidates)

    def round_begins(
        self, start: m.StartRound, around: Surroundings, now: float
    ) -> m.StartRound | None:
        """`start` with the candidates to which HELLOs may go, perhaps none. None: the round must not begin."""
        if self._lies(start.candidates, around):
            return None
        if start.attempt != self._attempt:
            if wait := self._attempts.take(now):
                self._breach = Breach("the server begins one attempt after the other", wait)
                return None
            self._attempt, self.budget, self._hosts = start.attempt, TrafficBudget(), ()
        if around.meets(start.candidates):
            around = replace(around, hosts=self._hosts)
        return replace(start, candidates=self.plausible(start.candidates, around))

    def budget_of(self, start: m.StartRound, now: float) -> TrafficBudget:
        """The budget for that round's words; for guesses one of their own, if there is any left."""
        if start.method != MethodName.BIRTHDAY or not start.candidates:
            return self.budget
        address = start.candidates[0].endpoint.address
        return self._probes.begin(self.budget, address, now) or self.budget

    def guesses_later(self, wait: float, now: float) -> list[do.Action]:
        """The server says that ports may be guessed in `wait` seconds: then it is worth while to try again."""
        self._guess_at, self._lasts_until = now + wait, 0.0
        return [do.Tell(note.GuessDue(wait))]

    def pause(self, pause: float, now: float) -> float:
        """Seconds until the next attempt, which otherwise would begin in `pause`."""
        return max(pause, self._guess_at - now, self._lasts_until - now)

    def lasts(self, lasting: bool, now: float) -> None:
        """The server says of an attempt that failed whether the next will end so too, unless something changes."""
        self._lasts_until = now + self._settings.retry_most / 2 if lasting else 0.0

    def plausible(
        self, candidates: tuple[m.Candidate, ...], around: Surroundings
    ) -> tuple[m.Candidate, ...]:
        """Those of the present attempt to which HELLOs may go, perhaps none."""
        if self._lies(candidates, around):
            return ()
        plausible = tuple(
            each
            for each in candidates
            if around.forbids(each.endpoint) is None and around.makes_plausible(each.endpoint)
        )
        for each in plausible:
            if each.validated:
                self.budget.validate(each.endpoint.address)
        return plausible

    def _lies(self, candidates: tuple[m.Candidate, ...], around: Surroundings) -> bool:
        """Whether no honest server names these for the peer, which is a breach. Host addresses are the peer's own word."""
        for candidate in candidates:
            objection = around.forbids(candidate.endpoint)
            if objection is not None and candidate.kind != "host":
                reason = f"the server names {candidate.endpoint} for the peer: {objection}"
                self._breach = Breach(reason)
        return self._breach is not None

    def failed(self, now: float) -> None:
        """An attempt has: the next may follow after the shortest pause that this side itself would make."""
        doubled = self._settings.retry_first * 2.0 ** min(self._failures, 32)
        self._failures += 1
        self._attempts.change(min(self._settings.retry_most, doubled) / 2, now)

    def reset(self, now: float) -> None:
        """A path stands, or this host has just woken up or changed its network."""
        self._failures = 0
        self._lasts_until = 0.0
        self._attempts.change(self._settings.retry_first / 2, now)
