"""How much one client may ask for: a token bucket."""

from __future__ import annotations

MOST_EXPECTED = 64
"""Answers that may be due at a time."""


class Allowance:
    """`burst` messages at once, `rate` a second in the long run. Answers that the server asked for are free."""

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = float(burst)
        self._rate = rate
        self._left = self._burst
        self._at = now
        self._expected = 0

    def expect(self, answers: int) -> None:
        """The host has been asked something: so many answers to it are free."""
        self._expected = min(self._expected + answers, MOST_EXPECTED)

    def answered(self, now: float) -> bool:
        """An answer came. It costs nothing if one was asked for: others could else spend
        the host's allowance. False if it was one too many."""
        if self._expected > 0:
            self._expected -= 1
            return True
        return self.take(now)

    def take(self, now: float) -> bool:
        """One message came. False if it was one too many."""
        refilled = self._left + self._rate * (now - self._at)
        self._left = min(self._burst, refilled - 1.0)
        self._at = now
        return self._left >= 0
