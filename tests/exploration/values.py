"""The values of the exploration: packets, connections, worlds, and what is explored."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint

V = TypeVar("V", bound=Hashable)


class Packet(NamedTuple):
    """One datagram on its way."""

    source: Endpoint
    destination: Endpoint
    datagram: Datagram


class Link(NamedTuple):
    """One control connection: what is on its way in either direction. None: that end is closed."""

    number: int
    client: int
    up: tuple[int, ...] | None
    down: tuple[int, ...] | None


class World(NamedTuple):
    """Everything there is, events and packets by number. Equal worlds have the same future."""

    states: tuple[int, int, int]
    now: float
    links: tuple[Link, ...]
    current: tuple[int, int, int]
    """By client, the number of its connection; 0: none."""
    sockets: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    """By client, the generations of its open sockets: two while two rounds go on."""
    queues: tuple[tuple[int, ...], ...]
    """Datagrams from each machine to each other, in order: 3 for the server, 3 for A, 3 for B."""
    astray: tuple[int, ...]
    """Datagrams that may come at any time: delayed ones, and copies of those that have come."""
    opened: frozenset[int]
    """From which open socket of a client something has been sent where: a filter lets answers in."""
    heard: frozenset[tuple[int, bytes]]
    """Which client has had a genuine datagram of the peer in the round of which tag."""
    paths: frozenset[tuple[int, int, bytes]]
    """Client, socket and tag of each path that stands at that client."""
    claims: tuple[bytes, bytes, bytes]
    """By client, the tag of the round whose path it uses; empty: none."""


class Numbered(Generic[V]):
    """Values by number, each once: numbers are quick to compare."""

    def __init__(self) -> None:
        self._values: list[V] = []
        self._numbers: dict[V, int] = {}

    def __getitem__(self, number: int) -> V:
        return self._values[number]

    def number(self, value: V) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self._values)
            self._values.append(value)
        return found


class Step(NamedTuple):
    """One thing that happens."""

    name: str
    is_fault: bool
    after: World


class WrongError(AssertionError):
    """Something that must never be."""


KINDS = frozenset({"lose", "delay", "double", "late", "copy", "break", "cut"})
"""Of faults."""


class Begin(Enum):
    """The past of the first world: all that has happened in order before the exploration begins. The earlier, the more can follow."""

    COLD = auto()  # nothing
    ARRIVAL = auto()  # A is registered and waits; B's registration and announce leave
    ROUND = auto()  # both have come; the server's word of the round leaves


@dataclass(frozen=True, slots=True)
class Rules:
    """Which world is explored. `filtered`: both NATs filter by address and port."""

    filtered: bool = True
    begin: Begin = Begin.ROUND
    kinds: frozenset[str] = KINDS
