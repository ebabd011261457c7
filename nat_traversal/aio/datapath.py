"""The fast part: datagrams of users' programs over an established path, drained in a loop.

Asyncio's own `DatagramProtocol` costs an event loop turn and several objects a datagram; reading the
socket until it is empty is several times faster (`make bench`).
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nat_traversal.aio.packet_io import PacketIO, PlainSocket, Slots
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
TAILROOM = 0
"""Octets to leave free around a payload, so that the frame is made without a copy."""
_LONGEST_FRAME = HEADROOM + MAX_DATA_PAYLOAD + TAILROOM


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


Delivery = tuple[int, bool, memoryview]
"""One datagram of the other side's program: its flow, whether it comes from the side that listens, and its
payload, which is only valid during the call."""


class Forwarder(Protocol):
    """The source and sink of a path's datagrams: programs' sockets, or the API."""

    def path_up(self, path: DataPath) -> None:
        """A path stands: send through `path` from now on."""

    def path_down(self) -> None:
        """The path has ended."""

    def deliver(self, batch: Sequence[Delivery]) -> None:
        """Datagrams came, in this order."""

    def not_sent(self, error: OSError) -> None:
        """This host's network stack refused a datagram for the peer. It has been counted."""


class DataPath:
    """One established path. Takes over the reading of its socket."""

    headroom = HEADROOM
    tailroom = TAILROOM
    """Octets of room that `send_frames` wants around each payload."""

    def __init__(
        self,
        sock: socket.socket,
        order: UsePath,
        *,
        forwarder: Forwarder,
        traffic: Traffic,
        settings: ClientSettings,
        on_other: Callable[[bytes], None],
        io: PacketIO | None = None,
    ) -> None:
        try:
            sock.connect(order.remote.sockaddr)  # the kernel now drops what others send
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", order.remote, error)
        self.order = order
        """What it was built from."""
        self._io = io or PlainSocket(sock, Slots(), self._failed)
        self._tag = tag_of(order.token)
        self._forwarder = forwarder
        self._traffic = traffic
        self._settings = settings
        self._on_other = on_other
        self._closed = False
        self._next_fragment = 0
        self._halves: dict[tuple[int, bool, bool], bytes] = {}

    @property
    def waiting_halves(self) -> int:
        """How many halves of long datagrams wait for the other."""
        return len(self._halves)

    def send_frames(self, flow: int, from_listener: bool, frames: Sequence[memoryview]) -> None:
        """Send a flow's datagrams of 0 to 65,507 octets, each with `headroom` and `tailroom` around it.

        The room is written to. A datagram of more than `MAX_DATA_PAYLOAD` octets goes as two halves.
        """
        header = DATA_HEADER.pack(Kind.DATA, FLAG if from_listener else 0, self._tag, flow)
        is_long = False
        for frame in frames:
            frame[:HEADROOM] = header
            is_long = is_long or len(frame) > _LONGEST_FRAME
        if not is_long:
            self._traffic.sent.value += self._io.send(frames)
            return
        for frame in frames:
            if len(frame) <= _LONGEST_FRAME:
                self._traffic.sent.value += self._io.send((frame,))
            else:
                self._send_halves(flow, from_listener, frame[HEADROOM : len(frame) - TAILROOM])

    def send(self, flow: int, from_listener: bool, payload: bytes | memoryview) -> None:
        """Send one datagram that has no room around it."""
        frame = bytes(HEADROOM) + bytes(payload) + bytes(TAILROOM)
        self.send_frames(flow, from_listener, (memoryview(bytearray(frame)),))

    def transmit(self, frame: bytes) -> None:
        """Send octets as they are: the agent's."""
        self._io.send((frame,))

    def readable(self) -> None:
        """Drain the socket."""
        left = self._settings.batch
        while left > 0 and not self._closed:
            batch = self._io.receive()
            self.arrived(batch.frames)
            if batch.is_last:
                return
            if batch.error is not None:  # an ICMP error for something sent earlier
                self._count_error(batch.error)
            left -= max(1, len(batch.frames))

    def arrived(self, frames: Iterable[memoryview]) -> None:
        """Frames: programs' go to the forwarder, everything else to the agent, all in order."""
        batch: list[Delivery] = []
        for frame in frames:
            kind = frame[0] if frame else None
            if kind == Kind.DATA and len(frame) >= HEADROOM:
                _, flags, tag, flow = DATA_HEADER.unpack_from(frame)
                if tag == self._tag:
                    batch.append((flow, bool(flags & FLAG), frame[HEADROOM:]))
                else:
                    self._traffic.malformed.value += 1
            elif kind == Kind.FRAGMENT:
                batch += self._fragment_arrived(frame)
            else:
                self._deliver(batch)
                batch = []
                self._on_other(bytes(frame))
                if self._closed:
                    return
        self._deliver(batch)

    def close(self) -> None:
        """The path has ended; its socket is closed by its owner."""
        self._closed = True

    def _deliver(self, batch: list[Delivery]) -> None:
        if batch and not self._closed:
            self._traffic.received.value += len(batch)
            self._forwarder.deliver(batch)

    def _send_halves(self, flow: int, from_listener: bool, payload: memoryview) -> None:
        number = self._next_fragment = (self._next_fragment + 1) % 65_536
        flags = FLAG if from_listener else 0
        middle = len(payload) // 2
        halves = [
            FRAGMENT_HEADER.pack(Kind.FRAGMENT, flags | last, self._tag, flow, number) + bytes(half)
            for last, half in ((0, payload[:middle]), (FLAG_LAST, payload[middle:]))
        ]
        if all(self._io.send((half,)) for half in halves):
            self._traffic.sent.value += 1

    def _fragment_arrived(self, data: memoryview) -> list[Delivery]:
        if len(data) < FRAGMENT_HEADER.size:
            self._traffic.malformed.value += 1
            return []
        _, flags, tag, flow, number = FRAGMENT_HEADER.unpack_from(data)
        if tag != self._tag:
            self._traffic.malformed.value += 1
            return []
        from_listener, last = bool(flags & FLAG), bool(flags & FLAG_LAST)
        half = bytes(data[FRAGMENT_HEADER.size :])
        other = self._halves.pop((number, not last, from_listener), None)
        if other is None:
            self._halves[number, last, from_listener] = half
            most = self._settings.pending_halves
            for old in [key for key in self._halves if _apart(key[0], number) > most]:
                del self._halves[old]
                self._traffic.incomplete.value += 1
            return []
        whole = other + half if last else half + other
        return [(flow, from_listener, memoryview(whole))]

    def _failed(self, error: OSError) -> bool:
        """Count it. True for an ICMP answer to an earlier datagram, which took this one's turn."""
        self._count_error(error)
        return error.errno == errno.ECONNREFUSED

    def _count_error(self, error: OSError) -> None:
        if error.errno == errno.ECONNREFUSED:
            self._traffic.refused.value += 1
        else:
            self._traffic.unsendable.value += 1
            self._forwarder.not_sent(error)


def _apart(one: int, other: int) -> int:
    """How far two 16-bit numbers are from each other, across the wrap."""
    return min((one - other) % 65_536, (other - one) % 65_536)
