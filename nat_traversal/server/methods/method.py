"""The interface of a method at the server: it drives one attempt, and knows itself when that has ended."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nat_traversal.machine import actions as do
from nat_traversal.server.grants import Grants
from nat_traversal.server.member import Member
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m


@dataclass(frozen=True, slots=True)
class Proven:
    """Both hosts have proof of a path, in this round."""

    round: int


@dataclass(frozen=True, slots=True)
class NoPath:
    """The attempt is over without a path. `text` is for people."""

    verdict: m.Verdict
    text: str
    is_lasting: bool = False
    """The next attempt will end so too, as long as neither NAT changes: no further method is of use."""


Outcome = Proven | NoPath


class Method(Protocol):
    """One attempt by one method: from the wish for a path to its verdict."""

    @property
    def name(self) -> str:
        """The rung of the ladder, as clients call it."""

    @property
    def round(self) -> int:
        """The last one that has begun."""

    @property
    def outcome(self) -> Outcome | None:
        """How the attempt ended; None while it goes on. After it the session calls nothing more."""

    @property
    def deadline(self) -> float | None:
        """When to call `timed_out`."""

    @property
    def is_gathering(self) -> bool:
        """Whether a fresh socket that a host shows now still belongs to this attempt."""

    def begin(self, now: float) -> list[do.Action]:
        """The attempt begins: either host may have a fresh socket, or need one."""

    def socket_shown(self, now: float) -> list[do.Action]:
        """The server has seen a host's socket, and the `Member` has it."""

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something. A message that does not fit is late, and ignored."""

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The parts of an attempt, whatever the method."""

    number: int
    members: tuple[Member, Member]
    """Sorted by id, so that roles follow from nothing that happens."""
    transactions: Iterator[int]
    """Numbers for orders, none used twice in the session until they wrap."""
    rng: random.Random
    settings: ServerSettings
    round: int = 0
    """The last round of a method before."""
    has_further: bool = False
    """Another method follows if this one opens no path."""
    heard: set[str] = field(default_factory=set)
    """The hosts that a HELLO of the other one has reached."""
    keeps: Mapping[str, bool] = field(default_factory=dict)
    """By the ids of hosts: whether its NAT keeps the ports of its sockets, as far as that is known."""
    grants: Grants = field(default_factory=Grants)
    """The server's turns of pairs that guess ports."""

    def roles(self, round_: int) -> tuple[Member, Member]:
        """A and B of a round: the host whose id sorts first is A in odd ones."""
        first, second = self.members
        return (first, second) if round_ % 2 else (second, first)


MakeMethod = Callable[[Attempt], Method]
