"""When a pair may guess ports: one at a time at each external address, and the next after a pause."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import TypeVar

EVERY = 120.0
"""Seconds from one round of guesses at an address to the next: the longest mapping lifetime that RFC 4787 REQ-5 asks
for, so that a router has forgotten the entries of one before the next."""
HELD = 60.0
"""Seconds for which a pair's turn waits for it."""
MOST = 4096
"""Addresses, and turns, that are remembered."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Turn:
    """The moment from which a pair may guess."""

    at: float
    addresses: frozenset[str]


class Grants:
    """Of one server."""

    def __init__(self) -> None:
        self._free: dict[str, float] = {}
        """From when an address is free of all that have been given a turn."""
        self._granted: dict[str, float] = {}
        """The last grant at each address."""
        self._turns: dict[tuple[str, str], _Turn] = {}
        """Of the pairs that wait."""

    def ask(self, pair: tuple[str, str], addresses: Iterable[str], now: float) -> float:
        """0: `pair` may guess now, which is then taken. Else the seconds until its turn, which is kept for it.

        `pair`: its ids, sorted. `addresses`: those of both hosts, as the server sees them.
        """
        at = frozenset(addresses)
        turn = self._turns.get(pair)
        if turn is None or turn.addresses != at or turn.at + HELD < now:
            turn = _Turn(max([now, *(self._free.get(each, now) for each in at)]), at)
            for each in at:
                _put(self._free, each, turn.at + EVERY)
        ready = max(
            [turn.at, *(self._granted[each] + EVERY for each in at if each in self._granted)]
        )
        if ready > now:
            _put(self._turns, pair, turn)
            return ready - now
        self._turns.pop(pair, None)
        for each in at:
            _put(self._granted, each, now)
        return 0.0


def _put(table: MutableMapping[K, V], key: K, value: V) -> None:
    """The newest last; the oldest makes room."""
    table.pop(key, None)
    if len(table) >= MOST:
        del table[next(iter(table))]
    table[key] = value
