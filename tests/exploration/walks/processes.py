"""The real machines of a walk, each in the adapters' driver, and what they may never do."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from nat_traversal.client.agent import Agent
from nat_traversal.client.phases import PathState
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.driver import Driver
from nat_traversal.paths.budget import MOST_DATAGRAMS, MOST_OCTETS
from nat_traversal.server.possession import Possession
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Confirm, Frame, Hello, Kind
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.relayed import Link as RelayLink
from tests.exploration.values import WrongError
from tests.exploration.walks.wire import Flight, Link, Mark

if TYPE_CHECKING:
    from tests.exploration.walks.world import Walk

SERVER = Endpoint("192.0.2.2", 6545)
HOME = {"host_a": "203.0.113.2", "host_b": "198.51.100.2"}
PEER = {"host_a": "host_b", "host_b": "host_a"}
HEAD = bytes([1, 0, 0, 0, 7])
"""Direction and flow of every program's datagram in a walk."""


class _Process(Driver):
    """A driver that hides no mistake: here every action can be carried out."""

    def _try(self, action: do.Action) -> None:
        self._carry_out(action)


class ServerProcess(_Process):
    """The server, until it is restarted."""

    def __init__(self, walk: Walk, rng: random.Random) -> None:
        self.rendezvous = StandaloneServer(
            rng=rng, possession=Possession(KeyPair.generate, rng, b"")
        )
        super().__init__(self.rendezvous, walk.clock)
        self._walk = walk
        self.answered = 0
        """Octets to the source of the datagram that it is being fed."""
        self._asking: Endpoint | None = None
        self.displaced: list[str] = []
        """The ids whose holders were told that another connection has taken their place."""

    def holders(self) -> dict[str, int]:
        """The connection that holds each id. Raises `WrongError` if two hold one."""
        found: dict[str, int] = {}
        for host in self.rendezvous.hosts:
            if host.member is not None and host.member.id in found:
                raise WrongError(f"two holders of {host.member.id}")
            if host.member is not None:
                found[host.member.id] = host.connection
        return found

    def arrived(self, flight: Flight) -> None:
        """A datagram. The answer to its source must not be longer."""
        try:
            datagram = datagrams.decode(flight.octets)
        except WireError:
            return
        self._asking, self.answered = flight.source, 0
        self.feed(e.DatagramArrived(datagram, flight.source, local=e.LocalAddress(SERVER.address)))
        self._asking = None
        if self.answered > len(flight.octets):
            raise WrongError(f"the server answers {datagram} with {self.answered} octets")

    def opened(self, link: Link) -> None:
        """A connection has come: the gate decides, as in the adapter."""
        refusal = self.rendezvous.gate.refusal(link.source.address, self._clock.time())
        if refusal is None:
            self.feed(e.ControlOpened(link.number, link.source))
            return
        link.write_down(control.encode(m.Refused(refusal.code, refusal.text)))
        link.write_down(Mark.CLOSED)
        link.up = None

    def end(self) -> None:
        """The process ends: no timer fires any more."""
        self._disarm()

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.SendMessage(message, number) if number in self._walk.links:
                link = self._walk.links[number]
                link.write_down(control.encode(message))
                is_end = isinstance(message, m.Refused) and message.code == m.ErrorCode.REPLACED
                if is_end and link.client is not None:
                    self.displaced.append(link.client.name)
            case do.CloseControl(number) if number in self._walk.links:
                link = self._walk.links[number]
                link.write_down(Mark.CLOSED)
                link.up = None
            case do.SendDatagram(datagram, destination) if destination is not None:
                octets = datagrams.encode(datagram)
                if destination == self._asking:
                    self.answered += len(octets)
                self._walk.send(Flight(SERVER, destination, octets))


class ClientProcess(_Process):
    """One process of a client, with its sockets and paths, until it ends."""

    def __init__(self, walk: Walk, name: str, rng: random.Random) -> None:
        self.agent = Agent(
            *(name, PEER[name]),
            rng=rng,
            relaying=Relaying.AUTO,
            may_join=False,
            turn=m.TurnPart.HAS,
        )
        super().__init__(self.agent, walk.clock)
        self.name = name
        self._walk = walk
        self.is_dead = False
        self.link: Link | None = None
        self.sockets: dict[int, Endpoint] = {}
        self.paths: dict[int, tuple[do.UsePath, bytes]] = {}
        """By socket: the order, and the binding of its first epoch."""
        self.selected: int | None = None
        self.sent = 0
        """Programs' datagrams."""
        self.notices: list[note.Notice] = []
        self._early: list[tuple[int, bytes]] = []
        self._tags: dict[int, bytes] = {}
        """By socket: of the round or relay in which it spoke last."""
        self._attempt: tuple[int, int] = (0, 0)
        self._spoken: Counter[tuple[tuple[int, int], str]] = Counter()
        """Datagrams of the handshake, by attempt and address."""

    @property
    def is_connected(self) -> bool:
        (peer,) = self.agent.peers.values()
        return not self.is_dead and peer.state is PathState.ESTABLISHED

    @property
    def binding(self) -> bytes:
        """Of the newest direct path, which stands."""
        (peer,) = self.agent.peers.values()
        assert peer.direct.path is not None
        return self.paths[peer.direct.path.generation][1]

    def start(self) -> None:
        self._run(self.agent.start(self._clock.time()))

    def feed(self, event: e.Event) -> None:
        if not self.is_dead:
            super().feed(event)

    def end(self, *, told: bool) -> None:
        """The process ends. `told`: its host's kernel resets the connection; else all is silence."""
        self.is_dead = True
        self._disarm()
        for socket in self.sockets.values():
            del self._walk.sockets[socket]
        self.sockets.clear()
        if self.link is not None:
            if told:
                self.link.reset_up()
            self.link.is_cut = self.link.is_cut or not told
            self.link.down = None

    def heard_line(self, item: bytes | Mark, link: Link) -> None:
        """Something came over a control connection of this process."""
        if self.link is not link or self.is_dead:
            link.down = None
            return
        if isinstance(item, bytes):
            message = control.decode(item.removesuffix(b"\n"))
            if isinstance(message, m.StartRound):
                self._attempt = (link.number, message.attempt)
            self.feed(e.ControlReceived(message))
        elif item is Mark.OPENED:
            self.feed(e.ControlOpened(remote=SERVER))
        else:
            link.down = None
            self.link = None
            self.feed(e.ControlBroken(item.name))

    def arrived(self, flight: Flight, generation: int) -> None:
        """A datagram came in by that socket."""
        open_path = self.paths.get(generation)
        if open_path is not None and open_path[0].remote != flight.source:
            return  # the kernel drops it, since the socket is connected
        try:
            datagram = datagrams.decode(flight.octets)
        except WireError:
            return
        if isinstance(datagram, Frame):
            self._frame(flight.octets, generation)
            return
        maker = self._walk.makers.get(flight.octets)
        is_peers = maker is not None and maker.name == PEER[self.name]
        if isinstance(datagram, Hello | Confirm | RelayLink) and is_peers:
            self._walk.heard.add((self, datagram.tag))
        self.feed(e.DatagramArrived(datagram, flight.source, generation))

    def send(self) -> None:
        """A program sends a datagram, if there is a path for it."""
        if self.selected is not None:
            self.sent += 1
            order, binding = self.paths[self.selected]
            payload = f"{self.name} {id(self)} {self.sent}".encode()
            self._walk.programs[payload] = (self.name, binding)
            self._send_frame(order, order.epochs.sealer.seal(Kind.DATA, HEAD + payload))

    def _frame(self, octets: bytes, generation: int) -> None:
        if generation not in self.paths:
            self._early = [*self._early, (generation, octets)][-16:]
            return
        order, binding = self.paths[generation]
        for kind, plain in order.epochs.open(octets, self._clock.time()):
            if kind == Kind.DATA:
                self._take(bytes(plain).removeprefix(HEAD), binding)
            else:
                self.feed(e.FrameOpened(Kind(kind), bytes(plain), generation))

    def _take(self, payload: bytes, binding: bytes) -> None:
        """A program's datagram: the peer's, of this path, and for the first time."""
        if self._walk.programs.pop(payload, None) != (PEER[self.name], binding):
            raise WrongError(f"{self.name} takes {payload!r}, which nobody sent it, or once more")

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.OpenControl():
                self.link = self._walk.connect(Endpoint(HOME[self.name], 50_000), self)
            case do.CloseControl():
                if self.link is not None:
                    self.link.write_up(Mark.CLOSED)
                    self.link.down = None
                    self.link = None
            case do.SendMessage(message):
                if self.link is None or Mark.OPENED in (self.link.down or ()):
                    raise WrongError(f"{self.name} speaks before a connection stands: {message}")
                line = control.encode(message)
                self._walk.record_line(line)
                self.link.write_up(line)
            case do.OpenUdp(generation):
                self.sockets[generation] = self._walk.open(self, generation)
            case do.CloseUdp(generation):
                del self._walk.sockets[self.sockets.pop(generation)]
                self.paths.pop(generation, None)
                if self.selected == generation:
                    self.selected = None
            case do.SendDatagram(datagram, destination, generation):
                self.speak(datagram, destination or SERVER, generation)
            case do.UsePath(generation):
                self._use(action, generation)
            case do.SelectPath(generation):
                self.selected = generation
            case do.SendFrame(kind, plain, generation):
                order = self.paths[generation][0]
                self._send_frame(order, order.epochs.sealer.seal(kind, plain))
            case do.Tell(note.ServerLost(reason)) if "server orders" in reason or "names" in reason:
                raise WrongError(f"{self.name} takes an honest server for a liar: {reason}")
            case do.Tell(notice):
                self.notices.append(notice)

    def speak(self, datagram: datagrams.Datagram, to: Endpoint, generation: int) -> None:
        """A datagram leaves by that socket, within the limit of its attempt."""
        octets = datagrams.encode(datagram)
        if isinstance(datagram, Hello | Confirm | RelayLink):
            self._tags[generation] = datagram.tag
        if isinstance(datagram, Hello | Confirm):
            key = (self._attempt, to.address)
            self._spoken[key] += 1
            if self._spoken[key] > MOST_DATAGRAMS or len(octets) > MOST_OCTETS:
                raise WrongError(f"{self.name} sends {self._spoken[key]} to {to} in one attempt")
        self._walk.makers[octets] = self
        self._walk.send(Flight(self.sockets[generation], to, octets))

    def _send_frame(self, order: do.UsePath, octets: bytes) -> None:
        self._walk.makers[octets] = self
        self._walk.send(Flight(self.sockets[order.generation], order.remote, octets))

    def _use(self, order: do.UsePath, generation: int) -> None:
        """A path stands: have both heard each other on it?"""
        tag = self._tags[generation]
        heard = {each.name for each, of in self._walk.heard if of == tag}
        if (self, tag) not in self._walk.heard or PEER[self.name] not in heard:
            raise WrongError(f"{self.name} claims a path to {order.remote}, heard by {heard}")
        known = {HOME[PEER[self.name]], SERVER.address, *self._walk.relayed_by_attacker}
        if order.remote.address not in known:
            raise WrongError(f"{self.name} claims a path to {order.remote}, where nobody was")
        self.paths[generation] = order, order.epochs.binding
        early, self._early = self._early, []
        for number, octets in early:
            if number == generation:
                self._frame(octets, generation)
