"""A server that ends: attempts come to their end, and each client is told when to come back."""

from __future__ import annotations

import random
from dataclasses import dataclass

from nat_traversal.machine.timers import Timers
from nat_traversal.server.connections import Connections, ServerAction
from nat_traversal.server.registry import Host, Registry
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m

MOST = 3600.0
"""Seconds, the most that a client is asked to wait."""


@dataclass(frozen=True, slots=True)
class DrainDue:
    """The timer's name: attempts have had their time."""


class Drain:
    """Dismisses the hosts of `registry` once it has begun, those in an attempt only when that is over."""

    def __init__(
        self, registry: Registry, connections: Connections, timers: Timers, rng: random.Random
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._timers = timers
        self._rng = rng
        self._window: tuple[float, float] | None = None
        """When clients are to come back: seconds from their dismissal, the first and the last."""

    @property
    def has_begun(self) -> bool:
        """Whether the server ends."""
        return self._window is not None

    def begin(self, settings: ServerSettings, now: float) -> None:
        """From now on nobody stays. Attempts have `settings.drain_within` to end."""
        if self.has_begun:
            return
        first = settings.return_first
        # As many a second as the next server takes with ease: no herd.
        last = first + max(1.0, len(self._registry) / settings.return_rate)
        self._window = min(first, MOST), min(last, MOST)
        self._timers.set(DrainDue(), now + settings.drain_within)

    def go_on(self) -> list[ServerAction]:
        """Dismiss those whom nothing keeps."""
        return self._dismiss([host for host in self._registry if not host.is_attempting])

    def out_of_time(self) -> list[ServerAction]:
        """Dismiss everybody."""
        return self._dismiss(list(self._registry))

    def _dismiss(self, hosts: list[Host]) -> list[ServerAction]:
        return [action for host in hosts for action in self._dismiss_one(host)]

    def _dismiss_one(self, host: Host) -> list[ServerAction]:
        assert self._window is not None
        after = round(self._rng.uniform(*self._window), 3)
        return self._connections.dismiss(host, m.GoAway(after))
