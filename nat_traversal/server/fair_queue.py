"""Whose turn it is: items of many sources, by rank, and one of each source after the other. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")
_OLDEST_EACH = 4


class Rank(Enum):
    """The order of items. `KNOWN` and `NEW` are urgent."""

    KNOWN = auto()
    """Of hosts that have registered, from sources within their budget."""
    NEW = auto()
    """Of hosts that have not, likewise."""
    BUSY = auto()
    """From sources that say more than their budget."""


class FairQueue(Generic[T]):
    """Each source has a queue of its own in each rank; the queues of a rank take turns. Every operation takes constant time.

    Of the new ones the last source is next: many sources at once do not make each new one wait for all
    of them. Every fourth time it is the oldest, so that nobody waits for ever.
    """

    def __init__(self) -> None:
        self._ranks: dict[Rank, OrderedDict[str, deque[T]]] = {rank: OrderedDict() for rank in Rank}
        self._newcomers = 0

    def __bool__(self) -> bool:
        return any(self._ranks.values())

    @property
    def has_urgent(self) -> bool:
        """Whether `pop_urgent` has something."""
        return bool(self._ranks[Rank.KNOWN] or self._ranks[Rank.NEW])

    def put(self, item: T, source: str, rank: Rank) -> None:
        """`item` of `source` waits from now on."""
        queues = self._ranks[rank]
        queue = queues.get(source)
        if queue is None:
            queues[source] = deque((item,))
        else:
            queue.append(item)

    def pop_urgent(self) -> T | None:
        """The next urgent item."""
        known, new = self._ranks[Rank.KNOWN], self._ranks[Rank.NEW]
        if known or not new:
            return self._pop(known)
        self._newcomers += 1
        if self._newcomers % _OLDEST_EACH == 0:
            return self._pop(new)
        source = next(reversed(new))
        queue = new[source]
        item = queue.popleft()
        if not queue:
            del new[source]
        return item

    def pop_other(self) -> T | None:
        """The next item that is not urgent."""
        return self._pop(self._ranks[Rank.BUSY])

    @staticmethod
    def _pop(queues: OrderedDict[str, deque[T]]) -> T | None:
        if not queues:
            return None
        source = next(iter(queues))
        queue = queues[source]
        item = queue.popleft()
        if queue:
            queues.move_to_end(source)
        else:
            del queues[source]
        return item
