"""A clock that only moves when the next thing happens."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

MAX_STEPS = 300_000
"""Things that may happen in one test: more means that two machines chase each other."""


class Call:
    """Something that is due later, unless it is cancelled."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action: Callable[[], object] | None = action

    def cancel(self) -> None:
        self._action = None

    def run(self) -> None:
        if self._action is not None:
            self._action()


class Clock:
    """Runs callbacks in order of their time, and of their registration where times are equal."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._steps = 0
        self.most_steps = MAX_STEPS
        """A test of a day may raise it."""

    def time(self) -> float:
        """The same as `now`, as a driver asks for it."""
        return self.now

    def call_at(self, when: float, action: Callable[[], object]) -> Call:
        """As `at`, for a driver: the call can be cancelled."""
        call = Call(action)
        self.at(when, call.run)
        return call

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Call `action` at `when`, or now if that has passed."""
        due = max(self.now, when)
        heapq.heappush(self._heap, (due, next(self._order), action))

    def run_to(self, end: float) -> None:
        """Everything that happens up to and including `end`."""
        while self._heap and self._heap[0][0] <= end:
            self._step()
        self.now = max(self.now, end)

    def run_until(self, condition: Callable[[], bool], within: float) -> float:
        """Until `condition` holds; returns when it came to hold. Fails after `within` seconds."""
        end = self.now + within
        while not condition():
            if not self._heap or self._heap[0][0] > end:
                raise AssertionError(f"it did not happen within {within:g} virtual seconds")
            self._step()
        return self.now

    def _step(self) -> None:
        self._steps += 1
        assert self._steps <= self.most_steps, (
            f"more than {self.most_steps} steps by {self.now:g} s"
        )
        self.now, _, action = heapq.heappop(self._heap)
        action()
