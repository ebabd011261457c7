"""The method `simultaneous` at the server: both hosts are ordered to speak so that their first packets cross.

A NAT that is order-sensitive takes the peer's packet for itself if that comes before this host's own. Between
two of them no order helps, and each host's first packet has to leave before the other's comes. So the orders
are timed by the measured round trips: both hosts obey at the same moment, and half a round trip between them
is the error that may be made. From there on it is a round like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.server.methods.gathering import NO_AIMS, Aim
from nat_traversal.server.methods.method import Attempt, NoPath
from nat_traversal.server.methods.staged import Staged
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import MethodName

TRIES = 2
"""Rounds: a host that was slow to obey, or a connection on which the order was late, has another chance."""


class CrossingState(Enum):
    """Named by what the server waits for."""

    GATHERING = auto()  # both announces
    OPENING = auto()  # both hosts' openers, where the method has some
    CROSSING = auto()  # the moment of the nearer host's order; the other one has its
    ANSWERING = auto()  # both sides' proof
    OVER = auto()  # nothing: both have proof, or the last try failed


class CrossingTrigger(Enum):
    """The events of the tries."""

    OPEN = auto()
    GATHERED = auto()
    ORDERED = auto()
    PROVEN = auto()
    AGAIN = auto()
    FAIL = auto()


_S, _T = CrossingState, CrossingTrigger
TABLE = {
    (_S.GATHERING, _T.OPEN): _S.OPENING,
    (_S.GATHERING, _T.GATHERED): _S.CROSSING,
    (_S.GATHERING, _T.FAIL): _S.OVER,
    (_S.OPENING, _T.GATHERED): _S.CROSSING,
    (_S.OPENING, _T.FAIL): _S.OVER,
    (_S.CROSSING, _T.ORDERED): _S.ANSWERING,
    (_S.CROSSING, _T.FAIL): _S.OVER,
    (_S.ANSWERING, _T.PROVEN): _S.OVER,
    (_S.ANSWERING, _T.AGAIN): _S.GATHERING,
    (_S.ANSWERING, _T.FAIL): _S.OVER,
}


class Simultaneous(Staged[CrossingState, CrossingTrigger]):
    """The rounds after those of `attempt.round`. The host whose id sorts first is A in odd rounds."""

    name = MethodName.SIMULTANEOUS.value

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt, TABLE, gathering=_S.GATHERING, over=_S.OVER, fail=_T.FAIL)
        self._last = attempt.round + TRIES
        self._orders: dict[int, tuple[Member, float]] = {}
        """By transaction: to whom, and when."""
        self._nearer: Member | None = None
        """Its order waits."""

    def begin(self, now: float) -> list[do.Action]:
        """The first try."""
        return [*self._gathering.begin(now), *self.socket_shown(now)]

    def socket_shown(self, now: float) -> list[do.Action]:
        """A member's socket was seen: begin the round if that was the last thing missing."""
        if self.state is not _S.GATHERING or not self._gathering.is_complete:
            return []
        return self._round_begins(now)

    def _round_begins(self, now: float, aims: Mapping[str, Aim] = NO_AIMS) -> list[do.Action]:
        self._round += 1
        roles = self._attempt.roles(self._round)
        started = self._gathering.start(self.name, self._round, *roles, aims)
        if isinstance(started, NoPath):
            return self._fail(started)
        self._orders.clear()
        self._proven.clear()
        return [*started, *self._speak(now)]

    def _speak(self, now: float) -> list[do.Action]:
        """The round has begun: order the first words, so that they cross."""
        self._machine.fire(_T.GATHERED)
        nearer, farther = sorted(self._attempt.members, key=lambda each: each.round_trip)
        self._nearer = nearer
        self._deadline = now + (farther.round_trip - nearer.round_trip) / 2
        ordered = self._order(farther, now)
        return [ordered, *(self.timed_out(now) if now >= self._deadline else [])]

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something. A message that does not fit is late, and ignored."""
        match message:
            case m.HelloSent(transaction, heard) if transaction in self._orders:
                self._sent(member, transaction, now, heard=heard)
            case m.Established(attempt, round_) if self.state is _S.ANSWERING:
                if (attempt, round_) == (self._attempt.number, self._round):
                    self._established(member, now)
            case m.Decline() if (declined := self._declined(member, message)) is not None:
                return self._fail(declined)
        return []

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due: ask the silent hosts, give the second order, try again, or end."""
        match self.state:
            case _S.GATHERING:
                asked = self._gathering.timed_out(now)
                return self._fail(asked) if isinstance(asked, NoPath) else asked
            case _S.CROSSING:
                assert self._nearer is not None, "its order waits"
                self._machine.fire(_T.ORDERED)
                self._wait(self._proof_within(), now)
                return [self._order(self._nearer, now)]
            case _ if self._round < self._last:
                self._machine.fire(_T.AGAIN)
                return self.begin(now)
        return self._no_path()

    def _proof_within(self) -> float:
        """Seconds above both round trips, from the last order."""
        return self._settings.swap_within

    def _order(self, member: Member, now: float, *, opens: bool = False) -> do.Action:
        """A's HELLO is number 1, B's number 2, as in any round; `opens`: what comes before them."""
        transaction = next(self._attempt.transactions)
        self._orders[transaction] = member, now
        step = 1 if member is self._attempt.roles(self._round)[0] else 2
        step = 0 if opens else step
        order = m.SendHello(transaction, self._attempt.number, self._round, step)
        return do.SendMessage(order, member.connection)

    def _sent(self, member: Member, transaction: int, now: float, *, heard: bool) -> None:
        ordered, at = self._orders[transaction]
        if member is not ordered:
            return
        member.answered(now - at)
        if heard:
            self._attempt.heard.add(member.id)

    def _established(self, member: Member, now: float) -> None:
        if self._has_proof(member):
            self._machine.fire(_T.PROVEN)
        else:
            self._wait(self._settings.verdict_within, now)
