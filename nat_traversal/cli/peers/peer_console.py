"""A console of one peer among several: each line and each event says which peer it is about."""

from __future__ import annotations

from typing import Any

from nat_traversal.cli.console import Console


class PeerConsole(Console):
    """Tells through `console`, with the id of `peer`."""

    def __init__(self, console: Console, peer: str) -> None:
        super().__init__(as_json=console.as_json)
        self._console = console
        self._peer = peer

    def event(self, name: str, **values: Any) -> None:
        """One JSON line; its ``peer`` is this one, unless the event is about another."""
        self._console.event(name, **{"peer": self._peer, **values})

    def say(self, text: str, /, **values: Any) -> None:
        """One line for people."""
        self._console.say(f"{self._peer}: {text}", **{"peer": self._peer, **values})

    def fail(self, text: str) -> None:
        """One line for people that `quiet` does not silence."""
        self._console.fail(f"{self._peer}: {text}")
