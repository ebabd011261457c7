"""What both adapters share: feed the machine, carry out its actions, re-arm one timer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from nat_traversal.machine.events import Action, Event, TimerFired


class Machine(Protocol):
    """An `Agent` or a `StandaloneServer`."""

    def handle(self, event: Event, now: float) -> list[Action]: ...

    def deadline(self) -> float | None: ...


class Driver:
    """Runs one machine on the event loop's clock. Subclasses carry out the actions."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._events: deque[Event] = deque()
        self._busy = False

    def feed(self, event: Event) -> None:
        """One event. Events that come up while actions are carried out wait their turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                self._run(self._machine.handle(self._events.popleft(), self._loop.time()))
        finally:
            self._busy = False
        self._arm()

    def _run(self, actions: list[Action]) -> None:
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        raise NotImplementedError

    def _arm(self) -> None:
        deadline = self._machine.deadline()
        if deadline == self._armed_for:
            return
        self._disarm()
        if deadline is not None:
            self._armed_for = deadline
            self._timer = self._loop.call_at(deadline, self._timer_due)

    def _disarm(self) -> None:
        self._armed_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_due(self) -> None:
        self._armed_for = None
        self.feed(TimerFired())
