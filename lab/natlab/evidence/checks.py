"""The truths about every cell, each asked of the packets alone; the method's own checks among them. Pure.

A method has its module in `natlab.evidence.methods`, and a line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from natlab.evidence.check import MODELLED, Check
from natlab.evidence.methods import (
    birthday,
    low_ttl,
    ordered_hello,
    port_mapping,
    prediction,
    simultaneous,
)
from natlab.evidence.replay import differences
from natlab.evidence.trace import Trace
from natlab.oracle.methods.birthday import NAME as BIRTHDAY
from natlab.oracle.methods.low_ttl import NAME as LOW_TTL
from natlab.oracle.methods.ordered_hello import NAME
from natlab.oracle.methods.port_mapping import NAME as PORT_MAPPING
from natlab.oracle.methods.prediction import NAME as PREDICTION
from natlab.oracle.methods.simultaneous import NAME as SIMULTANEOUS
from natlab.oracle.methods.simultaneous import counted
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction


@dataclass(frozen=True, slots=True)
class MethodChecks:
    """The checks of a method's packets."""

    proof: Callable[[Trace], Check]
    """Whether a path stands or none does, and nothing between."""
    conduct: Callable[[Trace], tuple[Check, ...]]
    """The hosts' duties, whatever the outcome."""


METHODS: Mapping[str, MethodChecks] = {
    NAME: MethodChecks(ordered_hello.outcome_is_proven, ordered_hello.conduct),
    PORT_MAPPING: MethodChecks(ordered_hello.outcome_is_proven, port_mapping.conduct),
    PREDICTION: MethodChecks(ordered_hello.outcome_is_proven, prediction.conduct),
    BIRTHDAY: MethodChecks(ordered_hello.outcome_is_proven, birthday.conduct),
    LOW_TTL: MethodChecks(ordered_hello.outcome_is_proven, low_ttl.conduct),
    SIMULTANEOUS: MethodChecks(ordered_hello.outcome_is_proven, simultaneous.conduct),
}
"""By the name that `natlab.oracle.predict.METHODS` has for it too."""


def run_checks(trace: Trace, nat_a: str, nat_b: str, prediction: Prediction) -> tuple[Check, ...]:
    """Every check of a cell of these presets, in the order in which a reader wants them."""
    method = METHODS[prediction.method]
    return (
        method.proof(trace),
        outcome_is_predicted(trace, prediction),
        packets_fared_as_modelled(trace, nat_a, nat_b),
        *method.conduct(trace),
    )


def outcome_is_predicted(trace: Trace, prediction: Prediction) -> Check:
    """The model foresaw the outcome, and the round."""
    round_ = trace.connected_round
    observed = (trace.outcome, counted(round_.number) if round_ else None)
    predicted = (prediction.outcome, prediction.round)
    why = f"observed {_in_words(*observed)}"
    by_chance = observed == (Outcome.FAILED, None) and Outcome.FAILED in prediction.outcomes
    if observed != predicted:
        share = f" in {prediction.share:.1%} of the runs" if by_chance else ""
        why += f", predicted {_in_words(*predicted)}{share}"
    return Check("the outcome is the predicted one", by_chance or observed == predicted, why)


def packets_fared_as_modelled(trace: Trace, nat_a: str, nat_b: str) -> Check:
    """Each NAT did with every single packet what the model of its preset does with it."""
    found = list(differences(trace, nat_a, nat_b))
    count = len(trace.passages())
    why = f"{count} packets" if not found else f"{len(found)} of {count} otherwise: {found[0]}"
    return Check(MODELLED, count > 0 and not found, why)


def _in_words(outcome: Outcome, round_: int | None) -> str:
    return str(outcome) if round_ is None else f"{outcome} in round {round_}"
