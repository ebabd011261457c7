"""The order of `prediction`: a host behind a NAT whose next port is known speaks from many sockets at once. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.methods import bursts, ordered_hello
from natlab.evidence.trace import Trace


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, the bounds of bursts among them, and that there was one."""
    return (*ordered_hello.conduct(trace), took_place(trace))


def took_place(trace: Trace) -> Check:
    """At least one round of many sockets."""
    rounds = [round_.number for round_ in filter(bursts.guesses, trace.rounds)]
    seen = ", ".join(map(str, rounds)) or "none"
    return Check(
        "a port was aimed at that comes next", bool(rounds), f"rounds of many sockets: {seen}"
    )
