"""A NAT as one value: RFC 4787's terms, the lab's own flags, and the id that says both. Pure.

A NAT is a `NatBehavior`. It has an id, ``MAPPING+FILTERING[+FLAG...]``, for example ``EIM+ADF`` or
``APDM+APDF+sequential+30s``; `natlab.presets.preset` takes an id wherever it takes a preset's name.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import (
    FILTERING_IDS,
    MAPPING_IDS,
    Filtering,
    Hairpin,
    Mapping,
    PortAllocation,
    Refresh,
)


class Unsolicited(StrEnum):
    """How a NAT treats a packet from outside that its filter does not let in."""

    DROP = "drop"
    """Silence."""

    REJECT = "reject"
    """Answered with ICMP port unreachable."""

    ORDER_SENSITIVE = "order-sensitive"
    """Stock Linux masquerading without an input drop rule: the router takes the packet as its own,
    and the inside host's later packet on the same 5-tuple leaves from another port
    (`docs/lab/how-it-works.md`, "The order-sensitive NAT")."""


class Protocols(StrEnum):
    """The protocols that pass at all, in either direction."""

    ANY = "any-protocol"
    NO_UDP = "no-udp"
    """Everything but UDP."""
    TCP_ONLY = "tcp-only"
    """Neither UDP nor anything else: no ICMP either, so no ping and no path MTU discovery."""


LIFETIME = 120
"""Seconds without a refresh until a mapping ends: the least that RFC 4787 REQ-5 allows."""


@dataclass(frozen=True, slots=True)
class NatBehavior:
    """One NAT, as a value. `lifetime` is in whole seconds, from 1. Raises `UsageError` for less."""

    mapping: Mapping
    filtering: Filtering
    unsolicited: Unsolicited = Unsolicited.DROP
    allocation: PortAllocation = PortAllocation.PRESERVING
    hairpin: Hairpin = Hairpin.NONE
    refresh: Refresh = Refresh.OUTBOUND
    lifetime: int = LIFETIME
    protocols: Protocols = Protocols.ANY

    def __post_init__(self) -> None:
        if self.lifetime < 1:
            raise UsageError(f"a NAT mapping cannot live {self.lifetime} seconds: give 1 or more")

    @property
    def blocks_udp(self) -> bool:
        return self.protocols is not Protocols.ANY

    def __str__(self) -> str:
        """The id, which `parse_behavior` reads. Usual flags of the mapping are left out."""
        usual = usual_behavior(self.mapping, self.filtering)
        parts = [MAPPING_IDS[self.mapping], FILTERING_IDS[self.filtering]]
        parts += [
            str(ours)
            for ours, theirs in (
                (self.allocation, usual.allocation),
                (self.hairpin, usual.hairpin),
                (self.unsolicited, usual.unsolicited),
                (self.refresh, usual.refresh),
                (self.protocols, usual.protocols),
            )
            if ours is not theirs
        ]
        parts += [f"{self.lifetime}s"] if self.lifetime != usual.lifetime else []
        return "+".join(parts)


FLAGS: MappingABC[str, tuple[str, object]] = {
    str(term): (field, term)
    for field, terms in (
        ("allocation", PortAllocation),
        ("hairpin", Hairpin),
        ("unsolicited", Unsolicited),
        ("refresh", Refresh),
        ("protocols", Protocols),
    )
    for term in terms
}
NINE = tuple(
    f"{mapping}+{filtering}"
    for mapping in MAPPING_IDS.values()
    for filtering in FILTERING_IDS.values()
)
"""The ids of every pair of a mapping and a filtering behaviour."""


def usual_behavior(mapping: Mapping, filtering: Filtering) -> NatBehavior:
    """The NAT that an id of this pair means without flags: only EIM preserves ports."""
    keeps = mapping is Mapping.ENDPOINT_INDEPENDENT
    allocation = PortAllocation.PRESERVING if keeps else PortAllocation.RANDOM
    return NatBehavior(mapping, filtering, allocation=allocation)


def parse_behavior(text: str) -> NatBehavior:
    """The behaviour with the id `text`.

    After mapping and filtering come flags in any order, each at most once: a value of
    `PortAllocation`, `Hairpin`, `Unsolicited`, `Refresh` or `Protocols`, a lifetime such as ``30s``
    or ``2m``.
    Without them: ``preserving`` for EIM and ``random`` for the others, ``no-hairpin``, ``drop``,
    ``outbound-refresh``, ``any-protocol``, ``120s``. Raises `UsageError`.
    """
    first, _, rest = text.partition("+")
    second, *flags = rest.split("+")
    mapping = next((term for term, short in MAPPING_IDS.items() if short == first), None)
    filtering = next((term for term, short in FILTERING_IDS.items() if short == second), None)
    if mapping is None or filtering is None:
        raise UsageError(
            f"{text!r} is no NAT behaviour: give {'|'.join(MAPPING_IDS.values())}, a plus, and"
            f" {'|'.join(FILTERING_IDS.values())}"
        )
    usual = usual_behavior(mapping, filtering)
    chosen: dict[str, Any] = {}
    field: str
    value: object
    for flag in flags:
        if flag[:1].isdigit():
            field, value = "lifetime", _whole_seconds(flag)
        elif flag in FLAGS:
            field, value = FLAGS[flag]
        else:
            raise UsageError(
                f"{text!r}: unknown flag {flag!r}: choose from 30s, {', '.join(FLAGS)}"
            )
        if field in chosen:
            raise UsageError(f"{text!r} says its {field} twice")
        chosen[field] = value
    return replace(usual, **chosen)


def _whole_seconds(text: str) -> int:
    seconds = parse_duration(text, most=999_999)
    if seconds != int(seconds):
        raise UsageError(f"{text!r} is no lifetime: give whole seconds, as 30s")
    return int(seconds)
