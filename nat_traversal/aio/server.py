"""The rendezvous server on asyncio."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import socket
from collections.abc import Callable
from dataclasses import replace

from nat_traversal.aio.control_connection import ControlProtocol
from nat_traversal.aio.driver import Driver
from nat_traversal.aio.packet_io import (
    SPARE_FILES,
    AnsweringSocket,
    Local,
    bind_problem,
    endpoint_of,
    family_of,
    file_limit,
)
from nat_traversal.aio.tls import ServerTls
from nat_traversal.errors import UsageError, WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.server.stun import StunAnswers
from nat_traversal.settings import ServerSettings
from nat_traversal.tls import ServerTlsSettings
from nat_traversal.wire import DEFAULT_PORT, stun
from nat_traversal.wire.datagrams import decode, encode
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)


class Server(Driver):
    """A running server. Use `serve` to make one, `async with` or `close` to end it."""

    def __init__(
        self,
        rendezvous: StandaloneServer,
        udp: AnsweringSocket,
        on_notice: Callable[[note.Notice], None],
        settings: ServerSettings,
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__(rendezvous)
        self._on_notice = on_notice
        self._settings = settings
        self._tls = tls
        self._buffer = memoryview(bytearray(65_536))
        self._connections: dict[e.ConnectionId, ControlProtocol] = {}
        self._numbers = itertools.count(1)
        self._tcp: asyncio.Server | None = None
        self._dropped_datagrams = rendezvous.counters.counter(
            "datagrams-dropped", "a datagram that is malformed, or an answer that could not be sent"
        )
        self._stun = StunAnswers(settings, rendezvous.counters, self._loop.time())
        self.rendezvous = rendezvous
        self.udp = udp
        """Where announces come, and their answers go out."""

    @property
    def counters(self) -> Counters:
        """Counts of all that was dropped and refused, with the reason."""
        return self.rendezvous.counters

    @property
    def connections(self) -> list[ControlProtocol]:
        """The control connections that stand, the oldest first."""
        return list(self._connections.values())

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens, over TCP and UDP."""
        return self.udp.endpoint

    @property
    def fingerprint(self) -> bytes | None:
        """SHA-256 of its certificate, 32 octets. None without TLS."""
        return None if self._tls is None else self._tls.fingerprint

    async def start(self, tcp: socket.socket) -> None:
        """Take connections on the bound socket `tcp`."""
        # asyncio's backlog is both: how many wait, and how many it takes at once
        self._tcp = await self._loop.create_server(
            self._accept, sock=tcp, backlog=self._settings.accept_burst
        )
        tcp.listen(self._settings.accept_backlog)
        self._loop.add_reader(self.udp.sock, self._readable)

    async def close(self) -> None:
        """End every connection and free the ports. A second time does nothing."""
        tcp, self._tcp = self._tcp, None
        if tcp is None:
            return
        tcp.close()
        self._loop.remove_reader(self.udp.sock)
        connections = self.connections
        self.feed(e.StopRequested())
        self._disarm()
        self.udp.close()
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.closed() for connection in connections))

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _accept(self) -> ControlProtocol:
        number = next(self._numbers)
        protocol = self._connections[number] = ControlProtocol(
            number, self.feed, self._settings, None if self._tls is None else self._tls.stream()
        )
        return protocol

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.SendMessage(message, connection):
                if (protocol := self._connections.get(connection)) is not None:
                    protocol.send(message)
            case do.CloseControl(connection):
                if (protocol := self._connections.pop(connection, None)) is not None:
                    protocol.close()
            case do.SendDatagram(datagram, destination, _, local) if destination is not None:
                self._answer(encode(datagram), destination, local)
            case do.Tell(notice):
                self._on_notice(notice)

    def feed(self, event: e.Event) -> None:
        super().feed(event)
        if isinstance(event, e.ControlBroken):
            self._connections.pop(event.connection, None)

    def _readable(self) -> None:
        for _ in range(self._settings.datagram_burst):
            try:
                length, source, local = self.udp.receive_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error for an earlier answer: no news
                log.debug("UDP: %s", error)
                continue
            if self._buffer[0] < 4 and stun.is_stun(self._buffer[:length]):
                self._answer_stun(bytes(self._buffer[:length]), endpoint_of(source), local)
                continue
            try:
                datagram = decode(bytes(self._buffer[:length]))
            except WireError as error:
                self._dropped_datagrams.value += 1
                log.debug("dropped a datagram from %s: %s", source, error)
                continue
            self.feed(e.DatagramArrived(datagram, endpoint_of(source), local=local))

    def _answer_stun(self, request: bytes, source: Endpoint, local: Local) -> None:
        answer = self._stun.answer(request, source, self._loop.time())
        if answer is not None:
            self._answer(answer, source, local)

    def _answer(self, data: bytes, destination: Endpoint, local: Local) -> None:
        try:
            self.udp.answer(data, destination.sockaddr, local)
        except OSError as error:
            self._dropped_datagrams.value += 1
            log.debug("no answer to %s: %s", destination, error)


async def serve(
    host: str = "0.0.0.0",  # noqa: S104
    port: int = DEFAULT_PORT,
    *,
    settings: ServerSettings | None = None,
    tls: ServerTlsSettings | None = None,
    on_notice: Callable[[note.Notice], None] | None = None,
    rng: random.Random | None = None,
) -> Server:
    """Start a rendezvous server on TCP and UDP `port` of the IP address `host` (0: any free port).

    One server speaks one IP version, since its clients can only meet by the same one: ``::`` is every
    IPv6 address and no IPv4 address.

    `on_notice` hears which hosts come, go and connect. `tls` makes the control connections private;
    its clients need it as well. Returns at once; the server runs on the current event loop until its
    `close`. Raises `UsageError` if a port cannot be had, or a file of `tls` not be used; its kind
    `LocalAddressError` where time may cure that.
    """
    settings = _affordable(settings or ServerSettings())
    securing = None if tls is None else ServerTls.of(tls)
    tcp, udp = _bind_both(host, port)
    server = Server(
        StandaloneServer(rng=rng or random.SystemRandom(), settings=settings),
        udp,
        on_notice or _ignore,
        settings,
        securing,
    )
    await server.start(tcp)
    return server


def _affordable(settings: ServerSettings) -> ServerSettings:
    """No more connections than open files: asyncio stops accepting for a while when those run out."""
    connections = max(1, file_limit(settings.connections + SPARE_FILES) - SPARE_FILES)
    if connections < settings.connections:
        log.warning("room for %d connections only: raise `ulimit -n`", connections)
    return replace(settings, connections=connections)


def _ignore(notice: note.Notice) -> None:
    log.debug("%s", notice)


def _bind_both(host: str, port: int) -> tuple[socket.socket, AnsweringSocket]:
    """The same port number for TCP and UDP."""
    for attempts_left in reversed(range(20)):
        # asyncio turns Nagle's delay off, which costs a round trip, only where it is told the protocol.
        try:
            tcp = socket.socket(family_of(host), socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except OSError as error:
            raise bind_problem("TCP", host, port, error) from error
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if tcp.family == socket.AF_INET6:
                tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tcp.bind((host, port))
            return tcp, AnsweringSocket(host, tcp.getsockname()[1], only_v6=True)
        except UsageError:
            tcp.close()
            if port or not attempts_left:  # a free TCP port may be taken for UDP: try another
                raise
        except OSError as error:
            tcp.close()
            raise bind_problem("TCP", host, port, error) from error
    raise AssertionError
