"""The order of `port-mapping`: the server comes by the router's port before the peer sends there. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.methods import ordered_hello
from natlab.evidence.trace import Trace


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, among them that nobody sends to a port by which the server has not come."""
    return (*ordered_hello.conduct(trace), found_open(trace))


def found_open(trace: Trace) -> Check:
    """A KNOCK of the server has come to a host by a port of its router."""
    name = "a router's port was found open from outside"
    if not trace.knocks:
        return Check(name, False, "the server has come by none")
    first = trace.knocks[0]
    when = (first.time - trace.zero) * 1000
    return Check(name, True, f"{first.outside} leads to {first.host}, after {when:.1f} ms")
