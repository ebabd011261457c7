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


def deadlines(phase: Phase) -> dict[str, float | None]:
    """When each timer of a peer is due: the names are the timers'."""
    shown = None if isinstance(phase, Idle | Closed) else phase
    return {
        "announce": shown.announcer.deadline if shown else None,
        "method": shown.method.deadline if shown else None,
        "path": phase.path.deadline if isinstance(phase, Established) else None,
        "round": phase.until if isinstance(phase, Punching) else None,
    }
