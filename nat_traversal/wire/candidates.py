"""Where a socket may be reached (RFC 8445 section 5.1): the question for it, and the answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address at which a host may be reached (RFC 8445 section 4)."""

    kind: str
    """``srflx``, ``host`` or ``mapped``, or one that a later version knows."""
    endpoint: Endpoint
    validated: bool = False
    """The host has shown the server that it receives there (RFC 9000 section 8.1)."""


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """Server to client, step 1 of a round: open a fresh UDP socket and announce it."""

    generation: int
    """The announce must carry this number or a higher one."""
    goes_on: bool = False
    """The round before goes on beside the next: its socket stays open."""
    hosts: bool = False
    """Tell its host addresses as well: the peer seems to be in the same network."""
    ipv6: bool = False
    """Tell its IPv6 address as well."""
    samples: int = 0
    """Show so many further ports of the NAT, each by a `Sample` from a socket of its own: at most `MOST_SAMPLES`."""
    maps: bool = False
    """Let the router lead a port to it."""
    own_port: bool = False
    """Tell its port at the host itself, so that the server knows whether the NAT keeps it."""
    spare: bool = False
    """Open one more socket, which speaks to nobody yet, and tell its own port."""


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """Client to server: where that socket may be reached in its own network. The wire's name is ``hosts``."""

    generation: int
    candidates: tuple[Candidate, ...]
    port: int = 0
    """The socket's own, if it was asked for; else 0."""


@dataclass(frozen=True, slots=True)
class SparePort:
    """Client to server: the own port of the socket beside that one, which has spoken to nobody. The wire's name is
    ``spare``."""

    generation: int
    port: int


@dataclass(frozen=True, slots=True)
class PortMapped:
    """Client to server: this host's router says that its `port` leads to that socket. Without the nonce of a KNOCK:
    find out whether it does. The wire's name is ``mapped``."""

    generation: int
    port: int
    nonce: bytes = field(default=b"", repr=False)
    """As it came; empty: none has."""


@dataclass(frozen=True, slots=True)
class AddedCandidates:
    """Server to client: the peer may be reached there as well, in this round. The wire's name is ``added``."""

    attempt: int
    round: int
    candidates: tuple[Candidate, ...]
