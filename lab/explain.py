"""A cell's outcome in plain words, made from the packets alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lab.passage import TWO_NATS, Fate, Passage
from lab.trace import Round, Trace

_NAT_OF = {side.host: side.nat for side in TWO_NATS}


def explain(trace: Trace) -> str:
    """One sentence for each round: what became of each HELLO, and what that led to."""
    if not trace.rounds:
        return "No HELLO was sent: the hosts were never told to start."
    return " ".join(_explain_round(trace, round_) for round_ in trace.rounds)


def _explain_round(trace: Trace, round_: Round) -> str:
    clauses = [
        f"HELLO {step} {_what_happened(trace, hello)}"
        for step in (1, 2, 3)
        if (hello := round_.first(step)) is not None
    ]
    conclusion = round_.conclusion
    if conclusion is not None:
        clauses.append(f"CONFIRM came back to {conclusion.receiver}")
    if round_.is_connected:
        clauses.append("data crossed both ways")
    verb = "connected" if round_.is_connected else "failed"
    which = f"Attempt {round_.attempt}, round" if round_.attempt > 1 else "Round"
    return f"{which} {round_.number} {verb}: {'; '.join(clauses)}."


def _what_happened(trace: Trace, hello: Passage) -> str:
    return " and ".join((*_moved(trace, hello), _ending(hello)))


def _moved(trace: Trace, hello: Passage) -> Iterator[str]:
    """Where the NAT gave this flow another port than the server had seen for the same socket."""
    seen = {
        announce.translated
        for announce in trace.announces
        if announce.source == hello.source and announce.is_delivered
    }
    if hello.translated is not None and seen and hello.translated not in seen:
        announced = ", ".join(str(endpoint.port) for endpoint in seen if endpoint is not None)
        yield (
            f"left {_NAT_OF[hello.sender]} from port {hello.translated.port} "
            f"instead of the announced {announced}"
        )


def _ending(hello: Passage) -> str:
    nat = _NAT_OF[hello.receiver]
    return {
        Fate.DELIVERED: f"arrived at {hello.receiver}",
        Fate.PORT_CLOSED: f"found the socket of {hello.receiver} closed",
        Fate.DROPPED: f"was dropped by {nat}",
        Fate.TAKEN_BY_ROUTER: f"was taken by {nat} for itself (ICMP port unreachable)",
        Fate.EXPIRED: "ended on the way, as its TTL wanted",
        Fate.LOST: f"was lost before it reached {nat}",
        Fate.BLOCKED: f"never left {_NAT_OF[hello.sender]}",
    }[hello.fate]
