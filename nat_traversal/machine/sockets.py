"""A client's UDP sockets as the machines know them: numbered, each the maker of its own actions."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine import actions as do
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.datagrams import Datagram, Kind
from nat_traversal.wire.endpoint import Endpoint


def number_of(generation: int) -> int:
    """The `generation` of the announced socket that this one is, or belongs to."""
    return generation % (MAX_COUNTER + 1)


@dataclass(frozen=True, slots=True)
class UdpSocket:
    """One socket. `generation` is its number: from 1 to `MAX_COUNTER`, or that of a further one, which never
    crosses the wire."""

    generation: int

    @property
    def number(self) -> int:
        """The `generation` of the announced socket that this one is, or belongs to."""
        return number_of(self.generation)

    def further(self, count: int) -> tuple[UdpSocket, ...]:
        """So many sockets beside this one, each with a number of its own."""
        return tuple(
            UdpSocket(self.generation + index * (MAX_COUNTER + 1)) for index in range(1, count + 1)
        )

    def open(self) -> do.Action:
        return do.OpenUdp(self.generation)

    def close(self) -> do.Action:
        return do.CloseUdp(self.generation)

    def send(self, datagram: Datagram, destination: Endpoint | None) -> do.Action:
        """Send to `destination`, or to the server's UDP port."""
        return do.SendDatagram(datagram, destination, self.generation)

    def send_limited(
        self, datagram: Datagram, destination: Endpoint, hops: int, *, is_traced: bool
    ) -> do.Action:
        """It ends at the router number `hops` on its way, which is to be told if it `is_traced`."""
        return do.SendDatagram(
            datagram, destination, self.generation, hops=hops, is_traced=is_traced
        )


class Sockets:
    """Numbers the sockets of one process. After `MAX_COUNTER` it begins with 1 again."""

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self, at_least: int = 0) -> UdpSocket:
        """A socket with the next number, or with `at_least` if that is higher."""
        self._last = (max(at_least, self._last + 1) - 1) % MAX_COUNTER + 1
        return UdpSocket(self._last)


@dataclass(frozen=True, slots=True)
class NominatedPair:
    """Where a path runs (RFC 8445 calls it the selected pair)."""

    socket: UdpSocket
    remote: Endpoint
    """Where the peer hears `socket` and is heard from."""
    connection: bytes
    """Frames to the peer bear it: 4 octets."""

    def use(
        self,
        epochs: Epochs,
        instance: bytes = b"",
        *,
        roams: bool = False,
        is_relayed: bool = False,
    ) -> do.Action:
        """Let users' datagrams go this way, to the peer's process `instance`."""
        return do.UsePath(self.socket.generation, self.remote, epochs, instance, roams, is_relayed)

    def send(self, kind: Kind, plain: bytes = b"", to: Endpoint | None = None) -> do.Action:
        """Send the peer a frame, or to an address at which it may be."""
        return do.SendFrame(kind, plain, self.socket.generation, to)
