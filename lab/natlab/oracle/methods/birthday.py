"""`birthday` between two model NATs, after the contract's rounds: many sockets meet many probes. Pure.

The one socket is followed here whose port is probed. Chance decides whether there is one: `SHARE` of the runs.
"""

from __future__ import annotations

import random
from dataclasses import replace

from nat_traversal.wire import guessing
from nat_traversal.wire.behavior import PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.methods.ordered_hello import ModelHost, model_hosts
from natlab.oracle.methods.simultaneous import ROUND
from natlab.oracle.model import Admission, ModelNat
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import NAT_ADDRESS, Prediction, Step

NAME = "birthday"
_PORTS = guessing.HIGHEST + 1 - guessing.LOWEST
SHARE = 1 - (1 - guessing.SOCKETS / _PORTS) ** guessing.PROBES
"""Of the runs in which a port is met, where the model lets a met one open the pair."""
_FRESH = 1000
"""Between the announced socket's port, inside, and that of the socket which speaks."""


def predict(nat_a: str, nat_b: str) -> Prediction:
    """The round between host_a behind the preset `nat_a` and host_b behind `nat_b`, which the contract does not open.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    a, b = hosts["host_a"], hosts["host_b"]
    keeping = [host for host in (a, b) if _keeps_ports(host)]
    if a.is_mute or b.is_mute or len(keeping) != 1:
        return Prediction(NAME, Outcome.FAILED, None, ())
    (prober,) = keeping
    opener = b if prober is a else a
    port = _announced_and_next(opener)
    opener.target, prober.target = prober.open_socket(ROUND), port
    steps = [
        prober.send(ROUND, "HELLO 1", opener),
        opener.send(ROUND, "HELLO 2", prober),
        prober.send(ROUND, "HELLO 3", opener),
    ]
    if steps[2].admission is Admission.DELIVERED:
        steps.append(opener.send(ROUND, "CONFIRM", prober))
    return _judged(steps, prober, opener)


def _judged(steps: list[Step], prober: ModelHost, opener: ModelHost) -> Prediction:
    arrived = len(steps) == 4 and steps[3].admission is Admission.DELIVERED
    if arrived and prober.is_heard_by(opener) and opener.is_heard_by(prober):
        return Prediction(NAME, Outcome.CONNECTED, ROUND, tuple(steps), SHARE)
    return Prediction(NAME, Outcome.FAILED, None, tuple(steps))


def _keeps_ports(host: ModelHost) -> bool:
    """Whether the server sees its sockets at their own ports: so the clients know who has to open many."""
    behavior = host.nat.behavior
    return behavior is None or behavior.allocation is PortAllocation.PRESERVING


def _announced_and_next(host: ModelHost) -> Endpoint:
    """The endpoint of its socket's mapping towards the prober, before that is made: its NAT gives ports in sequence here,
    so that the one which is met can be told."""
    behavior = host.nat.behavior
    assert behavior is not None
    sequential = replace(behavior, allocation=PortAllocation.SEQUENTIAL)
    rng = random.Random(0)  # noqa: S311 - model ports, not secrets
    host.nat = ModelNat(sequential, NAT_ADDRESS[host.name], rng)
    seen = host.open_socket(ROUND)
    host.socket = replace(host.socket, port=host.socket.port + _FRESH)
    return replace(seen, port=seen.port + 1)
