"""The proof and the order of `ordered-hello`: HELLO 1, 2, 3 in two roles, CONFIRM, nothing after. Pure.

Every check is asked of the packets alone, and says what it saw, whether it holds or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from math import inf

from nat_traversal.wire import messages
from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence.check import Check
from natlab.evidence.journey import HOMES, Passage
from natlab.evidence.methods import bursts
from natlab.evidence.methods.ordered_hello_round import Round, confirm_of, hello_of
from natlab.evidence.trace import Trace
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.prediction import NAT_ADDRESS

_HOSTS = tuple(home.host for home in HOMES)
"""The first decides for one of two rounds that both have proof."""
_HOLD = 0.29
"""Seconds for which the other says nothing in another round, after its own proof: 0.3 of its clock."""


def conduct(trace: Trace) -> tuple[Check, ...]:
    """The hosts' duties, whatever the outcome and the methods that came after it."""
    return (
        *(round_ran_in_order(trace, number) for number in ROUNDS),
        sockets_were_fresh(trace),
        tokens_were_fresh(trace),
        nothing_went_on_after_success(trace),
        only_known_addresses_were_used(trace),
        *bursts.bounds(trace),
    )


def outcome_is_proven(trace: Trace) -> Check:
    """Connected: HELLO 3 and CONFIRM arrived, data crossed both ways.

    Failed: no data arrived, and no CONFIRM from where its receiver had sent the HELLO 3 that it
    answers; HELLOs may have, and CONFIRMs from ports that nobody sends to.
    """
    name = "the outcome is proven"
    connected = trace.connected_round
    if connected is not None:
        return Check(
            name,
            True,
            f"round {connected.number}: HELLO 3 and CONFIRM arrived, data crossed both ways",
        )
    seen = [
        text
        for round_ in trace.rounds
        for there, text in (
            # A CONFIRM that is not let in ends the round too: the way back is closed.
            (
                round_.arrival is not None and not round_.confirms,
                "HELLO 3 arrived and was not confirmed",
            ),
            (any(map(round_.proves, round_.confirms)), "CONFIRM arrived"),
            *((True, f"data reached {host}") for host in sorted(round_.data_crossed)),
        )
        if there
    ]
    if seen:
        return Check(name, False, f"neither connected nor failed: {', '.join(seen)}, but not all")
    if not trace.rounds:
        return _no_round(trace, name, "no HELLO was sent at all")
    return Check(name, True, "no CONFIRM that proves a path and no data arrived in any round")


def round_ran_in_order(trace: Trace, number: int) -> Check:
    """HELLO 1, 2, 3 left in this order: from A, B, A in odd rounds, B, A, B in even ones."""
    first, second = _HOSTS if number % 2 else _HOSTS[::-1]
    wanted = [(1, first), (2, second), (3, first)]
    name = f"round {number} went {', '.join(host[-1].upper() for _, host in wanted)}"
    rounds = [round_ for round_ in trace.rounds if round_.number == number]
    if not trace.rounds:
        return _no_round(trace, name, "it did not take place")
    if not rounds:
        earlier = any(round_.number < number and round_.is_connected for round_ in trace.rounds)
        why = "not needed: an earlier round connected" if earlier else "it did not take place"
        return Check(name, earlier, why)
    for round_ in rounds:
        firsts = sorted(
            (hello for hello in map(round_.first, (1, 2, 3)) if hello is not None),
            key=lambda hello: hello.sent,
        )
        order = [(hello_of(hello).step, hello.sender) for hello in firsts]
        both = {step for step in (1, 2, 3) if len(_senders(round_, step)) > 1}
        if order != wanted or both:
            seen = ", ".join(f"HELLO {step} from {host}" for step, host in order)
            return Check(name, False, f"saw {seen or 'none'}{_both(both)}")
    return Check(name, True, "HELLO 1, 2 and 3 left in this order")


def sockets_were_fresh(trace: Trace) -> Check:
    """No host used a socket, or an external endpoint, of an earlier round again. Among the many of a burst chance may
    give a local port twice, so they do not count."""
    name = "every round had fresh sockets"
    used: dict[tuple[str, Endpoint], int] = {}
    for position, round_ in enumerate(trace.rounds):
        for hello in () if bursts.guesses(round_) else round_.hellos:
            for endpoint in (hello.source, hello.translated):
                if endpoint is None:
                    continue
                earlier = used.setdefault((hello.sender, endpoint), position)
                if earlier != position:
                    return Check(name, False, f"{hello.sender} used {endpoint} in two rounds")
    return Check(name, True, f"{_count(trace.rounds, 'round')}, no endpoint used twice")


def tokens_were_fresh(trace: Trace) -> Check:
    """Every round's HELLOs carried the tag of a token of their own."""
    tokens = {round_.tag for round_ in trace.rounds}
    ok = len(tokens) == len(trace.rounds)
    return Check(
        "every round had a fresh token",
        ok,
        f"{_count(tokens, 'token')} in {_count(trace.rounds, 'round')}",
    )


def nothing_went_on_after_success(trace: Trace) -> Check:
    """A host that has shown that it knows of the success sends no HELLO any more.

    It shows it by whichever comes first: telling the server, a CONFIRM that wants no answer, or
    application data. A HELLO sent by then is not held against it, however late that arrives.
    A host that does not decide goes on with another round after a pause, until it knows that the first has proof.
    """
    name = "nothing went on after success"
    success = trace.connected_round
    if success is None:
        return Check(name, True, "there was no success")
    knew = dict(_knew(trace, success))
    follower = _HOSTS[1]
    decided = min(_vouched(success, follower), default=inf)
    for round_ in trace.rounds:
        for hello in round_.hellos:
            if hello.sent > knew[hello.sender]:
                follows = hello.sender == follower and round_.number != success.number
                if follows and knew[follower] + _HOLD < hello.sent < decided:
                    continue
                late = (hello.sent - knew[hello.sender]) * 1000
                return Check(
                    name,
                    False,
                    f"{hello.sender} sent HELLO {hello_of(hello).step} of round {round_.number} "
                    f"{late:.1f} ms after it knew",
                )
    return Check(name, True, "no host sent a HELLO after it knew")


def only_known_addresses_were_used(trace: Trace) -> Check:
    """The hosts sent only where the server had seen the peer, or where the peer had been heard from.
    Bursts aim at ports that nobody has seen, and have bounds of their own."""
    name = "only announced or observed addresses were used"
    if trace.strangers:
        stranger = trace.strangers[0]
        return Check(
            name,
            False,
            f"{stranger.point} received a HELLO or CONFIRM from {stranger.source} "
            "that its peer did not send",
        )
    rounds = [round_ for round_ in trace.rounds if not bursts.guesses(round_)]
    passages = [p for r in rounds for p in (*r.hellos, *r.confirms, *r.data)]
    since = _known_since(trace, passages)
    for passage in passages:
        if since.get((passage.sender, passage.destination), inf) > passage.sent:
            return Check(
                name,
                False,
                f"{passage.sender} sent to {passage.destination}, "
                f"which was neither announced nor observed for {passage.receiver}",
            )
    return Check(name, True, f"{len(passages)} datagrams, all to such an address")


def _no_round(trace: Trace, name: str, otherwise: str) -> Check:
    """Right only if the server cannot have begun a round."""
    if not trace.unheard:
        return Check(name, False, otherwise)
    hosts = " and of ".join(trace.unheard)
    return Check(name, True, f"no round began: no ANNOUNCE of {hosts} reached the server")


def _known_since(trace: Trace, passages: list[Passage]) -> dict[tuple[str, Endpoint], float]:
    """For each host and endpoint of its peer: when the server saw it or came by it, or the host heard from it."""
    since: dict[tuple[str, Endpoint], float] = {}
    for knock in reversed(trace.knocks):
        hearer = next(host for host in _HOSTS if host != knock.host)
        since[hearer, knock.outside] = knock.time
    for time, host, port in trace.spares:
        hearer = next(each for each in _HOSTS if each != host)
        since.setdefault((hearer, Endpoint(NAT_ADDRESS[host], port)), time)
    for passage in (*trace.announces, *passages):
        if passage.translated is None or passage.arrived is None:
            continue
        if passage.receiver in _HOSTS:
            hearer = passage.receiver
        else:
            hearer = next(host for host in _HOSTS if host != passage.sender)
        key = (hearer, passage.translated)
        since[key] = min(since.get(key, inf), passage.arrived)
    return since


def _knew(trace: Trace, success: Round) -> Iterator[tuple[str, float]]:
    for host in _HOSTS:
        shown = [
            said.time
            for said in trace.said
            if said.host == host
            and isinstance(said.message, messages.Established)
            and said.message.round == success.number
        ]
        shown += [p.sent for p in success.data if p.sender == host]
        shown += [
            p.sent for p in success.confirms if p.sender == host and not confirm_of(p).answer_wanted
        ]
        yield host, min(shown)  # not empty: data of both hosts is part of the success


def _vouched(success: Round, host: str) -> Iterator[float]:
    """When it came to `host` that the other one has proof in that round."""
    told = [p for p in success.confirms if not confirm_of(p).answer_wanted]
    for each in (*told, *success.data):
        if each.receiver == host and each.arrived is not None:
            yield each.arrived


def _senders(round_: Round, step: int) -> set[str]:
    return {hello.sender for hello in round_.hellos if hello_of(hello).step == step}


def _both(steps: set[int]) -> str:
    return "".join(f"; both hosts sent HELLO {step}" for step in sorted(steps))


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}" if len(things) == 1 else f"{len(things)} {word}s"
