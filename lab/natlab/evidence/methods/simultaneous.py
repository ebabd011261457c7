"""The order of `simultaneous`: in the round that connects, both first HELLOs have left before either comes. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.methods import ordered_hello
from natlab.evidence.trace import Trace


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, and that the first packets crossed."""
    return (*ordered_hello.conduct(trace), first_packets_crossed(trace))


def first_packets_crossed(trace: Trace) -> Check:
    """HELLO 1 and HELLO 2 of the round that connected were on their way at the same time."""
    name = "the first packets crossed"
    round_ = trace.connected_round
    if round_ is None:
        return Check(name, False, "no round connected")
    one, two = round_.first(1), round_.first(2)
    if one is None or two is None:
        return Check(name, False, "one of the hosts said nothing")
    apart = abs(one.sent - two.sent)
    reached = [each.reached for each in (one, two) if each.reached is not None]
    crossed = len(reached) == 2 and max(one.sent, two.sent) < min(reached)
    return Check(name, crossed, f"round {round_.number}: they left {apart * 1000:.1f} ms apart")
