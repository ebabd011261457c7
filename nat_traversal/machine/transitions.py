"""A state machine as one literal table: what is not in the table cannot happen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from nat_traversal.errors import LocalProtocolError

log = logging.getLogger(__name__)

State = TypeVar("State", bound=Enum)
Trigger = TypeVar("Trigger", bound=Enum)


class StateMachine(Generic[State, Trigger]):
    """Holds one state; changes it only as `table` allows, and logs each change under `name`."""

    def __init__(
        self, name: str, initial: State, table: Mapping[tuple[State, Trigger], State]
    ) -> None:
        self._name = name
        self._state = initial
        self._table = table

    @property
    def state(self) -> State:
        return self._state

    def allows(self, trigger: Trigger) -> bool:
        """Whether `trigger` means something now. Ask before acting on what the other side sent."""
        return (self._state, trigger) in self._table

    def fire(self, trigger: Trigger) -> State:
        """Take the transition. Raises `LocalProtocolError` where the table has none."""
        try:
            after = self._table[self._state, trigger]
        except KeyError:
            raise LocalProtocolError(
                f"{self._name}: {trigger.name} is not possible in state {self._state.name}"
            ) from None
        if after is not self._state and log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s -> %s (%s)", self._name, self._state.name, after.name, trigger.name)
        self._state = after
        return after
