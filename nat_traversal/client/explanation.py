"""Why two NATs leave a pair relayed, and what would change that: from the facts of both, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.check.rungs import Nat, guessed, rung
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.nat_facts import NatFacts

_GIVES = {
    Mapping.ADDRESS_DEPENDENT: "a new port to every destination address",
    Mapping.ADDRESS_AND_PORT_DEPENDENT: "a new port to every destination",
}
_FILTERS = {
    Filtering.ENDPOINT_INDEPENDENT: "lets everybody in",
    Filtering.ADDRESS_DEPENDENT: "filters by address",
    Filtering.ADDRESS_AND_PORT_DEPENDENT: "filters by port",
}
_FORWARD = "a port forwarding on either side, or UPnP, would make it direct"
_NOT_WITHOUT = "so there is no direct path without guessing ports"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`reason` and `remedy` are clauses. `rung` would open the pair; None: too little is known."""

    reason: str
    remedy: str
    rung: str | None = None


def explain(mine: NatFacts | None, theirs: NatFacts | None) -> Explanation | None:
    """None where too little is known to say anything."""
    here, there = _nat(mine), _nat(theirs)
    if here is None or there is None:
        return _half(mine, theirs)
    found = rung(here, there)
    if found == "ordered-hello":
        text = "neither NAT forbids a direct path, and yet its packets do not cross"
        return Explanation(text, "look for a firewall that drops UDP between the two", found)
    if found == "simultaneous":
        text = "both NATs move a packet to another port if the other side's comes first"
        return Explanation(text, _FORWARD, found)
    reason = _unknown_ports(here, there)
    if found not in set(MethodName) or found in (MethodName.BIRTHDAY, MethodName.RELAY):
        reason = f"{reason}, {_NOT_WITHOUT}"
    return Explanation(reason, _FORWARD, found)


def _unknown_ports(here: Nat, there: Nat) -> str:
    whose = guessed(here, there)
    if whose == {"mine"}:
        return f"your NAT gives {_GIVES[here.mapping]}, and theirs {_FILTERS[there.filtering]}"
    if whose == {"theirs"}:
        return f"your NAT {_FILTERS[here.filtering]}, and theirs gives {_GIVES[there.mapping]}"
    if here.mapping is there.mapping:
        return f"both NATs give {_GIVES[here.mapping]}"
    return f"your NAT gives {_GIVES[here.mapping]}, and theirs {_GIVES[there.mapping]}"


def _half(mine: NatFacts | None, theirs: NatFacts | None) -> Explanation | None:
    """One NAT alone is known to be strict enough to be the cause, or part of it."""
    for whose, facts in (("your", mine), ("their", theirs)):
        if facts is not None and facts.mapping in _GIVES:
            return Explanation(f"{whose} NAT gives {_GIVES[facts.mapping]}", _FORWARD)
    return None


def _nat(facts: NatFacts | None) -> Nat | None:
    if facts is None or facts.mapping is None or facts.filtering is None:
        return None
    is_fixed = facts.mapping is Mapping.ENDPOINT_INDEPENDENT
    usual = PortAllocation.PRESERVING if is_fixed else PortAllocation.RANDOM
    return Nat(
        facts.mapping,
        facts.filtering,
        facts.allocation or usual,
        bool(facts.order_sensitive),
    )
