"""Keeps a direct path that comes and goes from drawing programs' datagrams to and fro.

A direct path is better than a relayed one by rule, whatever their round trips, so it takes over as soon as it carries. One that
dies again and again costs a second or two of datagrams each time. So after its third death within some
minutes it has to stand for a while before it takes over from a relayed one that lives; and twice as long after each further death.
"""

from __future__ import annotations

FREE = 2
"""Deaths that cost nothing: a router's restart, a walk from one access point to the next."""
WITHIN = 300.0
"""Seconds for which a death counts."""
FIRST = 8.0
"""Seconds to stand after the third death; the relayed path receives for `path_linger` less than that."""
MOST = 64.0
"""The longest such time."""


class Hysteresis:
    """Of one peer."""

    def __init__(self) -> None:
        self._deaths: list[float] = []
        self.deadline: float | None = None
        """When the direct path that is held back now may take over."""

    def died(self, now: float) -> None:
        """A direct path that carried has died, and a relayed one has taken over."""
        self._deaths = [each for each in self._deaths if now - each < WITHIN] + [now]

    def holds(self, began_at: float, now: float) -> bool:
        """Whether a direct path that stands since `began_at` has to stand longer. `deadline` then says until when."""
        self.deadline = None
        counted = [each for each in self._deaths if now - each < WITHIN]
        further = len(counted) - FREE
        if further <= 0:
            return False
        until = max(began_at, counted[-1]) + min(MOST, FIRST * 2.0 ** (further - 1))
        if now >= until:
            return False
        self.deadline = until
        return True
