"""The places of a model NAT that has no more than so many sessions at a time. Pure."""

from __future__ import annotations

from nat_traversal.wire.behavior import Refresh
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Overflow

Session = tuple[Endpoint, Endpoint]
"""An internal endpoint and a remote one."""


class Places:
    """A table of `NatBehavior.sessions` places, handed out round and round; a place that is free goes first.

    A session ends as long after its last packet that refreshes it as a mapping does.
    """

    def __init__(self, behavior: NatBehavior, lifetime: float) -> None:
        self._behavior = behavior
        self._lifetime = lifetime
        self._holders: list[Session | None] = [None] * behavior.sessions
        self._held: dict[Session, tuple[int, float]] = {}
        """The place of each session, and when its time began."""
        self._next = 0

    def seat(self, session: Session, now: float) -> bool:
        """A packet from inside: whether its session has a place, or gets one."""
        if self._lives(session, now):
            if self._behavior.refresh is not Refresh.ABSOLUTE:
                self._held[session] = (self._held[session][0], now)
            return True
        if session in self._held:  # it has ended
            self._holders[self._held.pop(session)[0]] = None
        size = self._behavior.sessions
        for step in range(size):
            place = (self._next + step) % size
            holder = self._holders[place]
            if holder is None or not self._lives(holder, now):
                break
        else:
            if self._behavior.overflow is Overflow.REFUSE:
                return False
            place = self._next
        former = self._holders[place]
        if former is not None:
            self._held.pop(former, None)
        self._holders[place] = session
        self._held[session] = (place, now)
        self._next = (place + 1) % size
        return True

    def admits(self, session: Session, now: float) -> bool:
        """A packet from outside that the filter lets in: whether its session has not been ended for another.

        Where the NAT refuses new sessions, none is.
        """
        if self._behavior.overflow is Overflow.REFUSE:
            return True
        if not self._lives(session, now):
            return False
        if self._behavior.refresh is Refresh.BOTH:
            self._held[session] = (self._held[session][0], now)
        return True

    def _lives(self, session: Session, now: float) -> bool:
        held = self._held.get(session)
        return held is not None and held[1] >= now - self._lifetime
