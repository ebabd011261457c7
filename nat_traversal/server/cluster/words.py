"""Servers' words to the store that they share, and through it to each other.

Each server has a name and a lease in the store. An id is a row there, with the server that has it and a
card of the client. A row counts while its server's lease lasts, so the rows of a dead server expire
with that.
"""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.machine.events import ConnectionId
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Message, Register


@dataclass(frozen=True, slots=True)
class Card:
    """A client as another server can play it: as if it registered now. It holds no secret of the client."""

    register: Register
    """With zeros for its key, and with the state of its newest socket."""
    address: str = ""
    """Where its control connection comes from; empty: not known."""
    endpoint: Endpoint | None = None
    """Where its newest socket was seen; None: not yet."""
    validated: bool = False
    """It has shown that it receives there."""
    is_used: bool = False
    """A round has used that socket: the next one needs a fresh one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The client that has an id, as its row says."""

    server: str
    connection: ConnectionId
    """Its number at that server."""
    card: Card


# Requests to the store


@dataclass(frozen=True, slots=True)
class ClaimId:
    """The client `connection` of this server wants the id of its card, or shows a new card of it.

    The answer is `Granted` or `HeldElsewhere`. Where the card is news to a peer at another server, that
    server hears `Arrived`.
    """

    connection: ConnectionId
    card: Card


@dataclass(frozen=True, slots=True)
class ReleaseId:
    """No client of this server has the id any more. No answer."""

    id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Tell another server, which hears `Heard`; nobody does if it has gone."""

    server: str
    signal: Signal


StoreRequest = ClaimId | ReleaseId | Send


# Answers of the store


@dataclass(frozen=True, slots=True)
class Granted:
    """The id is this server's. `peer`: the client that has the peer's id, here or elsewhere."""

    connection: ConnectionId
    id: str
    peer: Found | None


@dataclass(frozen=True, slots=True)
class HeldElsewhere:
    """The id is another server's."""

    connection: ConnectionId
    server: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A signal of the server `sender`."""

    sender: str
    signal: Signal


@dataclass(frozen=True, slots=True)
class StoreReached:
    """The store answers, and this server has its lease. Nobody is to be admitted for `admit_in` seconds:
    till then servers whose rows the store has lost show them again."""

    admit_in: float


@dataclass(frozen=True, slots=True)
class StoreLost:
    """The store does not answer. Requests that it has not answered are lost."""

    reason: str


StoreAnswer = Granted | HeldElsewhere | Heard | StoreReached | StoreLost


# Signals about a client of the sender


@dataclass(frozen=True, slots=True)
class Arrived:
    """It has come, or has a new card, and wants a client of the receiver."""

    connection: ConnectionId
    card: Card


@dataclass(frozen=True, slots=True)
class Said:
    """It has said something."""

    connection: ConnectionId
    message: Message


@dataclass(frozen=True, slots=True)
class Shown:
    """Its socket was seen."""

    connection: ConnectionId
    generation: int
    endpoint: Endpoint
    validated: bool
    mapped: int = 0
    """The port of its router that leads there, as its server has found; 0: none."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """It has shown one more port that its NAT gives."""

    connection: ConnectionId
    generation: int
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Contends:
    """It wants an id that the receiver has."""

    connection: ConnectionId
    card: Card


@dataclass(frozen=True, slots=True)
class Gone:
    """It has gone, or what it wanted of the receiver has."""

    connection: ConnectionId


# Signals about a client of the receiver


@dataclass(frozen=True, slots=True)
class Order:
    """Say this to it."""

    connection: ConnectionId
    message: Message


@dataclass(frozen=True, slots=True)
class Yielded:
    """The id that it wants is free for it."""

    connection: ConnectionId


@dataclass(frozen=True, slots=True)
class Closed:
    """The sender does nothing for it any more."""

    connection: ConnectionId


Signal = Arrived | Said | Shown | Sampled | Contends | Gone | Order | Yielded | Closed
