"""The methods of rounds, by the name that the server's word of a round has."""

from __future__ import annotations

from nat_traversal.paths.methods.birthday import Birthday
from nat_traversal.paths.methods.low_ttl import LowTtl
from nat_traversal.paths.methods.method import Method
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.paths.methods.prediction import Prediction
from nat_traversal.paths.methods.simultaneous import Simultaneous
from nat_traversal.wire import messages as m

_BY_NAME: dict[str, type[OrderedHello]] = {
    each.name: each for each in (OrderedHello, Prediction, Birthday, Simultaneous, LowTtl)
}


def of_round(start: m.StartRound, waiting: OrderedHello) -> Method | None:
    """The method of that round, for the socket of `waiting` and the HELLOs that it has kept; None: unknown here."""
    method = _BY_NAME.get(start.method)
    return None if method is None else method.after(waiting)
