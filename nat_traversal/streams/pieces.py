"""The pieces of a stream that have come before others.

aioquic looks at each of them for each frame. A peer that sends every second octet alone makes thousands, and a packet of
such frames took 40 ms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Pieces:
    """In the place of aioquic's `RangeSet` in a stream's receiver."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> range:
        return range(self._starts[index], self._stops[index])

    def add(self, start: int, stop: int) -> None:
        """The octets from `start` up to `stop`, one at least. They become one piece with all that they touch."""
        first, behind = bisect_left(self._stops, start), bisect_right(self._starts, stop)
        if first < behind:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[behind - 1])
        self._starts[first:behind] = [start]
        self._stops[first:behind] = [stop]

    def shift(self) -> range:
        """The first one, which is taken out."""
        return range(self._starts.pop(0), self._stops.pop(0))
