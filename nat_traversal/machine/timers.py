"""Deadlines without a clock: the owner of the machine passes `now`, in seconds of any monotonic clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Hashable, Iterator, Sequence


class Timers:
    """Named deadlines. Setting a name again moves it; thousands are fine (a heap, lazily cleaned)."""

    def __init__(self) -> None:
        self._at: dict[Hashable, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._order = itertools.count()

    def set(self, name: Hashable, at: float) -> None:
        """Fire `name` at time `at`, and at no other time that was set before."""
        if (before := self._at.get(name)) is not None and before[0] == at:
            return
        entry = (at, next(self._order))
        self._at[name] = entry
        heapq.heappush(self._heap, (*entry, name))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._heap = [(*live, key) for key, live in self._at.items()]
            heapq.heapify(self._heap)

    def follow(self, name: Hashable, at: float | None) -> None:
        """`set`, or `cancel` where `at` is None."""
        before = self._at.get(name)
        if at is None:
            if before is not None:
                del self._at[name]
        elif before is None or before[0] != at:
            self.set(name, at)

    def cancel(self, name: Hashable) -> None:
        """Forget `name`; it need not be set."""
        self._at.pop(name, None)

    def is_set(self, name: Hashable) -> bool:
        """Whether `name` is to fire."""
        return name in self._at

    def pending(self) -> dict[Hashable, float]:
        """Every name that is set, and when it is due."""
        return {name: at for name, (at, _) in self._at.items()}

    def deadline(self) -> float | None:
        """When the next timer is due, or None."""
        while self._heap:
            at, order, name = self._heap[0]
            if self._at.get(name) == (at, order):
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> Iterator[Hashable]:
        """Take out the names due at `now`, earliest first; a handler may set or cancel others meanwhile."""
        while (at := self.deadline()) is not None and at <= now:
            name = heapq.heappop(self._heap)[2]
            del self._at[name]
            yield name


class Following:
    """Timers of these `names` that are where some deadlines are; they are set only when one of these has changed or fired."""

    def __init__(self, timers: Timers, names: Sequence[Hashable]) -> None:
        self._timers, self._names = timers, names
        self._deadlines: tuple[float | None, ...] = ()

    def set(self, deadlines: tuple[float | None, ...]) -> None:
        """One for each of the names, None where it is not to fire."""
        if deadlines != self._deadlines:
            self._deadlines = deadlines
            for name, at in zip(self._names, deadlines, strict=True):
                self._timers.follow(name, at)

    def fired(self) -> None:
        """One of the names was due: the next `set` may mean the same moment again."""
        self._deadlines = ()


class Backoff:
    """Pauses in seconds that double from `first` to at most `most`, each shortened by up to half.

    The jitter keeps many clients from coming back at the same moment.
    """

    def __init__(self, rng: random.Random, first: float, most: float) -> None:
        self._rng = rng
        self._first = first
        self._most = most
        self._failures = 0

    def next(self, most: float | None = None) -> float:
        """The pause after one more failure, this time at most `most`."""
        pause = min(
            self._most if most is None else most, self._first * 2.0 ** min(self._failures, 32)
        )
        self._failures += 1
        return pause * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with `first` again: it worked."""
        self._failures = 0
