"""Comments for Wireshark on each captured packet of the project. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nat_traversal.wire.datagrams import Announce, Confirm, Hello
from natlab.evidence.journey import Fate, Passage
from natlab.evidence.trace import Trace


def comments(trace: Trace) -> Mapping[tuple[str, float], str]:
    """For each interface and time at which a datagram was seen: what it is and how it ended."""
    return {sighting: caption(passage) for passage in trace.passages() for sighting in passage.seen}


def caption(passage: Passage) -> str:
    """For example ``HELLO round=1 step=2 copy=0 host_b to host_a: dropped, last seen at nat_a``."""
    where = "" if passage.fate is Fate.DELIVERED or not passage.seen else _last_node(passage)
    return f"{_name(passage)} {passage.sender} to {passage.receiver}: {passage.fate}{where}"


def _name(passage: Passage) -> str:
    match passage.datagram:
        case Hello(round=round_, step=step, copy=copy):
            return f"HELLO round={round_} step={step} copy={copy}"
        case Confirm(round=round_):
            return f"CONFIRM round={round_}"
        case Announce():
            return "ANNOUNCE"
        case _:
            return "DATA"


def _last_node(passage: Passage) -> str:
    interface, _ = passage.seen[-1]
    return f", last seen at {interface.partition('-')[0]}"
