"""When a store that answered too late counts as back: it has to answer in time for a while first. Pure.

A store that is too slow for its load, or stands still again and again, takes connections at once. Without a trial it would
be lost and back every few seconds, and would send away each client that came meanwhile.
"""

from __future__ import annotations

from nat_traversal.settings import ServerSettings


class Trust:
    """In one store. `trial` is how long it has to answer in time before it counts as back."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.trial = 0.0
        self._pause = settings.store_retry_first
        self._back_at: float | None = None

    def reached(self, now: float) -> None:
        """It counts as back."""
        self._back_at, self._pause = now, self._settings.store_retry_first

    def lost(self, now: float, *, was_late: bool) -> float:
        """It is lost, or was not reached. Seconds until the next try."""
        s = self._settings
        back_at, self._back_at = self._back_at, None
        if back_at is not None:
            if now - back_at >= s.store_steady:
                self.trial = 0.0
            if was_late:
                self.trial = min(max(s.store_trial_first, 2.0 * self.trial), s.store_trial_most)
            self._pause = s.store_retry_first
            return self._pause
        if not was_late:
            # A store that has just ended refuses connections, and costs nothing.
            return s.store_retry_first
        self._pause = min(2.0 * self._pause, s.store_retry_most)
        return self._pause
