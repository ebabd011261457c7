"""A router's answer to a request for a mapping, whatever the protocol; and the bounds of what it may say."""

from __future__ import annotations

from dataclasses import dataclass

ASKED_LIFETIME = 600
"""Seconds that a mapping is asked for: what a client that is killed leaves behind ends within ten minutes."""
LEAST_LIFETIME = 20
"""Seconds: a router that grants less is asked no more often for it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The router's `port` leads to the socket for so many seconds; 0 where that has just been ended."""

    port: int
    lifetime: int


@dataclass(frozen=True, slots=True)
class Denied:
    """The router speaks the protocol, and maps nothing. `reason` is for people who read logs."""

    reason: str


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """The router speaks the protocol's other version only."""


Answer = Granted | Denied | OtherVersion


def granted(port: int, lifetime: int) -> Answer:
    """The router's word about a mapping, within bounds."""
    if lifetime and not port:
        return Denied("port 0")
    return Granted(port, min(ASKED_LIFETIME, max(LEAST_LIFETIME, lifetime)) if lifetime else 0)
