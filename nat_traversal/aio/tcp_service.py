"""TCP services at the side that listens for programs, and at the side that connects to a service."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from nat_traversal.aio.accepting import Address, Door
from nat_traversal.aio.datapath import DataPath, Problem
from nat_traversal.aio.dial import connected
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.ports import bind_tcp
from nat_traversal.aio.service import Service
from nat_traversal.aio.tcp_end import Key, TcpEnd
from nat_traversal.aio.tcp_side import TcpSide
from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.machine.failures import in_words
from nat_traversal.paths.budget import Pace
from nat_traversal.settings import ClientSettings
from nat_traversal.streams import quic
from nat_traversal.streams.actions import Why
from nat_traversal.streams.connection import Streams
from nat_traversal.wire.endpoint import Endpoint, HostPort

_BACKLOG, _BURST = 1024, 32
_BEGINNINGS, _BEGIN_EVERY = 8, 0.25
"""QUIC connections that the other side may begin at once, and seconds between two in the long run: each costs a handshake,
and ends the TCP connections of the one before."""


class TcpListener(TcpSide):
    """The side that listens for programs' connections at `at`. `certificate` gives that of the other side's process, or
    nothing. Raises `LocalAddressError`."""

    def __init__(
        self,
        at: HostPort,
        problem: Problem,
        settings: ClientSettings,
        certificate: Callable[[], bytes],
    ) -> None:
        super().__init__(problem, settings)
        self._certificate = certificate
        sock = bind_tcp(at.host, at.port)
        self._endpoint = endpoint_of(sock.getsockname())
        self._door = Door(
            [sock],
            backlog=_BACKLOG,
            burst=_BURST,
            again=settings.accept_again,
            admit=self._admit,
            taken=self._taken,
            out_of_files=lambda error: self._problem(f"connections wait: {in_words(error)}"),
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return self._endpoint

    def close(self) -> None:
        """Take no more, and end all."""
        self._door.close()
        super().close()

    def _admit(self, _: Address) -> bytes | None:
        problem = self._lack()
        if problem is None:
            return None
        self._problem(f"connections are refused {problem}")
        return b""

    def _lack(self) -> str | None:
        if self._path is None:
            return "until a path stands"
        if self.to is None:
            return "until the other side has their service"
        if len(self._ends) >= self._most:
            return f"while there are {self._most}"
        if self._streams is not None:
            return None
        try:
            self._begin()
        except KeyRefusedError as error:
            return f"since {error}"
        return None

    def _begin(self) -> None:
        assert self._path is not None
        self._size = self._path.whole
        self._flow += 1
        self._streams = Streams(quic.client(self._certificate(), self._size), opens=True)
        self._streams.start(self._loop.time())

    def _taken(self, sock: socket.socket, _: Address) -> None:
        assert self._streams is not None, "admitted"
        stream = self._streams.open()
        key = self._flow, stream
        end = self._ends[key] = TcpEnd(self, key)
        end.begin(sock)
        self._flush_soon()

    def _broken(self, key: Key, why: int) -> None:
        super()._broken(key, why)
        if why == Why.UNREACHABLE:
            self._problem("the other side has no way to where it connects to")
        elif why == Why.FULL:
            self._problem("the other side has no room for more connections")


class TcpConnector(TcpSide):
    """The side that connects to `service`. `changed` hears when nothing listens there (False), and when something does
    again (True)."""

    def __init__(
        self,
        service: Service,
        problem: Problem,
        settings: ClientSettings,
        identity: quic.StreamIdentity,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        super().__init__(problem, settings)
        self._service = service
        self._identity = identity
        self._changed = changed
        self._is_down = False
        self._pace = Pace(_BEGINNINGS, _BEGIN_EVERY)

    def attach(self, path: DataPath | None) -> None:
        """As `TcpSide`. Another network may know the service's name by another address."""
        super().attach(path)
        if path is not None:
            self._service.doubt()

    def close(self) -> None:
        """Connect no more, and end all."""
        self._service.close()
        super().close()

    def _another(self, number: int, first: bytes) -> Streams | None:
        if number <= self._flow:
            return None
        assert self._path is not None, "datagrams come by a path"
        self._size = self._path.whole
        try:
            connection = quic.server(self._identity, first, self._size)
        except WireError:
            return None
        if self._pace.take(self._loop.time()):
            return None  # an honest side says it again
        self._end_all("the other side has begun anew")
        self._flow, self._streams = number, Streams(connection, opens=False)
        return self._streams

    def _opened(self, key: Key) -> None:
        if len(self._ends) >= self._most:
            self._break_off(key, Why.FULL)
            return
        end = self._ends[key] = TcpEnd(self, key)
        end.connecting = self._loop.create_task(self._connect(key, end))

    async def _connect(self, key: Key, end: TcpEnd) -> None:
        if not self._service.is_fresh:
            known: asyncio.Future[None] = self._loop.create_future()
            self._service.ask(lambda: None if known.done() else known.set_result(None))
            await known
        addresses = [*self._service.addresses]
        if not addresses:  # the service has said why
            end.connecting = None
            self._break_off(key, Why.UNREACHABLE)
            return
        try:
            async with asyncio.timeout(self._settings.answer_within):
                sock, _ = await connected(addresses)
        except OSError as error:  # a time-out among them
            end.connecting = None
            self._failed(key, error)
            return
        end.connecting = None
        if self._is_down:
            self._is_down = False
            self._changed(True)
        end.begin(sock)

    def _failed(self, key: Key, error: OSError) -> None:
        if error.errno != errno.ECONNREFUSED:
            self._break_off(key, Why.UNREACHABLE)
            self._problem(f"no way to {self._service}: {in_words(error)}")
            return
        self._break_off(key, Why.REFUSED)
        self._problem(
            f"nothing listens on {self._service}: start the service or correct its address"
        )
        if not self._is_down:
            self._is_down = True
            self._changed(False)
