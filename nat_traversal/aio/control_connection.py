"""The control connection's asyncio protocol, the same at both ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.tls import TLS_RECORDS, TlsStream
from nat_traversal.errors import TlsError, WireError
from nat_traversal.machine.events import (
    ConnectionId,
    ControlBroken,
    ControlGarbled,
    ControlOpened,
    ControlReached,
    ControlReceived,
    Event,
    StreamArrived,
)
from nat_traversal.wire import datagrams
from nat_traversal.wire.control import encode
from nat_traversal.wire.messages import Message
from nat_traversal.wire.streamed import Incoming, Item, framed

log = logging.getLogger(__name__)


class ConnectionSettings(Protocol):
    """The settings of its side that a connection needs."""

    @property
    def backlog(self) -> int: ...

    @property
    def close_within(self) -> float: ...


class ControlProtocol(asyncio.Protocol):
    """Turns one TCP connection into events, through TLS if there is one. After `close` it gives none."""

    def __init__(
        self,
        connection: ConnectionId,
        feed: Callable[[Event], None],
        settings: ConnectionSettings,
        tls: TlsStream | None = None,
    ) -> None:
        self.connection = connection
        self._tls = tls
        self._settings = settings
        self._feed = feed
        self._incoming = Incoming()
        self._transport: asyncio.Transport | None = None
        self._over = self._is_heard = False
        self._cut: asyncio.TimerHandle | None = None
        self._dropped = ""
        """Why this side has ended the connection without a word; empty: it has not."""

    @property
    def is_open(self) -> bool:
        """Whether the kernel still has the connection: also for a while after `close`."""
        return self._transport is not None

    @property
    def will_be_cut(self) -> bool:
        """Whether `close` has set a time after which the other end need not have read everything."""
        return self._cut is not None and not self._cut.cancelled()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def kernel_socket(self) -> socket.socket | None:
        """The socket beneath, while there is one."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._over:
            transport.abort()
        elif self._tls is None or self._tls.is_server:
            names = map(transport.get_extra_info, ("peername", "sockname"))
            # There is none once the other end has gone.
            remote, local = (endpoint_of(name) if name else None for name in names)
            self._feed(ControlOpened(self.connection, remote, local=local))
        else:
            self._feed(ControlReached(self.connection))
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        self._taken(data)
        while not self._over and self._next_item() is not None:
            pass

    def _taken(self, data: bytes) -> None:
        """Octets from the wire: what is in them waits for `_next_item`."""
        try:
            self._incoming.push(self._in_clear(data))
        except WireError as error:
            self._garbled(error)
        except TlsError as error:
            if not self._over:
                self.close()
                self._feed(ControlBroken(str(error), self.connection, remedy=error.remedy))

    def _next_item(self) -> Item | None:
        """Feed the next message or datagram, and give it; None if it has not come, or the line is no message."""
        try:
            item = self._incoming.next()
        except WireError as error:
            self._garbled(error)
            return None
        if isinstance(item, bytes):
            self._datagram_arrived(item)
        elif item is not None:
            self._feed(ControlReceived(item, self.connection))
        return item

    def _garbled(self, error: WireError) -> None:
        if not self._over:
            self._feed(ControlGarbled(str(error), self.connection))
            self.close()

    def _in_clear(self, data: bytes) -> bytes:
        tls = self._tls
        if tls is None:
            if not self._is_heard and data[0] in TLS_RECORDS:
                raise WireError(
                    "the other end speaks TLS, and this one does not: give the TLS options to both or neither"
                )
            self._is_heard = True
            return data
        began_ready = tls.is_ready
        try:
            data = tls.receive(data)
        finally:
            self.transport.write(tls.outgoing())  # an alert, too: the other end learns why
        if tls.is_ready and not began_ready and not tls.is_server and not self._over:
            self._feed(ControlOpened(self.connection, certificate=tls.fingerprint()))
        return data

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._cut is not None:
            self._cut.cancel()
        if not self._over:
            self._over = True
            closed = self._dropped or "the other end closed the connection"
            self._feed(ControlBroken(str(exc) if exc else closed, self.connection))

    def send(self, message: Message) -> None:
        if self._over or self.transport.is_closing():  # asyncio would log each that comes too late
            return
        data = encode(message)
        self.transport.write(data if self._tls is None else self._tls.send(data))
        waiting = self.transport.get_write_buffer_size()
        if waiting > self._settings.backlog:
            self._dropped = f"the other end does not read: {waiting} octets wait for it"
            self.transport.abort()

    def use_stream(self) -> None:
        """From now on datagrams come and go."""
        self._incoming.use_stream()

    def send_datagram(self, datagram: bytes | memoryview) -> bool:
        """Send one, each after its length. False: the other end does not read, and it was dropped."""
        if self._over or self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size() > self._settings.backlog:
            return False
        data = framed(datagram)
        self.transport.write(data if self._tls is None else self._tls.send(data))
        return True

    def _datagram_arrived(self, octets: bytes) -> None:
        try:
            datagram = datagrams.decode(octets)
        except WireError as error:
            log.debug("dropped a datagram from a relay's connection: %s", error)
            return
        self._feed(StreamArrived(datagram, self.connection))

    def close(self) -> None:
        """Close once everything is sent, or by force after `close_within`."""
        self._over = True
        if self._transport is not None and not self._transport.is_closing():
            if self._tls is not None:
                self._transport.write(self._tls.end())
            self._transport.close()
            loop = asyncio.get_running_loop()
            self._cut = loop.call_later(self._settings.close_within, self.abort)

    def abort(self) -> None:
        """Close now, whatever the other end has not read yet."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Two turns of the loop: in the first everything goes out that can, in the second the rest is cut."""
        await asyncio.sleep(0)
        self.abort()
        await asyncio.sleep(0)
