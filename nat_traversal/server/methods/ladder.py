"""One attempt by all methods in turn: the contract's, then those in which both hosts take part."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.server.methods.birthday import Birthday
from nat_traversal.server.methods.low_ttl import LowTtl
from nat_traversal.server.methods.method import Attempt, MakeMethod, Method, NoPath, Outcome
from nat_traversal.server.methods.ordered_hello import OrderedHello
from nat_traversal.server.methods.prediction import Prediction
from nat_traversal.server.methods.preserved import Preserved
from nat_traversal.server.methods.simultaneous import Simultaneous
from nat_traversal.wire import messages as m

FURTHER = (Prediction, Birthday, Simultaneous, Preserved, LowTtl)
"""In the order in which they are tried."""


class Ladder:
    """A `Method` that is each of them, as long as it goes on."""

    def __init__(self, attempt: Attempt) -> None:
        both = frozenset.intersection(*(each.methods for each in attempt.members))
        self._further: list[MakeMethod] = [each for each in FURTHER if each.name in both]
        self._attempt = replace(attempt, has_further=bool(self._further))
        self._keeps: dict[str, bool] = {}
        """Of the hosts' NATs, as the newest sockets have shown them."""
        self._method: Method = OrderedHello(self._attempt)

    @property
    def name(self) -> str:
        """The rung of the ladder, as clients call it."""
        return self._method.name

    @property
    def round(self) -> int:
        """The last one that has begun."""
        return self._method.round

    @property
    def outcome(self) -> Outcome | None:
        """How the attempt ended; None while it goes on."""
        return self._method.outcome

    @property
    def deadline(self) -> float | None:
        """When to call `timed_out`."""
        return self._method.deadline

    @property
    def is_gathering(self) -> bool:
        """Whether a fresh socket that a host shows now still belongs to this attempt."""
        return self._method.is_gathering

    def begin(self, now: float) -> list[do.Action]:
        """The first method's part."""
        return self._settled(self._method.begin(now), now)

    def socket_shown(self, now: float) -> list[do.Action]:
        """The server has seen a host's socket."""
        return self._settled(self._method.socket_shown(now), now)

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something."""
        return self._settled(self._method.message_arrived(member, message, now), now)

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due."""
        return self._settled(self._method.timed_out(now), now)

    def _settled(self, actions: list[do.Action], now: float) -> list[do.Action]:
        """Go on with the next method where this one has opened no path."""
        match self._method.outcome:
            case NoPath(m.Verdict.NO_PATH, is_lasting=False) if self._further:
                make = self._further.pop(0)
                for member in self._attempt.members:
                    if (keeps := member.keeps_port) is not None:
                        self._keeps[member.id] = keeps
                attempt = replace(
                    self._attempt,
                    round=self._method.round,
                    has_further=bool(self._further),
                    keeps=self._keeps,
                )
                self._method = make(attempt)
                return [*actions, *self.begin(now)]
        return actions
