"""The real agents and the real rendezvous server in a seeded world without wires or a wall clock.

Every octet that they exchange is encoded and decoded as on a real network. Whenever an agent says
that a path is established, the world's own record of what arrived where is asked whether that is so.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nat_traversal.aio.tls import ClientTls, ServerTls
from nat_traversal.client.agent import Agent
from nat_traversal.client.security import Security
from nat_traversal.machine import actions as do
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Confirm, Frame, Hello, Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Relaying, TurnPart
from nat_traversal.wire.services import ServiceOffer
from tests.sim.client import Client
from tests.sim.clock import Clock
from tests.sim.network import CALM, Host, Network, Packet, Weather
from tests.sim.server import SECOND_SERVER_ADDRESS, SERVER, Server
from tests.sim.stream import End, connection
from tests.sim.turn import TurnServer

_ADDRESSES = {
    "host_a": ("203.0.113.2", "10.0.1.2"),
    "host_b": ("198.51.100.2", "10.0.2.2"),
    "host_c": ("203.0.113.200", "10.0.3.2"),
}


def is_frame(packet: Packet, *kinds: Kind) -> bool:
    """Whether the packet is a frame of one of these kinds."""
    return isinstance(packet.datagram, Frame) and packet.datagram.kind in kinds


def keeps_alive(packet: Packet) -> bool:
    """Whether the packet is a ping or a pong between the hosts."""
    return is_frame(packet, Kind.PING, Kind.PONG)


class World:
    """Two hosts (and a third, public one) and a server. `r` and `p` are round trips in seconds:
    binary fractions add up without error, so that times compare exactly. `bare`: the server runs
    without the package `cryptography`."""

    def __init__(
        self,
        *,
        seed: int = 0,
        r: float = 0.0625,
        p: float = 0.03125,
        nat_a: str = "none",
        nat_b: str = "none",
        weather: Weather = CALM,
        settings: ServerSettings | None = None,
        client_settings: ClientSettings | None = None,
        tls: tuple[ClientTls, ServerTls] | None = None,
        relaying: Relaying = Relaying.NEVER,
        methods: tuple[str, ...] = (),
        bare: bool = False,
    ) -> None:
        self.tls = tls
        self.bare = bare
        self.relaying = relaying
        self.methods = methods
        self.relays = 0 if relaying is Relaying.NEVER else 2
        """Sockets to relays that a client may have: two while one takes over from the other."""
        self.rng = random.Random(seed)
        self.client_settings = client_settings
        self.r, self.p = r, p
        self.clock = Clock()
        self.net = Network(self.clock, self._derived(), r, p, weather)
        self.stream_rng = self._derived() if weather.segments else None
        self.server_address = SERVER
        for name, nat in (("host_a", nat_a), ("host_b", nat_b), ("host_c", "none")):
            public, inside = _ADDRESSES[name]
            host = self.kind_of_host(name)
            self.net.hosts[name] = host(name, nat, public, inside, self._derived())
        self.turn = TurnServer(self)
        self.server = Server(self, settings, self._derived())
        self.clients: list[Client] = []

    def kind_of_host(self, name: str) -> type[Host]:
        """What the host of that name is."""
        del name
        return Host

    def server_of(self, client: Client) -> Server:
        """The server that `client` connects to now."""
        del client
        return self.server

    def server_at(self, address: Endpoint) -> Server | None:
        """The server that listens at `address`."""
        return self.server if address in self.server.addresses else None

    def address_for(self, client: Client) -> Endpoint:
        """Where `client` sends what is for its server."""
        del client
        return self.server_address

    def client(
        self,
        host_id: str,
        peer_id: str,
        *,
        host: str | None = None,
        once: bool = False,
        settings: ClientSettings | None = None,
        relaying: Relaying | None = None,
        security: Security | None = None,
        token: bytes | None = None,
        methods: tuple[str, ...] | None = None,
        services: tuple[ServiceOffer, ...] = (),
        certificate: bytes = b"",
        turn: TurnPart = TurnPart.NEVER,
    ) -> Client:
        """A new process on `host` (by default the host called `host_id`), not started."""
        settings = settings or self.client_settings
        agent = Agent(
            *(host_id, peer_id),
            rng=self._derived(),
            settings=settings,
            security=security,
            once=once,
            relaying=self.relaying if relaying is None else relaying,
            token=token,
            methods=self.methods if methods is None else methods,
            services=services,
            certificate=certificate,
            turn=turn,
        )
        client = Client(self, self.net.hosts[host or host_id], agent)
        self.clients.append(client)
        return client

    def pair(self) -> tuple[Client, Client]:
        """A client on each host, started at the same moment."""
        return self.client("host_a", "host_b").start(), self.client("host_b", "host_a").start()

    def run(self, seconds: float) -> None:
        self.clock.run_to(self.clock.now + seconds)

    def until(self, condition: Callable[[], bool], within: float = 60.0) -> float:
        return self.clock.run_until(condition, within)

    def connect(self, *clients: Client, within: float = 60.0) -> None:
        """Run until all these are connected."""
        self.until(lambda: all(client.is_connected for client in clients), within)

    def between_peers(self) -> list[Packet]:
        """Every datagram that one host sent to the other, in order."""
        return [
            packet
            for packet in self.net.log
            if packet.sender != "server"
            and packet.destination not in (SERVER, SECOND_SERVER_ADDRESS)
        ]

    def carries_data(self, sender: Client, receiver: Client) -> bool:
        """Whether a program's datagram arrives now, from where the receiver sends to."""
        index = len(self.net.log)
        before = len(receiver.delivered)
        sender.send_frame(datagrams.Kind.DATA, b"01234?")
        sent = self.net.log[index]
        is_relayed = self.server_at(sent.destination) is not None
        self.run(self.r if is_relayed else self.p)
        arrived = receiver.delivered[before:] == [b"01234?"]
        return arrived and (is_relayed or sent.source == receiver.path.remote)

    def check_claim(self, client: Client, claim: do.UsePath) -> None:
        """The peer's packets of this very round have reached this socket, and its own the peer's."""
        mine = client.sockets[claim.generation]
        others = {s for each in self.clients if each is not client for s in each.all_sockets}
        said = [
            packet.datagram.tag
            for packet in self.net.log
            if packet.socket == mine and isinstance(packet.datagram, Hello | Confirm)
        ]
        heard = spoken = False
        for packet in self.net.log:
            if not isinstance(packet.datagram, Hello | Confirm) or packet.datagram.tag != said[-1]:
                continue
            reached = {socket for _, socket in packet.receivers}
            heard = heard or (packet.socket in others and mine in reached)
            spoken = spoken or (packet.socket == mine and bool(reached & others))
        assert heard, f"{client.host.name} claims a path, but has heard nothing"
        assert spoken, f"{client.host.name} claims a path, but nobody has heard it"

    def dead_end(self) -> End:
        """A connection that nobody ever answers."""
        return connection(self.clock, self.r, None)[0]

    def _derived(self) -> random.Random:
        return random.Random(self.rng.getrandbits(64))


def connected(**nats: str) -> tuple[World, Client, Client]:
    """Two hosts with a path that has stood for a second."""
    world = World(nat_a=nats.get("nat_a", "none"), nat_b=nats.get("nat_b", "none"))
    a, b = world.pair()
    world.connect(a, b)
    world.run(1.0)
    return world, a, b
