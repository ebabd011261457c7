"""The clients of one server among several: their claims, and what is shown of them to whoever manages their pairs."""

from __future__ import annotations

import random
from dataclasses import dataclass

from nat_traversal.crypto.proof import is_signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.client import Client, Stage, mirror, shown_of
from nat_traversal.server.cluster.places import Places
from nat_traversal.server.cluster.timing import AGAIN, PATIENCE, RENEW, RETURN
from nat_traversal.server.cluster.with_guests import ServerWithGuests
from nat_traversal.server.possession import Possession
from nat_traversal.server.registry import EarlyAnnounce, EarlyAnnounces
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import handle_of

_OWN = (m.Register, m.Proof, m.Heartbeat, m.PortMapped, m.UnknownMessage)
"""Messages that are for a client's own server."""


@dataclass(frozen=True, slots=True)
class Due:
    """The timer's name: look after this client."""

    connection: e.ConnectionId


class ServerWithClients(ServerWithGuests):
    """As a `ServerWithGuests`, whose clients claim their ids at the store. Nobody is admitted before the store was reached."""

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
            rng=rng, settings=settings, counters=counters, possession=possession, places=places
        )
        settings = settings or ServerSettings()
        self._rng = rng
        self._patience = settings.store_lease + PATIENCE
        self._shared = Timers()
        self._addresses: dict[e.ConnectionId, str] = {}
        self._early = EarlyAnnounces(settings.early_announces, settings.early_within)
        self._admits_at: float | None = None
        """None while the store is away."""
        self._is_ending = False

    @property
    def is_well(self) -> bool:
        """Whether the store answers."""
        return self._admits_at is not None

    @property
    def registered(self) -> frozenset[str]:
        """The ids of clients of this server."""
        return frozenset(c.id for c in self._clients if c.stage is Stage.ADMITTED)

    def _opened(self, event: e.ControlOpened) -> None:
        if event.remote is not None:
            self._addresses[event.connection] = event.remote.address
        if event.local is not None:
            self._places.learn(event.local)

    def _message_arrived(
        self, event: e.Event, message: m.Message | m.UnknownMessage, connection: e.ConnectionId
    ) -> None:
        client = self._clients.get(connection)
        match message:
            case m.Register(versions=versions) if client is None:
                if PROTOCOL_VERSION in versions and self.admits(message):
                    self._registers(message, connection)
                else:
                    self._feed(event)  # which says what is wrong
            case m.Register() if client is not None and client.stage is not Stage.ADMITTED:
                self._feed(e.ControlGarbled("a connection registers once", connection))
            case m.Proof() if client is not None and client.rival:
                self._send(client.rival, w.Said(connection, message))
            case _:
                self._feed(event)
                client = self._clients.get(connection)
                if client is None or client.stage is not Stage.ADMITTED:
                    return
                if client.abroad and not isinstance(message, _OWN):
                    self._hand_on(client, message)
                self._refresh(client)

    def _hand_on(self, client: Client, message: m.Message) -> None:
        member = self.member(client.connection)
        if member is not None:
            mirror(member, message)
        if isinstance(message, m.Established | m.Decline):
            client.is_busy = False
        self._send(client.abroad, w.Said(client.connection, message))

    def _registers(self, register: m.Register, connection: e.ConnectionId) -> None:
        handle = handle_of(register.key)
        address = self._addresses.get(connection, "")
        client = Client(connection, register, address, self._now)
        early = self._early.take(handle, self._now)
        if early is not None and is_signed(early.announce, register.key):
            client.early = early
        self._clients.add(client)
        if self._admits_at is None:
            self._send_away(client)
        elif self._now < self._admits_at:
            self._shared.set(Due(connection), self._admits_at)
        else:
            client.stage = Stage.CLAIMING
            self._claim(client)

    def _announced(self, event: e.Event, early: EarlyAnnounce) -> None:
        client = self._clients.with_handle(early.announce.handle)
        self._feed(event)
        if client is None:
            self._early.keep(early, self._now)
        elif client.stage is Stage.ADMITTED:
            self._refresh(client)
        elif is_signed(early.announce, client.register.key):
            client.early = early
            if client.stage is Stage.CLAIMING:
                self._claim(client)

    def _claim(self, client: Client) -> None:
        client.card = client.drawn(self.member(client.connection))
        self._ask(w.ClaimId(client.connection, client.card))

    def _refresh(self, client: Client | None) -> None:
        """Show what has changed of a client to those who need it."""
        member = None if client is None else self.member(client.connection)
        if client is None or member is None:
            return
        if client.abroad:
            shown = shown_of(client, member)
            if shown is not None and shown != client.shown:
                client.shown = shown
                self._send(client.abroad, shown)
        is_at_rest = not client.is_busy and not self.is_attempting(client.connection)
        if is_at_rest and client.drawn(member) != client.card:
            self._claim(client)

    def _look_after(self, client: Client) -> None:
        """Its timer is due."""
        match client.stage:
            case Stage.WAITING:
                client.stage = Stage.CLAIMING
                self._claim(client)
            case Stage.ADMITTED:
                self._shared.set(Due(client.connection), self._now + RENEW)
                self._claim(client)
            case _ if self._now - client.since < self._patience:
                self._shared.set(Due(client.connection), self._now + AGAIN)
                self._claim(client)
            case _:
                text = f"the id {client.id!r} is in use by a client at another server"
                self._refuse(client, m.ErrorCode.ID_IN_USE, f"{text}: choose another --id")

    def _refuse(self, client: Client, code: m.ErrorCode, text: str) -> None:
        self._out.append(do.SendMessage(m.Refused(code, text), client.connection))
        self._out.append(do.CloseControl(client.connection))
        self._out.append(do.Tell(note.HostRefused(client.id, code, text)))
        self._feed(e.ControlBroken(text, client.connection))
        self._gone(client.connection)

    def _send_away(self, client: Client) -> None:
        goodbye = m.GoAway(round(self._rng.uniform(*RETURN), 3))
        self._out.append(do.SendMessage(goodbye, client.connection))
        self._out.append(do.CloseControl(client.connection))
        self._feed(e.ControlBroken("the store is away", client.connection))
        self._gone(client.connection)

    def _gone(self, connection: e.ConnectionId) -> None:
        """A connection has ended, and the machine knows it."""
        self._addresses.pop(connection, None)
        client = self._clients.remove(connection)
        if client is None:
            return
        self._shared.cancel(Due(connection))
        for server in {client.rival, client.abroad} - {""}:
            if not self._is_ending:  # else it comes back, and its peer need not know
                self._send(server, w.Gone(connection))
        if not self._clients.with_id(client.id):
            self._ask(w.ReleaseId(client.id))
            guest = self._guests.with_id(client.peer)
            if guest is not None and guest.peer == client.id:
                self._close(guest)
