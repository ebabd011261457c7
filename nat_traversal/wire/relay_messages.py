"""The words of client and server about a relay, on control connections, as values.

The datagrams that a relay hands on are `relayed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer


class Relaying(StrEnum):
    """Whether a client takes the server's relay."""

    AUTO = "auto"
    """Where no direct path stands soon."""
    EARLY = "early"
    """At once, until a direct path stands."""
    NEVER = ""


class RelayCode(StrEnum):
    """Why a pair has no relay, or what became of it."""

    OFF = "relay-off"
    UNWANTED = "relay-unwanted"
    FULL = "relay-full"
    SLOW = "relay-slow"
    IDLE = "relay-idle"
    OVER = "relay-over"
    DONE = "relay-done"


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Server to both clients: a relay stands for the pair. Bind to it, and confirm the keys through it. The
    wire's name is ``relay``."""

    relay: int
    token: bytes = field(repr=False)
    ticket: bytes = field(repr=False)
    """Opens the relay once by TCP, for this client alone: 16 octets."""
    peer: Offer
    """With the peer's `Register.relay_public`."""
    at: Endpoint | None = None
    """The server that has the relay; None: this one."""
    key: bytes = field(default=b"", repr=False)
    """For this client's words to that server: 32 octets; empty: that of the registration."""


@dataclass(frozen=True, slots=True)
class RelayReady:
    """Client to server: I have done with that relay, and the next may begin with this key."""

    relay: int
    public: bytes


@dataclass(frozen=True, slots=True)
class RelayJoin:
    """Client to server, first line of a second connection: datagrams of that relay come here."""

    ticket: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RelayJoined:
    """Server to client, the only line on that connection: datagrams follow, each after its length."""

    relay: int


@dataclass(frozen=True, slots=True)
class RelayNews:
    """Server to client: there is no relay for the pair, or something became of it."""

    relay: int
    """Its number; 0: there is none."""
    code: str
    """One of `RelayCode`, or one that a later server knows. All but `RelayCode.SLOW` end the relay."""
    text: str
