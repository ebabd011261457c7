"""`low-ttl` between two model NATs with a router between them, after the contract's rounds. Pure.

Both hosts' openers leave their own NATs, and neither comes to the other's. Then the round goes on as any other.
"""

from __future__ import annotations

from natlab.oracle.methods.ordered_hello import model_hosts
from natlab.oracle.methods.simultaneous import ROUND, crossed
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction

NAME = "low-ttl"


def predict(nat_a: str, nat_b: str) -> Prediction:
    """One round between host_a behind the preset `nat_a` and host_b behind `nat_b`, which the contract does not open.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    a, b = hosts["host_a"], hosts["host_b"]
    if a.is_mute or b.is_mute:
        return Prediction(NAME, Outcome.FAILED, None, ())
    b.target, a.target = a.open_socket(ROUND), b.open_socket(ROUND)
    for host in (a, b):
        source = host.nat.outbound(host.socket, host.target)
        host.nat.hears_error(source, host.target)
    return crossed(NAME, a, b)
