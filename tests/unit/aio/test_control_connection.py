"""Why a control connection has ended, where this side ended it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from nat_traversal.aio.control_connection import ControlProtocol
from nat_traversal.machine import events as e
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m


class Unread(asyncio.Transport):
    """A transport whose other end reads nothing."""

    def __init__(self, protocol: ControlProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._waiting = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def abort(self) -> None:
        self._protocol.connection_lost(None)


def test_connection_dropped_since_the_other_end_does_not_read_says_so() -> None:
    events: list[e.Event] = []
    settings = replace(ClientSettings(), backlog=50)
    protocol = ControlProtocol(0, events.append, settings)
    protocol.connection_made(Unread(protocol))
    for number in range(3):
        protocol.send(m.Heartbeat(number))
    reason = "the other end does not read: 64 octets wait for it"
    assert events == [e.ControlOpened(0, None), e.ControlBroken(reason)]


def test_nothing_is_written_to_a_connection_that_broke_in_this_turn_of_the_loop() -> None:
    """asyncio tells the break in the next turn, and until then logs each further write as a warning."""
    protocol = ControlProtocol(0, lambda _event: None, ClientSettings())
    transport = Unread(protocol)
    protocol.connection_made(transport)
    transport.closing = True
    protocol.send(m.Heartbeat(1))
    assert protocol.send_datagram(b"frame") is False
    assert transport.get_write_buffer_size() == 0
