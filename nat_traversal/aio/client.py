"""A client on asyncio: an `Agent`, its control connection, its UDP sockets, their paths."""

from __future__ import annotations

import errno
import logging
import os
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nat_traversal.aio import program_ports
from nat_traversal.aio.background import Background
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.datapath import DataPath, Forwarder
from nat_traversal.aio.dial import dial, failure
from nat_traversal.aio.driver import Driver
from nat_traversal.aio.hops import usable
from nat_traversal.aio.local_ports import LocalPorts
from nat_traversal.aio.network_changes import NetworkChanges, Ways, ends_of
from nat_traversal.aio.open_socket import OpenSocket
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.reaching import Reaching
from nat_traversal.aio.relay_stream import RelayStream
from nat_traversal.aio.roaming import Roaming
from nat_traversal.aio.server_link import ServerLink
from nat_traversal.aio.traffic import Traffic
from nat_traversal.aio.trunk import Alone, Control, Trunk
from nat_traversal.client.agent import Agent
from nat_traversal.client.path_status import PathStatus
from nat_traversal.client.server_status import ServerStatus
from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.datagrams import Datagram, Frame, decode, encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.tray import Run

log = logging.getLogger(__name__)


class Client(Driver):
    """Runs one agent. Every notice goes to `on_notice`, users' datagrams to and from `forwarder`. A `trunk` is shared.
    Raises `UsageError` for ids and files that cannot be used."""

    def __init__(
        self,
        config: ClientConfig,
        forwarder: Forwarder,
        on_notice: Callable[[note.Notice], None],
        *,
        counters: Counters | None = None,
        rng: random.Random | None = None,
        platform: Platform | None = None,
        trunk: Trunk | Alone | None = None,
    ) -> None:
        self._platform = platform or Platform()
        self._changes: NetworkChanges | None = None
        self.agent = Agent(
            config.local_id,
            config.remote_id,
            rng=rng or random.SystemRandom(),
            settings=config.settings,
            security=config.security,
            once=config.once,
            serves=config.serves,
            relaying=config.relaying,
            may_join=config.may_join,
            turn=config.turn_part,
            token=config.server_token,
            methods=usable(config.offered),
            probes=config.probes,
            services=config.services,
            certificate=config.certificate,
            server=config.server,
        )
        super().__init__(self.agent)
        self.counters = counters or Counters()
        self.traffic = Traffic(self.counters)
        self._config = config
        self._server = ServerLink(config, trunk or Alone(), self._platform, self.feed)
        self._edge = self._server.nat64.edge
        self._forwarder = forwarder
        self._on_notice = on_notice
        self._beside = Background()
        """Connections to relays that are being made, and a look at this host's NAT."""
        self._ports = LocalPorts(
            config.settings.local_port,
            lambda at: self._platform.open_udp(at, config.settings.socket_buffer),
        )
        self._reaching = Reaching(
            lambda: self._ports.open(6),
            *(self._readable, self.feed),
            replace(self._platform, resolve=self._server.nat64.resolve),
            config.turn,
        )
        self.selected: DataPath | None = None
        """The path that the forwarder sends by."""
        self.sockets: dict[int, OpenSocket] = {}
        """The open ones, by generation."""

    @property
    def control(self) -> Control | None:
        """The connection to the server, while one stands or is being made."""
        return self._server.control

    def start(self) -> None:
        """Begin. Progress is told by notices."""
        self._changes = NetworkChanges(
            self._config.settings.wake_interval,
            self._ways,
            self.feed,
            slept=self._platform.suspended,
            events=self._platform.route_events,
        )
        self._run(self.agent.start(self._loop.time()))

    def status(self) -> PathStatus:
        """The path to the peer at this moment: for people, the Python interface, and whatever asks later."""
        return self.agent.status(self._loop.time())

    def server_status(self) -> ServerStatus:
        """The connection to the server at this moment."""
        return self.agent.server_status(self._loop.time())

    def service_troubles(self) -> dict[int, note.Notice | None]:
        """Of each named service, by its number, why its datagrams do not cross; None: they do. Empty: nothing is known."""
        return self.agent.service_troubles()

    async def close(self) -> None:
        """Say goodbye to the peer and the server, free everything."""
        control = self.control
        if self._changes is not None:
            self._changes.close()
        self.feed(e.StopRequested())
        self._disarm()
        await self._server.closed()
        await self._beside.close()
        await self._reaching.close()
        if control is not None:
            await control.closed()

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.OpenControl():
                self._server.open()
            case do.CloseControl():
                self._server.close()
            case do.SendMessage(message):
                self._server.send(message)
            case do.FindHosts(generation):
                self._reaching.find_hosts(self.sockets.get(generation), action)
            case do.MapPort(generation):
                self._reaching.map_port(self.sockets.get(generation))
            case do.OpenUdp(generation):
                self._open_udp(generation)
            case do.OpenTurn(generation, peers):
                self._open_turn(generation, peers)
            case do.CloseUdp(generation):
                self._close_udp(generation)
            case do.SendDatagram(datagram, destination, generation, hops=hops) if hops:
                assert destination is not None, "it is for the peer"
                opened = self.sockets.get(generation)
                if opened is not None and not program_ports.has(destination):
                    limited = encode(datagram), destination, hops
                    opened.send_limited(*limited, self.feed if action.is_traced else None)
            case do.SendDatagram(datagram, destination, generation):
                # One without a socket is lost: the machine hears that there is none.
                if (opened := self.sockets.get(generation)) is not None:
                    self._send(opened, encode(datagram), destination)
            case do.OpenStream(generation, ticket, at):
                self._open_stream(generation, ticket, at)
            case do.UsePath(generation):
                self._use_path(self.sockets[generation], action)
            case do.SelectPath(generation):
                self._select_path(self.sockets[generation])
            case do.MatchServices(_, numbers, certificate):
                self._forwarder.match(numbers, certificate)
            case do.SendFrame(generation=generation):
                self.sockets[generation].send_frame(action)
            case do.RebindUdp(generation) | do.RedirectPath(generation):
                self._reroute(self.sockets[generation], action)
            case do.SizeFrames(generation, size):
                path = self.sockets[generation].path
                assert path is not None, "sizes come after UsePath"
                path.frame_size = size
            case do.FindOutNat():
                self._beside.do(self._find_out_nat())
            case do.Count(fault):
                self.traffic.faults[fault].value += 1
            case do.Tell(notice):
                self._on_notice(notice)

    def _ways(self) -> Ways:
        """The sockets that are connected."""
        paths = {
            each.generation: ends_of(each.kernel_socket)
            for each in self.sockets.values()
            if each.path is not None
        }
        return Ways(paths, None if self.control is None else ends_of(self.control.kernel_socket))

    # UDP

    def _open_udp(self, generation: int) -> None:
        # It has to reach the server, so it is of the same family.
        family = self._server.udp.family if self._server.udp else self._config.families[0]
        sock = self._ports.open(family)
        opened = self.sockets[generation] = OpenSocket(generation, sock, self._edge)
        self._loop.add_reader(sock, self._readable, opened, sock)

    def _open_turn(self, generation: int, peers: tuple[Endpoint, ...]) -> None:
        opened = self.sockets[generation] = OpenSocket(generation, None, self._edge)
        self._reaching.open_turn(opened, peers, partial(self._turned, opened))

    def _open_stream(self, generation: int, ticket: bytes, at: Endpoint | None) -> None:
        opened = OpenSocket(generation, None, self._edge)
        opened.stream = stream = RelayStream(
            generation,
            ticket,
            self._config.settings,
            self._server.new_tls(),
            on_event=self.feed,
            arrived=lambda datagram: self._streamed(opened, stream, datagram),
        )
        self.sockets[generation] = opened
        stream.remote = at or self._server.udp
        self._beside.do(self._dial_stream(generation, stream))

    async def _find_out_nat(self) -> None:
        from nat_traversal.aio.checking import nat_facts  # noqa: PLC0415 - few clients need it

        server = self._server.udp
        facts = None if server is None else await nat_facts(self._edge.ipv4_of(server))
        if facts is not None:
            self.feed(e.NatFound(facts))

    async def _dial_stream(self, generation: int, stream: RelayStream) -> None:
        if (server := stream.remote) is None:  # the control connection has ended meanwhile
            self.feed(e.StreamBroken(generation, os.strerror(errno.ENOTCONN)))
            return
        try:
            await dial([self._edge.outside(server)], lambda: stream.protocol)
        except OSError as error:
            self.feed(e.StreamBroken(generation, failure(error)))

    def _streamed(self, opened: OpenSocket, stream: RelayStream, datagram: Datagram) -> None:
        """A datagram came over a connection to a relay."""
        assert stream.remote is not None
        if isinstance(datagram, Frame) and opened.path is not None:
            opened.path.arrived([Run.of(datagram.octets)])
        else:
            self._decoded(opened, datagram, stream.remote)

    def _turned(self, opened: OpenSocket, data: bytes, source: Endpoint) -> None:
        """A datagram came through this host's TURN server."""
        if opened.path is None:
            self._arrived(opened, data, source)
        elif source == opened.path.remote:
            opened.path.arrived([Run.of(data)])

    def _send(self, opened: OpenSocket, data: bytes, destination: Endpoint | None) -> None:
        if opened.path is not None:
            opened.path.transmit(data)
            return
        if opened.udp is None:
            assert opened.stream is not None
            opened.stream.send(data, destination)
            return
        address = destination or self._server.udp
        if address is None or program_ports.has(address):
            return
        sock = opened.towards(address)
        try:
            sock.sendto(data, self._edge.outside(address, sock).sockaddr)
        except OSError as error:
            self.traffic.unsendable.value += 1
            log.debug("not sent to %s: %s", address, error)
            raise

    def _readable(self, opened: OpenSocket, sock: socket.socket) -> None:
        """Drain the socket until it is empty, a path takes it over, or it is closed."""
        for _ in range(self._config.settings.batch):
            try:
                data, source = sock.recvfrom(65_536)
            except BlockingIOError:
                if opened.tracer is not None:
                    opened.tracer.drain()
                return
            except OSError as error:  # an ICMP error for something sent earlier
                log.debug("UDP: %s", error)
                continue
            self._arrived(opened, data, self._edge.inside(endpoint_of(source)))
            if opened.path is not None:
                return
            if self.sockets.get(opened.generation) is not opened:
                return

    def _arrived(self, opened: OpenSocket, data: bytes, source: Endpoint) -> None:
        try:
            datagram = decode(data)
        except WireError as error:
            self.traffic.malformed.value += 1
            log.debug("dropped a datagram from %s: %s", source, error)
            return
        self._decoded(opened, datagram, source)

    def _decoded(self, opened: OpenSocket, datagram: Datagram, source: Endpoint) -> None:
        if not isinstance(datagram, Frame):
            self.feed(e.DatagramArrived(datagram, source, opened.generation))
            if opened.path is not None and opened.early:
                early, opened.early = opened.early, []
                opened.path.arrived([Run.of(frame) for frame in early])
        elif opened.path is None:
            most = self._config.settings.early_frames
            opened.early = [*opened.early, datagram.octets][-most:] if most else []

    def _use_path(self, opened: OpenSocket, order: do.UsePath) -> None:
        if self._config.log_key is not None:
            order.epochs.log_keys(self._config.log_key)
        self._reaching.settle(opened, order.remote)
        opened.path = path = DataPath(
            opened.udp,
            order,
            forwarder=self._forwarder,
            traffic=self.traffic,
            settings=self._config.settings,
            clock=self._loop,
            on_frame=lambda kind, plain: self.feed(e.FrameOpened(kind, plain, opened.generation)),
            on_event=self.feed,
            on_other=lambda data: self._arrived(opened, data, path.remote),
            io=None if opened.stream is None else opened.stream.towards(order.remote),
            edge=self._edge,
        )
        if opened.udp is not None:
            self._loop.remove_reader(opened.sock)
        if opened.udp is not None and order.roams:
            opened.roaming = Roaming(opened.udp, path, self._config.settings, self.feed)
        elif opened.udp is not None:
            self._loop.add_reader(opened.sock, path.readable)

    def _select_path(self, opened: OpenSocket) -> None:
        assert opened.path is not None, "selected after UsePath"
        self.selected = opened.path
        self._forwarder.path_up(opened.path)

    def _reroute(self, opened: OpenSocket, action: do.RebindUdp | do.RedirectPath) -> None:
        """An end of the path has moved: what was measured of the way holds no more (RFC 9000 section 9.4)."""
        if isinstance(action, do.RedirectPath):
            opened.redirect(action.remote)
        else:
            opened.rebind()
        if opened.path is not None and opened.path is self.selected:
            self._forwarder.path_up(opened.path)

    def _close_udp(self, generation: int) -> None:
        opened = self.sockets.pop(generation, None)
        if opened is None:
            return
        if opened.path is not None:
            opened.path.close()
        if opened.path is not None and opened.path is self.selected:
            self.selected = None
            self._forwarder.path_down()
        if opened.stream is not None:
            self._reaching.ended(opened.stream.close())
        for sock in opened.sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._reaching.closed(opened)
