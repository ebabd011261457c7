"""The lines about this host's TURN server: each trouble once, until a path has stood."""

from __future__ import annotations

from nat_traversal.client.leg import Leg
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.paths.methods.turn import Turn
from nat_traversal.wire.addresses import is_private


class TurnNews:
    """Of one peer."""

    def __init__(self) -> None:
        self._told = ""

    def stands(self) -> None:
        """It carries a path."""
        self._told = ""

    def failed(self, reason: str) -> list[do.Action]:
        """It relays nothing, or no more."""
        if reason == self._told:
            return []
        self._told = reason
        return [do.Tell(note.TurnFailed(reason))]

    def declined(self, leg: Leg) -> list[do.Action]:
        """The peer has done with `leg`, by which no path has stood. It sends nothing to a private address elsewhere."""
        own = leg.method.relayed if isinstance(leg.method, Turn) else None
        if leg.path is not None or own is None or not is_private(own.address):
            return []
        reason = f"the server relays at {own}, a private address, which the other side cannot use: its operator has to give it a public one"
        return self.failed(reason)
