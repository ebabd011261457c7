"""A cell's outcome in plain words: what became of the HELLOs, when, and why. Pure.

All that happened is read from the packets, and so is all that a host had sent before. Only the name of a filter
is the preset's, which the probes have proven by then. Times are seconds since the cell's first packet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from nat_traversal.wire.behavior import Filtering
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.opener import Opener
from natlab.behavior import NatBehavior, Unsolicited
from natlab.evidence.journey import HOMES, Fate, Passage
from natlab.evidence.methods.bursts import guesses_at_random
from natlab.evidence.methods.ordered_hello_round import Round, hello_of
from natlab.evidence.trace import Trace
from natlab.presets import preset

_NAT_OF = {home.host: home.nat for home in HOMES}
_WAN_OF = {home.host: home.wan for home in HOMES}


def explain(trace: Trace, nat_a: str, nat_b: str) -> str:
    """For each round a sentence: what became of HELLO 1, 2 and 3, and what that led to."""
    if not trace.rounds:
        return _no_round(trace)
    reasons = _Reasons(trace, nat_a, nat_b)
    return " ".join(_explain_round(reasons, round_) for round_ in trace.rounds)


def reason(trace: Trace, nat_a: str, nat_b: str) -> str:
    """One sentence: for each round the last of HELLO 1, 2 and 3, which decides it."""
    if not trace.rounds:
        return explain(trace, nat_a, nat_b)
    reasons = _Reasons(trace, nat_a, nat_b)
    clauses = []
    for round_ in trace.rounds:
        last = max(hello_of(hello).step for hello in round_.hellos)
        copies = [hello for hello in round_.hellos if hello_of(hello).step == last]
        # A packet that a link lost decides nothing if a later copy came to the NAT.
        met = next((hello for hello in copies if hello.reached is not None), copies[0])
        said = reasons.clause(last, round_.arrival or met)
        if round_.arrival and not round_.conclusion and round_.confirms:
            said += f", but {reasons.of_confirm(round_.confirms[0])}"
        clauses.append(f"round {round_.number}: {said}")
    return f"{'; '.join(clauses)}.".replace("round", "Round", 1)


def cause(trace: Trace, nat_a: str, nat_b: str) -> str:
    """At most ten words, without ports and times: what decided the outcome."""
    if not trace.rounds:
        return _cause_of_silence(trace)
    reasons = _Reasons(trace, nat_a, nat_b)
    round_ = trace.connected_round
    if round_ is not None:
        assert round_.arrival is not None
        swapped = ", with roles swapped" if round_.number == 2 else ""
        swapped = ", as first packets crossed" if round_.number > 2 else swapped
        if any(_is_of(each, round_) for each in trace.openers):
            swapped = ", as openers ended between the NATs"
        is_aimed = round_.is_burst or any(map(trace.is_spare, round_.hellos))
        swapped = ", as both aimed at the next port" if is_aimed else swapped
        swapped = ", as many sockets met many probes" if guesses_at_random(round_) else swapped
        return f"{reasons.cause_of_arrival(round_.arrival)}{swapped}."
    hellos = [hello for round_ in trace.rounds for hello in round_.hellos]
    found = reasons.cause_of_failure(hellos, trace.rounds[-1])
    return f"{found[0].upper() if found.startswith('both') else found[0]}{found[1:]}."


def _is_of(opener: Passage, round_: Round) -> bool:
    return isinstance(opener.datagram, Opener) and opener.datagram.tag == round_.tag


def _cause_of_silence(trace: Trace) -> str:
    lost = [announce for announce in trace.announces if announce.sender in trace.unheard]
    if not lost:
        return "The hosts were never told to start."
    if lost[0].fate is Fate.BLOCKED:
        return f"{_NAT_OF[lost[0].sender]} lets no UDP out."
    return f"The server heard no UDP from {lost[0].sender}."


def _no_round(trace: Trace) -> str:
    lost = [announce for announce in trace.announces if announce.sender in trace.unheard]
    if not lost:
        return "No HELLO was sent: the hosts were never told to start."
    first = lost[0]
    count = sum(announce.sender == first.sender for announce in lost)
    where = f"never left {_NAT_OF[first.sender]}" if first.fate is Fate.BLOCKED else "were lost"
    return (
        f"No HELLO was sent: {first.sender}'s {count} ANNOUNCEs, the first at "
        f"{first.sent - trace.zero:.3f} s, {where}, so the server knows no address of it."
    )


def _explain_round(reasons: _Reasons, round_: Round) -> str:
    clauses = [
        reasons.clause(step, hello)
        for step in (1, 2, 3)
        if (hello := round_.first(step)) is not None
    ]
    conclusion = round_.conclusion
    if conclusion is not None:
        clauses.append(
            f"CONFIRM came back to {conclusion.receiver}{reasons.at(conclusion.arrived)}"
        )
    if round_.is_connected:
        clauses.append("data crossed both ways")
    verb = "connected" if round_.is_connected else "failed"
    which = f"Attempt {round_.attempt}, round" if round_.attempt > 1 else "Round"
    return f"{which} {round_.number} {verb}: {'; '.join(clauses)}."


class _Reasons:
    """The packets that the two NATs had seen by the time of each packet."""

    def __init__(self, trace: Trace, nat_a: str, nat_b: str) -> None:
        self._zero = trace.zero
        self._passages = trace.passages()
        self._announces = trace.announces
        self._hellos = [hello for round_ in trace.rounds for hello in round_.hellos]
        names = zip(HOMES, (nat_a, nat_b), strict=True)
        self._behaviors = {home.host: preset(name).behavior for home, name in names}

    def at(self, time: float | None) -> str:
        """`` at 0.043 s``, or nothing for a time that there is not."""
        return "" if time is None else f" at {time - self._zero:.3f} s"

    def clause(self, step: int, hello: Passage) -> str:
        moved = "".join(f" ({text})" for text in self._moved(hello))
        return self._ending(hello, f"{hello.sender}'s HELLO {step}{moved}")

    def of_confirm(self, confirm: Passage) -> str:
        moved = "".join(f" ({text})" for text in self._moved(confirm))
        return self._ending(confirm, f"{confirm.sender}'s CONFIRM{moved}")

    def cause_of_arrival(self, hello: Passage) -> str:
        host = hello.receiver
        behavior = self._behaviors[host]
        if behavior is None:
            return f"{host} is public"
        if behavior.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return f"{_NAT_OF[host]} lets everybody in"
        what = "address" if behavior.filtering is Filtering.ADDRESS_DEPENDENT else "port"
        return f"{host} had opened {_NAT_OF[host]} for this {what}"

    def cause_of_failure(self, hellos: Iterable[Passage], last: Round) -> str:
        """Of several that fit, the first in time; ports that nobody announced explain what follows."""
        by_fate = {hello.fate: hello for hello in reversed(list(hellos))}
        refused = by_fate.get(Fate.TAKEN_BY_ROUTER)
        if refused is not None and self._why_refused(refused)[0] == "took for itself":
            return f"{_NAT_OF[refused.receiver]} took for itself a HELLO that came early"
        if Fate.DELIVERED in {hello.fate for hello in last.hellos if hello_of(hello).step == 3}:
            if last.confirms and any(self._moved(last.confirms[0])):
                nat, other = (
                    _NAT_OF[getattr(last.confirms[0], end)] for end in ("sender", "receiver")
                )
                return f"{nat}'s answer left by a new port; {other} dropped it"
            return "HELLO 3 arrived, but not its answer"
        moved = {hello.sender for hello in self._hellos if any(self._moved(hello))}
        if len(moved) == 2:
            return "both NATs gave new ports, which neither admits"
        for host in moved:
            other = next(each for each in _NAT_OF if each != host)
            return f"{_NAT_OF[host]} gave a new port, which {_NAT_OF[other]} does not admit"
        stopped = by_fate.get(Fate.DROPPED) or refused
        if stopped is not None:
            return f"{_NAT_OF[stopped.receiver]} kept out a HELLO from where nothing had gone"
        if (blocked := by_fate.get(Fate.BLOCKED)) is not None:
            return f"{_NAT_OF[blocked.sender]} lets no HELLO out"
        if (closed := by_fate.get(Fate.PORT_CLOSED)) is not None:
            return f"{closed.receiver} had closed its socket"
        return "the link lost the HELLOs"

    def _moved(self, hello: Passage) -> Iterator[str]:
        """Where the NAT gave this flow another port than the server had seen for the same socket."""
        seen = {
            announce.translated
            for announce in self._announces
            if announce.source == hello.source and announce.is_delivered
        }
        if hello.translated is not None and seen and hello.translated not in seen:
            announced = ", ".join(sorted(str(each.port) for each in seen if each is not None))
            nat = _NAT_OF[hello.sender]
            yield f"from port {hello.translated.port} of {nat}, not {announced}"

    def _ending(self, hello: Passage, what: str) -> str:
        nat, arrived = _NAT_OF[hello.receiver], self.at(hello.arrived)
        match hello.fate:
            case Fate.DELIVERED:
                why = self._why_admitted(hello)
                return f"{what} arrived at {hello.receiver}{arrived}: {why}"
            case Fate.PORT_CLOSED:
                return f"{what} found the socket of {hello.receiver} closed{arrived}"
            case Fate.DROPPED:
                why = self._why_dropped(hello)
                return f"{nat} dropped {what}{self.at(hello.reached)}: {why}"
            case Fate.TAKEN_BY_ROUTER:
                did, why = self._why_refused(hello)
                return f"{nat} {did} {what}{self.at(hello.reached)} (ICMP port unreachable): {why}"
            case Fate.EXPIRED:
                return f"{what} ended on the way, as its TTL wanted"
            case Fate.LOST:
                return f"{what} was lost before it reached {nat}"
            case Fate.BLOCKED:
                return f"{what} never left {_NAT_OF[hello.sender]}{self.at(hello.sent)}"

    def _why_admitted(self, hello: Passage) -> str:
        behavior = self._behaviors[hello.receiver]
        if behavior is None:
            return f"{hello.receiver} is public"
        if behavior.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return f"filtering is {behavior.filtering}"
        opened = [to for to in self._sent_to(hello) if _admits(behavior, [to], hello.translated)]
        if not opened:
            return f"though {hello.receiver} had not sent there"
        return f"{hello.receiver} had sent from {hello.destination} to {_and(opened)}"

    def _why_dropped(self, hello: Passage) -> str:
        behavior = self._behaviors[hello.receiver]
        if behavior is None:
            return "there is no NAT that should have done so"
        sent_to = self._sent_to(hello)
        only = f"{hello.receiver} had sent {self._only_to(hello)}"
        if sent_to and _admits(behavior, sent_to, hello.translated):
            return f"against its filtering, which is {behavior.filtering}: {only}"
        return f"filtering is {behavior.filtering} and {only}"

    def _why_refused(self, hello: Passage) -> tuple[str, str]:
        behavior = self._behaviors[hello.receiver]
        if behavior is None or behavior.unsolicited is not Unsolicited.ORDER_SENSITIVE:
            return "rejected", self._why_dropped(hello)
        return "took for itself", f"{hello.receiver} had sent {self._only_to(hello)}"

    def _only_to(self, hello: Passage) -> str:
        places = self._sent_to(hello)
        if not places:
            return f"nothing from {hello.destination}"
        return f"from {hello.destination} only to {_and(places)}"

    def _sent_to(self, hello: Passage) -> list[Endpoint]:
        """Where the receiver's NAT had let it send from the endpoint that `hello` came to."""
        reached, wan = hello.reached, _WAN_OF[hello.receiver]
        assert reached is not None  # it was dropped there
        places = (
            passage.destination
            for passage in self._passages
            if passage.sender == hello.receiver
            and passage.translated == hello.destination
            and dict(passage.seen).get(wan, passage.sent) < reached
        )
        return list(dict.fromkeys(places))


def _and(endpoints: Iterable[Endpoint]) -> str:
    return " and ".join(map(str, endpoints))


def _admits(behavior: NatBehavior, sent_to: Collection[Endpoint], source: Endpoint | None) -> bool:
    """Would the filter of RFC 4787 section 5 let `source` in?"""
    match behavior.filtering:
        case Filtering.ENDPOINT_INDEPENDENT:
            return True
        case Filtering.ADDRESS_DEPENDENT:
            return source is not None and source.address in {each.address for each in sent_to}
        case Filtering.ADDRESS_AND_PORT_DEPENDENT:
            return source in sent_to
