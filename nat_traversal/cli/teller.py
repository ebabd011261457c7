"""Tells trouble now and then: at once when it begins or comes back, never again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Teller:
    """Lets one word of each kind through in `interval` seconds, and counts what it kept back.

    `most`: kinds that it remembers. The one that was told longest ago makes room, so a flood of kinds
    is held to `most` words in that time. `burst`: words of one kind at once. `clock` gives seconds.
    """

    def __init__(
        self, clock: Callable[[], float], interval: float, most: int = 100, burst: int = 1
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._most = most
        self._ahead = (burst - 1) * interval
        self._told: OrderedDict[Hashable, tuple[float, float, int]] = OrderedDict()
        """When each kind was told last, when that would have been in even steps, and how often it came since."""
        self.kept_back = 0
        """Words of all kinds that were not told."""

    def due(self, kind: Hashable) -> int | None:
        """None if `kind` should not be told now, else how often it was kept back since the last time."""
        now = self._clock()
        at, step, kept_back = self._told.get(kind, (None, 0.0, 0))
        if at is not None and now + self._ahead - step < self._interval:
            self._told[kind] = (at, step, kept_back + 1)
            self.kept_back += 1
            return None
        if at is None and len(self._told) >= self._most:
            oldest, (oldest_at, _, _) = next(iter(self._told.items()))
            if now - oldest_at < self._interval:
                self.kept_back += 1
                return None
            del self._told[oldest]
        step = now if at is None else max(step + self._interval, now)
        self._told[kind] = (now, step, 0)
        self._told.move_to_end(kind)
        return kept_back

    def forget(self, which: Callable[[Hashable], bool]) -> None:
        """That trouble has ended: when it comes back, it is news."""
        for kind in [kind for kind in self._told if which(kind)]:
            del self._told[kind]


def with_count(text: str, kept_back: int) -> str:
    """`text`, and how often it was not told."""
    return f"{text} ({kept_back} more times since it was told last)" if kept_back else text
