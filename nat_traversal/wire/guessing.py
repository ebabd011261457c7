"""`birthday` on the wire: its numbers, which both hosts and the server know, and its two messages.

One host, the *opener*, is behind a NAT that gives every destination a port at random. It opens `SOCKETS` sockets, each of
which speaks to the other's one address and port. The other host, the *prober*, speaks from its one socket to `PROBES`
random ports of the opener's address. They meet if one of these ports belongs to one of the sockets. Of N ports the chance
to miss is about (1 - n/N)^m:

    n = 512 sockets, m = 640 probes, N = 64,512 ports (1,024 to 65,535): (1 - 512/64512)^640 = 0.6 %, so 99.4 % meet

Opener and prober so send 1,152 packets one after the other, in 8.2 s at `RATE`. With `MORE` probes while all sockets are open
no router gets more than 512 + 640 + 32 = 1,184 entries, even one that takes each foreign packet down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LOWEST, HIGHEST = 1024, 65_535
"""The ports that a NAT gives a socket above the well-known ones."""
SOCKETS = 512
PROBES = 640
MORE = 32
"""Probes after the sockets are open: for an opener's NAT that is order-sensitive, and needs its own packet to be first."""
RATE = 140.0
"""Packets a second of one side. With what a path's proof takes it stays below 150."""
LONGEST = PROBES / RATE + SOCKETS / RATE + MORE / RATE
"""Seconds of all three parts."""


@dataclass(frozen=True, slots=True)
class Agree:
    """Client to server to the peer: I take part in this round of many sockets and probes."""

    attempt: int
    round: int
    mac: bytes = field(default=b"", repr=False)
    """Under the round's key, so that no server can say it: 16 octets. Empty: I take no part now."""


@dataclass(frozen=True, slots=True)
class GuessLater:
    """Server to client: a round of many sockets and probes is due to this pair, but not yet. The wire's name is
    ``later``."""

    wait: float
    """Seconds."""
