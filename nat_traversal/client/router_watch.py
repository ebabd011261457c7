"""Notices a router that begins to map ports while a pair is relayed: then a new attempt is worth while at once."""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.settings import ClientSettings


class RouterWatch:
    """Of one peer."""

    def __init__(self, settings: ClientSettings) -> None:
        self._pause = settings.router_look
        self.deadline: float | None = None
        """When to call `due`."""

    def look(self, now: float, *, is_worth_while: bool) -> None:
        """After each event: whether the pair is relayed, waits for the next attempt, and lacks a port of the router."""
        if not is_worth_while:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = now + self._pause

    def due(self, generation: int, now: float) -> list[do.Action]:
        """Ask the router for a port that leads to the relayed path's socket of that number. `RouterMaps` tells."""
        self.deadline = now + self._pause
        return [do.MapPort(generation)]
