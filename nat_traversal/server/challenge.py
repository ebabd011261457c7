"""An id that is in use: its holder is asked whether it lives, while those that want the id wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Timers


@dataclass(frozen=True, slots=True)
class ChallengeDue:
    """The timer's name: the holder has not answered in time."""

    holder: e.ConnectionId


MOST_CONTENDERS = 8
"""Of one holder at a time."""


class Challenges:
    """The holders that are asked, and their contenders in the order in which they came.

    A holder that has answered is not asked again for `spared` seconds. `ping` makes the question.
    """

    def __init__(
        self, timers: Timers, spared: float, ping: Callable[[e.ConnectionId], do.Action]
    ) -> None:
        self._timers = timers
        self.spared_for = spared
        """Seconds; may be changed."""
        self._ping = ping
        self._spared: dict[e.ConnectionId, float] = {}
        """Until when each holder that has answered is left alone."""
        self._contenders: dict[e.ConnectionId, list[e.ConnectionId]] = {}
        self._holders: dict[e.ConnectionId, e.ConnectionId] = {}
        """The holder that each contender waits for."""

    def contend(
        self, contender: e.ConnectionId, holder: e.ConnectionId, within: float, now: float
    ) -> list[do.Action] | None:
        """`contender` wants the id of `holder`. The first one causes the question, which is to be answered
        `within` seconds. None: the holder is not asked, since it has just answered another, or too many wait.
        """
        is_asked = holder in self._contenders
        waiting = self._contenders.get(holder, [])
        if now < self._spared.get(holder, now) or len(waiting) >= MOST_CONTENDERS:
            return None
        self._holders[contender] = holder
        self._contenders[holder] = [*waiting, contender]
        if is_asked:
            return []
        self._timers.set(ChallengeDue(holder), now + within)
        return [self._ping(holder)]

    def withdraw(self, contender: e.ConnectionId) -> None:
        """`contender` has gone, perhaps to come back. The question stands: it is about the holder."""
        holder = self._holders.pop(contender, None)
        if holder is not None:
            self._contenders[holder].remove(contender)

    def lives(self, holder: e.ConnectionId, now: float) -> list[e.ConnectionId]:
        """`holder` has shown that it lives: nobody waits for it any more. Gives the contenders."""
        if holder not in self._contenders:
            return []
        self._spared[holder] = now + self.spared_for
        return self._end(holder)

    def gone(self, holder: e.ConnectionId) -> list[e.ConnectionId]:
        """`holder` has gone: nobody waits for it any more. Gives the contenders."""
        self._spared.pop(holder, None)
        return self._end(holder)

    def _end(self, holder: e.ConnectionId) -> list[e.ConnectionId]:
        self._timers.cancel(ChallengeDue(holder))
        waiting = self._contenders.pop(holder, [])
        for contender in waiting:
            del self._holders[contender]
        return waiting
