"""The real agents and the real rendezvous server in a seeded world without wires or a wall clock.

Every octet that they exchange is encoded and decoded as on a real network. Whenever an agent says
that a path is established, the world's own record of what arrived where is asked whether that is so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nat_traversal.aio.tls import ClientTls, ServerTls
from nat_traversal.client.agent import Agent
from nat_traversal.client.phases import Established, PathState, Punching
from nat_traversal.crypto.proof import S, signed
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.driver import Driver, Machine
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Confirm, Frame, Hello, Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.sim.clock import Clock
from tests.sim.network import CALM, Host, Network, Packet, Weather
from tests.sim.stream import End, attach, connection

SERVER = Endpoint("192.0.2.2", 6545)
SECOND_SERVER_ADDRESS = Endpoint("192.0.2.3", 6545)
_ADDRESSES = {
    "host_a": ("203.0.113.2", "10.0.1.2"),
    "host_b": ("198.51.100.2", "10.0.2.2"),
    "host_c": ("203.0.113.200", "10.0.3.2"),
}
_Notice = TypeVar("_Notice", bound=note.Notice)


@dataclass(frozen=True, slots=True)
class Claim:
    """A path that an agent says is established: what it told, and what it ordered."""

    attempt: int
    round: int
    method: str
    remote: Endpoint
    generation: int
    binding: bytes
    """The same at both ends: of one round alone."""


def is_frame(packet: Packet, *kinds: Kind) -> bool:
    """Whether the packet is a frame of one of these kinds."""
    return isinstance(packet.datagram, Frame) and packet.datagram.kind in kinds


def keeps_alive(packet: Packet) -> bool:
    """Whether the packet is a ping or a pong between the hosts."""
    return is_frame(packet, Kind.PING, Kind.PONG)


class _Process(Driver):
    """The adapters' driver, on the world's clock."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(machine, world.clock)
        self.world = world
        self.is_dead = False
        self.notices: list[tuple[float, note.Notice]] = []

    def feed(self, event: e.Event) -> None:
        if not self.is_dead:
            super().feed(event)

    def told(self, kind: type[_Notice]) -> list[_Notice]:
        """The notices of one kind, in order."""
        return [notice for _, notice in self.notices if isinstance(notice, kind)]

    def time_of(self, kind: type[note.Notice]) -> float:
        """When the last notice of this kind was told."""
        return next(at for at, notice in reversed(self.notices) if isinstance(notice, kind))


class Client(_Process):
    """One client process on a host."""

    def __init__(self, world: World, host: Host, agent: Agent) -> None:
        super().__init__(world, agent)
        self.host = host
        self.agent = agent
        self.control: End | None = None
        self.sockets: dict[int, Endpoint] = {}
        self.all_sockets: set[Endpoint] = set()
        """Closed ones too."""
        self.paths: list[tuple[do.UsePath, bytes]] = []
        """What the agent ordered, one for each `PathEstablished` that it told, and its binding."""
        self.delivered: list[bytes] = []
        """Programs' datagrams that came, with what is sealed before them."""
        self.frame_sizes: list[int] = []
        """Octets that a frame may have, each time that it was ordered."""
        self._open: dict[int, do.UsePath] = {}
        self._early: list[tuple[int, bytes]] = []
        self._place = memoryview(bytearray(65_536))

    @property
    def state(self) -> PathState:
        """What the agent's only peer is in."""
        (peer,) = self.agent.peers.values()
        return peer.state

    @property
    def is_connected(self) -> bool:
        return not self.is_dead and self.state is PathState.ESTABLISHED

    @property
    def claims(self) -> list[Claim]:
        """Every path so far."""
        return [
            Claim(told.attempt, told.round, told.method, used.remote, used.generation, binding)
            for told, (used, binding) in zip(
                self.told(note.PathEstablished), self.paths, strict=True
            )
        ]

    @property
    def socket(self) -> Endpoint:
        """The present one, inside."""
        (socket,) = self.sockets.values()
        return socket

    @property
    def path(self) -> Claim:
        """The newest path."""
        return self.claims[-1]

    def start(self) -> Client:
        self._run(self.agent.start(self.world.clock.now))
        return self

    def stop(self) -> None:
        """As Ctrl-C."""
        self.feed(e.StopRequested())

    def vanish(self) -> None:
        """As a power cut: silence, on TCP and on UDP."""
        self.is_dead = True
        for socket in self.sockets.values():
            del self.host.sockets[socket]
        self.sockets.clear()
        if self.control is not None:
            self.control.is_cut = self.control.is_gone = True

    def crash(self) -> None:
        """As kill -9: the kernel resets the TCP connection, the sockets are gone."""
        control = self.control
        self.vanish()
        if control is not None:
            control.is_cut = False
            control.reset()

    def change_address(self, address: str) -> None:
        """As a hand-over, or a NAT's new address: what stood before leads nowhere, and nobody is told."""
        self.host.nat.public_address = address
        if self.control is not None:
            self.control.is_cut = self.control.other.is_cut = True

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.OpenControl():
                self.control = self.world.server.connect(self)
            case do.CloseControl():
                if self.control is not None:
                    self.control.close()
                    self.control = None
            case do.SendMessage(message):
                if self.control is not None and not self.control.is_gone:
                    self.control.write(control.encode(message))
            case do.OpenUdp(generation):
                assert not self.sockets, "one socket at a time"
                self.sockets[generation] = self.host.open(
                    lambda data, source: self._datagram(data, source, generation)
                )
                self.all_sockets.add(self.sockets[generation])
            case do.CloseUdp(generation):
                del self.host.sockets[self.sockets.pop(generation)]
                self._open.pop(generation, None)
            case do.SendDatagram(datagram, destination, generation):
                self.world.net.send_from_host(
                    self.host,
                    self.sockets[generation],
                    destination or self.world.server_address,
                    datagrams.encode(datagram),
                )
            case do.UsePath(generation):
                self.paths.append((action, action.epochs.binding))
                self._open[generation] = action
                self.world.check_claim(self, action)
                early, self._early = self._early, []
                for number, frame in early:
                    if number == generation:
                        self._frame(frame, generation)
            case do.SizeFrames(generation, size):
                self.frame_sizes.append(size)
            case do.SendFrame(kind, plain, generation):
                used = self._open[generation]
                self.world.net.send_from_host(
                    self.host,
                    self.sockets[generation],
                    used.remote,
                    used.epochs.sealer.seal(kind, plain),
                )
            case do.Tell(notice):
                self.notices.append((self.world.clock.now, notice))

    def send_raw(self, data: bytes, destination: Endpoint | None = None) -> None:
        """Octets from the present socket that the agent knows nothing of."""
        (socket,) = self.sockets.values()
        self.world.net.send_from_host(
            self.host, socket, destination or self.world.server_address, data
        )

    def _datagram(self, data: bytes, source: Endpoint, generation: int) -> None:
        try:
            datagram = datagrams.decode(data)
        except WireError:
            return
        if isinstance(datagram, datagrams.Frame):
            self._frame(datagram.octets, generation, source)
        else:
            self.feed(e.DatagramArrived(datagram, source, generation))

    def signed(self, datagram: S) -> S:
        """With the MAC of this client's key of the present round."""
        (peer,) = self.agent.peers.values()
        assert isinstance(peer._phase, Punching | Established)
        return signed(datagram, peer._phase.keys.path.sending.handshake)

    def send_frame(self, kind: datagrams.Kind, plain: bytes) -> None:
        """Seal and send a frame on the present path that the agent knows nothing of."""
        ((generation, _),) = self._open.items()
        self._carry_out(do.SendFrame(kind, plain, generation))

    def _frame(self, octets: bytes, generation: int, source: Endpoint | None = None) -> None:
        """What the data path does with a frame."""
        used = self._open.get(generation)
        if used is None:
            self._early.append((generation, octets))
            return
        if source not in (None, used.remote):
            return  # the kernel drops it, since the socket is connected
        now = self.world.clock.now
        for kind, plain in used.epochs.open_run(memoryview(octets), len(octets), self._place, now):
            if kind in datagrams.PROGRAMS:
                self.delivered.append(bytes(plain))
            else:
                self.feed(e.FrameOpened(datagrams.Kind(kind), bytes(plain), generation))


class Server(_Process):
    """The server's process. `restart` and `stop` are its only faults."""

    def __init__(self, world: World, settings: ServerSettings | None, rng: random.Random) -> None:
        self._settings, self._rng = settings, rng
        self.rendezvous = StandaloneServer(rng=rng, settings=settings)
        super().__init__(world, self.rendezvous)
        self.ends: dict[e.ConnectionId, End] = {}
        self._last = 0
        self.is_up = True
        self.listen()

    def listen(self) -> None:
        for address in (SERVER, SECOND_SERVER_ADDRESS):
            self.world.net.server_sockets[address] = self._receiver(address)

    def connect(self, client: Client) -> End:
        """The client's end of a new connection: usable one R later, seen here another half R on."""
        world = self.world
        theirs, ours = connection(world.clock, world.r / 2, world.stream_rng)
        attach(
            theirs,
            0,
            lambda event: client.feed(event) if client.control is theirs else None,
            world.tls[0].stream() if world.tls else None,
        )

        def answered() -> None:
            if client.control is not theirs or theirs.is_gone:
                return
            if not self.is_up:
                client.feed(e.ControlBroken("connection refused"))
                return
            self.accept(ours, client.host.nat.public_address)
            if world.tls:
                client.feed(e.ControlReached())
                theirs.on_data(b"")
            else:
                client.feed(e.ControlOpened())

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
            self.feed(e.ControlOpened(number, Endpoint(address, 40_000)))

        clock.at(clock.now + self.world.r / 2, accepted)

    def stop(self, *, tell: bool = True) -> None:
        """The process ends. `tell`: its connections are reset at once, not when they are used."""
        self.is_up = False
        self.world.net.server_sockets.clear()
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
        self._machine = self.rendezvous = StandaloneServer(rng=self._rng, settings=self._settings)
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
            case do.Tell(notice):
                self.notices.append((self.world.clock.now, notice))

    def _receiver(self, local: Endpoint) -> Callable[[bytes, Endpoint], None]:
        def receive(data: bytes, source: Endpoint) -> None:
            try:
                datagram = datagrams.decode(data)
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


class World:
    """Two hosts (and a third, public one) and a server. `r` and `p` are round trips in seconds:
    binary fractions add up without error, so that times compare exactly."""

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
    ) -> None:
        self.tls = tls
        self.rng = random.Random(seed)
        self.client_settings = client_settings
        self.r, self.p = r, p
        self.clock = Clock()
        self.net = Network(self.clock, self._derived(), r, p, weather)
        self.stream_rng = self._derived() if weather.segments else None
        self.server_address = SERVER
        for name, nat in (("host_a", nat_a), ("host_b", nat_b), ("host_c", "none")):
            public, inside = _ADDRESSES[name]
            self.net.hosts[name] = Host(name, nat, public, inside, self._derived())
        self.server = Server(self, settings, self._derived())
        self.clients: list[Client] = []

    def client(
        self,
        host_id: str,
        peer_id: str,
        *,
        host: str | None = None,
        once: bool = False,
        settings: ClientSettings | None = None,
    ) -> Client:
        """A new process on `host` (by default the host called `host_id`), not started."""
        settings = settings or self.client_settings
        agent = Agent(host_id, peer_id, rng=self._derived(), settings=settings, once=once)
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
        self.run(self.p)
        arrived = receiver.delivered[before:] == [b"01234?"]
        return arrived and self.net.log[index].source == receiver.path.remote

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
