"""Finds out why a path is relayed: asks for this host's NAT once that has lasted, and swaps the facts with the peer."""

from __future__ import annotations

from nat_traversal.client.explanation import Explanation, explain
from nat_traversal.client.path_status import Story
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Timers
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import RELAYS
from nat_traversal.wire.nat_facts import NatFacts


class Explaining:
    """Of one peer. Owns the timer ``(its id, "explain")`` in `timers`."""

    def __init__(self, peer: str, story: Story, timers: Timers, settings: ClientSettings) -> None:
        self._timer = (peer, "explain")
        self._story = story
        self._timers = timers
        self._after = settings.explain_after
        self._address = ""
        self._own: NatFacts | None = None
        self._theirs: NatFacts | None = None
        self._path: Path | None = None
        """The path that carries."""
        self._told_on: Path | None = None
        """Where the peer has been told of this side's NAT."""
        self._said: Explanation | None = None

    def due(self) -> list[do.Action]:
        """The relayed path has lasted: find this host's NAT out."""
        return [] if self._own is not None else [do.FindOutNat()]

    def found(self, facts: NatFacts) -> None:
        """This host's NAT is known, as far as the server can tell."""
        self._own, self._told_on = facts, None

    def for_server(self) -> list[do.Action]:
        """The word that the server can make use of: this NAT lets guesses in."""
        own = self._own
        if own is None or own.mapping is None or own.filtering is None:
            return []
        told = m.NatTold(own.mapping, own.filtering)
        return [do.SendMessage(told)] if told.lets_guesses_in else []

    def mapped(self, address: str) -> None:
        """The server sees this host at `address`: at another one it may be behind another NAT."""
        if self._address not in ("", address):
            self._own = None
        self._address = address

    def carries(self, path: Path | None, now: float) -> list[do.Action]:
        """Programs' datagrams take `path` now. Called after each event."""
        is_relayed = path is not None and path.method in RELAYS
        if path is not self._path:
            self._path = path
            self._said = None
            self._timers.cancel(self._timer)
            if is_relayed and self._after:
                self._timers.set(self._timer, now + self._after)
        if path is None or not is_relayed:
            return []
        actions: list[do.Action] = []
        if self._own is not None and self._told_on is not path:
            self._told_on = path
            actions += path.tell_facts(self._own, now)
        if path.peer_facts is not None:
            self._theirs = path.peer_facts
        return actions + self._say()

    def _say(self) -> list[do.Action]:
        """Once both NATs are known: tell people why, once for each path."""
        found = explain(self._own, self._theirs)
        self._story.explained(found)
        if found is None or found == self._said or self._own is None or self._theirs is None:
            return []
        self._said = found
        return [do.Tell(note.WhyRelayed(found.reason, found.remedy))]
