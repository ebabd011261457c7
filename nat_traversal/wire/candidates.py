"""Where a socket may be reached (RFC 8445 section 5.1), as messages carry it."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address at which a host may be reached (RFC 8445 section 4). Today always server-reflexive."""

    kind: str
    endpoint: Endpoint
    validated: bool = False
    """The host has shown the server that it receives there (RFC 9000 section 8.1)."""


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """Client to server: where that socket may be reached in its own network. The wire's name is ``hosts``."""

    generation: int
    candidates: tuple[Candidate, ...]
