"""A replay window over counters (RFC 6479, as WireGuard and IPsec have one). Pure."""

from __future__ import annotations

WINDOW = 8192
"""Counters behind the newest one that may still come: 64 batches of 64 datagrams each way round, twice.
Anything older is dropped. A power of two."""


class ReplayWindow:
    """Accepts each counter once. Ask `is_fresh` before opening, tell `accept` after: an attacker's
    counter must not move it. Both take constant time, and no memory is made."""

    __slots__ = ("_mask", "_seen", "newest")

    def __init__(self, size: int = WINDOW) -> None:
        assert size & (size - 1) == 0, "a power of two"
        self._mask = size - 1
        self._seen = [-1] * size
        self.newest = -1
        """The highest counter accepted; -1 before the first."""

    def is_fresh(self, counter: int) -> bool:
        """Whether `counter` is inside the window or above it, and has not been accepted."""
        return (
            counter > self.newest - len(self._seen) and self._seen[counter & self._mask] != counter
        )

    def accept(self, counter: int) -> bool:
        """Take `counter`, which was authentic. False if it is a replay or too old after all."""
        if not self.is_fresh(counter):
            return False
        self._seen[counter & self._mask] = counter
        self.newest = max(self.newest, counter)
        return True
