"""One of several servers that share a store, as a machine: the machine of one server, and what goes between servers.

A pair is managed by the server of the host whose id sorts first, since that host's answers lead to the
next orders. The other host is a guest there; its own server hands its words on. So a pair on two servers costs
two ways over the store more than a pair on one: the arrival, and the order to the second host.
"""

from __future__ import annotations

import random

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.client import Client, Stage, mirror
from nat_traversal.server.cluster.places import Places
from nat_traversal.server.cluster.timing import AGAIN, RENEW, SETTLED
from nat_traversal.server.cluster.with_clients import Due, ServerWithClients
from nat_traversal.server.possession import Possession
from nat_traversal.server.registry import EarlyAnnounce
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.datagrams import Announce, Echo
from nat_traversal.wire.samples import Sample


class ClusteredServer(ServerWithClients):
    """As a `StandaloneServer`; its requests to the store are `AskStore`, the answers come as `StoreAnswered`.

    `name` is its own among the servers of the store, and no other has it after this process. Nobody is admitted
    before the store was reached.
    """

    def __init__(
        self,
        *,
        name: str,
        rng: random.Random,
        settings: ServerSettings | None = None,
        counters: Counters | None = None,
        possession: Possession | None = None,
        places: Places | None = None,
    ) -> None:
        super().__init__(
            rng=rng, settings=settings, counters=counters, possession=possession, places=places
        )
        self.name = name
        self._is_told = False

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        due = [at for at in (super().deadline(), self._shared.deadline()) if at is not None]
        return min(due, default=None)

    def handle(self, event: e.Event, now: float) -> list[do.Action]:
        """One event in, actions out, in the order in which to carry them out."""
        self._now, self._out = now, []
        match event:
            case e.StoreAnswered(answer):
                self._answered(answer)
            case e.ControlReceived(message, connection):
                self._message_arrived(event, message, connection)
            case e.DatagramArrived(Announce() as announce, source, _, local):
                self._announced(event, EarlyAnnounce(announce, source, local))
            case e.DatagramArrived(Echo(handle)):
                self._feed(event)
                self._refresh(self._clients.with_handle(handle))
            case e.DatagramArrived(Sample() as sample, source):
                self._sampled(event, sample, source)
            case e.TimerFired():
                for name in self._shared.due(now):
                    assert isinstance(name, Due)
                    if (due := self._clients.get(name.connection)) is not None:
                        self._look_after(due)
                self._feed(event)
            case e.DrainRequested():
                self._is_ending = True
                self._feed(event)
            case e.StopRequested():
                for client in self._clients:
                    self._ask(w.ReleaseId(client.id))
                self._feed(event)
            case _:
                if isinstance(event, e.ControlOpened):
                    self._opened(event)
                self._feed(event)
                if isinstance(event, e.ControlBroken):
                    self._gone(event.connection)
        return self._out

    # The store and the other servers

    def _answered(self, answer: object) -> None:
        match answer:
            case w.Granted(connection, id_, peer):
                client = self._clients.get(connection)
                if client is not None:
                    self._granted_to(client, peer)
                elif not self._clients.with_id(id_):
                    self._ask(w.ReleaseId(id_))
            case w.HeldElsewhere(connection, server):
                client = self._clients.get(connection)
                if client is not None:
                    self._held(client, server)
            case w.Heard(sender, signal):
                self._heard(sender, signal)
            case w.StoreReached(admit_in):
                self._admits_at = self._now + admit_in
                self._out.append(do.Tell(note.StoreReached()))
                for client in self._clients:
                    self._claim(client)  # before any newcomer's
            case w.StoreLost(reason):
                if self._admits_at is not None or not self._is_told:
                    self._is_told = True
                    self._out.append(do.Tell(note.StoreLost(reason)))
                self._admits_at = None
                self._close_all()
                for client in self._clients:
                    client.is_busy, client.shown = False, None
                    if client.stage is not Stage.ADMITTED:
                        self._send_away(client)

    def _granted_to(self, client: Client, peer: w.Found | None) -> None:
        is_mutual = peer is not None and client.names(peer.card)
        if client.stage is Stage.ADMITTED:
            if peer is not None and is_mutual:
                self._meet(client, peer)
            elif self._now - client.met_at > SETTLED:
                self._peer_left(client)
            return
        former = self._guests.with_id(client.id)
        if former is not None:  # it has moved here
            self._close(former, hush=True)
        client.stage, client.rival = Stage.ADMITTED, ""
        self._shared.set(Due(client.connection), self._now + RENEW)
        if peer is not None and is_mutual:
            self._meet(client, peer, is_new=True)
        self._feed(e.ControlReceived(client.register, client.connection))
        self._refresh(client)

    def _held(self, client: Client, server: str) -> None:
        if client.stage is Stage.ADMITTED:
            text = "its lease ran out, and another client has come with this id"
            self._refuse(client, m.ErrorCode.REPLACED, text)
            return
        if client.rival != server:
            client.stage, client.rival = Stage.CONTENDING, server
            assert client.card is not None
            self._send(server, w.Contends(client.connection, client.card))
        self._shared.set(Due(client.connection), self._now + AGAIN)

    def _meet(self, client: Client, peer: w.Found, *, is_new: bool = False) -> None:
        """`peer` and the client want each other."""
        client.met_at = self._now
        id_ = peer.card.register.id
        guest = self._guests.with_id(id_)
        if peer.server == self.name:
            self._home(self._clients.get(peer.connection))
            self._home(client)
        elif client.id > id_:
            client.abroad = peer.server
            if guest is not None:
                self._close(guest, hush=True)
            if not is_new and client.card is not None:
                self._send(peer.server, w.Arrived(client.connection, client.card))
        elif guest is not None and guest is self._guests.of(peer.server, peer.connection):
            self._shown(guest, peer.card)
        else:
            self._home(client)
            if guest is not None:
                self._close(guest, hush=True)
            guest = self._guests.add(peer.server, peer.connection, peer.card)
            self._play_all(guest)
            if peer.card.is_used:
                generation = peer.card.register.generation % MAX_COUNTER + 1
                self._send(peer.server, w.Order(peer.connection, m.OpenSocket(generation)))

    def _home(self, client: Client | None) -> None:
        """The pair of a client is managed here from now on."""
        if client is not None and client.abroad:
            self._send(client.abroad, w.Gone(client.connection))
            client.abroad, client.is_busy, client.shown = "", False, None

    def _peer_left(self, client: Client) -> None:
        """Nobody has the peer's id any more, whatever its server could say."""
        if client.abroad:
            client.abroad, client.is_busy, client.shown = "", False, None
            left = m.PeerStatus(m.PeerState.LEFT)
            self._out.append(do.SendMessage(left, client.connection))
        guest = self._guests.with_id(client.peer)
        if guest is not None and guest.peer == client.id:
            self._close(guest)

    def _heard(self, sender: str, signal: w.Signal) -> None:
        match signal:
            case w.Arrived(connection, card):
                for client in self._clients.with_id(card.register.peer):
                    if client.stage is Stage.ADMITTED and client.names(card):
                        self._meet(client, w.Found(sender, connection, card))
            case w.Contends(connection, card):
                self._play_all(self._guests.add(sender, connection, card, contends=True))
            case w.Said(connection, message):
                if (guest := self._guests.of(sender, connection)) is not None:
                    self._play(guest, e.ControlReceived(message, guest.number))
                    self._show(guest)
            case w.Shown(connection):
                if (guest := self._guests.of(sender, connection)) is not None:
                    self._show(guest, signal)
            case w.Sampled(connection, generation, endpoint):
                if (guest := self._guests.of(sender, connection)) is not None:
                    self._play(guest, guest.samples(generation, endpoint))
            case w.Gone(connection):
                if (guest := self._guests.of(sender, connection)) is not None:
                    self._close(guest, tell=False)
            case w.Order(connection, message):
                self._ordered(sender, connection, message)
            case w.Yielded(connection):
                if (mine := self._clients.get(connection)) and mine.rival == sender:
                    self._claim(mine)
            case w.Closed(connection):
                if (mine := self._clients.get(connection)) and mine.abroad == sender:
                    mine.abroad, mine.is_busy, mine.shown = "", False, None

    def _ordered(self, sender: str, connection: e.ConnectionId, message: m.Message) -> None:
        client = self._clients.get(connection)
        if client is None:
            self._send(sender, w.Gone(connection))
        elif client.stage is not Stage.ADMITTED:
            match message:
                case m.Refused(code, text) if client.rival == sender:
                    self._refuse(client, m.ErrorCode(code), text)
                case m.Challenge() if client.rival == sender:
                    self._out.append(do.SendMessage(message, connection))
        else:
            client.abroad = sender
            member = self.member(connection)
            if member is not None:
                mirror(member, message)
            if isinstance(message, m.OpenSocket | m.StartRound | m.Failed):
                client.is_busy = not isinstance(message, m.Failed)
            self.expect_answers(connection, message)
            self._out.append(do.SendMessage(message, connection))
            self._refresh(client)
