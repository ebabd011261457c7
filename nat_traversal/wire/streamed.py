"""The octets of a TCP connection as lines of control, or as datagrams with their length in 2 octets before each."""

from __future__ import annotations

from collections.abc import Iterator

from nat_traversal.errors import WireError
from nat_traversal.wire.control import LineDecoder
from nat_traversal.wire.messages import Message, UnknownMessage

LENGTH_OCTETS = 2


def framed(datagram: bytes | memoryview) -> bytes:
    """The octets of one datagram of 1 to 65,535 octets on a connection."""
    return len(datagram).to_bytes(LENGTH_OCTETS, "big") + datagram


class StreamDecoder:
    """Turns the octets of a connection into datagrams, wherever the segments' borders fall."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The datagrams that `data` completes, in order. Raises `WireError` for an empty one."""
        self._buffer += data
        while len(self._buffer) >= LENGTH_OCTETS:
            length = int.from_bytes(self._buffer[:LENGTH_OCTETS], "big")
            if not length:
                raise WireError("a datagram on a relay's connection must not be empty")
            end = LENGTH_OCTETS + length
            if len(self._buffer) < end:
                return
            datagram = bytes(self._buffer[LENGTH_OCTETS:end])
            del self._buffer[:end]
            yield datagram


class Incoming:
    """The messages of a connection, and once it has joined a relay its datagrams."""

    def __init__(self) -> None:
        self._lines = LineDecoder()
        self._datagrams: StreamDecoder | None = None

    @property
    def is_stream(self) -> bool:
        """Whether datagrams come."""
        return self._datagrams is not None

    def use_stream(self) -> None:
        """The octets after the line that came last are datagrams."""
        self._datagrams = StreamDecoder()

    def feed(self, data: bytes) -> Iterator[Message | UnknownMessage | bytes]:
        """The messages that `data` completes, in order, or the octets of datagrams. Raises `WireError`."""
        if self._datagrams is not None:
            yield from self._datagrams.feed(data)
            return
        for message in self._lines.feed(data):
            yield message
            if self.is_stream:
                yield from self.feed(self._lines.rest())
                return
