"""When a store that answered too late counts as back: it has to answer in time for a while first. Pure.

A store that is too slow for its load, or stands still again and again, takes connections at once. Without a trial it would
be lost and back every few seconds, and would send away each client that came meanwhile.
"""

from __future__ import annotations

AGAIN = 0.5
"""Seconds between two tries to reach the store; doubling while it answers late."""
MOST_AGAIN = 4.0
"""The longest such pause."""
FIRST_TRIAL, MOST_TRIAL = 2.0, 30.0
"""Seconds of the trial after a loss, doubling with each further one: the first, which ends within a server's lease, and the longest."""
STEADY = 60.0
"""Seconds after which a store that answers is trusted as one that was never late."""


class Trust:
    """In one store. `trial` is how long it has to answer in time before it counts as back."""

    def __init__(self) -> None:
        self.trial = 0.0
        self._pause = AGAIN
        self._back_at: float | None = None

    def reached(self, now: float) -> None:
        """It counts as back."""
        self._back_at, self._pause = now, AGAIN

    def lost(self, now: float, *, was_late: bool) -> float:
        """It is lost, or was not reached. Seconds until the next try."""
        back_at, self._back_at = self._back_at, None
        if back_at is not None:
            if now - back_at >= STEADY:
                self.trial = 0.0
            if was_late:
                self.trial = min(max(FIRST_TRIAL, 2.0 * self.trial), MOST_TRIAL)
            self._pause = AGAIN
            return AGAIN
        if not was_late:
            return AGAIN  # a store that has just ended refuses connections, and costs nothing
        self._pause = min(2.0 * self._pause, MOST_AGAIN)
        return self._pause
