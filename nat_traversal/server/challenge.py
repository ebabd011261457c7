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


class Challenges:
    """The holders that are asked, and their contenders in the order in which they came.

    `within` is a holder's time for an answer, in seconds. `ping` makes the question.
    """

    def __init__(
        self, timers: Timers, within: float, ping: Callable[[e.ConnectionId], do.Action]
    ) -> None:
        self._timers = timers
        self.within = within
        self._ping = ping
        self._contenders: dict[e.ConnectionId, list[e.ConnectionId]] = {}
        self._holders: dict[e.ConnectionId, e.ConnectionId] = {}
        """The holder that each contender waits for."""

    def contend(
        self, contender: e.ConnectionId, holder: e.ConnectionId, now: float
    ) -> list[do.Action]:
        """`contender` wants the id of `holder`. The first one causes the question."""
        self._holders[contender] = holder
        waiting = self._contenders.setdefault(holder, [])
        waiting.append(contender)
        if len(waiting) > 1:
            return []
        self._timers.set(ChallengeDue(holder), now + self.within)
        return [self._ping(holder)]

    def withdraw(self, contender: e.ConnectionId) -> None:
        """`contender` has gone. A question that nobody waits for any more lapses."""
        holder = self._holders.pop(contender, None)
        if holder is None:
            return
        waiting = self._contenders[holder]
        waiting.remove(contender)
        if not waiting:
            self.end(holder)

    def end(self, holder: e.ConnectionId) -> list[e.ConnectionId]:
        """`holder` lives or has gone: nobody waits for it any more. Gives the contenders."""
        self._timers.cancel(ChallengeDue(holder))
        waiting = self._contenders.pop(holder, [])
        for contender in waiting:
            del self._holders[contender]
        return waiting
