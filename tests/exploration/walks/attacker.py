"""An attacker in a walk: it sees everything, sends what it likes from where it likes, and has no key."""

from __future__ import annotations

import random

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer, Suite, Trust
from tests.exploration.walks.processes import SERVER
from tests.exploration.walks.wire import Flight, Link
from tests.exploration.walks.world import Walk
from tests.mutations import changed

HERE = Endpoint("192.0.2.66", 666)
IDS = ("host_a", "host_b", "host_x")


class Attacker:
    """Its deeds follow from `seed` and its steps."""

    def __init__(self, walk: Walk, seed: int) -> None:
        self._walk = walk
        self._rng = random.Random(seed)

    def links(self) -> list[Link]:
        """The connections that it may write on."""
        links = self._walk.links.values()
        return [link for link in links if link.client is None and link.down is not None]

    def connect(self) -> None:
        self._walk.connect(HERE, None)

    def register(self, name: str, peer: str) -> None:
        """Ask for an id, with a key of its own."""
        self.say(self._wish(name, peer, KeyPair.generate(self._rng).public))

    def take(self, name: str, peer: str) -> None:
        """Ask for an id with the key of a holder, as it was seen, and answer the question for its proof."""
        for owner in self._owners():
            self._walk.connect(HERE, None)
            self.say(
                self._wish(name, peer, owner) + control.encode(m.Proof(bytes(32))), newest=True
            )

    def _wish(self, name: str, peer: str, owner: bytes) -> bytes:
        rng = self._rng
        public = KeyPair.generate(rng).public
        offer = Offer(rng.randbytes(16), public, b"", Trust.SERVER, (Suite.AES_256_GCM,))
        return control.encode(
            m.Register(
                1, (2,), name, peer, rng.randbytes(32), 1, offer, m.Serves.UNTOLD, owner=owner
            )
        )

    def _owners(self) -> list[bytes]:
        """The public keys that hold ids, as the clients have told the server."""
        messages = (control.decode(line.removesuffix(b"\n")) for line in self._walk.lines)
        return [each.owner for each in messages if isinstance(each, m.Register)][-2:]

    def say(self, lines: bytes, *, newest: bool = False) -> None:
        """Send lines on one of its connections, or on a new one. They are there at once."""
        links = self.links()
        if links:
            link = links[-1] if newest else self._rng.choice(links)
        else:
            link = self._walk.connect(HERE, None)
        for line in lines.splitlines(keepends=True):
            link.write_up(line)
        while link.up:
            self._walk.up(link)

    def say_again(self, index: int) -> None:
        """A line that a client sent the server."""
        if self._walk.lines:
            self.say(self._walk.lines[index % len(self._walk.lines)])

    def say_nonsense(self) -> None:
        """A message of any kind that an attacker can think of."""
        rng = self._rng
        number = rng.randrange(1, 4)
        self.say(
            rng.choice(
                [
                    control.encode(m.Established(number, rng.randrange(1, 3))),
                    control.encode(m.HelloSent(number, heard=True)),
                    control.encode(m.Retry(number, rng.randbytes(32))),
                    control.encode(m.Decline(number)),
                    control.encode(m.SocketOpened(number, rng.randbytes(32))),
                    control.encode(m.ServiceState(rng.random() < 0.5)),
                    control.encode(m.RelayJoin(rng.randbytes(16))),
                    control.encode(m.Proof(rng.randbytes(32))),
                    control.encode(m.Heartbeat(number)),
                    b"garbage\n",
                    b'{"type": "unheard-of"}\n',
                ]
            )
        )

    def replay(self, index: int, *, forged: bool, astray: bool) -> None:
        """A datagram that it has seen. `forged`: from its very source, else from here. `astray`: to any socket."""
        if self._walk.seen:
            flight = self._walk.seen[index % len(self._walk.seen)]
            if not forged:
                self._walk.relayed_by_attacker.add(HERE.address)
            self._send(flight, flight.octets, forged=forged, astray=astray)

    def flood(self, index: int) -> None:
        """The same datagram a hundred times, from where it came."""
        if self._walk.seen:
            for _ in range(100):
                self._walk.arrive(self._walk.seen[index % len(self._walk.seen)])

    def garble(self, index: int, *, forged: bool) -> None:
        """The same, changed."""
        if self._walk.seen:
            flight = self._walk.seen[index % len(self._walk.seen)]
            others = [each.octets for each in self._walk.seen]
            self._send(
                flight, changed(flight.octets, others, self._rng), forged=forged, astray=False
            )

    def _send(self, flight: Flight, octets: bytes, *, forged: bool, astray: bool) -> None:
        source = flight.source if forged else HERE
        everywhere = [SERVER, *self._walk.sockets]
        destination = self._rng.choice(everywhere) if astray else flight.destination
        self._walk.arrive(Flight(source, destination, octets))
