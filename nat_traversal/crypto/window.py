"""A replay window over counters (RFC 6479, as WireGuard and IPsec have one). Pure."""

from __future__ import annotations

WINDOW = 8192
"""Counters behind the newest one that may still come: 64 batches of 64 datagrams each way round, twice.
Anything older is dropped."""


class ReplayWindow:
    """Accepts each counter once. Ask `is_fresh` before opening, tell `accept` after: an attacker's
    counter must not move it. Both take constant time."""

    __slots__ = ("_seen", "newest", "size")

    def __init__(self, size: int = WINDOW) -> None:
        self.size = size
        self._seen = [-1] * size
        """The last counter accepted of each residue."""
        self.newest = -1
        """The highest counter accepted; -1 before the first."""

    def is_fresh(self, counter: int) -> bool:
        """Whether `counter` is inside the window or above it, and has not been accepted."""
        return counter > self.newest - self.size and self._seen[counter % self.size] != counter

    def accept(self, counter: int) -> bool:
        """Take `counter`, which was authentic. False if it is a replay or too old after all."""
        if not self.is_fresh(counter):
            return False
        self.take(counter)
        return True

    def take(self, counter: int) -> None:
        """The same for one that `is_fresh` has just been said of."""
        self._seen[counter % self.size] = counter
        if counter > self.newest:  # noqa: PLR1730 - the fast path
            self.newest = counter

    def accept_run(self, first: int, count: int) -> None:
        """Take `count` authentic counters from `first` on, all above the newest; at most `size` of them."""
        assert first > self.newest, "they may have come before"
        size, seen, at = self.size, self._seen, first % self.size
        self.newest = first + count - 1
        before_end = min(count, size - at)
        seen[at : at + before_end] = range(first, first + before_end)
        seen[: count - before_end] = range(first + before_end, first + count)
