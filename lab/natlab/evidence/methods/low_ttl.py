"""The order of `low-ttl`: in the round that connects, each host's opener left its NAT and ended before the other's. Pure."""

from __future__ import annotations

from nat_traversal.wire.opener import Opener
from natlab.evidence.check import Check
from natlab.evidence.journey import HOMES, Fate, Passage
from natlab.evidence.methods import ordered_hello
from natlab.evidence.methods.ordered_hello_round import Round
from natlab.evidence.trace import Trace


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties: those of every round, and those of openers."""
    return (
        *ordered_hello.conduct(trace),
        openers_ended_between(trace),
        openers_went_to_the_peer(trace),
    )


def openers_ended_between(trace: Trace) -> Check:
    """Each host's NAT had let an opener out before the other's first HELLO came, and the other's NAT saw none from there."""
    name = "each opener ended between the NATs"
    round_ = trace.connected_round
    if round_ is None:
        return Check(name, False, "no round connected")
    told = []
    for home, other in (HOMES, HOMES[::-1]):
        openers = _of_the_round(trace, round_, home.host)
        came = [each for each in openers if each.reached is not None]
        if not openers or came:
            text = "none" if not openers else f"one that came to {other.nat}"
            return Check(name, False, f"{home.host} sent {text}")
        if any(each.fate is not Fate.EXPIRED or each.translated is None for each in openers):
            return Check(name, False, f"an opener of {home.host} did not end as its TTL wanted")
        reached = [
            each.reached
            for each in round_.hellos
            if each.sender == other.host and each.reached is not None
        ]
        early = min(reached, default=0.0) - max(each.sent for each in openers)
        if early <= 0:
            return Check(name, False, f"a HELLO came to {home.nat} before its host had opened it")
        hops = ", ".join(str(_opener(each).hops) for each in openers)
        told.append(f"{home.host}: at hop {hops}, {early * 1000:.1f} ms before a HELLO came")
    return Check(name, True, "; ".join(told))


def openers_went_to_the_peer(trace: Trace) -> Check:
    """All of them were for an endpoint at which the server had seen the peer."""
    name = "openers went to the peer's announced address"
    announced = {
        (each.sender, each.translated) for each in trace.announces if each.arrived is not None
    }
    for each in trace.openers:
        if (each.receiver, each.destination) not in announced:
            return Check(name, False, f"{each.sender} sent one to {each.destination}")
    return Check(name, True, f"{len(trace.openers)} datagrams")


def _of_the_round(trace: Trace, round_: Round, host: str) -> list[Passage]:
    """Those from the socket of its HELLOs."""
    sockets = {each.source for each in round_.hellos if each.sender == host}
    return [
        each
        for each in trace.openers
        if each.sender == host and each.source in sockets and _opener(each).tag == round_.tag
    ]


def _opener(passage: Passage) -> Opener:
    assert isinstance(passage.datagram, Opener)
    return passage.datagram
