"""The order of `birthday`: many ports are probed, then many sockets speak, and what bounds both. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nat_traversal.wire.datagrams import encode
from natlab.evidence.check import Check
from natlab.evidence.journey import HOMES, Passage
from natlab.evidence.methods import ordered_hello
from natlab.evidence.methods.bursts import guesses_at_random
from natlab.evidence.methods.ordered_hello_round import Round
from natlab.evidence.trace import Trace

MOST_A_SECOND = 150
"""Packets of one side."""
MOST_ENTRIES = 1_300
"""In either router: each packet of either side may make one."""
MOST_OCTETS = 100
"""Of a packet's UDP payload."""


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, and that there was one with guesses, within its bounds."""
    rounds = list(filter(guesses_at_random, trace.rounds))
    seen = ", ".join(str(each.number) for each in rounds) or "none"
    return (
        *ordered_hello.conduct(trace),
        Check("ports were guessed at random", bool(rounds), f"rounds of guesses: {seen}"),
        *(check for each in rounds for check in bounds(each)),
    )


def bounds(round_: Round) -> tuple[Check, ...]:
    """The duties of one such round."""
    return sockets_followed_probes(round_), packets_were_few(round_), no_second_had_too_many(round_)


def sockets_followed_probes(round_: Round) -> Check:
    """The prober spoke from one socket, to many ports; then the opener from many sockets, each to one endpoint."""
    name = "sockets followed probes"
    probes, sockets = round_.hellos_of(1), round_.hellos_of(2)
    if len({each.source for each in probes}) != 1:
        return Check(name, False, f"{len(probes)} probes from several sockets")
    spoke = {each.source for each in sockets}
    aims = {(each.source, each.destination) for each in sockets}
    late = bool(sockets) and max(each.sent for each in probes) > min(each.sent for each in sockets)
    why = f"{len(probes)} probes, then {len(spoke)} sockets"
    if late or len(aims) > len(spoke) or len({there for _, there in aims}) > 1:
        return Check(name, False, f"{why}, not in this order or to several endpoints")
    return Check(name, True, why)


def packets_were_few(round_: Round) -> Check:
    """Not more than a router may have entries, whoever made them, and each of few octets."""
    name = "few packets could make an entry"
    said = _said(round_)
    sizes = [len(encode(each.datagram)) for each in said]
    why = f"{len(said)} packets of at most {max(sizes, default=0)} octets"
    return Check(name, len(said) <= MOST_ENTRIES and max(sizes, default=0) <= MOST_OCTETS, why)


def no_second_had_too_many(round_: Round) -> Check:
    """Of either side."""
    name = "no second had too many of them"
    told = []
    for home in HOMES:
        times = sorted(each.sent for each in _said(round_) if each.sender == home.host)
        told.append(_most_in_a_second(times))
    why = ", ".join(f"{home.host}: {most}" for home, most in zip(HOMES, told, strict=True))
    return Check(name, max(told) <= MOST_A_SECOND, why)


def _most_in_a_second(times: Sequence[float]) -> int:
    first = most = 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def _said(round_: Round) -> list[Passage]:
    return [*round_.hellos, *round_.confirms]
