"""The order of `prediction`: a host behind a NAT whose next port is known speaks from many sockets at once. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.methods import bursts, ordered_hello
from natlab.evidence.trace import Trace


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, the bounds of bursts among them, and that there was one."""
    return (*ordered_hello.conduct(trace), took_place(trace))


def took_place(trace: Trace) -> Check:
    """At least one round of many sockets, or one to a port that its host had told."""
    many = [round_.number for round_ in filter(bursts.guesses, trace.rounds)]
    told = [each.number for each in trace.rounds if any(map(trace.is_spare, each.hellos))]
    seen = [", ".join(map(str, rounds)) or "none" for rounds in (many, told)]
    why = f"rounds of many sockets: {seen[0]}; to a fresh socket's own port: {seen[1]}"
    return Check("a port was aimed at that comes next", bool(many or told), why)
