"""`simultaneous` between two model NATs, after the contract's rounds: the first packets cross. Pure.

Both hosts' first HELLOs have left before either comes to the other's NAT. Then the round goes on as any other.
"""

from __future__ import annotations

from natlab.oracle.methods.ordered_hello import ROUNDS, ModelHost, cross, model_hosts
from natlab.oracle.model import Admission
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction

NAME = "simultaneous"
ROUND = ROUNDS[-1] + 1
"""Its first one; those after it are like it."""


def counted(round_: int | None) -> int | None:
    """The round that a prediction has for `round_`: all tries of the method are one."""
    return None if round_ is None else min(round_, ROUND)


def predict(nat_a: str, nat_b: str) -> Prediction:
    """One round between host_a behind the preset `nat_a` and host_b behind `nat_b`, which the contract does not open.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    a, b = hosts["host_a"], hosts["host_b"]
    if a.is_mute or b.is_mute:
        return Prediction(NAME, Outcome.FAILED, None, ())
    b.target, a.target = a.open_socket(ROUND), b.open_socket(ROUND)
    return crossed(NAME, a, b)


def crossed(name: str, a: ModelHost, b: ModelHost) -> Prediction:
    """The method's round between hosts that know where to speak to: their first packets cross."""
    steps = cross(ROUND, a, b)
    if steps[1].admission is Admission.DELIVERED:
        steps.append(a.send(ROUND, "HELLO 3", b))
        steps.append(b.send(ROUND, "CONFIRM", a))
    arrived = len(steps) == 4 and all(each.admission is Admission.DELIVERED for each in steps[2:])
    if arrived and a.is_heard_by(b) and b.is_heard_by(a):
        return Prediction(name, Outcome.CONNECTED, ROUND, tuple(steps))
    return Prediction(name, Outcome.FAILED, None, tuple(steps))
