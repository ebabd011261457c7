"""When packets leave: at the rate that congestion control has found, and not all at once.

It stands in the place of aioquic's own, which knows no rate but the window in a round trip.
"""

from __future__ import annotations

LATENESS = 0.004
"""Seconds that a timer of an event loop is late by, with other work before it."""
_CATCH_UP = 0.02
"""Seconds that it may be late on a busy host: packets that should have left meanwhile leave at once."""
_TICK = 0.001
"""Seconds: timers are no finer (epoll)."""
_MOST_AT_ONCE = 65_536
"""Octets, as Linux has it for BBR (draft-cardwell-iccrg-bbr-congestion-control-00 section 4.2.2)."""
_LEAST_AT_ONCE = 2
"""Packets."""


class Pacer:
    """A bucket of octets that may leave, filled at the rate. `size`: octets of a packet."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rate = 0.0
        """Octets a second; 0.0: it is not known yet, and nothing is held back."""
        self._octets = 0.0
        self._charged = 0
        """Octets of packets that were built since `settle`, as if each were full."""
        self._at = 0.0

    def at_once(self, late: float = LATENESS) -> float:
        """Octets that leave at once, after a timer that was so late."""
        return max(min(self.rate * late, _MOST_AT_ONCE), _LEAST_AT_ONCE * self.size)

    def next_send_time(self, now: float) -> float | None:
        """When the next packet may leave; None: now."""
        if not self.rate:
            return None
        self._fill(now)
        if self._octets > 0:
            return None
        return now + max(self.size / self.rate, _TICK)

    def update_after_send(self, now: float) -> None:
        """A packet was built, and counts as a full one for now."""
        if self.rate:
            self._fill(now)
            self._octets -= self.size
            self._charged += self.size

    def settle(self, octets: int) -> None:
        """All that were built have left. Those that congestion control counts have so many octets together: mere
        acknowledgements are free."""
        self._octets += self._charged - octets
        self._charged = 0

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """aioquic's own rate, which counts for nothing here."""

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._octets = min(self._octets + (now - self._at) * self.rate, self.at_once(_CATCH_UP))
            self._at = now
