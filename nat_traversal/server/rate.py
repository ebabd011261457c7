"""How much one client may ask for: a token bucket."""

from __future__ import annotations


class Allowance:
    """`burst` messages at once, `rate` a second in the long run."""

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = float(burst)
        self._rate = rate
        self._left = self._burst
        self._at = now

    def take(self, now: float) -> bool:
        """One message came. False if it was one too many."""
        refilled = self._left + self._rate * (now - self._at)
        self._left = min(self._burst, refilled - 1.0)
        self._at = now
        return self._left >= 0
