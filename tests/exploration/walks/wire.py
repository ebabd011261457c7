"""What is on its way in a walk, and a clock that moves only when the walk says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from nat_traversal.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from tests.exploration.walks.processes import ClientProcess


class WalkClock:
    """Time in seconds, and the calls that are due."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[WalkTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> WalkTimer:
        timer = WalkTimer(when, callback, self._calls)
        self._calls.append(timer)
        return timer

    def next(self) -> float | None:
        """When the next call is due."""
        return min((each.when for each in self._calls), default=None)

    def advance(self) -> None:
        """Go on to the next call, and make it; nothing where none is due."""
        if not self._calls:
            return
        timer = min(self._calls, key=lambda each: each.when)
        timer.cancel()
        self.now = max(self.now, timer.when)
        timer.callback()


@dataclass(eq=False, slots=True)
class WalkTimer:
    """A call that is due."""

    when: float
    callback: Callable[[], object]
    _calls: list[WalkTimer] = field(repr=False)

    def cancel(self) -> None:
        if self in self._calls:
            self._calls.remove(self)


@dataclass(frozen=True, slots=True)
class Flight:
    """One datagram on its way, or as it was seen on its way."""

    source: Endpoint
    destination: Endpoint
    octets: bytes


class Mark(Enum):
    """What comes over a control connection beside lines."""

    OPENED = auto()
    CLOSED = auto()
    RESET = auto()


@dataclass(eq=False, slots=True)
class Link:
    """A control connection, and what is on its way in either direction. None: that end is closed."""

    number: int
    source: Endpoint
    client: ClientProcess | None
    """None: the attacker's."""
    up: deque[bytes | Mark] | None
    down: deque[bytes | Mark] | None
    is_cut: bool = False
    """Nothing arrives any more, and nobody is told."""

    def write_up(self, item: bytes | Mark) -> None:
        if self.up is None:  # the server's host does not know this connection
            self.reset_down()
        elif not self.is_cut:
            self.up.append(item)

    def write_down(self, item: bytes | Mark) -> None:
        if self.down is None:
            self.reset_up()
        elif not self.is_cut:
            self.down.append(item)

    def reset_up(self) -> None:
        """The server's end learns of the end before all that is on its way."""
        if self.up is not None and not self.is_cut:
            self.up = deque([Mark.RESET])

    def reset_down(self) -> None:
        if self.down is not None and not self.is_cut:
            self.down = deque([Mark.RESET])

    def is_over(self) -> bool:
        return self.up is None and self.down is None
