"""The fast part: datagrams of users' programs over an established path, drained in a loop.

Asyncio's own `DatagramProtocol` costs an event loop turn and several objects a datagram; reading the
socket until it is empty is several times faster (`make bench`).
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import UsePath
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import (
    DATA_HEADER,
    FLAG,
    FLAG_LAST,
    FRAGMENT_HEADER,
    MAX_DATA_PAYLOAD,
    Kind,
    tag_of,
)

log = logging.getLogger(__name__)

HEADROOM = DATA_HEADER.size
"""Octets to leave free before a payload, so that the header goes in without a copy."""


class Traffic:
    """The counters of what crossed a path, and what did not. All count datagrams."""

    def __init__(self, counters: Counters) -> None:
        counter = counters.counter
        self.sent = counter("sent", "sent to the other side")
        self.received = counter("received", "came from the other side")
        self.unsendable = counter(
            "unsendable", "refused by this host's network stack: too long, no route, buffer full"
        )
        self.refused = counter("refused", "answered by ICMP port unreachable: nobody listens there")
        self.unclaimed = counter(
            "unclaimed", "came for a flow or a direction that this side does not serve"
        )
        self.malformed = counter("malformed", "broke the protocol, or bore a foreign tag")
        self.incomplete = counter("incomplete", "one half came, the other did not")


class Forwarder(Protocol):
    """The source and sink of a path's datagrams: programs' sockets, or the API."""

    def path_up(self, path: DataPath) -> None:
        """A path stands: send through `path` from now on."""

    def path_down(self) -> None:
        """The path has ended."""

    def deliver(self, flow: int, from_listener: bool, payload: memoryview) -> None:
        """A datagram came. `payload` is only valid during the call."""

    def not_sent(self, error: OSError) -> None:
        """This host's network stack refused a datagram for the peer. It has been counted."""


class DataPath:
    """One established path. Takes over the reading of its socket."""

    def __init__(
        self,
        sock: socket.socket,
        order: UsePath,
        *,
        forwarder: Forwarder,
        traffic: Traffic,
        settings: ClientSettings,
        on_other: Callable[[bytes], None],
    ) -> None:
        try:
            sock.connect(order.remote.sockaddr)  # the kernel now drops what others send
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", order.remote, error)
        self.order = order
        """What it was built from."""
        self._sock = sock
        self._tag = tag_of(order.token)
        self._forwarder = forwarder
        self._traffic = traffic
        self._settings = settings
        self._on_other = on_other
        self._buffer = bytearray(65_536)
        self._view = memoryview(self._buffer)
        self._closed = False
        self._next_fragment = 0
        self._halves: dict[tuple[int, bool, bool], bytes] = {}

    def header(self, flow: int, *, from_listener: bool) -> bytes:
        """The header of a flow's datagrams, to be kept and given to `send_framed`."""
        return DATA_HEADER.pack(Kind.DATA, FLAG if from_listener else 0, self._tag, flow)

    def send_framed(self, frame: memoryview) -> None:
        """Send `HEADROOM` octets of header and a payload of at most `MAX_DATA_PAYLOAD` octets."""
        try:
            self._sock.send(frame)
        except OSError as error:
            if not self._sent_after(error, frame):
                return
        self._traffic.sent.value += 1

    def send(self, flow: int, from_listener: bool, payload: bytes | memoryview) -> None:
        """Send one datagram of 0 to 65,507 octets; a longer one than `MAX_DATA_PAYLOAD` as halves."""
        if len(payload) <= MAX_DATA_PAYLOAD:
            frame = self.header(flow, from_listener=from_listener) + bytes(payload)
            self.send_framed(memoryview(frame))
            return
        number = self._next_fragment = (self._next_fragment + 1) % 65_536
        flags = FLAG if from_listener else 0
        middle = len(payload) // 2
        heads = (
            FRAGMENT_HEADER.pack(Kind.FRAGMENT, flags | last, self._tag, flow, number)
            for last in (0, FLAG_LAST)
        )
        halves = (payload[:middle], payload[middle:])
        if all(self.transmit(head + bytes(half)) for head, half in zip(heads, halves, strict=True)):
            self._traffic.sent.value += 1

    def transmit(self, frame: bytes) -> bool:
        """Send octets as they are. True if they left."""
        try:
            self._sock.send(frame)
        except OSError as error:
            return self._sent_after(error, frame)
        return True

    def readable(self) -> None:
        """Drain the socket."""
        buffer, view, receive, arrived = (
            self._buffer,
            self._view,
            self._sock.recv_into,
            self.arrived,
        )
        for _ in range(self._settings.batch):
            try:
                length = receive(buffer)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error for something sent earlier
                self._count_error(error)
                continue
            arrived(view[:length])
            if self._closed:
                return

    def arrived(self, data: memoryview) -> None:
        """One datagram: a program's goes to the forwarder, everything else to the agent."""
        kind = data[0] if data else None
        if kind == Kind.DATA and len(data) >= HEADROOM:
            _, flags, tag, flow = DATA_HEADER.unpack_from(data)
            if tag == self._tag:
                self._traffic.received.value += 1
                self._forwarder.deliver(flow, bool(flags & FLAG), data[HEADROOM:])
            else:
                self._traffic.malformed.value += 1
        elif kind == Kind.FRAGMENT:
            self._fragment_arrived(data)
        else:
            self._on_other(bytes(data))

    def close(self) -> None:
        """The path has ended; its socket is closed by its owner."""
        self._closed = True

    def _fragment_arrived(self, data: memoryview) -> None:
        if len(data) < FRAGMENT_HEADER.size:
            self._traffic.malformed.value += 1
            return
        _, flags, tag, flow, number = FRAGMENT_HEADER.unpack_from(data)
        if tag != self._tag:
            self._traffic.malformed.value += 1
            return
        from_listener, last = bool(flags & FLAG), bool(flags & FLAG_LAST)
        half = bytes(data[FRAGMENT_HEADER.size :])
        other = self._halves.pop((number, not last, from_listener), None)
        if other is None:
            self._halves[number, last, from_listener] = half
            most = self._settings.pending_halves
            for old in [key for key in self._halves if _apart(key[0], number) > most]:
                del self._halves[old]
                self._traffic.incomplete.value += 1
            return
        self._traffic.received.value += 1
        whole = other + half if last else half + other
        self._forwarder.deliver(flow, from_listener, memoryview(whole))

    def _sent_after(self, error: OSError, frame: memoryview | bytes) -> bool:
        """An ICMP answer to an earlier datagram took this one's turn: send it again."""
        self._count_error(error)
        if error.errno != errno.ECONNREFUSED:
            return False
        try:
            self._sock.send(frame)
        except OSError as another:
            self._count_error(another)
            return False
        return True

    def _count_error(self, error: OSError) -> None:
        if error.errno == errno.ECONNREFUSED:
            self._traffic.refused.value += 1
        else:
            self._traffic.unsendable.value += 1
            self._forwarder.not_sent(error)


def _apart(one: int, other: int) -> int:
    """How far two 16-bit numbers are from each other, across the wrap."""
    return min((one - other) % 65_536, (other - one) % 65_536)
