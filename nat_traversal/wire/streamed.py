"""The octets of a TCP connection as lines of control, or as datagrams with their length in 2 octets before each."""

from __future__ import annotations

from collections.abc import Iterator

from nat_traversal.errors import WireError
from nat_traversal.wire.control import decode
from nat_traversal.wire.lines import LineDecoder
from nat_traversal.wire.messages import Message, UnknownMessage

LENGTH_OCTETS = 2
Item = Message | UnknownMessage | bytes
"""A message, or the octets of a datagram."""


def framed(datagram: bytes | memoryview) -> bytes:
    """The octets of one datagram of 1 to 65,535 octets on a connection."""
    return len(datagram).to_bytes(LENGTH_OCTETS, "big") + datagram


class StreamDecoder:
    """Turns the octets of a connection into datagrams, wherever the segments' borders fall."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def push(self, data: bytes) -> None:
        """Octets have come."""
        self._buffer += data

    def has_next(self) -> bool:
        """Whether `next` has something to say."""
        length = self._length()
        return length is not None and (not length or len(self._buffer) >= LENGTH_OCTETS + length)

    def next(self) -> bytes | None:
        """The next datagram; None if it has not come yet. Raises `WireError` for an empty one."""
        length = self._length()
        if length == 0:
            raise WireError("a datagram on a relay's connection must not be empty")
        if length is None or len(self._buffer) < LENGTH_OCTETS + length:
            return None
        datagram = bytes(self._buffer[LENGTH_OCTETS : LENGTH_OCTETS + length])
        del self._buffer[: LENGTH_OCTETS + length]
        return datagram

    def _length(self) -> int | None:
        if len(self._buffer) < LENGTH_OCTETS:
            return None
        return int.from_bytes(self._buffer[:LENGTH_OCTETS], "big")


class Incoming:
    """The messages of a connection, and once it has joined a relay its datagrams."""

    def __init__(self) -> None:
        self._lines = LineDecoder()
        self._datagrams: StreamDecoder | None = None

    def use_stream(self) -> None:
        """The octets after the line that came last are datagrams."""
        self._datagrams = StreamDecoder()
        self._datagrams.push(self._lines.rest())

    def push(self, data: bytes) -> None:
        """Octets have come."""
        (self._datagrams or self._lines).push(data)

    def has_next(self) -> bool:
        """Whether `next` has something to say: a message, a datagram, or an error."""
        return self._datagrams.has_next() if self._datagrams else self._lines.has_line()

    def next(self) -> Item | None:
        """The next message, or the octets of the next datagram; None if it has not come yet. Raises `WireError`."""
        if self._datagrams is not None:
            return self._datagrams.next()
        line = self._lines.next_line()
        return None if line is None else decode(line)

    def feed(self, data: bytes) -> Iterator[Item]:
        """All that `data` completes, in order. Raises `WireError`."""
        self.push(data)
        while (item := self.next()) is not None:
            yield item
