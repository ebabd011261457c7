"""Messages between the two ends of a path that must arrive: numbered, repeated, acknowledged. Pure.

    number 2 | acknowledged 2 | body

One message is on its way at a time, and the others wait, so that each is delivered once and in order.
A message with an empty body only acknowledges. Sealing, replay and authenticity are the frame's.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from nat_traversal.errors import WireError

_HEADER = struct.Struct(">HH")
MAX_BODY = 400
"""Octets: a message fits in a frame of the base size."""
_NUMBERS = 1 << 16


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Timings in seconds."""

    repeat_first: float = 0.3
    """Above the round trip, until a message is repeated; doubling (RFC 8489 section 6.2.1)."""
    repeat_most: float = 3.0


class ControlChannel:
    """One end. Put what its methods return into frames, in order."""

    def __init__(self, settings: ChannelSettings | None = None) -> None:
        self._settings = settings or ChannelSettings()
        self._waiting: deque[bytes] = deque()
        self._number = 0
        """Of the message on its way, or of the last one."""
        self._on_its_way: bytes | None = None
        self._heard = 0
        """The last number that came in order."""
        self._pause = 0.0
        self.deadline: float | None = None
        """When to call `due` next."""

    @property
    def is_idle(self) -> bool:
        """Everything has been acknowledged."""
        return self._on_its_way is None

    def send(self, body: bytes, now: float, round_trip: float = 0.0) -> list[bytes]:
        """Send `body`, 1 to `MAX_BODY` octets, as soon as those before it are acknowledged."""
        assert 0 < len(body) <= MAX_BODY
        self._waiting.append(body)
        return self._next(now, round_trip)

    def arrived(
        self, octets: bytes, now: float, round_trip: float = 0.0
    ) -> tuple[list[bytes], list[bytes]]:
        """One message came: (the bodies to act on, what to send). Raises `WireError` if it is short."""
        if len(octets) < _HEADER.size:
            raise WireError("a control message is shorter than its header")
        number, acknowledged = _HEADER.unpack_from(octets)
        body = octets[_HEADER.size :]
        replies: list[bytes] = []
        if self._on_its_way is not None and acknowledged == self._number:
            self._on_its_way = None
            self.deadline = None
            replies = self._next(now, round_trip)
        if not body:
            return [], replies
        news = number == (self._heard + 1) % _NUMBERS
        if news:
            self._heard = number
        if not replies:  # else that acknowledges too, but it was framed before
            return [body] if news else [], [self._framed(b"")]
        replies = [_HEADER.pack(self._number, self._heard) + (self._on_its_way or b"")]
        return [body] if news else [], replies

    def due(self, now: float, round_trip: float = 0.0) -> list[bytes]:
        """The deadline has come: say it again."""
        if self._on_its_way is None or self.deadline is None or now < self.deadline:
            return []
        self._pause = min(self._settings.repeat_most, 2 * self._pause)
        self.deadline = now + self._pause + round_trip
        return [self._framed(self._on_its_way)]

    def _next(self, now: float, round_trip: float) -> list[bytes]:
        if self._on_its_way is not None or not self._waiting:
            return []
        self._number = (self._number + 1) % _NUMBERS
        self._on_its_way = self._waiting.popleft()
        self._pause = self._settings.repeat_first
        self.deadline = now + self._pause + round_trip
        return [self._framed(self._on_its_way)]

    def _framed(self, body: bytes) -> bytes:
        return _HEADER.pack(self._number, self._heard) + body
