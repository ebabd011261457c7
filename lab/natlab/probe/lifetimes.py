"""How long the mappings of a NAT live, and what makes them live on, asked of one in real time.

Everything is counted by what is certain: of a mapping that was found open the least age that it can
have had, of a closed one the greatest. After a pause of this machine, which says nothing about the
NAT, it asks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING

from nat_traversal.wire.behavior import Refresh
from nat_traversal.wire.endpoint import Endpoint
from natlab.errors import NetworkError
from natlab.probe.finding import Finding, claim
from natlab.probe.sockets import SAME_ENDPOINT, Exchange

if TYPE_CHECKING:
    import socket

    from natlab.probe.tcp_lifetimes import TcpLifetimes

LIFETIME = 2
"""Seconds that the mappings and the TCP connections live whose end is waited for."""
TOLERANCE = 0.1

_AGES = (0.85, 0.91, 0.94, 0.97, 1.0, 1.03, 1.06, 1.09)
"""Of the lifetime, when a mapping is asked whether it lives."""
_REFRESHED_AT, _ASKED_AT = 0.6, 1.3
_ROUNDS = 3
"""Of asking, at most: as many as it takes to tell whether the lifetime is right."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The findings. Ages are over the configured lifetime."""

    alive: float
    """The oldest age at which a mapping was open."""
    dead: float
    """The youngest at which one was closed; infinite if none was."""
    kept_by_outbound: bool
    kept_by_inbound: bool
    """Whether a packet of that direction made a mapping live on."""

    def is_as_configured(self, tolerance: float) -> bool:
        return self.alive >= 1 - tolerance and self.dead <= 1 + tolerance


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A fresh mapping. It was made after `since` and before `until`."""

    exchange: Exchange
    inside: socket.socket
    target: Endpoint
    since: float
    until: float

    @classmethod
    def make(cls, exchange: Exchange) -> _Mapped:
        inside = exchange.inside()
        since = time.monotonic()
        target = exchange.send_out("lifetime", inside, exchange.remotes[SAME_ENDPOINT])
        return cls(exchange, inside, target, since, time.monotonic())

    def refresh(self) -> None:
        self.exchange.send_out("refresh", self.inside, self.exchange.remotes[SAME_ENDPOINT])

    def is_open(self) -> bool:
        remote = self.exchange.remotes[SAME_ENDPOINT]
        return self.exchange.send_in("lifetime", remote, self.target, self.inside).arrived


@dataclass(slots=True)
class _Refreshed:
    """A fresh mapping that one packet may have refreshed while it lived."""

    mapped: _Mapped
    packet: Callable[[_Mapped], object]
    shortest: float
    longest: float
    """Seconds that a mapping certainly lives, and certainly does not live longer than."""
    sent_after: float = 0.0
    sent_in_time: bool = False

    def send(self) -> None:
        self.sent_after = time.monotonic()
        self.packet(self.mapped)
        self.sent_in_time = time.monotonic() - self.mapped.since < self.shortest

    def lives(self) -> bool | None:
        """Whether it lives beyond its first time. None if a pause has made that impossible to tell."""
        first_is_over = time.monotonic() - self.mapped.until > self.longest
        is_open = self.mapped.is_open()
        second_is_not = time.monotonic() - self.sent_after < self.shortest
        return is_open if self.sent_in_time and first_is_over and second_is_not else None


_PACKETS: dict[str, Callable[[_Mapped], object]] = {
    "outbound": _Mapped.refresh,
    "inbound": _Mapped.is_open,
}


def findings(
    exchange: Exchange, refresh: Refresh, tcp: TcpLifetimes | None = None
) -> tuple[list[Finding], float]:
    """How long the NAT's mappings live, and what makes them live on; what is found, and the part of `LIFETIME`.

    Meanwhile `tcp` asks about connections.
    """
    found = measure(exchange, LIFETIME, TOLERANCE, tcp)
    kept = {
        Refresh.OUTBOUND: (True, False),
        Refresh.BOTH: (True, True),
        Refresh.ABSOLUTE: (False, False),
    }[refresh]
    wanted = f"within {TOLERANCE:.0%}"
    range_ = f"{found.alive:.2f} to {found.dead:.2f} of what is configured"
    return [
        Finding("lifetime", wanted, wanted if found.is_as_configured(TOLERANCE) else range_),
        claim("outbound packets refresh", kept[0], found.kept_by_outbound),
        claim("inbound packets refresh", kept[1], found.kept_by_inbound),
        *(tcp.findings(TOLERANCE) if tcp else ()),
    ], (found.alive + found.dead) / 2


def measure(
    exchange: Exchange, lifetime: float, tolerance: float, tcp: TcpLifetimes | None = None
) -> Lifetimes:
    """Ask a NAT whose mappings are to live `lifetime` seconds, more or less by a part of `tolerance`.

    Meanwhile `tcp` asks about connections. It takes 1.3 times that, and thrice as long at most. Raises `NetworkError` if this machine paused
    every time.
    """
    open_at: dict[float, bool] = {}
    lived_on: dict[str, bool | None] = dict.fromkeys(_PACKETS)
    for _ in range(_ROUNDS):
        began = time.monotonic()
        refreshed = {
            way: _Refreshed(
                _Mapped.make(exchange),
                packet,
                (1 - tolerance) * lifetime,
                (1 + tolerance) * lifetime,
            )
            for way, packet in _PACKETS.items()
            if lived_on[way] is None
        }
        fresh = {age: _Mapped.make(exchange) for age in _AGES}
        connections = [*tcp.agenda()] if tcp and not tcp.is_told(tolerance) else []
        _carry_out(
            exchange,
            began,
            [
                *((_REFRESHED_AT * lifetime, each.send) for each in refreshed.values()),
                *(
                    (age * lifetime, partial(_ask, mapped, open_at, lifetime))
                    for age, mapped in fresh.items()
                ),
                *connections,
            ],
        )
        for way, each in refreshed.items():
            _sleep_until(began + _ASKED_AT * lifetime)
            exchange.open_fence()
            lived_on[way] = each.lives()
        dead = min((age for age, is_open in open_at.items() if not is_open), default=inf)
        alive = max(
            (age for age, is_open in open_at.items() if is_open and age < dead), default=0.0
        )
        outbound, inbound = lived_on["outbound"], lived_on["inbound"]
        if outbound is None or inbound is None:
            continue
        found = Lifetimes(alive, dead, outbound, inbound)
        is_wrong = dead < 1 - tolerance or alive > 1 + tolerance
        is_told = tcp is None or tcp.is_told(tolerance)
        if is_told and (is_wrong or found.is_as_configured(tolerance)):
            return found
    if None in lived_on.values():
        raise NetworkError("this machine paused whenever it should have asked what was refreshed")
    return found


def _ask(mapped: _Mapped, open_at: dict[float, bool], lifetime: float) -> None:
    before = time.monotonic()
    if mapped.is_open():
        open_at[(before - mapped.until) / lifetime] = True
    else:
        open_at[(time.monotonic() - mapped.since) / lifetime] = False


def _carry_out(
    exchange: Exchange, began: float, agenda: Iterable[tuple[float, Callable[[], object]]]
) -> None:
    """Do each action so many seconds after `began`."""
    for seconds, action in sorted(agenda, key=itemgetter(0)):
        _sleep_until(began + seconds)
        exchange.open_fence()
        action()


def _sleep_until(then: float) -> None:
    # The kernel's timers run at their own pace, which is what is measured.
    time.sleep(max(0.0, then - time.monotonic()))
