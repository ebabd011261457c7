"""Runs one machine: an event at a time, its actions in order, one timer. The clock is handed in."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from nat_traversal.errors import NatTraversalError
from nat_traversal.machine.actions import Action
from nat_traversal.machine.events import ActionFailed, Event, TimerFired
from nat_traversal.machine.failures import in_words, lacks_room

log = logging.getLogger(__name__)


class Machine(Protocol):
    """An `Agent` or a `StandaloneServer`."""

    def handle(self, event: Event, now: float) -> list[Action]: ...

    def deadline(self) -> float | None: ...


class Timer(Protocol):
    """One call that is due later."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """A clock in seconds that calls back: an asyncio event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer: ...


class Driver:
    """Subclasses carry out the actions.

    The error of an action becomes an `ActionFailed`, which the machine answers after the actions that follow.
    So no error stops the timer or another action.
    """

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._timer: Timer | None = None
        self._armed_for: float | None = None
        self._events: deque[Event] = deque()
        self._busy = False

    def feed(self, event: Event) -> None:
        """One event. Events that come up while actions are carried out wait their turn."""
        self._events.append(event)
        if not self._busy:
            self._run([])

    def _run(self, actions: list[Action]) -> None:
        """Carry out a machine's first actions, then what the waiting events lead to."""
        self._busy = True
        try:
            for action in actions:
                self._try(action)
            while self._events:
                event = self._events.popleft()
                for action in self._machine.handle(event, self._clock.time()):
                    self._try(action)
        finally:
            self._busy = False
            self._arm()

    def _try(self, action: Action) -> None:
        try:
            self._carry_out(action)
        except Exception as error:  # noqa: BLE001 - see `_unexpected`
            if not isinstance(error, OSError | NatTraversalError):
                self._unexpected(error)
            failed = ActionFailed(action, in_words(error), lacks_room=lacks_room(error))
            self._events.append(failed)

    def _unexpected(self, error: Exception) -> None:
        """A mistake in this code: the machine goes on, and whoever looks can see it."""
        log.error("an action could not be carried out", exc_info=error)

    def _carry_out(self, action: Action) -> None:
        raise NotImplementedError

    def _arm(self) -> None:
        deadline = self._machine.deadline()
        if deadline == self._armed_for:
            return
        self._disarm()
        if deadline is not None:
            self._armed_for = deadline
            self._timer = self._clock.call_at(deadline, self._timer_due)

    def _disarm(self) -> None:
        self._armed_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_due(self) -> None:
        self._armed_for = None
        self.feed(TimerFired())
