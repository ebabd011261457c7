"""Datagrams that lie one behind the other in one buffer, and views of them that are made once. Pure.

Making a view of a buffer costs Python a tenth of a microsecond, and sealing a datagram less than one.
Datagrams come in runs of one size, so the same views serve again and again.
"""

from __future__ import annotations

from typing import NamedTuple

FEW = 4
"""So many datagrams of one size are worth a loop of their own, and views that are kept."""
MOST_LAYOUTS = 32
"""Kept at once: programs use few sizes. Each has at most a few hundred views."""


class Tray:
    """A buffer of `size` octets for datagrams. Its owner knows where they lie."""

    def __init__(self, size: int) -> None:
        self.octets = memoryview(bytearray(size))  # the kernel gives memory where it is used
        self._layouts: dict[tuple[int, int, int], list[memoryview]] = {}

    @classmethod
    def of(cls, octets: bytes | memoryview) -> Tray:
        """One that holds a copy of `octets`."""
        tray = cls(len(octets))
        tray.octets[:] = octets
        return tray

    def views(self, at: int, length: int, step: int, count: int) -> list[memoryview]:
        """`count` views of `length` octets: the first from `at`, each next one `step` octets further on.

        The list may be shared, so it is not to be changed.
        """
        octets = self.octets
        if count < FEW:
            return [octets[at + i * step : at + i * step + length] for i in range(count)]
        layout = (at, length, step)
        views = self._layouts.get(layout)
        if views is None:
            if len(self._layouts) >= MOST_LAYOUTS:
                self._layouts.clear()
            views = self._layouts[layout] = []
        for index in range(len(views), count):
            start = at + index * step
            views.append(octets[start : start + length])
        return views if len(views) == count else views[:count]


class Run(NamedTuple):
    """Datagrams that lie in a tray: `total` of them, from `start`, `step` octets from one to the next.
    Each has `size` octets, but the last has `last`, which may be fewer."""

    tray: Tray
    start: int
    step: int
    size: int
    last: int
    total: int

    @classmethod
    def between(cls, tray: Tray, start: int, end: int, size: int) -> Run:
        """Those from `start` to `end` without gaps, of `size` octets each but the last, which may be
        shorter. No octets are one empty datagram."""
        if end <= start:
            return cls(tray, start, 0, 0, 0, 1)
        count = -(-(end - start) // size)
        return cls(tray, start, size, size, end - start - (count - 1) * size, count)

    @classmethod
    def of(cls, octets: bytes | memoryview, headroom: int = 0) -> Run:
        """One datagram, copied, with so many octets of room before it."""
        tray = Tray(headroom + len(octets))
        tray.octets[headroom:] = octets
        return cls(tray, headroom, len(octets), len(octets), len(octets), 1)

    def parts(self, skip: int = 0) -> list[memoryview]:
        """Each datagram without its first `skip` octets, of which it has as many. Valid until the tray is
        filled anew. The list is not to be changed."""
        _, start, step, size, last, total = self
        if last == size:
            return self.tray.views(start + skip, size - skip, step, total)
        at = start + (total - 1) * step
        final = self.tray.octets[at + skip : at + last]
        return [*self.tray.views(start + skip, size - skip, step, total - 1), final]

    def column(self, offset: int) -> bytes:
        """The octet at `offset` of each datagram, of which each has more than that."""
        _, start, step, _, _, total = self
        at = start + offset
        return self.tray.octets[at : at + (total - 1) * step + 1 : step].tobytes()
