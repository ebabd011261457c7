"""A client's own limits of guessing ports: how many packets and router entries, how fast, how often. They hold whatever is ordered."""

from __future__ import annotations

from nat_traversal.paths.budget import MOST_OCTETS, Pace, TrafficBudget
from nat_traversal.wire import guessing
from nat_traversal.wire.endpoint import Endpoint

MOST_PROBES = 1_300
"""Datagrams to one address in `WITHIN`, each of which may make an entry in a router."""
MOST_UNPROVEN = guessing.PROBES + 50
"""The same while this side's own nonce has not come back from there: the words of one round, and those by which a port that
was met is proven. The server's word that the peer is there, and the peer's that it was told so, are worth no more."""
WITHIN = 3_600.0
"""Seconds."""
APART = 110.0
"""Seconds between two rounds of guesses, wherever they go: a server spaces them by more."""
MOST_KEPT = 64
"""Addresses that are remembered. Where all are fresh, another one is refused."""
AT_ONCE = 5
"""Packets without a pause: with the usual rate no second has more than 150."""


class ProbeBudget(TrafficBudget):
    """The datagrams of one round of guesses at `address`, where `before` have gone in this hour. Those to elsewhere are the
    attempt's."""

    def __init__(
        self, whole: TrafficBudget, address: str, before: int, *, is_proven: bool = False
    ) -> None:
        super().__init__()
        self._whole = whole
        self._address = address
        self._before = before
        self.is_proven = is_proven
        """This side's own nonce has come back from the address."""
        self.spent = 0
        """Datagrams that went to the address."""

    @property
    def left(self) -> int:
        """Datagrams that may yet go to the address."""
        most = MOST_PROBES if self.is_proven else MOST_UNPROVEN
        return max(0, most - self._before - self.spent)

    def validate(self, address: str) -> None:
        """Somebody at `address` has answered this host's own question. (The server's word goes to the attempt's budget.)"""
        self._whole.validate(address)
        self.is_proven = self.is_proven or address == self._address

    def take(self, destination: Endpoint, octets: int, *, is_opening: bool) -> bool:
        """Whether a datagram may go there."""
        if destination.address != self._address or not self._whole.is_validated(self._address):
            is_there = self._whole.is_left(destination)
            return is_there and self._whole.take(destination, octets, is_opening=is_opening)
        if octets > MOST_OCTETS or not self.left:
            return False
        self.spent += 1
        return True


class Probes:
    """The rounds of guesses of one peer: what the last hour had."""

    def __init__(self) -> None:
        self._rounds: list[tuple[float, ProbeBudget, str]] = []

    def begin(self, whole: TrafficBudget, address: str, now: float) -> TrafficBudget | None:
        """The budget of a round at `address`, which has echoed what the server sent there. None: no round now."""
        self._rounds = [each for each in self._rounds if now - each[0] < WITHIN]
        is_early = any(now - at < APART for at, _, _ in self._rounds)
        if is_early or len(self._rounds) >= MOST_KEPT or not whole.is_validated(address):
            return None
        there = [budget for _, budget, of in self._rounds if of == address]
        before = sum(each.spent for each in there)
        is_proven = any(each.is_proven for each in there)
        budget = ProbeBudget(whole, address, before, is_proven=is_proven)
        if budget.left < guessing.PROBES:
            return None
        self._rounds.append((now, budget, address))
        return budget


def pace() -> Pace:
    """Of one side's packets, a few at once where this host was busy."""
    return Pace(AT_ONCE, 1.0 / guessing.RATE)
