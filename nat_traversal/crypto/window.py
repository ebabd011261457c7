"""A replay window over counters (RFC 6479, as WireGuard and IPsec have one). Pure."""

from __future__ import annotations

WINDOW = 8192
"""Counters behind the newest one that may still come: 64 batches of 64 datagrams each way round, twice.
Anything older is dropped."""


class ReplayWindow:
    """Accepts each counter once. Ask `is_fresh` before opening, tell `accept` after: an attacker's
    counter must not move it. Both take constant time. `seen` and `newest` are open to the loop that
    opens whole runs, which does the same without the calls."""

    __slots__ = ("newest", "seen", "size")

    def __init__(self, size: int = WINDOW) -> None:
        self.size = size
        self.seen = [-1] * size
        """The last counter accepted of each residue."""
        self.newest = -1
        """The highest counter accepted; -1 before the first."""

    def is_fresh(self, counter: int) -> bool:
        """Whether `counter` is inside the window or above it, and has not been accepted."""
        return counter > self.newest - self.size and self.seen[counter % self.size] != counter

    def accept(self, counter: int) -> bool:
        """Take `counter`, which was authentic. False if it is a replay or too old after all."""
        if not self.is_fresh(counter):
            return False
        self.seen[counter % self.size] = counter
        self.newest = max(self.newest, counter)
        return True
