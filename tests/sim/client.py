"""A client process in the world: its sockets, its control connection, and the paths that it claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nat_traversal.aio.datapath import OFFERED_TOLD
from nat_traversal.client.agent import Agent
from nat_traversal.client.older import MOST
from nat_traversal.client.phases import Established, PathState, Punching
from nat_traversal.crypto.proof import S, signed
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import control, datagrams, guessing
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.nat_facts import NatFacts
from nat_traversal.wire.streamed import framed
from natlab.behavior import PortMapping
from tests.sim import turn
from tests.sim.claim import Claim
from tests.sim.network import Host, decoded
from tests.sim.process import Process
from tests.sim.stream import End

if TYPE_CHECKING:
    from tests.sim.world import World


class Client(Process):
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
        self.streams: dict[int, End] = {}
        """Connections to relays, by their number among the sockets."""
        self.selected: int | None = None
        """The socket by whose path programs' datagrams leave."""
        self._open: dict[int, do.UsePath] = {}
        self._tell_offered_at: dict[int, float] = {}
        """When the data path tells next that programs' datagrams leave, by its socket."""
        self._early: list[tuple[int, bytes]] = []
        self.nat_facts: NatFacts | None = None
        """Found when the agent wants to know its NAT; None: nothing is."""
        self.asked_for_nat = 0
        self.asked_router = 0
        """Times for a port."""
        self.matched: dict[str, dict[int, int]] = {}
        """By peer: the numbers of the named services that cross, here and there."""
        self.certificates: list[bytes] = []
        """Of the peer's process, each time that services were matched."""
        self.allocating: set[int] = set()
        """Sockets for which a TURN server has not answered."""
        self.outside: Callable[[Endpoint], Endpoint] = lambda endpoint: endpoint
        self.inside = self.outside  # the edge of its sockets, as in the adapter
        self._senders: dict[int, Host] = {}
        """The TURN server, for the sockets that it stands for."""
        self._unopened: set[int] = set()
        """Sockets for which there was no room."""

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
    def way(self) -> note.PathEstablished | note.PathMoved:
        """The path that programs' datagrams take, as told last."""
        ways = note.PathEstablished, note.PathMoved
        return next(told for _, told in reversed(self.notices) if isinstance(told, ways))

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
        for generation, socket in self.sockets.items():
            del self._senders.get(generation, self.host).sockets[socket]
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
        self.host.nat.change_address(address)
        if self.control is not None:
            self.control.is_cut = self.control.other.is_cut = True

    def hand_over(self, nat: str, public: str, inside: str, *, keeps: bool = False) -> None:
        """As from Wi-Fi to cellular: another NAT, and no way back, unless the host `keeps` the old one. The kernel tells it."""
        stale = frozenset(self._open) - self.streams.keys()
        self.host.move(nat, public, inside, keeps=keeps)
        if self.control is not None:
            self.control.is_cut = self.control.other.is_cut = True
        self.feed(e.NetworkChanged(stale, server_is_stale=True))

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.SendFrame(kind, plain, generation, to):
                self._send_frame(kind, plain, generation, to)
            case do.OpenControl() if self.host.is_full:
                self.feed(e.ControlBroken("no room", lacks_room=True))
            case do.OpenControl():
                self.control = self.world.server_of(self).connect(self)
            case do.CloseControl():
                if self.control is not None:
                    self.control.close()
                    self.control = None
            case do.FindOutNat():
                self.asked_for_nat += 1
                if self.nat_facts is not None:
                    self.feed(e.NatFound(self.nat_facts))
            case do.SendMessage(message):
                if self.control is not None and not self.control.is_gone:
                    self.control.write(control.encode(message))
            case do.FindHosts(generation, hosts, ipv6):
                here = self.sockets[generation]
                dead = [Endpoint(address, here.port) for address in self.host.dead]
                found = [each for each in dead if (ipv6 if each.family == 6 else hosts)]
                found += [here] if hosts else []
                if ipv6 and self.host.ipv6:
                    found.append(Endpoint(self.host.ipv6, here.port))
                self.feed(e.HostsFound(tuple(found), generation, here.port))
            case do.MapPort(generation):
                self._map_port(generation)
            case do.OpenUdp(generation):
                most = 2 + MOST + self.world.relays
                if generation <= MAX_COUNTER:
                    own = [each for each in self.sockets if each <= MAX_COUNTER]
                    assert len(own) < most, "two rounds', two older paths', the relays'"
                assert len(self.sockets) < most + guessing.SOCKETS, "those of one round that speak"
                self._unopened.add(generation)
                self.host.check_room()
                self._unopened.remove(generation)
                self.sockets[generation] = self.host.open(
                    lambda data, source: self.datagram(data, source, generation)
                )
                self.all_sockets.add(self.sockets[generation])
                self.host.hop_told[self.sockets[generation]] = lambda teller: self._hop_told(
                    teller, generation
                )
            case do.OpenTurn(generation, peers):
                self.world.turn.allocate(self, generation, peers)
            case do.CloseUdp(generation) if generation in self.allocating:
                self.allocating.remove(generation)
            case do.OpenStream(generation) if self.host.is_full:
                self.streams[generation] = End(self.world.clock, 0.0, None)
                self.feed(e.StreamBroken(generation, "no room"))
            case do.OpenStream(generation, ticket, at):
                place = at or self.world.address_for(self)
                server = self.world.server_at(place)
                assert server is not None, "the place of a relay is a server's"
                self.streams[generation] = server.connect(
                    self, lambda event: self._on_stream(event, generation, ticket, place)
                )
            case do.CloseUdp(generation) if generation in self.streams:
                self.streams.pop(generation).close()
                self._closed(generation)
            case do.SendDatagram(datagram, _, generation) if generation in self.streams:
                self._stream(generation, datagrams.encode(datagram))
            case do.CloseUdp(generation) | do.SendDatagram(_, _, generation) if (
                generation in self._unopened
            ):
                pass
            case do.CloseUdp(generation):
                sender = self._senders.pop(generation, self.host)
                del sender.sockets[self.sockets.pop(generation)]
                self._closed(generation)
            case do.SendDatagram(datagram, destination, generation, hops=hops):
                self.world.net.send_from_host(
                    self._senders.get(generation, self.host),
                    self.sockets[generation],
                    self.outside(destination or self.world.address_for(self)),
                    datagrams.encode(datagram),
                    hops,
                )
            case do.UsePath(generation):
                self._open[generation] = action
                self._tell_offered_at[generation] = 0.0
                turned = generation in self._senders or action.remote.address == turn.ADDRESS
                if self.world.server_at(action.remote) is None and not turned:
                    self.world.check_claim(self, action)
                early, self._early = self._early, []
                for number, frame in early:
                    if number == generation:
                        self._frame(frame, generation)
            case do.SelectPath(generation):
                assert generation in self._open, "selected after UsePath"
                self.selected = generation
            case do.MatchServices(peer, numbers, certificate):
                self.matched[peer] = dict(numbers)
                self.certificates.append(certificate)
            case do.SizeFrames(generation, size):
                self.frame_sizes.append(size)
            case do.RebindUdp(generation):
                self._rebind(generation)
            case do.RedirectPath(generation, remote):
                self._open[generation] = replace(self._open[generation], remote=remote)
            case do.Tell(notice):
                if isinstance(notice, note.PathEstablished):
                    used = self._open[notice.generation]
                    self.paths.append((used, used.epochs.binding))
                self.notices.append((self.world.clock.now, notice))

    def _send_frame(
        self, kind: datagrams.Kind, plain: bytes, generation: int, to: Endpoint | None = None
    ) -> None:
        used = self._open[generation]
        frame = used.epochs.sealer.seal(kind, plain)
        if generation in self.streams:
            self._stream(generation, frame)
            return
        sender, there = self._senders.get(generation, self.host), self.outside(to or used.remote)
        self.world.net.send_from_host(sender, self.sockets[generation], there, frame)

    def _hop_told(self, teller: str, generation: int) -> None:
        """A router's ICMP error has come for a datagram of that socket, if it is still open."""
        if generation in self.sockets:
            self.feed(e.HopTold(teller, generation))

    def _rebind(self, generation: int) -> None:
        """The same port at the host's address of now. Nobody answers at the one before."""
        before, sockets = self.sockets[generation], self.host.sockets
        now = self.sockets[generation] = replace(before, address=self.host.address)
        sockets[now] = sockets[before]
        sockets[before] = lambda data, source: (
            None if data[0] == datagrams.Kind.PING else self.datagram(data, source, generation)
        )
        self.all_sockets.add(now)

    def _map_port(self, generation: int) -> None:
        """The router answers after `router_takes`, if it maps ports; where it `router_lies` it has led none here."""
        self.asked_router += 1
        behavior = self.host.nat.behavior
        if behavior is not None and behavior.port_mapping is PortMapping.ASKED:
            nobody = Endpoint(self.host.address, 9)
            inside = nobody if self.host.router_lies else self.sockets[generation]
            maps = e.RouterMaps(self.host.nat.forward(inside).port, generation)
            at = self.world.clock.now + self.host.router_takes
            self.world.clock.at(at, lambda: self.feed(maps))

    def _closed(self, generation: int) -> None:
        self._open.pop(generation, None)
        if self.selected == generation:
            self.selected = None

    def _stream(self, generation: int, octets: bytes) -> None:
        if not self.streams[generation].is_gone:
            self.streams[generation].write(framed(octets))

    def _on_stream(self, event: e.Event, generation: int, ticket: bytes, server: Endpoint) -> None:
        """What the adapter does with what happens on a connection to a relay."""
        end = self.streams.get(generation)
        if end is None or self.is_dead:
            return
        match event:
            case e.ControlOpened():
                end.write(control.encode(m.RelayJoin(ticket)))
            case e.ControlReceived(m.RelayJoined()):
                end.incoming.use_stream()
                self.feed(e.StreamOpened(generation, server))
            case e.StreamArrived(datagrams.Frame(_, octets)):
                self._frame(octets, generation, server)
            case e.StreamArrived(datagram):
                self.feed(e.DatagramArrived(datagram, server, generation))
            case e.ControlBroken(reason) | e.ControlGarbled(reason):
                self.feed(e.StreamBroken(generation, reason))

    def send_raw(self, data: bytes, destination: Endpoint | None = None) -> None:
        """Octets from the present socket that the agent knows nothing of."""
        (socket,) = self.sockets.values()
        self.world.net.send_from_host(
            self.host, socket, destination or self.world.address_for(self), data
        )

    def sleep(self, seconds: float) -> None:
        """As a laptop: its host hears nothing, and no connection outlives it."""
        self.stop_running()
        if self.control is not None:
            self.control.is_cut = self.control.other.is_cut = True
        self.world.run(seconds)
        self.go_on(forgets=True)

    def turned(self, generation: int, address: Endpoint, server: Host) -> None:
        """The TURN server `server` relays at `address`, which stands for that socket."""
        self.sockets[generation], self._senders[generation] = address, server
        self.all_sockets.add(address)

    def datagram(self, data: bytes, source: Endpoint, generation: int) -> None:
        """One has come to that socket."""
        if self.holds(lambda: self.datagram(data, source, generation)):
            return
        source = self.inside(source)
        try:
            datagram = decoded(data)
        except WireError:
            return
        if isinstance(datagram, datagrams.Frame):
            self._frame(datagram.octets, generation, source)
        else:
            self.feed(e.DatagramArrived(datagram, source, generation))

    def signed(self, datagram: S) -> S:
        """With the MAC of this client's key of the present round."""
        (peer,) = self.agent.peers.values()
        phase = peer.direct.phase
        assert isinstance(phase, Punching | Established)
        return signed(datagram, phase.keys.path.sending.handshake)

    def send_frame(self, kind: datagrams.Kind, plain: bytes) -> None:
        """Seal and send a frame on the present path that the agent knows nothing of; of a program's it is told as often
        as a data path does."""
        assert self.selected is not None, "no path carries"
        self._send_frame(kind, plain, self.selected)
        now = self.world.clock.now
        if kind in datagrams.PROGRAMS and now >= self._tell_offered_at[self.selected]:
            self._tell_offered_at[self.selected] = now + OFFERED_TOLD
            self.feed(e.DatagramsOffered(self.selected))

    def _frame(self, octets: bytes, generation: int, source: Endpoint | None = None) -> None:
        """What the data path does with a frame."""
        used = self._open.get(generation)
        if used is None:
            self._early.append((generation, octets))
            return
        now = self.world.clock.now
        if source in (None, used.remote):
            elsewhere = None
        elif used.roams and used.epochs.authenticates(octets[0]):
            elsewhere = source
        else:
            return  # the kernel drops it, since the socket is connected
        before = used.epochs.newest()
        for number, plain in used.epochs.open(octets, now):
            kind = datagrams.Kind(number)
            if elsewhere is not None and used.epochs.newest() > before:
                self.feed(e.PeerElsewhere(elsewhere, kind, generation))
            if kind in datagrams.PROGRAMS:
                self.delivered.append(plain)
            else:
                self.feed(e.FrameOpened(kind, plain, generation, elsewhere))
