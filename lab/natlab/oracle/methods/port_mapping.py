"""`port-mapping` between two model NATs: the contract's second round, with a port that a router leads to its host. Pure.

The peer sends to that port as well as to where the server has seen the host, and whichever gets in is answered.
"""

from __future__ import annotations

from collections.abc import Collection

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import PortMapping
from natlab.oracle.methods.ordered_hello import ROUNDS, ModelHost, model_hosts, run_round
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction, Step

NAME = "port-mapping"
ROUND = ROUNDS[-1]
"""The contract's swapped one: the router is asked when it begins."""


def maps(host: ModelHost) -> bool:
    """Whether its router leads ports to it."""
    behavior = host.nat.behavior
    return behavior is not None and behavior.port_mapping is PortMapping.ASKED


def predict(nat_a: str, nat_b: str, crossing: Collection[int] = ()) -> Prediction:
    """The round between host_a behind the preset `nat_a` and host_b behind `nat_b`, which the contract does not open.

    `crossing` is that of `ordered_hello.predict`.
    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    steps: list[Step] = []
    a, b = hosts["host_b"], hosts["host_a"]  # swapped
    if a.is_mute or b.is_mute or not (maps(a) or maps(b)):
        return Prediction(NAME, Outcome.FAILED, None, ())
    if run_round(ROUND, a, b, steps, asked=_port, crosses=ROUND in crossing):
        return Prediction(NAME, Outcome.CONNECTED, ROUND, tuple(steps))
    return Prediction(NAME, Outcome.FAILED, None, tuple(steps))


def _port(host: ModelHost) -> Endpoint | None:
    """Where the peer sends to, if the router leads a port to the host."""
    return host.nat.forward(host.socket) if maps(host) else None
