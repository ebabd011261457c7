"""The method `simultaneous`: a round like the contract's, but both hosts have been ordered to speak at once.

So the first packets cross between the NATs, and neither comes before this host's own has left. The rest is
the round's own affair: A answers HELLO 2, B confirms.
"""

from __future__ import annotations

from nat_traversal.paths.budget import Remainder, TrafficBudget
from nat_traversal.paths.methods.method import HandshakeKeys, Output
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import MethodName


class Simultaneous(OrderedHello):
    """A `Method`. Its words come from what the contract has left of the attempt's budget."""

    name = MethodName.SIMULTANEOUS.value

    def start(
        self, start: m.StartRound, keys: HandshakeKeys, budget: TrafficBudget, now: float
    ) -> list[Output]:
        """The round begins, with the HELLOs that overtook the server's word of it."""
        return super().start(start, keys, Remainder(budget), now)
