"""The states of one stream: each direction ends by itself, or both are broken off at once."""

from __future__ import annotations

from enum import Enum, auto


class StreamState(Enum):
    """Seen from this side."""

    OPEN = auto()
    ENDED = auto()
    """This side has sent its last octet, and goes on to receive."""
    HEARD = auto()
    """The other side has sent its last octet, and goes on to receive."""
    BROKEN = auto()
    """One side has broken it off. The last octets are dropped as they come."""
    GONE = auto()


class StreamTrigger(Enum):
    """An event that changes it."""

    END = auto()
    """This side's program has sent its last octet."""
    PEER_END = auto()
    BREAK = auto()
    """This side breaks it off, in both directions."""
    PEER_BREAK = auto()
    """Nothing more comes of the other side, and what has come does not count."""
    PEER_STOP = auto()
    """The other side takes nothing more. That nothing more comes is told by itself."""


TABLE = {
    (StreamState.OPEN, StreamTrigger.END): StreamState.ENDED,
    (StreamState.OPEN, StreamTrigger.PEER_END): StreamState.HEARD,
    (StreamState.OPEN, StreamTrigger.BREAK): StreamState.BROKEN,
    (StreamState.OPEN, StreamTrigger.PEER_BREAK): StreamState.GONE,
    (StreamState.OPEN, StreamTrigger.PEER_STOP): StreamState.BROKEN,
    (StreamState.ENDED, StreamTrigger.PEER_END): StreamState.GONE,
    (StreamState.ENDED, StreamTrigger.BREAK): StreamState.BROKEN,
    (StreamState.ENDED, StreamTrigger.PEER_BREAK): StreamState.GONE,
    (StreamState.ENDED, StreamTrigger.PEER_STOP): StreamState.BROKEN,
    (StreamState.HEARD, StreamTrigger.END): StreamState.GONE,
    (StreamState.HEARD, StreamTrigger.BREAK): StreamState.GONE,
    (StreamState.HEARD, StreamTrigger.PEER_BREAK): StreamState.GONE,
    (StreamState.HEARD, StreamTrigger.PEER_STOP): StreamState.GONE,
    (StreamState.BROKEN, StreamTrigger.PEER_END): StreamState.GONE,
    (StreamState.BROKEN, StreamTrigger.PEER_BREAK): StreamState.GONE,
}
"""An event that is not here means nothing in that state."""
