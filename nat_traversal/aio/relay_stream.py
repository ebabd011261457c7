"""A client's connection to a relay by TCP, which stands for a UDP socket."""

from __future__ import annotations

import socket
from collections.abc import Callable

from nat_traversal.aio.control_connection import ConnectionSettings, ControlProtocol
from nat_traversal.aio.one_by_one import OneByOne
from nat_traversal.aio.packet_io import PacketIO
from nat_traversal.aio.tls import TlsStream
from nat_traversal.machine import events as e
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint


class RelayStream(OneByOne):
    """Joins a relay with `ticket`, once its protocol is connected; then it is a `PacketIO` of datagrams.

    `on_event` hears `StreamOpened` once, and `StreamBroken` at the end; `arrived` gets what comes.
    """

    def __init__(
        self,
        generation: int,
        ticket: bytes,
        settings: ConnectionSettings,
        tls: TlsStream | None,
        *,
        on_event: Callable[[e.Event], None],
        arrived: Callable[[Datagram], None],
    ) -> None:
        self._generation = generation
        self._ticket = ticket
        self._on_event = on_event
        self._arrived = arrived
        self.remote: Endpoint | None = None
        """The server that has the relay."""
        self.protocol = ControlProtocol(0, self._happened, settings, tls)

    def close(self) -> None:
        """Those datagrams that were sent still leave."""
        self.protocol.close()

    @property
    def kernel_socket(self) -> socket.socket | None:
        """Of the connection, while it stands."""
        return self.protocol.kernel_socket

    def send(self, data: bytes, destination: Endpoint | None) -> None:
        """One datagram to the other host, wherever it is."""
        del destination
        self.protocol.send_datagram(data)

    def towards(self, remote: Endpoint) -> PacketIO:
        """A path takes it."""
        del remote
        return self

    def push(self, datagram: memoryview) -> None:
        """Of a path."""
        self.protocol.send_datagram(datagram)

    def _happened(self, event: e.Event) -> None:
        match event:
            case e.ControlOpened():
                self.protocol.send(m.RelayJoin(self._ticket))
            case e.ControlReceived(m.RelayJoined()) if self.remote is not None:
                self.protocol.use_stream()
                self._on_event(e.StreamOpened(self._generation, self.remote))
            case e.ControlReceived(m.Refused(_, text)):
                self.protocol.close()
                self._on_event(e.StreamBroken(self._generation, text))
            case e.StreamArrived(datagram):
                self._arrived(datagram)
            case e.ControlBroken(reason) | e.ControlGarbled(reason):
                self._on_event(e.StreamBroken(self._generation, reason))
