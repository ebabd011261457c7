"""The server's process in the world, and a connection to it with no agent behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.server.possession import Possession
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.streamed import framed
from tests.sim.client import Client
from tests.sim.network import decoded
from tests.sim.process import Process
from tests.sim.stream import End, attach, connection

if TYPE_CHECKING:
    from tests.sim.world import World

SERVER = Endpoint("192.0.2.2", 6545)
SECOND_SERVER_ADDRESS = Endpoint("192.0.2.3", 6545)


class Server(Process):
    """The server's process. `restart` and `stop` are its only faults."""

    def __init__(
        self,
        world: World,
        settings: ServerSettings | None,
        rng: random.Random,
        addresses: tuple[Endpoint, ...] = (SERVER, SECOND_SERVER_ADDRESS),
    ) -> None:
        self.addresses = addresses
        self._settings, self._rng = settings, rng
        self.rendezvous = self._made(world)
        super().__init__(world, self.rendezvous)
        self.ends: dict[e.ConnectionId, End] = {}
        self._last = 0
        self.is_up = True
        self.listen()

    def _made(self, world: World) -> StandaloneServer:
        certificate = world.tls[1].fingerprint if world.tls else b""
        possession = Possession(KeyPair.generate, self._rng, certificate)
        return StandaloneServer(
            rng=self._rng,
            settings=self._settings,
            possession=None if world.bare else possession,
        )

    def listen(self) -> None:
        for address in self.addresses:
            self.world.net.server_sockets[address] = self._receiver(address)

    def connect(self, client: Client, feed: Callable[[e.Event], None] | None = None) -> End:
        """The client's end of a new connection: usable one R later, seen here another half R on.
        `feed` hears what happens on it, unless it is the client's control connection."""
        world = self.world
        way = world.r / 2 + client.host.farther
        theirs, ours = connection(world.clock, way, world.stream_rng)

        def happened(event: e.Event) -> None:
            if feed is not None:
                feed(event)
            elif client.control is theirs:
                client.feed(event)

        attach(theirs, 0, happened, world.tls[0].stream() if world.tls else None)

        def answered() -> None:
            if (feed is None and client.control is not theirs) or theirs.is_gone:
                return
            if not self.is_up:
                happened(e.ControlBroken("connection refused"))
                return
            self.accept(ours, client.host.nat.public_address)
            if world.tls:
                happened(e.ControlReached())
                theirs.on_data(b"")
            else:
                happened(e.ControlOpened())

        world.clock.at(world.clock.now + world.r, answered)
        return theirs

    def accept(self, ours: End, address: str) -> None:
        """The handshake's last segment arrives half an R later, before what is written after it."""
        clock = self.world.clock

        def accepted() -> None:
            if not self.is_up:
                ours.reset()
                return
            self._last += 1
            number = self._last
            self.ends[number] = ours
            tls = self.world.tls[1].stream() if self.world.tls else None
            attach(ours, number, self.feed, tls)
            remote = Endpoint(address, 40_000)
            self.feed(e.ControlOpened(number, remote, local=self.addresses[0]))

        clock.at(clock.now + self.world.r / 2, accepted)

    def stop(self, *, tell: bool = True) -> None:
        """The process ends. `tell`: its connections are reset at once, not when they are used."""
        self.is_up = False
        for address in self.addresses:
            self.world.net.server_sockets.pop(address, None)
        for end in self.ends.values():
            if tell:
                end.reset()
            else:
                end.forget()
        self.ends.clear()
        self._disarm()

    def restart(self) -> None:
        """A new process, which knows nothing."""
        self.is_up = True
        self._machine = self.rendezvous = self._made(self.world)
        self.listen()

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.SendMessage(message, number):
                if not self.ends[number].is_gone:
                    self.ends[number].write(control.encode(message))
            case do.CloseControl(number):
                self.ends[number].close()
            case do.SendDatagram(datagram, destination, _, local):
                assert destination is not None
                assert local is not None
                source = Endpoint(local.address, SERVER.port)
                self.world.net.send_from_server(source, destination, datagrams.encode(datagram))
            case do.UseStream(number):
                self.ends[number].incoming.use_stream()
            case do.SendOnStream(datagram, number):
                if not self.ends[number].is_gone:
                    self.ends[number].write(framed(datagrams.encode(datagram)))
            case do.Tell(notice):
                self.notices.append((self.world.clock.now, notice))

    def _receiver(self, local: Endpoint) -> Callable[[bytes, Endpoint], None]:
        def receive(data: bytes, source: Endpoint) -> None:
            try:
                datagram = decoded(data)
            except WireError:
                return
            self.feed(e.DatagramArrived(datagram, source, local=e.LocalAddress(local.address)))

        return receive


class Raw:
    """A TCP connection to the server with no agent behind it: send octets, read messages."""

    def __init__(self, world: World) -> None:
        self.end, ours = connection(world.clock, world.r / 2, world.stream_rng)
        self.received: list[m.Message | m.UnknownMessage] = []
        self.is_ended = False
        attach(self.end, 0, self._feed)
        world.server.accept(ours, "192.0.2.99")

    def send(self, message: m.Message | bytes) -> None:
        self.end.write(message if isinstance(message, bytes) else control.encode(message))

    def refusals(self) -> list[str]:
        """The codes of the errors that came."""
        return [each.code for each in self.received if isinstance(each, m.Refused)]

    def _feed(self, event: e.Event) -> None:
        if isinstance(event, e.ControlReceived):
            self.received.append(event.message)
        else:
            self.is_ended = True
