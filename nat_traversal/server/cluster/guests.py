"""Clients of other servers, each played by a connection of its own to the machine of this server.

So the machine introduces a client of its own and a guest as it does any two clients. A guest has a key of
its own for announces: that of the client never leaves the client's server.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from nat_traversal.crypto.proof import signed
from nat_traversal.machine import events as e
from nat_traversal.server.cluster.words import Card, Shown
from nat_traversal.wire import KEY_BYTES
from nat_traversal.wire.datagrams import Announce, Echo, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import PortMapped
from nat_traversal.wire.samples import Sample


@dataclass(slots=True, eq=False)
class Guest:
    """One client of another server."""

    number: e.ConnectionId
    """Of the connection that plays it: below 0."""
    server: str
    connection: e.ConnectionId
    """Its number at its own server."""
    card: Card
    contends: bool
    """It wants an id that a client of this server has, and nothing else."""
    key: bytes = field(repr=False)
    numbered: int = 0
    """The last number of a datagram of its."""
    announce: int = 0
    """Of the newest announce."""
    generation: int = 0
    endpoint: Endpoint | None = None
    """Where its socket was shown last, and of which generation that is."""
    validated: bool = False
    early: Shown | None = None
    """The last word about its socket, while its own word of it is still to come."""
    question: bytes = b""
    """The nonce that it would have to echo from there."""
    mapped: int = 0
    """The port of its router that leads to that socket, as it was shown last."""
    knock: bytes = b""
    """The nonce that would have come by that port."""

    @property
    def id(self) -> str:
        """Its host's."""
        return self.card.register.id

    @property
    def peer(self) -> str:
        """The host that it wants."""
        return self.card.register.peer

    def arrives(self) -> Iterator[e.Event]:
        """It connects and registers, and shows its socket."""
        remote = Endpoint(self.card.address, 0) if self.card.address else None
        yield e.ControlOpened(self.number, remote)
        yield e.ControlReceived(replace(self.card.register, key=self.key), self.number)
        if not self.contends and self.card.endpoint is not None and not self.card.is_used:
            generation = self.card.register.generation
            yield from self.shows(generation, self.card.endpoint, validated=self.card.validated)

    def shows(
        self, generation: int, endpoint: Endpoint, *, validated: bool, mapped: int = 0
    ) -> Iterator[e.Event]:
        """Its socket `generation` was seen at `endpoint`, and the port `mapped` leads there. The nonces of what the server says to
        that come in between."""
        if not generation:
            return
        handle = handle_of(self.key)
        if (generation, endpoint) != (self.generation, self.endpoint):
            self.generation, self.endpoint, self.validated = generation, endpoint, False
            self.mapped = 0
            self.announce = self._number()
            announce = Announce(handle, self.announce, generation)
            yield e.DatagramArrived(signed(announce, self.key), endpoint)
        if validated and not self.validated and self.question:
            self.validated = True
            echo = Echo(handle, self.announce, self.question)
            yield e.DatagramArrived(signed(echo, self.key), endpoint)
        if mapped != self.mapped and self.validated:
            self.mapped, self.knock = mapped, b""
            yield e.ControlReceived(PortMapped(generation, mapped), self.number)
            if self.knock:
                yield e.ControlReceived(PortMapped(generation, mapped, self.knock), self.number)

    def samples(self, generation: int, endpoint: Endpoint) -> e.Event:
        """It has shown one more port that its NAT gives."""
        sample = Sample(handle_of(self.key), self._number(), generation)
        return e.DatagramArrived(signed(sample, self.key), endpoint)

    def _number(self) -> int:
        self.numbered += 1
        return self.numbered


class Guests:
    """All guests of a server. `rng` makes their keys."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._last = 0
        self._guests: dict[e.ConnectionId, Guest] = {}
        self._by_client: dict[tuple[str, e.ConnectionId], Guest] = {}
        self._by_id: dict[str, Guest] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._guests.values()))

    def add(
        self, server: str, connection: e.ConnectionId, card: Card, *, contends: bool = False
    ) -> Guest:
        """A client of `server` comes."""
        self._last -= 1
        key = self._rng.randbytes(KEY_BYTES)
        guest = Guest(self._last, server, connection, card, contends, key)
        self._guests[guest.number] = self._by_client[server, connection] = guest
        if not contends:
            self._by_id[guest.id] = guest
        return guest

    def get(self, number: e.ConnectionId) -> Guest | None:
        """The one that this connection plays."""
        return self._guests.get(number)

    def of(self, server: str, connection: e.ConnectionId) -> Guest | None:
        """The one that is this client of that server."""
        return self._by_client.get((server, connection))

    def with_id(self, id_: str) -> Guest | None:
        """The one that has this id, not one that wants it."""
        return self._by_id.get(id_)

    def remove(self, guest: Guest) -> None:
        """It has gone."""
        del self._guests[guest.number]
        if self._by_client.get((guest.server, guest.connection)) is guest:
            del self._by_client[guest.server, guest.connection]
        if self._by_id.get(guest.id) is guest:
            del self._by_id[guest.id]
