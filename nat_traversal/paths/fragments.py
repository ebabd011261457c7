"""Datagrams that are larger than a frame: cut into fragments, and put together again within bounds. Pure.

A path never depends on IP fragments: many NATs and firewalls drop them (RFC 8900). So each
fragment travels as a sealed frame of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise

MOST_FRAGMENTS = 256
"""Of one datagram: their index has one octet. 65,507 octets take 129 at the smallest base size."""


def cut(length: int, room: int) -> list[tuple[int, int]]:
    """Where a datagram of `length` octets is cut, if `room` of them fit in a frame: (from, to) each.

    All have one length, but the last may be shorter: a run, which the kernel sends at once.
    """
    count = max(1, -(-length // room))
    assert count <= MOST_FRAGMENTS, f"{length} octets do not fit in {MOST_FRAGMENTS} frames"
    size = -(-length // count)
    return list(pairwise([*range(0, size * count, size), length] if length else [0, 0]))


@dataclass(slots=True)
class _Partial:
    """A datagram of which some fragments have come."""

    last: int
    until: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    octets: int = 0


class Reassembler:
    """Puts fragments together. `key` tells datagrams apart: flow, direction, number.

    At most `most_octets` wait, and none longer than `patience` seconds, if its owner calls `expire` at
    `deadline`. What has waited longest makes room. `incomplete` counts datagrams that were given up.
    """

    def __init__(self, *, most_octets: int = 1 << 20, patience: float = 2.0) -> None:
        self._most = most_octets
        self._patience = patience
        self._partials: OrderedDict[object, _Partial] = OrderedDict()
        self._octets = 0
        self.incomplete = 0

    @property
    def octets(self) -> int:
        """How many wait."""
        return self._octets

    @property
    def deadline(self) -> float | None:
        """When the oldest of them has waited too long; None: nothing waits."""
        oldest = next(iter(self._partials.values()), None)
        return None if oldest is None else oldest.until

    def arrived(self, key: object, index: int, last: int, piece: bytes, now: float) -> bytes | None:
        """One fragment; the whole datagram, if this was what it lacked.

        A fragment that contradicts the earlier ones of its datagram is dropped.
        """
        self.expire(now)
        partial = self._partials.get(key)
        if partial is None:
            if index > last:
                return None
            partial = self._partials[key] = _Partial(last, now + self._patience)
        elif last != partial.last or index > last or index in partial.pieces:
            return None
        partial.pieces[index] = piece
        partial.octets += len(piece)
        self._octets += len(piece)
        if len(partial.pieces) > partial.last:
            self._forget(key)
            return b"".join(partial.pieces[at] for at in range(partial.last + 1))
        while self._octets > self._most:
            self._give_up(next(iter(self._partials)))
        return None

    def expire(self, now: float) -> None:
        """Give up the datagrams that have waited too long."""
        while self._partials:
            key, oldest = next(iter(self._partials.items()))
            if oldest.until > now:
                return
            self._give_up(key)

    def give_up(self) -> None:
        """The path has ended: give up everything that waits."""
        while self._partials:
            self._give_up(next(iter(self._partials)))

    def _give_up(self, key: object) -> None:
        self._forget(key)
        self.incomplete += 1

    def _forget(self, key: object) -> None:
        self._octets -= self._partials.pop(key).octets
