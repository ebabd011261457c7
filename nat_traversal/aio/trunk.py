"""One control connection for several clients of one server: each has a registration of its own on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from nat_traversal.aio.control_connection import ConnectionSettings, ControlProtocol
from nat_traversal.aio.dial import dial
from nat_traversal.aio.tls import TlsStream
from nat_traversal.errors import ServerUnreachableError
from nat_traversal.machine import events as e
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.pairs import MOST_PAIRS, for_pair

Feed = Callable[[e.Event], None]
LEFT = "the server has ended this registration"


class Control(Protocol):
    """A client's end of its registration: a control connection, or a part of one."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def kernel_socket(self) -> socket.socket | None:
        """The socket beneath, while there is one."""

    def send(self, message: m.Message) -> None: ...

    def close(self) -> None:
        """End it; what was sent goes out."""

    def abort(self) -> None:
        """End it now."""

    async def closed(self) -> None:
        """Return once it is closed."""


class Channel:
    """One registration on a trunk: what a client has instead of a connection of its own."""

    def __init__(self, line: Line, pair: int, host: str, feed: Feed) -> None:
        self.pair = pair
        self.host = host
        """The id that it registers."""
        self.feed = feed
        self._line = line

    @property
    def transport(self) -> asyncio.Transport:
        return self._line.protocol.transport

    @property
    def kernel_socket(self) -> socket.socket | None:
        return self._line.protocol.kernel_socket

    def send(self, message: m.Message) -> None:
        self._line.protocol.send(for_pair(self.pair, message))

    def close(self) -> None:
        self._line.leave(self)

    def abort(self) -> None:
        self._line.leave(self)

    async def closed(self) -> None:
        await self._line.closed()


class Line:
    """One TCP connection, and the registrations on it."""

    def __init__(
        self, settings: ConnectionSettings, tls: TlsStream | None, ended: Callable[[], None]
    ) -> None:
        self.protocol = ControlProtocol(0, self._event, settings, tls)
        self.most: int | None = None
        """Registrations that the server takes here; None: it has not answered the first."""
        self._ended = ended
        self._channels: dict[int, Channel] = {}
        """By their numbers. A number comes once, since words about its last owner may still be on their way."""
        self._last_pair = -1
        self._certificate = b""
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._is_over

    @property
    def has_room(self) -> bool:
        """Whether one more registration fits."""
        most = self.most or 1
        return not self._is_over and len(self._channels) < most and self._last_pair < MOST_PAIRS

    def has(self, host: str) -> bool:
        """Whether a host registers here with that id."""
        return any(channel.host == host for channel in self._channels.values())

    def add(self, host: str, feed: Feed) -> Channel:
        """One more registration. It hears of a connection that stands already once `begin` is called."""
        self._last_pair += 1
        channel = self._channels[self._last_pair] = Channel(self, self._last_pair, host, feed)
        return channel

    def begin(self, channel: Channel) -> None:
        """The connection stands: let the registration begin on it."""
        channel.feed(e.ControlOpened(0, certificate=self._certificate))

    def leave(self, channel: Channel) -> None:
        """That registration ends; the connection ends with the last one."""
        if self._channels.get(channel.pair) is not channel:
            return
        del self._channels[channel.pair]
        if self._channels:
            self.protocol.send(for_pair(channel.pair, m.Leave()))
        else:
            self._over()
            self.protocol.close()

    async def closed(self) -> None:
        """Return once the connection is closed, if it has ended."""
        if self._is_over:
            await self.protocol.closed()

    def _over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._ended()

    def _event(self, event: e.Event) -> None:
        match event:
            case e.ControlReceived(m.ForPair(pair, message)):
                self._received(pair, message)
            case e.ControlReceived(message):
                self._received(0, message)
            case e.ControlReached() | e.ControlOpened():
                if isinstance(event, e.ControlOpened):
                    self._certificate = event.certificate
                for channel in list(self._channels.values()):
                    channel.feed(event)
            case _:
                channels, self._channels = list(self._channels.values()), {}
                self._over()
                for channel in channels:
                    channel.feed(event)

    def _received(self, pair: int, message: m.Message | m.UnknownMessage) -> None:
        channel = self._channels.get(pair)
        if channel is None:
            return  # late words about a registration that has ended
        if isinstance(message, m.Leave):
            del self._channels[pair]
            if not self._channels:
                self._over()
                self.protocol.close()
            channel.feed(e.ControlBroken(LEFT))
            return
        channel.feed(e.ControlReceived(message))
        if isinstance(message, m.Registered) and self.most is None:
            self.most = message.pairs
            self._ended()


class Alone:
    """A control connection for one client."""

    async def join(
        self,
        addresses: list[Endpoint],
        host: str,
        feed: Feed,
        made: Callable[[Control], None],
        *,
        settings: ConnectionSettings,
        tls: TlsStream | None,
    ) -> None:
        """Make a connection to one of `addresses`. Raises `OSError`."""
        del host

        def new() -> ControlProtocol:
            protocol = ControlProtocol(0, feed, settings, tls)
            made(protocol)
            return protocol

        await self._dial(addresses, new)

    async def _dial(self, addresses: list[Endpoint], new: Callable[[], ControlProtocol]) -> None:
        """Connect. Raises `OSError`."""
        await dial(addresses, new)


class Trunk:
    """The control connections of several clients of one server: as few as the server lets it be."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._news = asyncio.Event()
        """Set once a line has ended, or its first registration is answered."""

    @property
    def connections(self) -> int:
        """Those that stand or are being made."""
        return len(self._lines)

    async def join(
        self,
        addresses: list[Endpoint],
        host: str,
        feed: Feed,
        made: Callable[[Control], None],
        *,
        settings: ConnectionSettings,
        tls: TlsStream | None,
    ) -> None:
        """Begin a registration of the id `host`, on a connection that stands or a new one to one of `addresses`.

        `made` gets it before `feed` hears the first event. Nobody makes a second connection while the server has not
        answered on the first one: it may have room. Raises `OSError` if there is no connection, and
        `ServerUnreachableError` if this server takes no further peer of that id.
        """
        while True:
            for line in self._lines:
                if line.most is not None and line.has_room:
                    channel = line.add(host, feed)
                    made(channel)
                    line.begin(channel)
                    return
            if all(line.most is not None for line in self._lines):
                break
            self._news.clear()
            await self._news.wait()
        full = next((line for line in self._lines if line.has(host)), None)
        if full is not None:
            raise ServerUnreachableError(
                f"this server takes {full.most} of one id's peers: "
                'give each further [[peer]] an id of its own for this host, as = "NAME"'
            )
        line = Line(settings, tls, self._changed)
        self._lines.append(line)
        channel = line.add(host, feed)
        made(channel)
        try:
            await dial(addresses, lambda: line.protocol)
        except BaseException:
            line.leave(channel)
            raise

    def _changed(self) -> None:
        self._lines = [each for each in self._lines if not each.is_over]
        self._news.set()
