"""`prediction` between two model NATs, after the contract's rounds: both hosts aim at a port that comes next. Pure.

A NAT that gives ports in sequence tells the next one by the last, and one that keeps ports the one of a fresh socket. Of the many sockets of the host behind it only the
one that gets that port is followed here. A port of a block is met by chance, so nothing is predicted of those.
"""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.wire.behavior import Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.methods.ordered_hello import ModelHost, model_hosts
from natlab.oracle.methods.simultaneous import ROUND, crossed
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction

NAME = "prediction"
_FRESH = 1000
"""Between the announced socket's port, inside, and that of the socket which speaks."""


def predict(nat_a: str, nat_b: str) -> Prediction:
    """One round between host_a behind the preset `nat_a` and host_b behind `nat_b`, which the contract does not open.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    a, b = hosts["host_a"], hosts["host_b"]
    if a.is_mute or b.is_mute or not (_tells(a) or _tells(b)):
        return Prediction(NAME, Outcome.FAILED, None, ())
    b.target, a.target = _aim(a), _aim(b)
    return crossed(NAME, a, b)


def _tells(host: ModelHost) -> bool:
    """Whether the port is known that its NAT will give towards the peer, and the server has not seen it."""
    return _is_sequential(host) or _keeps(host)


def _is_sequential(host: ModelHost) -> bool:
    behavior = host.nat.behavior
    return behavior is not None and behavior.allocation is PortAllocation.SEQUENTIAL


def _keeps(host: ModelHost) -> bool:
    """A socket that has spoken to nobody gets its own port, which the host tells."""
    behavior = host.nat.behavior
    return (
        behavior is not None
        and behavior.allocation is PortAllocation.PRESERVING
        and behavior.mapping is not Mapping.ENDPOINT_INDEPENDENT
    )


def _aim(host: ModelHost) -> Endpoint:
    """Where the peer aims at."""
    seen = host.open_socket(ROUND)
    if not _tells(host):
        return seen
    host.socket = replace(host.socket, port=host.socket.port + _FRESH)
    return replace(seen, port=host.socket.port if _keeps(host) else seen.port + 1)
