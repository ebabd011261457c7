"""A client's own limits of guessing ports: how many packets and router entries, how fast, how often. They hold whatever is ordered."""

from __future__ import annotations

from nat_traversal.paths.budget import MOST_OCTETS, Pace, TrafficBudget
from nat_traversal.wire import guessing
from nat_traversal.wire.endpoint import Endpoint

MOST_PROBES = 1_300
"""Datagrams to one address in `WITHIN`, each of which may make an entry in a router."""
WITHIN = 3_600.0
"""Seconds."""
APART = 110.0
"""Seconds between two rounds of guesses, wherever they go: a server spaces them by more."""
MOST_KEPT = 64
"""Addresses that are remembered. Where all are fresh, another one is refused."""
AT_ONCE = 5
"""Packets without a pause: with the usual rate no second has more than 150."""


class ProbeBudget(TrafficBudget):
    """The datagrams of one round of guesses at `address`: `left` of them. Those to elsewhere are the attempt's."""

    def __init__(self, whole: TrafficBudget, address: str, left: int) -> None:
        super().__init__()
        self._whole = whole
        self._address = address
        self._left = left
        self.spent = 0
        """Datagrams that went to the address."""

    def validate(self, address: str) -> None:
        """Somebody at `address` has answered."""
        self._whole.validate(address)

    def take(self, destination: Endpoint, octets: int, *, is_opening: bool) -> bool:
        """Whether a datagram may go there."""
        if destination.address != self._address or not self._whole.is_validated(self._address):
            is_there = self._whole.is_left(destination)
            return is_there and self._whole.take(destination, octets, is_opening=is_opening)
        if octets > MOST_OCTETS or self.spent >= self._left:
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
        spent = sum(budget.spent for _, budget, of in self._rounds if of == address)
        if MOST_PROBES - spent < guessing.PROBES:
            return None
        budget = ProbeBudget(whole, address, MOST_PROBES - spent)
        self._rounds.append((now, budget, address))
        return budget


def pace() -> Pace:
    """Of one side's packets, a few at once where this host was busy."""
    return Pace(AT_ONCE, 1.0 / guessing.RATE)
