"""By which way the datagrams of two hosts reach each other, whatever program sent them. Pure.

A program's datagrams may be sealed. So there are two ways to know it again behind a relay: by octets
that both sides of the relay have in common, or by the sizes and moments of the lab's own probes.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from operator import attrgetter

from nat_traversal.wire.methods import RELAYS, MethodName
from natlab.capture.packet import Protocol
from natlab.evidence.fates import Fates, Travel

_CLOSE = 1.0
"""Seconds within which a relay passes on what it received."""
_LEAST, _FRAMING = 8, 64
"""Octets that two datagrams must share to be one that was relayed; and how much a relay adds at most
(RFC 8656: 4 in a channel, 36 in an indication, and what an extension needs)."""
_SEALING = 160
"""Octets that tunnels, seals, paddings and relays may add to a probe, all together."""
_MOST_LEGS = 4
_CARRIERS = (Protocol.UDP, Protocol.TCP)


class Kind(StrEnum):
    """How datagrams of two hosts reach each other."""

    DIRECT = "direct"
    RELAYED = "relayed"
    NONE = "none"


def way_of(method: MethodName | None) -> Kind:
    """By which way datagrams go on that rung; None: on none."""
    if method is None:
        return Kind.NONE
    return Kind.RELAYED if method in RELAYS else Kind.DIRECT


@dataclass(frozen=True, slots=True)
class PathFound:
    """The way on which two hosts' datagrams went both ways, as late in the capture as there was one."""

    kind: Kind
    through: str | None = None
    """The node that relayed; several with ``, `` between."""
    since: float | None = None
    """Since when they went both ways on it, in seconds since 1970."""
    first: float | None = None
    """When the first datagram of either host came to the other, by whatever way."""
    endpoints: tuple[str, ...] = ()
    """Of a direct path: the endpoints of the first and of the other host, as each other saw them."""

    def __str__(self) -> str:
        return f"relayed through {self.through}" if self.through else str(self.kind)


@dataclass(frozen=True, slots=True)
class Probe:
    """A datagram of the lab's that a program carried from one host to another. Times in seconds since 1970."""

    size: int
    """Octets."""
    sent: float
    reached: float | None = None
    """When it came out at the other end."""
    answered: float | None = None
    """When an answer of the same size came back."""


@dataclass(frozen=True, slots=True)
class _Crossing:
    """A datagram that came from one host to the other."""

    time: float
    sender: str
    through: str | None
    source: str
    """As its receiver saw it."""


def path_between(
    fates: Fates,
    one: str,
    other: str,
    payload: str | Callable[[bytes], bool] | None = None,
    until: float = inf,
) -> PathFound:
    """By the UDP packets that hosts `one` and `other` received, before `until`.

    A datagram is relayed if a third node sends on, within a second, what one host sent it, in whatever
    frame (TURN). A datagram that a relay encrypts anew is not recognised. With `payload` only datagrams count in
    which that regular expression finds something, or of which that function says so.
    """
    firsts: dict[str | None, dict[str, _Crossing]] = defaultdict(dict)
    latest: str | None = None
    found = False
    first: float | None = None
    for crossing in _passed_on(fates.travels, one, other, _wanted(payload)):
        if crossing.time >= until:
            break
        first = crossing.time if first is None else first
        way = firsts[crossing.through]
        way.setdefault(crossing.sender, crossing)
        if len(way) == 2:
            latest, found = crossing.through, True
    if not found:
        return PathFound(Kind.NONE, first=first)
    kind = Kind.DIRECT if latest is None else Kind.RELAYED
    both = firsts[latest]
    since = max(crossing.time for crossing in both.values())
    seen_as = tuple(both[host].source for host in (one, other)) if latest is None else ()
    return PathFound(kind, latest, since, first, seen_as)


def _wanted(payload: str | Callable[[bytes], bool] | None) -> Callable[[bytes], bool]:
    if payload is None:
        return bool
    if callable(payload):
        return payload
    pattern = re.compile(payload.encode(errors="surrogateescape"))
    return lambda octets: pattern.search(octets) is not None


def path_of_probes(fates: Fates, probes: Sequence[Probe], one: str, other: str) -> PathFound:
    """By the packets whose sizes and moments are those of the lab's probes from `one` to `other`.

    The way of the last answered probes counts, and `since` is when the first of these reached its end.
    """
    answered = [probe for probe in probes if probe.answered is not None]
    reached = [probe.reached for probe in probes if probe.reached is not None]
    if not answered:
        return PathFound(Kind.NONE, first=min(reached, default=None))
    legs = _legs(fates.travels)
    carried = [_carriers(legs, probe, one, other) for probe in answered]
    votes = Counter(way for ways in carried[-_VOTERS:] for way in ways)
    if not votes:
        return PathFound(Kind.NONE, first=min(reached))
    most = max(votes.values())
    through = next(way for way in votes if votes[way] == most)
    begin = len(answered) - 1
    while begin > 0 and through in carried[begin - 1]:
        begin -= 1
    travel = carried[-1].get(through) or next(ways[through] for ways in carried if through in ways)
    kind = Kind.RELAYED if through else Kind.DIRECT
    found = PathFound(kind, ", ".join(through) or None, answered[begin].reached, min(reached))
    if travel is None:
        return found
    seen_as = str(travel.hops[-1].packet.source), str(travel.hops[0].packet.destination)
    return replace(found, endpoints=seen_as)


_VOTERS = 5
_Through = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Leg:
    sent: float
    arrived: float
    sender: str
    end: str
    size: int
    travel: Travel


def _legs(travels: Iterable[Travel]) -> list[_Leg]:
    """Every packet that came from one node to another, in order of its arrival."""
    found = [
        _Leg(
            travel.hops[0].packet.time,
            arrival.time,
            travel.sender,
            travel.end,
            len(arrival.payload),
            travel,
        )
        for travel in travels
        if travel.is_delivered
        and travel.end is not None
        and (arrival := travel.hops[-1].arrival) is not None
        and arrival.protocol in _CARRIERS
    ]
    return sorted(found, key=lambda leg: leg.arrived)


def _carriers(
    legs: list[_Leg], probe: Probe, one: str, other: str
) -> dict[_Through, Travel | None]:
    """The ways on which packets of the probe's size went from `one` to `other` in its time.

    Of several only the one that was first; two that were equally fast cannot be told apart.
    """
    assert probe.reached is not None
    first = bisect_left(legs, probe.sent, key=attrgetter("arrived"))
    last = bisect_right(legs, probe.reached, key=attrgetter("arrived"))
    fitting = [
        leg
        for leg in legs[first:last]
        if probe.sent <= leg.sent and probe.size <= leg.size <= probe.size + _SEALING
    ]
    at: dict[str, _Through] = {one: ()}
    for leg in fitting:
        if leg.sender not in at or leg.end in at:
            continue
        if leg.end == other:
            return {at[leg.sender]: leg.travel if leg.sender == one else None}
        if len(at[leg.sender]) < _MOST_LEGS:
            at[leg.end] = (*at[leg.sender], leg.end)
    return {}


def _passed_on(
    travels: Iterable[Travel], one: str, other: str, wanted: Callable[[bytes], bool]
) -> Iterator[_Crossing]:
    """The datagrams of each host that came to the other, and through which node (None: directly)."""
    pair: Mapping[str, str] = {one: other, other: one}
    waiting: dict[tuple[str, str], deque[tuple[float, bytes]]] = defaultdict(deque)
    arrivals = [
        (arrival.time, travel, arrival)
        for travel in travels
        if travel.is_delivered
        and (arrival := travel.hops[-1].arrival) is not None
        and arrival.protocol is Protocol.UDP
        and arrival.payload
        and wanted(arrival.payload)
    ]
    for time, travel, arrival in sorted(arrivals, key=lambda each: each[0]):
        assert travel.end is not None
        source = str(arrival.source)
        if pair.get(travel.sender) == travel.end:
            yield _Crossing(time, travel.sender, None, source)
        elif travel.sender in pair:
            waiting[travel.sender, travel.end].append((time, arrival.payload))
        elif travel.end in pair:
            held = waiting[pair[travel.end], travel.sender]
            sent = travel.hops[0].packet.time
            while held and held[0][0] < sent - _CLOSE:
                held.popleft()
            if any(came <= sent and _carries(inner, arrival.payload) for came, inner in held):
                yield _Crossing(time, pair[travel.end], travel.sender, source)


def _carries(one: bytes, other: bytes) -> bool:
    """The middle of the shorter is in the longer, which is little more."""
    short, long = sorted((one, other), key=len)
    middle = max(0, len(short) // 2 - _LEAST // 2)
    return len(long) - len(short) <= _FRAMING and short[middle : middle + _LEAST] in long
