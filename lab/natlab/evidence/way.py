"""By which way the datagrams of two hosts reach each other, whatever program sent them. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from natlab.capture.packet import Protocol
from natlab.evidence.fates import Fates, Travel

_CLOSE = 1.0
"""Seconds within which a relay passes on what it received."""
_LEAST, _FRAMING = 8, 64
"""Octets that two datagrams must share to be one that was relayed; and how much a relay adds at most
(RFC 8656: 4 in a channel, 36 in an indication, and what an extension needs)."""


class Kind(StrEnum):
    """How datagrams of two hosts reach each other."""

    DIRECT = "direct"
    RELAYED = "relayed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PathFound:
    """The way on which two hosts' datagrams went both ways, as late in the capture as there was one."""

    kind: Kind
    through: str | None = None
    """The node that relayed."""
    since: float | None = None
    """Since when they went both ways on it, in seconds since 1970."""

    def __str__(self) -> str:
        return f"relayed through {self.through}" if self.through else str(self.kind)


def path_between(fates: Fates, one: str, other: str) -> PathFound:
    """By the UDP packets that hosts `one` and `other` received.

    A datagram is relayed if a third node sends on, within a second, what one host sent it, in whatever
    frame (TURN). What a relay encrypts anew is not recognised.
    """
    firsts: dict[str | None, dict[str, float]] = defaultdict(dict)
    latest: str | None = None
    found = False
    for time, sender, through in _passed_on(fates.travels, one, other):
        firsts[through].setdefault(sender, time)
        if len(firsts[through]) == 2:
            latest, found = through, True
    if not found:
        return PathFound(Kind.NONE)
    kind = Kind.DIRECT if latest is None else Kind.RELAYED
    return PathFound(kind, latest, max(firsts[latest].values()))


def _passed_on(
    travels: Iterable[Travel], one: str, other: str
) -> Iterator[tuple[float, str, str | None]]:
    """When a datagram of which host came to the other, and through which node (None: directly)."""
    pair: Mapping[str, str] = {one: other, other: one}
    waiting: dict[tuple[str, str], deque[tuple[float, bytes]]] = defaultdict(deque)
    arrivals = [
        (arrival.time, travel, arrival)
        for travel in travels
        if travel.is_delivered
        and (arrival := travel.hops[-1].arrival) is not None
        and arrival.protocol is Protocol.UDP
        and arrival.payload
    ]
    for time, travel, arrival in sorted(arrivals, key=lambda each: each[0]):
        assert travel.end is not None
        if pair.get(travel.sender) == travel.end:
            yield time, travel.sender, None
        elif travel.sender in pair:
            waiting[travel.sender, travel.end].append((time, arrival.payload))
        elif travel.end in pair:
            held = waiting[pair[travel.end], travel.sender]
            sent = travel.hops[0].packet.time
            while held and held[0][0] < sent - _CLOSE:
                held.popleft()
            if any(came <= sent and _carries(inner, arrival.payload) for came, inner in held):
                yield time, pair[travel.end], travel.sender


def _carries(one: bytes, other: bytes) -> bool:
    """The middle of the shorter is in the longer, which is little more."""
    short, long = sorted((one, other), key=len)
    middle = max(0, len(short) // 2 - _LEAST // 2)
    return len(long) - len(short) <= _FRAMING and short[middle : middle + _LEAST] in long
