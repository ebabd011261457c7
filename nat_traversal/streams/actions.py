"""The actions that come out of `connection.Streams`, for an adapter to carry out in the order given."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Why(IntEnum):
    """The reason why a side breaks a stream off, as QUIC carries it (RFC 9000 section 20.2)."""

    RESET = 1
    """Its program has reset the connection, or is gone."""
    REFUSED = 2
    """Nothing listens where it connects to."""
    UNREACHABLE = 3
    """There is no way to where it connects to."""
    FULL = 4
    """It has no room for one more connection."""
    LEAVING = 5
    """The side ends."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The other side has a new connection for the service: connect to it."""

    stream: int


@dataclass(frozen=True, slots=True)
class Received:
    """Hand these octets to the program, and say `read` once it has them."""

    stream: int
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes: the program at the other side has sent its last octet."""

    stream: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The other side has broken it off."""

    stream: int
    why: int
    """A `Why`, or that of a later version."""


@dataclass(frozen=True, slots=True)
class Granted:
    """More may be sent."""

    stream: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The QUIC connection is over, and all streams with it."""

    reason: str
    """For people; empty: the other side has ended it as it should."""


StreamAction = Opened | Received | Ended | Broken | Granted | Closed
