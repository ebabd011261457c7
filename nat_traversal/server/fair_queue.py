"""Whose turn it is: items of many sources, one of each source after the other, the urgent ones first. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Each source has a queue of its own; the queues take turns. Every operation takes constant time."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[str, deque[T]] = OrderedDict()
        self._others: OrderedDict[str, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others)

    @property
    def has_urgent(self) -> bool:
        """Whether `pop_urgent` has something."""
        return bool(self._urgent)

    def put(self, item: T, source: str, *, is_urgent: bool) -> None:
        """`item` of `source` waits from now on."""
        queues = self._urgent if is_urgent else self._others
        queue = queues.get(source)
        if queue is None:
            queues[source] = deque((item,))
        else:
            queue.append(item)

    def pop_urgent(self) -> T | None:
        """The next urgent item."""
        return self._pop(self._urgent)

    def pop_other(self) -> T | None:
        """The next item that is not urgent."""
        return self._pop(self._others)

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
