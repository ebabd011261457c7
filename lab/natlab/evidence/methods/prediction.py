"""The order of `prediction`: in its rounds all of a host's sockets aim at one port, and at the peer's address alone. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.journey import SIDES
from natlab.evidence.methods import ordered_hello
from natlab.evidence.trace import Trace
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.prediction import NAT_ADDRESS

MOST_SOCKETS = 32


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, and the bounds of a burst."""
    return (*ordered_hello.conduct_of_any(trace), only_the_peer_was_aimed_at(trace), bursts(trace))


def only_the_peer_was_aimed_at(trace: Trace) -> Check:
    """Every guessed port is one of the peer's own address."""
    name = "only the peer's address was aimed at"
    sent = [each for round_ in trace.rounds for each in (*round_.hellos, *round_.confirms)]
    for each in sent:
        if each.destination.address != NAT_ADDRESS[each.receiver]:
            return Check(name, False, f"{each.sender} sent to {each.destination}")
    return Check(name, True, f"{len(sent)} datagrams, all to it")


def bursts(trace: Trace) -> Check:
    """The first word of each of a host's sockets went to one port, from few sockets. How long that took is told."""
    name = "all sockets of a side aimed at one port"
    told = []
    for round_ in trace.rounds:
        if round_.number in ROUNDS:
            continue
        for side in SIDES:
            first = {
                each.source: each for each in reversed(round_.hellos) if each.sender == side.host
            }
            if not first:
                return Check(name, False, f"{side.host} said nothing in round {round_.number}")
            ports = {each.destination for each in first.values()}
            times = [each.sent for each in first.values()]
            took = (max(times) - min(times)) * 1000
            seen = f"{side.host}: {len(first)} sockets in {took:.1f} ms to {len(ports)} port"
            if len(first) > MOST_SOCKETS or len(ports) > 1:
                return Check(name, False, f"{seen}s")
            told.append(seen)
    return Check(name, bool(told), ", ".join(told) or "no round of the method took place")
