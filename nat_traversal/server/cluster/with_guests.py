"""The machine of one server among several, which plays guests beside its clients, and where its words go.

Its words to a guest go to the guest's server; a few are for nobody, since that server says them itself.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.client import Clients
from nat_traversal.server.cluster.guests import Guest, Guests
from nat_traversal.server.cluster.places import Places
from nat_traversal.server.cluster.relays import SharedRelays
from nat_traversal.server.possession import Possession
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.datagrams import Announced
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.samples import Sample
from nat_traversal.wire.serial import is_later


class ServerWithGuests(StandaloneServer, ABC):
    """As a `StandaloneServer`, with guests. Actions of one event collect in `_out`; requests to the store are `AskStore`."""

    def __init__(
        self,
        *,
        rng: random.Random,
        settings: ServerSettings | None = None,
        counters: Counters | None = None,
        possession: Possession | None = None,
        places: Places | None = None,
    ) -> None:
        super().__init__(
            rng=rng,
            settings=settings,
            counters=counters,
            possession=possession,
            make_relays=partial(SharedRelays, place_of=self._place_of),
        )
        self._clients = Clients()
        self._guests = Guests(rng)
        self._places = places or Places()
        self._playing: Guest | None = None
        """The guest whose event the machine works at."""
        self._hushed: e.ConnectionId | None = None
        """The client that need not hear that its peer has left."""
        self._granted: list[Guest] = []
        self._out: list[do.Action] = []
        self._now = 0.0
        self.counters.gauge("guests", "clients of other servers", lambda: len(self._guests))

    def _pairs_of(self, settings: ServerSettings) -> int:
        """One: the shared store knows a client by one id and one peer."""
        del settings
        return 1

    @abstractmethod
    def _gone(self, connection: e.ConnectionId) -> None:
        """A connection has ended, and the machine knows it."""

    def _feed(self, event: e.Event, playing: Guest | None = None) -> None:
        before, self._playing = self._playing, playing
        for action in super().handle(event, self._now):
            self._route(action)
        self._playing = before
        while before is None and self._granted:
            guest = self._granted.pop()
            self._close(guest, tell=False)
            self._ask(w.ReleaseId(guest.id))
            self._send(guest.server, w.Yielded(guest.connection))

    def _play(self, guest: Guest, *events: e.Event) -> None:
        for event in events:
            self._feed(event, guest)

    def _play_all(self, guest: Guest) -> None:
        for event in guest.arrives():
            self._play(guest, event)

    def _shown(self, guest: Guest, card: w.Card) -> None:
        generation, public = card.register.generation, card.register.offer.public
        member = self.member(guest.number)
        if (
            member is not None
            and not card.is_used
            and is_later(generation, member.told, MAX_COUNTER)
        ):
            # The guest has come by a card that is older, or the store has lost the client's own word.
            opened = m.SocketOpened(generation, public)
            self._play(guest, e.ControlReceived(opened, guest.number))
        if card.endpoint is not None and not card.is_used:
            for event in guest.shows(generation, card.endpoint, validated=card.validated):
                self._play(guest, event)

    def _show(self, guest: Guest, shown: w.Shown | None = None) -> None:
        """Its socket was seen. Its own word of that socket came by another way, and is waited for: a guest that has come back may
        have spoken of no socket yet."""
        guest.early = shown or guest.early
        member, shown = self.member(guest.number), guest.early
        if shown is None or (
            member is not None
            and is_later(shown.generation, member.told % MAX_COUNTER + 1, MAX_COUNTER)
        ):
            return
        guest.early = None
        seen = shown.generation, shown.endpoint
        for event in guest.shows(*seen, validated=shown.validated, mapped=shown.mapped):
            self._play(guest, event)

    def _sampled(self, event: e.Event, sample: Sample, source: Endpoint) -> None:
        """A client shows one more port that its NAT gives: that counts where its pair is managed."""
        client = self._clients.with_handle(sample.handle)
        member = None if client is None else self.member(client.connection)
        before = 0 if member is None else member.sightings.count(sample.generation)
        self._feed(event)
        if client is None or member is None or not client.abroad:
            return
        if member.sightings.count(sample.generation) > before:
            self._send(client.abroad, w.Sampled(client.connection, sample.generation, source))

    def _close_all(self) -> None:
        """Nothing goes between servers for now, and no client need hear of it. Pairs at two servers meet anew once something
        does. Else their attempts would fail, and seem to have met blocked UDP or a silent peer."""
        for guest in self._guests:
            self._close(guest, hush=True, tell=False)

    def _close(self, guest: Guest, *, hush: bool = False, tell: bool = True) -> None:
        """End a guest. `hush`: its client comes back in another way, and its peer need not know."""
        self._guests.remove(guest)
        if hush:
            partner = self._clients.with_id(guest.peer)
            self._hushed = partner[0].connection if partner else None
        self._play(guest, e.ControlBroken("its server has ended it", guest.number))
        self._hushed = None
        if tell:
            self._send(guest.server, w.Closed(guest.connection))

    def _route(self, action: do.Action) -> None:
        playing = self._playing
        match action:
            case do.SendMessage(message, connection) if connection < 0:
                guest = self._guests.get(connection)
                if guest is not None:
                    self._to_guest(guest, message)
            case do.SendMessage(message, connection):
                self._to_client(message, connection)
            case do.CloseControl(connection) if connection < 0:
                guest = self._guests.get(connection)
                if guest is not None:
                    self._guests.remove(guest)
                    self._send(guest.server, w.Closed(guest.connection))
            case do.CloseControl(connection):
                self._out.append(action)
                self._gone(connection)
            case do.SendDatagram(Announced() as answer) if playing is not None:
                playing.question = answer.nonce if any(answer.nonce) else b""
            case do.SendDatagram(Knock() as knock) if playing is not None:
                playing.knock = knock.nonce
            case do.Tell(note.HostRegistered(id_) | note.HostLeft(id_)) if (
                playing is not None and playing.id == id_
            ):
                pass  # its own server tells that
            case _:
                self._out.append(action)

    def _to_guest(self, guest: Guest, message: m.Message) -> None:
        match message:
            case m.Registered() if guest.contends:
                self._granted.append(guest)
            case m.Registered() | m.GoAway() | m.PeerStatus(m.PeerState.ABSENT):
                pass
            case m.Refused() if not guest.contends:
                pass
            case m.OpenRelay():
                here = replace(message, at=self._place_of(guest.number), key=guest.key)
                self._send(guest.server, w.Order(guest.connection, here))
            case _:
                self._send(guest.server, w.Order(guest.connection, message))

    def _place_of(self, connection: e.ConnectionId) -> Endpoint | None:
        """Where a guest reaches this server, if that is known."""
        guest = self._guests.get(connection)
        return None if guest is None else self._places.of(guest.card.register.via)

    def _to_client(self, message: m.Message, connection: e.ConnectionId) -> None:
        client = self._clients.get(connection)
        match message:
            case m.PeerStatus(m.PeerState.ABSENT) if client is not None and client.abroad:
                return  # the server that manages the pair knows better
            case m.PeerStatus(m.PeerState.LEFT) if connection == self._hushed:
                return
            case _:
                pass
        self._out.append(do.SendMessage(message, connection))

    def _ask(self, request: w.StoreRequest) -> None:
        self._out.append(do.AskStore(request))

    def _send(self, server: str, signal: w.Signal) -> None:
        self._ask(w.Send(server, signal))
