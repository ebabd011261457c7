"""The flows of one side, and which of them makes room for a new one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from nat_traversal.machine.counters import Counter, Counters

EVICTED = "flows-evicted"
"""The counter's name."""


def evictions(counters: Counters) -> Counter:
    """The count of flows that made room."""
    return counters.counter(EVICTED, "a flow made room for a new one")


K = TypeVar("K", bound=Hashable)
F = TypeVar("F")


class FlowTable(Generic[K, F]):
    """Flows by their keys. Each call takes the same time however many there are.

    A flow that waits for its first answer would lose it if it made room. So one that was answered does.
    """

    def __init__(self) -> None:
        self._flows: dict[K, F] = {}
        self._asking: OrderedDict[K, None] = OrderedDict()
        self._answered: OrderedDict[K, None] = OrderedDict()
        """Of both the one first that was used longest ago."""
        self._latest: F | None = None
        """The flow that was used last: as a rule the next one too, and nothing has to move."""
        self._latest_is_answered = False

    def __len__(self) -> int:
        return len(self._flows)

    def __iter__(self) -> Iterator[F]:
        return iter(self._flows.values())

    def get(self, key: K) -> F | None:
        """The flow with that key."""
        return self._flows.get(key)

    def add(self, key: K, flow: F) -> None:
        """A flow begins. Nothing has come back yet."""
        self._flows[key] = self._latest = flow
        self._asking[key] = None
        self._latest_is_answered = False

    def asks(self, key: K, flow: F) -> None:
        """A datagram of the program goes to the service."""
        if flow is self._latest:
            return
        self._latest, self._latest_is_answered = flow, key in self._answered
        (self._answered if self._latest_is_answered else self._asking).move_to_end(key)

    def answers(self, key: K, flow: F) -> None:
        """A datagram comes back."""
        if flow is self._latest and self._latest_is_answered:
            return
        self._latest, self._latest_is_answered = flow, True
        self._asking.pop(key, None)
        self._answered[key] = None
        self._answered.move_to_end(key)

    def remove(self, key: K) -> None:
        """A flow has ended."""
        del self._flows[key]
        self._latest, self._latest_is_answered = None, False
        del (self._answered if key in self._answered else self._asking)[key]

    def longest_idle(self) -> F:
        """The flow that makes room: of those that were answered the one used longest ago; of all, if there is none."""
        return self._flows[next(iter(self._answered or self._asking))]
