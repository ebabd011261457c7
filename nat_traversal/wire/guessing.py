"""`birthday` on the wire: its numbers, which both hosts and the server know, and its two messages.

One host, the *opener*, is behind a NAT that gives every destination a port at random. It opens `SOCKETS` sockets, each of
which speaks to the other's one address and port. The other host, the *prober*, speaks from its one socket to `PROBES`
random ports of the opener's address. They meet if one of these ports belongs to one of the sockets. Of N ports the chance
to miss is about (1 - n/N)^m. With n = 544 sockets, m = 700 probes and the N = 64,512 ports from 1,024 up that is
(1 - 544/64512)^700 = 0.27 %. So 99.7 of 100 meet; 97 would take n * m = 3.51 N, and here n * m is 5.9 N.

Probes and sockets follow each other, in (700 + 544) / 144 = 8.6 s. No router gets more than 544 + 700 = 1,244 entries of
them, even one that makes an entry of each foreign packet.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.wire.behavior import Filtering, Mapping

LOWEST, HIGHEST = 1024, 65_535
"""The ports that a NAT gives a socket above the well-known ones."""
SOCKETS = 544
PROBES = 700
RATE = 144.0
"""Packets a second of one side: with a few at once, and the first word, no second has more than 150."""


@dataclass(frozen=True, slots=True)
class Agree:
    """Client to server to the peer: I take part in this round of many sockets and probes."""

    attempt: int
    round: int
    mac: bytes = field(default=b"", repr=False)
    """Under the round's key, so that no server can say it: 16 octets. Empty: I take no part now."""


@dataclass(frozen=True, slots=True)
class NatTold:
    """Client to server: my NAT behaves so, as I have found out with the help of a server of two addresses. The wire's name is
    ``nat``."""

    mapping: Mapping
    filtering: Filtering

    @property
    def lets_guesses_in(self) -> bool:
        """The host has one port for each address to which it speaks, and everything from there is let in. So that port may be guessed
        from any port there, and answers come from it."""
        is_by_address = self.mapping is Mapping.ADDRESS_DEPENDENT
        return is_by_address and self.filtering is not Filtering.ADDRESS_AND_PORT_DEPENDENT


@dataclass(frozen=True, slots=True)
class GuessLater:
    """Server to client: a round of many sockets and probes is due to this pair, but not yet. The wire's name is
    ``later``."""

    wait: float
    """Seconds."""
