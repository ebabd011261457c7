"""The octets of a control connection, as they come over TCP, cut into lines and messages."""

from __future__ import annotations

from collections.abc import Iterator

from nat_traversal.errors import WireError
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_LINE, decode


class LineDecoder:
    """Turns the octets of a TCP stream into messages, wherever the segments' borders fall.

    `feed` does all at once. `push` and `next_line` do it line by line, so that a line may wait before it is parsed.
    After a `WireError` the stream is of no more use: close it.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        """Octets at its beginning that have no newline."""

    def push(self, data: bytes) -> None:
        """Octets have come."""
        self._buffer += data

    def next_line(self) -> bytes | None:
        """The next whole line, without its newline; None if it has not come yet. Raises `WireError` for one too long."""
        end = self._buffer.find(b"\n", self._searched)
        self._searched = 0 if end >= 0 else len(self._buffer)
        if max(end, self._searched) >= MAX_LINE:
            raise WireError(f"a line is longer than {MAX_LINE} octets")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def has_line(self) -> bool:
        """Whether `next_line` has something to say: a line, or that it is too long."""
        return self._buffer.find(b"\n", self._searched) >= 0 or len(self._buffer) >= MAX_LINE

    def feed(self, data: bytes) -> Iterator[m.Message | m.UnknownMessage]:
        """The messages that `data` completes, in order. Raises `WireError` at the first bad line."""
        self.push(data)
        while (line := self.next_line()) is not None:
            yield decode(line)

    def rest(self) -> bytes:
        """The octets after the line that came last, which are no line."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return octets
