"""The order of `prediction`: in its rounds each host's sockets speak at once, and to the peer's address alone. Pure."""

from __future__ import annotations

from natlab.evidence.check import Check
from natlab.evidence.journey import SIDES
from natlab.evidence.methods import ordered_hello
from natlab.evidence.methods.ordered_hello_round import hello_of
from natlab.evidence.trace import Trace
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.prediction import NAT_ADDRESS

MOST_SOCKETS = 32
WITHIN = 0.02
"""Seconds for all sockets of a side to speak."""


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
    """Each host's first words left at once, from few sockets, to one port."""
    name = "all sockets of a side aimed at one port at once"
    told = []
    for round_ in trace.rounds:
        if round_.number in ROUNDS:
            continue
        for side in SIDES:
            first = [each for each in round_.hellos if each.sender == side.host]
            first = [each for each in first if hello_of(each).step < 3]
            if not first:
                return Check(name, False, f"{side.host} said nothing in round {round_.number}")
            sockets = {each.source for each in first}
            began = min(each.sent for each in first)
            burst = [each for each in first if each.sent <= began + WITHIN]
            ports = {each.destination for each in burst}
            seen = f"{side.host}: {len(sockets)} sockets to {len(ports)} port"
            if (
                len(sockets) > MOST_SOCKETS
                or len(ports) > 1
                or {e.source for e in burst} != sockets
            ):
                return Check(name, False, f"{seen}s, {len(burst)} within {WITHIN * 1000:g} ms")
            told.append(seen)
    return Check(name, bool(told), ", ".join(told) or "no round of the method took place")
