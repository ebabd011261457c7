"""Rounds in which a host speaks from many sockets at once, to meet a port that nobody has seen: what bounds them. Pure."""

from __future__ import annotations

from collections import Counter

from natlab.evidence.check import Check
from natlab.evidence.journey import HOMES
from natlab.evidence.methods.ordered_hello_round import Round
from natlab.evidence.trace import Trace
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.prediction import NAT_ADDRESS

MOST_SOCKETS = 32


def guesses(round_: Round) -> bool:
    """Whether it is such a round. In the contract's own rounds nobody may speak from several sockets."""
    return round_.is_burst and round_.number not in ROUNDS


def guesses_at_random(round_: Round) -> bool:
    """Whether a host spoke from more sockets, or to more ports, than a port that is foreseen could want."""
    ways = {(each.sender, each.source, each.destination) for each in round_.hellos}
    of_host = Counter(sender for sender, _, _ in ways)
    return guesses(round_) and max(of_host.values()) > 2 * MOST_SOCKETS


def bounds(trace: Trace) -> tuple[Check, ...]:
    """The duties of such rounds; none where there was none."""
    if not any(map(guesses, trace.rounds)):
        return ()
    return only_the_peer_was_aimed_at(trace), all_aimed_at_one_port(trace)


def only_the_peer_was_aimed_at(trace: Trace) -> Check:
    """Every guessed port is one of the peer's own address."""
    name = "only the peer's address was aimed at"
    rounds = list(filter(guesses, trace.rounds))
    sent = [each for round_ in rounds for each in (*round_.hellos, *round_.confirms)]
    for each in sent:
        if each.destination.address != NAT_ADDRESS[each.receiver]:
            return Check(name, False, f"{each.sender} sent to {each.destination}")
    return Check(name, True, f"{len(sent)} datagrams, all to it")


def all_aimed_at_one_port(trace: Trace) -> Check:
    """The first word of each of a host's sockets went to one port, from few sockets. How long that took is told.
    Rounds of guesses at random have duties of their own (`evidence.methods.birthday`)."""
    name = "all sockets of a side aimed at one port"
    told = []
    for round_ in filter(guesses, trace.rounds):
        for home in HOMES if not guesses_at_random(round_) else ():
            first = {
                each.source: each for each in reversed(round_.hellos) if each.sender == home.host
            }
            if not first:
                return Check(name, False, f"{home.host} said nothing in round {round_.number}")
            ports = {each.destination for each in first.values()}
            times = [each.sent for each in first.values()]
            took = (max(times) - min(times)) * 1000
            seen = f"{home.host}: {len(first)} sockets in {took:.1f} ms to {len(ports)} port"
            if len(first) > MOST_SOCKETS or len(ports) > 1:
                return Check(name, False, f"{seen}s")
            told.append(seen)
    return Check(name, True, ", ".join(told))
