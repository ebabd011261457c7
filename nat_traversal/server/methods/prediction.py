"""The method `prediction` at the server: both hosts aim at the port that a NAT will give next.

A NAT that gives ports in sequence shows where it stands by a volley of fresh sockets, and others' connections
in a second by the ports that it gave since an earlier round. So the server can tell the port that will be due when its
order arrives. The host behind that NAT then speaks from many fresh sockets at once, one of which gets the
port; the other host aims at that port alone. Where both NATs are such, all sockets of a side aim at one port
of the other, and the two that matter meet. A small block of ports is met by chance instead. The orders are timed
as in `simultaneous`.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt

from nat_traversal.machine import actions as do
from nat_traversal.server.addresses import no_path, ports_at_random
from nat_traversal.server.allocation import Block, Kept, Sequential
from nat_traversal.server.member import Member
from nat_traversal.server.methods.gathering import Aim
from nat_traversal.server.methods.method import Attempt, NoPath
from nat_traversal.server.methods.openers import opener_by_address
from nat_traversal.server.methods.simultaneous import CrossingState, Simultaneous
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import MethodName

SAMPLES = 3
"""Beside the announce: four ports tell a sequence, and a block, from chance."""
SAMPLES_WITHIN = 0.1
"""Seconds for the samples to come after both announces, which they follow at once."""
TRY_WITHIN = 1.0
"""Above both hosts' round trips, for proof: a try that has missed will not open any more."""
LEAST_SOCKETS = 12
_NO_RULE = "the NATs' next ports follow no rule that would tell them"


class Prediction(Simultaneous):
    """The rounds after those of `attempt.round`, none where no NAT gives its ports away."""

    name = MethodName.PREDICTION.value
    samples = SAMPLES

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._samples_until: float | None = None

    @property
    def deadline(self) -> float | None:
        """When to call `timed_out`."""
        if self.state is CrossingState.GATHERING and self._samples_until is not None:
            return self._samples_until
        return super().deadline

    def begin(self, now: float) -> list[do.Action]:
        """The first try, or the next."""
        self._samples_until = None
        gathered = self._gathering.begin(now, samples=self.samples, spare=True)
        return [*gathered, *self.socket_shown(now)]

    @property
    def _uses_spares(self) -> bool:
        """Whether a host whose NAT keeps its ports speaks from a socket that the server has not seen. It is of use
        where that NAT maps by destination, and no one can tell. So it is the second try."""
        return self._round > self._attempt.round

    def socket_shown(self, now: float) -> list[do.Action]:
        """A member's socket was seen, or one of its samples."""
        if self.state is not CrossingState.GATHERING or not self._gathering.is_complete:
            return []
        if self._samples_until is None:
            self._samples_until = now + SAMPLES_WITHIN
        if now < self._samples_until and not all(map(self._has_shown, self._attempt.members)):
            return []
        aims = self._aims(now)
        if aims is None:
            return self._fail(self._without_rule())
        return self._round_begins(now, aims)

    def _has_shown(self, member: Member) -> bool:
        """All that was asked for beside its socket."""
        seen = member.sightings.count(member.generation)
        is_told = not self._uses_spares or member.spare_port is not None
        return seen > self.samples and is_told

    def _without_rule(self) -> NoPath:
        """No port can be aimed at. Where both NATs give ports at random, nobody can meet by any other way either."""
        attempt, members = self._attempt, self._attempt.members
        rules = [each.sightings.allocation(each.generation) for each in members]
        keeps = [attempt.keeps.get(each.id) for each in members]
        if attempt.heard or any(rules) or keeps != [False, False] or self._may_guess:
            return NoPath(m.Verdict.NO_PATH, _NO_RULE)
        if (at_random := ports_at_random(*members)) is None:
            return NoPath(m.Verdict.NO_PATH, no_path(*members, frozenset()))
        return NoPath(m.Verdict.NO_PATH, at_random, is_lasting=True)

    @property
    def _may_guess(self) -> bool:
        """Another method has a chance."""
        guesses = all(MethodName.BIRTHDAY in each.methods for each in self._attempt.members)
        return guesses and opener_by_address(self._attempt.members) is not None

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due."""
        if self.state is CrossingState.GATHERING and self._samples_until is not None:
            return self.socket_shown(now)
        return super().timed_out(now)

    def _proof_within(self) -> float:
        return TRY_WITHIN

    def _rule(self, member: Member) -> Sequential | Block | Kept | None:
        """By which the peer can tell a port of that host."""
        kept = (
            member.spare_port if self._uses_spares and self._attempt.keeps.get(member.id) else None
        )
        return member.sightings.allocation(member.generation) if kept is None else Kept(kept)

    def _has_chance(self, rules: list[Sequential | Block | Kept | None]) -> bool:
        return any(isinstance(rule, Sequential | Block) for rule in rules)

    def _aims(self, now: float) -> dict[str, Aim] | None:
        """Each host's, by its id; None where there is none that has a chance."""
        first, second = self._attempt.members
        rules = [self._rule(each) for each in (first, second)]
        known = [rule for rule in rules if isinstance(rule, Sequential | Block)]
        if not self._has_chance(rules) or (
            len(known) > 1 and any(isinstance(rule, Block) for rule in known)
        ):
            return None
        # Both hosts' words leave this long after their samples did.
        farther = max(each.round_trip for each in (first, second))
        leaves_at = now + farther / 2
        aims: dict[str, Aim] = {}
        sockets: dict[str, int] = {}
        for host, rule, peer in ((first, rules[0], second), (second, rules[1], first)):
            at = host.candidates
            ports: tuple[int, ...] = ()
            match rule:
                case Sequential():
                    due = rule.expected(leaves_at + host.round_trip / 2)
                    sockets[host.id] = count = _sockets(due)
                    at = _at(at, rule.ahead(due + ceil(count / 2)))
                case Kept(port):
                    sockets[host.id], at = 1, _at(at, port)
                case Block():
                    sockets[host.id] = m.MOST_AT_ONCE
                    port, *more = rule.draw(m.MOST_AT_ONCE, self._attempt.rng)
                    at, ports = _at(at, port), tuple(more)
            aims[peer.id] = Aim(at, ports=ports)
        return {id_: replace(aim, sockets=sockets.get(id_, 0)) for id_, aim in aims.items()}


def _sockets(due: float) -> int:
    """Enough for four standard deviations of others' connections to either side."""
    return min(m.MOST_AT_ONCE, max(LEAST_SOCKETS, ceil(8 + 8 * sqrt(due))))


def _at(candidates: tuple[m.Candidate, ...], port: int) -> tuple[m.Candidate, ...]:
    """The same addresses, with that port."""
    return tuple(replace(each, endpoint=replace(each.endpoint, port=port)) for each in candidates)
