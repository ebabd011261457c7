"""The interface of a method to open a path: fed the server's words and the peer's datagrams, it says when it has proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Datagram
from nat_traversal.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class HandshakeKeys:
    """Makes what the two hosts say before there is a path authentic, and its proof their own."""

    sending: bytes = field(repr=False)
    """32 octets, for the MACs of this side's words."""
    receiving: bytes = field(repr=False)
    """32 octets, for those of the peer's."""
    secret: bytes = field(repr=False)
    """Local and never sent: nonces come from it."""
    connection: bytes
    """4 octets, chosen by this side: the peer's frames bear them."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Each side has proof that the other hears it on `pair`. A method says so once in a round."""

    pair: NominatedPair


Order = m.SendHello | m.Agree
"""The server's words within a round. An `Agree` is the peer's, handed on."""
Output = do.Action | Proven
"""A method's actions, and its result, in order."""


class Method(Protocol):
    """One socket's part in an attempt. Rounds, steps and proof are the method's own affair.

    Each call returns at once all that follows from it. After a call, ask for `deadline` again.
    """

    @property
    def name(self) -> str:
        """For logs, results and reports, such as ``ordered-hello``."""

    is_mapped: bool
    """A port of this host's router leads to the socket."""
    seen_at: Endpoint | None
    """Where the server says that it sees the socket."""

    @property
    def deadline(self) -> float | None:
        """When to call `due` next, or None."""

    @property
    def peer_has_proof(self) -> bool:
        """The peer has sent what only a host with proof sends."""

    @property
    def further(self) -> tuple[UdpSocket, ...]:
        """Sockets that it has open beside the announced one."""

    @property
    def forged(self) -> int:
        """How many datagrams of this round came that the peer's key has not made."""

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The server began a round. Datagrams of it may have come before. Each word to the peer is taken from
        `budget` first, and does not leave where that says no."""

    def ordered(self, order: Order, now: float) -> list[Output]:
        """The server ordered a step. An order that makes no sense now is ignored."""

    def not_opened(self, generation: int) -> bool:
        """There was no room for that socket. Whether it was one that the method can do without."""

    def arrived(
        self, datagram: Datagram, source: Endpoint, generation: int, now: float
    ) -> list[Output]:
        """A datagram came in by that socket, before the proof or after it. One that is not the method's is ignored."""

    def due(self, now: float) -> list[Output]:
        """The deadline has come."""

    def added(self, candidates: tuple[m.Candidate, ...], now: float) -> list[Output]:
        """The peer of the round may be reached there as well. Their number and the words that go there are bounded."""

    def hop_told(self, teller: str, generation: int) -> None:
        """The router at `teller` says that a datagram of that socket has ended there."""

    def hold(self, now: float) -> None:
        """Another round has proof: say nothing of one's own accord for one interval of repetitions."""
