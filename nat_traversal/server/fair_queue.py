"""Whose turn it is: items of many sources, by rank, and one of each source after the other. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")
_OLDEST_EACH = 4


class Rank(Enum):
    """The order of items. `KNOWN` and `NEW` are urgent, and take turns: neither can keep the other waiting."""

    KNOWN = auto()
    """Of hosts that have registered, from sources within their budget."""
    NEW = auto()
    """Of hosts that have not, likewise."""
    BUSY = auto()
    """From sources that say more than their budget."""


class FairQueue(Generic[T]):
    """Each source has a queue of its own in each rank. Every operation takes constant time.

    Of the urgent ones the last source is next: many sources at once do not make each other wait for all
    of them. Every fourth time it is the oldest, so that nobody waits for ever. Busy sources take turns.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, deque[T]] = OrderedDict()
        self._new: OrderedDict[str, deque[T]] = OrderedDict()
        self._busy: OrderedDict[str, deque[T]] = OrderedDict()
        self._was_known = False
        self._popped = 0

    def __bool__(self) -> bool:
        return bool(self._known or self._new or self._busy)

    @property
    def has_urgent(self) -> bool:
        """Whether `pop_urgent` has something."""
        return bool(self._known or self._new)

    def put(self, item: T, source: str, rank: Rank) -> None:
        """`item` of `source` waits from now on."""
        queues = self._busy
        if rank is not Rank.BUSY:
            queues = self._known if rank is Rank.KNOWN else self._new
        queue = queues.get(source)
        if queue is None:
            queues[source] = deque((item,))
        else:
            queue.append(item)

    def pop_urgent(self) -> T | None:
        """The next urgent item."""
        known, new = self._known, self._new
        if known and new:
            self._was_known = not self._was_known
        queues = known if known and (self._was_known or not new) else new
        self._popped += 1
        return self._pop(queues, last=self._popped % _OLDEST_EACH != 0)

    def pop_other(self) -> T | None:
        """The next item that is not urgent."""
        return self._pop(self._busy, last=False)

    @staticmethod
    def _pop(queues: OrderedDict[str, deque[T]], *, last: bool) -> T | None:
        if not queues:
            return None
        source = next(reversed(queues) if last else iter(queues))
        queue = queues[source]
        item = queue.popleft()
        if not queue:
            del queues[source]
        else:
            queues.move_to_end(source, last=not last)
        return item
