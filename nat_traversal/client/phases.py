"""The phases of a peer at a client: the literal table of its states, and what belongs to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

from nat_traversal.client.announcer import Announcer
from nat_traversal.client.security import KeyPair, RoundKeys
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.paths.methods.method import Method
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.paths.path import Path
from nat_traversal.wire import messages as m


class PathState(Enum):
    """Named by what the UDP socket is for."""

    IDLE = auto()  # no socket: not registered, or pausing after a failure
    ANNOUNCING = auto()  # shown to the server, kept open while waiting for the peer
    PUNCHING = auto()  # in a round of the method
    ESTABLISHED = auto()  # a path
    CLOSED = auto()


class PathTrigger(Enum):
    """Things that can happen to a peer."""

    OPEN = auto()
    START = auto()
    PROVEN = auto()
    GIVE_UP = auto()
    CLOSE = auto()


_S, _T = PathState, PathTrigger
TABLE = {
    (_S.IDLE, _T.OPEN): _S.ANNOUNCING,
    (_S.ANNOUNCING, _T.OPEN): _S.ANNOUNCING,
    (_S.PUNCHING, _T.OPEN): _S.ANNOUNCING,
    (_S.ESTABLISHED, _T.OPEN): _S.ANNOUNCING,
    (_S.ANNOUNCING, _T.START): _S.PUNCHING,
    (_S.ANNOUNCING, _T.PROVEN): _S.ESTABLISHED,
    (_S.PUNCHING, _T.PROVEN): _S.ESTABLISHED,
    (_S.ESTABLISHED, _T.PROVEN): _S.ESTABLISHED,
    (_S.IDLE, _T.GIVE_UP): _S.IDLE,
    (_S.ANNOUNCING, _T.GIVE_UP): _S.IDLE,
    (_S.PUNCHING, _T.GIVE_UP): _S.IDLE,
    (_S.ESTABLISHED, _T.GIVE_UP): _S.IDLE,
    (_S.IDLE, _T.CLOSE): _S.CLOSED,
    (_S.ANNOUNCING, _T.CLOSE): _S.CLOSED,
    (_S.PUNCHING, _T.CLOSE): _S.CLOSED,
    (_S.ESTABLISHED, _T.CLOSE): _S.CLOSED,
    (_S.CLOSED, _T.CLOSE): _S.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Idle:
    """Without a socket."""

    state: ClassVar[PathState] = _S.IDLE


@dataclass(frozen=True, slots=True)
class Announcing:
    """With a fresh socket, until a round begins with it."""

    state: ClassVar[PathState] = _S.ANNOUNCING
    socket: UdpSocket
    announcer: Announcer
    method: OrderedHello
    """Keeps what comes before the round."""
    pair: KeyPair | None
    """The ephemeral keys of this socket, for one round; none without encryption."""


@dataclass(frozen=True, slots=True)
class Punching:
    """In a round."""

    state: ClassVar[PathState] = _S.PUNCHING
    socket: UdpSocket
    announcer: Announcer
    method: Method
    round: m.StartRound
    keys: RoundKeys
    connection: bytes
    """The peer's frames will bear it."""
    until: float
    """When this side ends the round, if the server never does."""


@dataclass(frozen=True, slots=True)
class Established:
    """With a path."""

    state: ClassVar[PathState] = _S.ESTABLISHED
    socket: UdpSocket
    announcer: Announcer
    method: Method
    round: m.StartRound
    keys: RoundKeys
    path: Path


@dataclass(frozen=True, slots=True)
class Closed:
    """For good."""

    state: ClassVar[PathState] = _S.CLOSED


Shown = Announcing | Punching | Established
"""The phases with a socket."""
Phase = Idle | Shown | Closed


def closing(phase: Shown, path: UdpSocket | None = None) -> list[do.Action]:
    """Close all sockets of `phase`, but for the one of a `path`."""
    sockets = dict.fromkeys(
        (*phase.method.further, phase.socket)
    )  # a path has one of the further ones
    return [each.close() for each in sockets if each != path]


TIMERS = ("announce", "method", "path", "round")
"""The names of a peer's timers that its phase sets."""
Deadlines = tuple[float | None, float | None, float | None, float | None]


def deadlines(phase: Phase) -> Deadlines:
    """When each of `TIMERS` is due."""
    if isinstance(phase, Established):
        return phase.announcer.deadline, phase.method.deadline, phase.path.deadline, None
    if isinstance(phase, Punching):
        return phase.announcer.deadline, phase.method.deadline, None, phase.until
    if isinstance(phase, Announcing):
        return phase.announcer.deadline, phase.method.deadline, None, None
    return None, None, None, None
