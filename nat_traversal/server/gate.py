"""Which connections are taken at all: budgets of a source and of all, before anything is made for one."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.machine.counters import Counters
from nat_traversal.server.buckets import Bucket, Buckets
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.messages import ErrorCode

CALM_BURST, CALM_RATE = 8.0, 0.2
"""Connections at once, and a second, of a source that only comes back now and then."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is not taken. `text` is for people."""

    code: ErrorCode
    text: str


@dataclass(slots=True)
class _Present:
    """The connections of one source."""

    unregistered: int = 0
    registered: int = 0


class Gate:
    """Keeps count of the connections of each source, and says whether one more is taken.

    A source that is not known (empty) has no budget of its own.
    """

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._present: dict[str, _Present] = {}
        self._all = _Present()
        count = counters.counter
        self._from_source = count(
            "connects-refused-source", "a connection not taken: its source has too many"
        )
        self._too_often = count(
            "connects-refused-rate", "a connection not taken: its source makes too many a second"
        )
        self._shed = count(
            "connects-refused-all", "a connection not taken: busy sources make too many a second"
        )
        self._full = count("connects-refused-full", "a connection not taken: there is no room")
        self.reconfigure(settings)

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets, and those of rates full."""
        self._settings = settings
        self._rates: Buckets[str] = Buckets(
            settings.connects_burst, settings.connects_per_source, settings.sources
        )
        self._calm: Buckets[str] = Buckets(CALM_BURST, CALM_RATE, settings.sources)
        self._busy = Bucket(max(1.0, settings.connects_in_all), settings.connects_in_all)
        reserved = min(settings.reserved, settings.connections // 8)
        self._open_to_all = settings.connections - reserved

    @property
    def unregistered(self) -> int:
        """Connections that have not registered."""
        return self._all.unregistered

    def refusal(self, source: str, now: float) -> Refusal | None:
        """Why the connection that has just come from `source` is not taken; None if it is."""
        settings, here = self._settings, self._present.get(source)
        if here is not None and source:
            if here.unregistered >= settings.unregistered_per_source:
                self._from_source.value += 1
                return _TOO_MANY
            if self._all.registered >= self._open_to_all:
                self._full.value += 1
                return _FULL
        if self._all.registered >= settings.connections:
            self._full.value += 1
            return _FULL
        if source and not self._rates.take(source, now):
            self._too_often.value += 1
            return _TOO_OFTEN
        if source and not self._calm.take(source, now) and not self._busy.take(now):
            self._shed.value += 1
            return _BUSY
        return None

    def may_register(self, source: str) -> bool:
        """Whether one more host of `source` may register."""
        here = self._present.get(source)
        if not source or here is None or here.registered < self._settings.registered_per_source:
            return True
        self._from_source.value += 1
        return False

    def came(self, source: str) -> None:
        """A connection was taken."""
        self._all.unregistered += 1
        self._present.setdefault(source, _Present()).unregistered += 1

    def registered(self, source: str) -> None:
        """A connection has registered."""
        for each in (self._all, self._present[source]):
            each.unregistered -= 1
            each.registered += 1

    def gone(self, source: str, *, was_registered: bool) -> None:
        """A connection has ended."""
        here = self._present[source]
        for each in (self._all, here):
            if was_registered:
                each.registered -= 1
            else:
                each.unregistered -= 1
        if not here.registered and not here.unregistered:
            del self._present[source]


_TOO_MANY = Refusal(ErrorCode.SERVER_FULL, "too many connections from this address")
_FULL = Refusal(ErrorCode.SERVER_FULL, "the server is full")
_TOO_OFTEN = Refusal(ErrorCode.TOO_FAST, "too many connections a second from this address")
_BUSY = Refusal(ErrorCode.TOO_FAST, "too many connections a second")
