"""The method `low-ttl` at the server: both hosts open their own NATs first, by datagrams that end between the two.

An order-sensitive NAT takes the peer's packet for itself if it comes first. An opener makes this host's mapping, and
never comes to the peer's NAT. Once both have left, the order of all further words is free, and a long way between the
hosts does no harm. A host that has found no router between the NATs says so. Then it speaks first, since the other
one's NAT is open.
"""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.server.methods.method import Attempt
from nat_traversal.server.methods.simultaneous import CrossingState, CrossingTrigger, Simultaneous
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import MethodName

OPEN_WITHIN = 2.0
"""Seconds above both hosts' round trips, for the openers: hosts look for the right hop first."""
_S, _T = CrossingState, CrossingTrigger


class LowTtl(Simultaneous):
    """The rounds after those of `attempt.round`."""

    name = MethodName.LOW_TTL.value

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._opened: dict[str, bool] = {}
        """By the id of each host that has answered: whether an opener has left."""

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something."""
        match message:
            case m.HelloSent(transaction, opened=opened) if self.state is _S.OPENING:
                ordered = self._orders.get(transaction)
                if ordered is None or ordered[0] is not member:
                    return []
                self._opened[member.id] = opened
                return self._openers_left(now) if len(self._opened) > 1 else []
            case m.HelloSent(transaction) if self.state is _S.CROSSING and not all(
                self._opened.values()
            ):
                super().message_arrived(member, message, now)
                return self.timed_out(now) if transaction in self._orders else []
        return super().message_arrived(member, message, now)

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due."""
        if self.state is _S.OPENING:
            return self._no_path()
        return super().timed_out(now)

    def _speak(self, now: float) -> list[do.Action]:
        """The round has begun: order the openers."""
        self._machine.fire(_T.OPEN)
        self._opened.clear()
        self._wait(OPEN_WITHIN, now)
        return [self._order(each, now, opens=True) for each in self._attempt.members]

    def _openers_left(self, now: float) -> list[do.Action]:
        self._orders.clear()
        if all(self._opened.values()):
            return super()._speak(now)
        if not any(self._opened.values()):
            return self._no_path()
        self._machine.fire(_T.GATHERED)
        first, second = sorted(self._attempt.members, key=lambda each: self._opened[each.id])
        self._nearer = second
        self._deadline = now + self._settings.step_within + first.round_trip
        return [self._order(first, now)]
