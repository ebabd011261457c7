"""A TURN server of a host's own (RFC 8656): its URI, and the messages about an address that it relays for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec

from nat_traversal.errors import UsageError
from nat_traversal.wire.candidates import Candidate
from nat_traversal.wire.endpoint import HostPort, parse_host_port
from nat_traversal.wire.offers import Offer

PORT, TLS_PORT = 3478, 5349
"""The defaults (RFC 7065 section 3.2)."""
_URI = re.compile(r"(turns?):([^?/]+)(?:\?transport=(udp|tcp))?")
_FORM = "turn:HOST[:PORT][?transport=udp|tcp], or turns: for TLS"
LIBRARY = "aioice"
"""Speaks TURN."""


def check_library() -> None:
    """Raises `UsageError` where the package for TURN is missing."""
    if find_spec(LIBRARY) is None:
        raise UsageError(f"TURN needs {LIBRARY}: pip install 'nat-traversal[turn]'")


@dataclass(frozen=True, slots=True)
class TurnUri:
    """Where a TURN server is, and how it is reached (RFC 7065)."""

    at: HostPort
    by_tcp: bool = False
    tls: bool = False
    """Over TCP, with the host's name in the server's certificate."""

    def __str__(self) -> str:
        scheme = "turns" if self.tls else "turn"
        return f"{scheme}:{self.at}?transport={'tcp' if self.by_tcp else 'udp'}"


def parse_turn(text: str) -> TurnUri:
    """A URI as users write it. Raises `UsageError`, which repeats no more than the form: a password may stand there."""
    found = _URI.fullmatch(text)
    if found is None or "@" in text:
        raise UsageError(f"this is no TURN server: write {_FORM}, and no name or password in it")
    scheme, place, transport = found.groups()
    tls = scheme == "turns"
    if tls and transport == "udp":
        raise UsageError("turns: goes over TCP: leave ?transport=udp out, or write turn:")
    at = parse_host_port(place, default_port=TLS_PORT if tls else PORT)
    return TurnUri(at, by_tcp=tls or transport == "tcp", tls=tls)


class TurnPart(StrEnum):
    """The part that a client takes in a path through a TURN server."""

    NEVER = ""
    TAKES = "takes"
    """It speaks to an address that the peer's TURN server relays for."""
    HAS = "has"
    """It has a TURN server as well."""


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Server to both clients: one of the two has its TURN server relay for the pair. The wire's name is ``turn``."""

    relay: int
    """Counted with the server's own relays."""
    token: bytes = field(repr=False)
    peer: Offer
    """With the peer's `Register.relay_public`."""
    candidates: tuple[Candidate, ...] = ()
    """To the one whose TURN server it is: where the peer was seen, for the permissions. To the other: none."""


@dataclass(frozen=True, slots=True)
class TurnAddress:
    """By the server from host to host: my TURN server relays for this pair there. The wire's name is ``turned``."""

    relay: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A client's own TURN server, and the credentials for it (RFC 8489 section 9.2); empty: it wants none."""

    uri: TurnUri
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    """Of a `turns:` server: the CA certificates to trust instead of the system's, in PEM form."""
