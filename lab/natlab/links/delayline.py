"""The delay line: one direction of a link, which holds frames until they are due. Pure.

Frames go in with the time, and come out when they are due; no clock, no socket. Times are whole
nanoseconds of any one clock. `natlab.links.relay` drives it.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from natlab.links.conditions import Way

_SECOND = 1_000_000_000
_ETHERNET = 14
"""Octets of a frame before its packet."""


@dataclass(slots=True)
class Counts:
    """Counts of the frames so far, by their fate."""

    received: int = 0
    lost: int = 0
    """By chance, as asked for."""
    too_large: int = 0
    """Larger than `Way.black_hole`."""
    overflowed: int = 0
    """Came when `Way.limit` frames were held already, or `Way.queue` of them waited for the rate."""
    reordered: int = 0
    duplicated: int = 0
    released: int = 0


@dataclass(slots=True)
class DelayLine:
    """One direction. With the same `seed` the n-th frame has the same fate, whenever it comes.

    Each frame, lost or not, takes the same number of draws, in the same order: loss, duplicate,
    reorder, jitter. So a change of one condition leaves the fate under the others as it was.
    """

    way: Way
    seed: str
    counts: Counts = field(default_factory=Counts)
    _held: list[tuple[int, int, bytes]] = field(default_factory=list)
    """A heap: due time, order of coming, frame."""
    _order: int = 0
    _sent_until: int = 0
    """When the last frame will have been serialised."""
    _waiting: deque[int] = field(default_factory=deque)
    """When each frame that the rate holds up will have been serialised."""
    _last_due: int = 0
    _lost_before: bool = False
    _random: random.Random = field(init=False)
    _delay: int = field(init=False)
    _jitter: int = field(init=False)
    _loses_after: tuple[float, float] = field(init=False)
    _largest: float = field(init=False)
    _room: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - chance to be repeated, no secret
        self._delay = round(self.way.delay * _SECOND)
        self._jitter = round(self.way.jitter * _SECOND)
        self._loses_after = self.way.loses_after
        self._largest = _ETHERNET + (inf if self.way.black_hole is None else self.way.black_hole)
        self._room = inf if self.way.queue is None else self.way.queue

    @property
    def next_due(self) -> int | None:
        """When the next frame is to be released; None if none is held."""
        return self._held[0][0] if self._held else None

    def accept(self, frame: bytes, now: int) -> None:
        """Take a frame that came at `now`, which never goes back."""
        chance = self._random.random
        lost = self._lost_before = chance() < self._loses_after[self._lost_before]
        duplicate = chance() < self.way.duplicate
        reorder = chance() < self.way.reorder
        delay = self._delay + round((2 * chance() - 1) * self._jitter)
        self.counts.received += 1
        if lost:
            self.counts.lost += 1
            return
        if len(frame) > self._largest:
            self.counts.too_large += 1
            return
        if not self._hold(frame, now, 0 if reorder else delay, reorder):
            return
        self.counts.reordered += reorder
        if duplicate and self._hold(frame, now, 0 if reorder else delay, reorder):
            self.counts.duplicated += 1

    def release(self, now: int) -> list[bytes]:
        """Every frame that is due by `now`, in the order in which they are due."""
        held = self._held
        out = []
        while held and held[0][0] <= now:
            out.append(heappop(held)[2])
        self.counts.released += len(out)
        return out

    def _hold(self, frame: bytes, now: int, delay: int, overtakes: bool) -> bool:
        while self._waiting and self._waiting[0] <= now:
            self._waiting.popleft()
        if len(self._held) >= self.way.limit or len(self._waiting) >= self._room:
            self.counts.overflowed += 1
            return False
        if self.way.rate is not None:
            start = max(now, self._sent_until)
            now = self._sent_until = start + len(frame) * 8 * _SECOND // self.way.rate
            self._waiting.append(now)
        due = now + delay
        if not overtakes:
            due = self._last_due = max(due, self._last_due)
        self._order += 1
        heappush(self._held, (due, self._order, frame))
        return True
