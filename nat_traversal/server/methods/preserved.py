"""The method `prediction` where both NATs keep their hosts' ports: each host aims at the own port of a socket of the other.

A NAT that maps by destination may keep ports too. The server has seen a socket at its own port, but towards the
peer that one gets another, since its own is taken. So each host tells the own port of a socket that has spoken to
nobody, and speaks from that. It comes after `simultaneous`, which opens such a pair if neither maps by destination.
"""

from __future__ import annotations

from nat_traversal.server.allocation import Block, Kept, Sequential
from nat_traversal.server.methods.method import Attempt
from nat_traversal.server.methods.prediction import Prediction


class Preserved(Prediction):
    """One round after those of `attempt.round`, none where a NAT keeps no ports."""

    samples = 0

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt)
        self._last = attempt.round + 1

    @property
    def _uses_spares(self) -> bool:
        return True

    def _has_chance(self, rules: list[Sequential | Block | Kept | None]) -> bool:
        return all(isinstance(rule, Kept) for rule in rules)
