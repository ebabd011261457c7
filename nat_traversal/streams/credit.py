"""Credit of streams: a side sends only what the other has granted, and that grants as its program reads.

QUIC's own windows grow as octets arrive, not as a program reads them, so they bound no memory here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from nat_traversal.errors import WireError

INITIAL_CREDIT = 16_384
"""Octets that a side may send in a stream before any grant: about the first flight of QUIC."""
MOST_WINDOW = 2_097_152
"""Octets of one stream that may be granted and not read yet."""
WINDOWS = 33_554_432
"""The same of all streams of one QUIC connection together, beyond `INITIAL_CREDIT` of each."""
_GRANT = struct.Struct("!QQ")
"""The stream, and the octets that may have been sent in it altogether."""


def window(streams: int) -> int:
    """Octets that each of so many streams may have granted and not read."""
    return max(INITIAL_CREDIT, min(MOST_WINDOW, WINDOWS // max(1, streams)))


def encode_grant(stream: int, limit: int) -> bytes:
    """As the control stream carries it."""
    return _GRANT.pack(stream, limit)


class Grants:
    """The other side's grants, out of the octets of its control stream, however these are cut."""

    def __init__(self) -> None:
        self._octets = b""

    def arrived(self, octets: bytes) -> Iterator[tuple[int, int]]:
        """Streams, and the octets that may have been sent in each."""
        self._octets += octets
        whole = len(self._octets) - len(self._octets) % _GRANT.size
        ready, self._octets = self._octets[:whole], self._octets[whole:]
        yield from _GRANT.iter_unpack(ready)


class Outgoing:
    """The credit of this side in one stream."""

    def __init__(self) -> None:
        self._sent = 0
        self._limit = INITIAL_CREDIT

    @property
    def room(self) -> int:
        """Octets that may be sent now."""
        return self._limit - self._sent

    def sent(self, octets: int) -> None:
        assert octets <= self.room, "the caller asks for the room first"
        self._sent += octets

    def granted(self, limit: int) -> bool:
        """Whether that is news. No grant is ever taken back."""
        if limit <= self._limit:
            return False
        self._limit = limit
        return True


class Incoming:
    """The credit of the other side in one stream, and how much this side's program has read of it."""

    def __init__(self) -> None:
        self._arrived = 0
        self._read = 0
        self._limit = INITIAL_CREDIT

    @property
    def unread(self) -> int:
        """Octets that are here and were not read."""
        return self._arrived - self._read

    @property
    def limit(self) -> int:
        """Octets that may come altogether."""
        return self._limit

    def arrived(self, octets: int) -> None:
        """Raises `WireError` if they are more than was granted."""
        self._arrived += octets
        if self._arrived > self._limit:
            raise WireError("more octets came in a stream than were granted")

    def read(self, octets: int, most: int) -> int | None:
        """This side's program has taken so many more. The new limit once it is worth telling; `most` may be granted
        and not read."""
        self._read += octets
        limit = self._read + most
        if limit - self._limit < most // 2:
            return None
        self._limit = limit
        return limit
