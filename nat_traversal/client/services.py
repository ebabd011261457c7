"""The services of one peer: told to it when a path stands, heard from it, and matched by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import Pace
from nat_traversal.paths.control_channel import MAX_BODY
from nat_traversal.paths.path import Path
from nat_traversal.paths.upkeep import CERTIFICATE, SERVICES
from nat_traversal.wire.serial import is_later
from nat_traversal.wire.services import (
    MAX_REVISION,
    ServiceOffer,
    ServicesPart,
    check_distinct,
    decode_services,
    encode_services,
)

WORDS_BURST = 8
"""Lists of the peer at once of which people are told."""
WORDS_EVERY = 10.0
"""Seconds between two such lists in the long run."""


class PeerServices:
    """The named services for `peer` on this side, and its own. It tells nothing where neither side has any.

    `certificate`: this process's for TCP services, in at most `MAX_BODY` - 1 octets.
    """

    def __init__(self, peer: str, own: Iterable[ServiceOffer], certificate: bytes = b"") -> None:
        self._peer = peer
        self._certificate = certificate
        self.own: tuple[ServiceOffer, ...] = tuple(own)
        self.theirs: tuple[ServiceOffer, ...] | None = None
        """The peer's newest list; None: it has told none."""
        self._revision = 1
        self._told_on: dict[int, int] = {}
        """The revision that the peer was told on a path, by the path's socket."""
        self._instance = b""
        """The peer's process that told `theirs`."""
        self._their_certificate = b""
        """Of that process."""
        self._their_revision = 0
        self._parts: list[ServicesPart] = []
        self._matched: dict[int, int] = {}
        self._said: tuple[note.Notice, ...] = ()
        self._words = Pace(WORDS_BURST, WORDS_EVERY)

    @property
    def matched(self) -> Mapping[int, int]:
        """This side's number of each service that both have, and the peer's."""
        return self._matched

    def change(
        self, own: Iterable[ServiceOffer], now: float, certificate: bytes = b""
    ) -> list[do.Action]:
        """This side has other services from now on, or one of them refuses datagrams. The next `carries`
        tells the peer."""
        self._certificate = certificate or self._certificate
        changed = tuple(own)
        if changed == self.own:
            return []
        self.own = changed
        self._revision = self._revision % MAX_REVISION + 1
        return self._match(now)

    def refuses(self, number: int, refuses: bool, now: float) -> list[do.Action]:
        """This side's service `number` has begun to refuse datagrams, or answers again."""
        return self.change(
            [
                replace(each, refuses=refuses) if each.number == number else each
                for each in self.own
            ],
            now,
        )

    def troubles(self) -> dict[int, note.Notice | None]:
        """Of each service of this side, by its number, why its datagrams do not cross; None: they do. Empty while the
        peer has told nothing."""
        if self.theirs is None:
            return {}
        by_name = {each.name: each for each in self.theirs}
        return {ours.number: self._lack(ours, by_name.get(ours.name)) for ours in self.own}

    def _lack(self, ours: ServiceOffer, theirs: ServiceOffer | None) -> note.Notice | None:
        trouble = self._trouble(ours, theirs)
        if trouble is None and theirs is not None and theirs.refuses:
            return note.ServiceAtPeer(self._peer, False, ours.name)
        return trouble

    def carries(self, path: Path | None, now: float) -> list[do.Action]:
        """Programs' datagrams take `path`: tell the peer on it. Called after each event."""
        if path is None:
            return []
        actions = self._met(path)
        if self.own or self.theirs is not None or self._revision > 1:
            actions += self._tell(path, now)
        return actions

    def heard(self, path: Path, now: float) -> list[do.Action]:
        """Take the peer's words on `path`. Nonsense is dropped: it was authentic, so the peer has a fault."""
        actions: list[do.Action] = []
        for word in path.take_words():
            if word[:1] == SERVICES:
                actions += self._arrived(path, word[1:], now)
            elif word[:1] == CERTIFICATE:
                actions += self._met(path)
                self._their_certificate = word[1:]
        return actions

    def _arrived(self, path: Path, octets: bytes, now: float) -> list[do.Action]:
        actions = self._met(path)
        try:
            part = decode_services(octets)
            begun = self._parts and self._parts[-1].revision == part.revision
            self._parts = [*self._parts, part] if begun else [part]
            offers = tuple(offer for each in self._parts for offer in each.offers)
            check_distinct(offers)
        except WireError:
            self._parts = []
            return actions
        if part.more:
            return actions
        self._parts = []
        if is_later(part.revision, self._their_revision, MAX_REVISION):
            self._their_revision, self.theirs = part.revision, offers
            actions += self._match(now)
        return [*actions, *self._tell(path, now)]

    def _met(self, path: Path) -> list[do.Action]:
        """Forget what another process of the peer has told."""
        if path.instance == self._instance:
            return []
        self._instance, self.theirs, self._their_revision, self._parts = path.instance, None, 0, []
        self._their_certificate = b""
        self._said = ()
        if not self._matched:
            return []
        self._matched = {}
        return [do.MatchServices(self._peer, {})]

    def _tell(self, path: Path, now: float) -> list[do.Action]:
        if self._told_on.get(path.generation) == self._revision:
            return []
        self._told_on = {path.generation: self._revision}
        parts = encode_services(self._revision, self.own, MAX_BODY - len(SERVICES))
        bodies = [SERVICES + part for part in parts]
        if self._certificate:
            bodies.insert(0, CERTIFICATE + self._certificate)
        return [action for body in bodies for action in path.tell(body, now)]

    def _match(self, now: float) -> list[do.Action]:
        if self.theirs is None:
            return []
        by_name = {each.name: each for each in self.theirs}
        matched: dict[int, int] = {}
        said: list[note.Notice] = []
        for ours in self.own:
            other = by_name.pop(ours.name, None)
            trouble = self._trouble(ours, other)
            if trouble is not None:
                said.append(trouble)
            elif other is not None:
                matched[ours.number] = other.number
                if other.refuses:
                    said.append(note.ServiceAtPeer(self._peer, False, ours.name))
        said += [
            note.ServiceOnlyThere(self._peer, each.name, str(each.side))
            for each in by_name.values()
        ]
        return [*self._use(matched), *self._say(matched, said, now)]

    def _trouble(self, ours: ServiceOffer, theirs: ServiceOffer | None) -> note.Notice | None:
        if theirs is None:
            return note.ServiceOnlyHere(self._peer, ours.name, str(ours.side))
        if theirs.side is ours.side:
            return note.ServiceSidesAlike(self._peer, ours.name, str(ours.side))
        if theirs.kind is not ours.kind:
            return note.ServiceKindsDiffer(
                self._peer, ours.name, str(ours.kind), str(theirs.kind or "a later kind")
            )
        return None

    def _use(self, matched: dict[int, int]) -> list[do.Action]:
        if matched == self._matched:
            return []
        self._matched = matched
        return [do.MatchServices(self._peer, matched, self._their_certificate)]

    def _say(
        self, matched: Mapping[int, int], said: list[note.Notice], now: float
    ) -> list[do.Action]:
        """Tell people what is new, as often as nobody can make this side talk without end."""
        names = {each.number: each.name for each in self.own}
        ready = tuple(sorted(names[number] for number in matched))
        if ready:
            said.append(note.ServicesReady(self._peer, ready))
        down = {each.service for each in self._said if isinstance(each, note.ServiceAtPeer)}
        still_down = {each.service for each in said if isinstance(each, note.ServiceAtPeer)}
        up: list[note.Notice] = [
            note.ServiceAtPeer(self._peer, True, name)
            for name in sorted(down - still_down)
            if name in ready
        ]
        news = [each for each in said if each not in self._said]
        if not (news or up):
            self._said = tuple(said)
            return []
        if self._words.take(now):
            return []
        self._said = tuple(said)
        return [do.Tell(each) for each in [*up, *news]]
