"""The services of one host for one peer, as hosts tell each other in CONTROL: named, numbered, each of one kind and side."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nat_traversal.errors import UsageError, WireError

UNNAMED = 0
"""The number of the one service without a name, of which nothing is told."""
MOST_SERVICES = 127
"""With names, of one peer: a frame has 7 bits for the number."""
MAX_SERVICE_NAME = 32
"""Characters."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_SERVICE_NAME - 1}}}")
_PART = struct.Struct("!HB")
"""Revision, and 1 if more parts follow."""
_ENTRY = struct.Struct("!BBBB")
"""Number, kind, flags, and the octets of the name that follows."""
_CONNECTS, _REFUSES = 1, 2
MAX_REVISION = 65_535


class ServiceKind(StrEnum):
    """The programs that a service is for. The wire has its place in this order, from 1."""

    UDP = "udp"
    TCP = "tcp"


KINDS = tuple(ServiceKind)


class Side(StrEnum):
    """The side of a service that a host has."""

    LISTEN = "listen"
    CONNECT = "connect"

    @property
    def other(self) -> Side:
        """The side that the peer must have."""
        return Side.CONNECT if self is Side.LISTEN else Side.LISTEN


@dataclass(frozen=True, slots=True)
class ServiceOffer:
    """One service of a host for one peer."""

    number: int
    """From 1 to `MOST_SERVICES`: frames to this host bear it."""
    name: str
    side: Side
    kind: ServiceKind | None = ServiceKind.UDP
    """None: one of a later version."""
    refuses: bool = False
    """Nothing listens where this host connects to."""


@dataclass(frozen=True, slots=True)
class ServicesPart:
    """One message of the list: the last has `more` False."""

    revision: int
    """Counts the lists of one process, from 1 to `MAX_REVISION`, then 1 again."""
    more: bool
    offers: tuple[ServiceOffer, ...]


def check_service_name(text: str) -> str:
    """Return `text` if it can name a service, else raise `UsageError` with the rule."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} cannot name a service: 1 to {MAX_SERVICE_NAME} letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return text


def encode_services(revision: int, offers: Sequence[ServiceOffer], most: int) -> list[bytes]:
    """The messages that tell `offers`, of at most `most` octets each; one even where there are none."""
    bodies: list[list[bytes]] = [[]]
    room = most - _PART.size
    left = room
    for entry in map(_encode, offers):
        if len(entry) > left:
            bodies.append([])
            left = room
        bodies[-1].append(entry)
        left -= len(entry)
    last = len(bodies) - 1
    return [
        _PART.pack(revision, index < last) + b"".join(entries)
        for index, entries in enumerate(bodies)
    ]


def decode_services(octets: bytes) -> ServicesPart:
    """One message. Raises `WireError`, also for numbers or names that come twice."""
    if len(octets) < _PART.size:
        raise WireError("a list of services is shorter than its head")
    revision, more = _PART.unpack_from(octets)
    if more and len(octets) == _PART.size:
        raise WireError("a part of a list of services that goes on has none")
    offers: list[ServiceOffer] = []
    at = _PART.size
    while at < len(octets):
        if len(octets) - at < _ENTRY.size:
            raise WireError("a service is shorter than its head")
        number, kind, flags, size = _ENTRY.unpack_from(octets, at)
        at += _ENTRY.size
        name = octets[at : at + size].decode("ascii", "replace")
        at += size
        if at > len(octets) or not _NAME.fullmatch(name):
            raise WireError("a service's name has not its form")
        if not UNNAMED < number <= MOST_SERVICES:
            raise WireError(f"{number} is no service's number")
        side = Side.CONNECT if flags & _CONNECTS else Side.LISTEN
        known = KINDS[kind - 1] if 0 < kind <= len(KINDS) else None
        offers.append(ServiceOffer(number, name, side, known, bool(flags & _REFUSES)))
    check_distinct(offers)
    return ServicesPart(revision, bool(more), tuple(offers))


def check_distinct(offers: Iterable[ServiceOffer]) -> None:
    """Raise `WireError` if two have one name or one number."""
    listed = list(offers)
    for values in ({each.name for each in listed}, {each.number for each in listed}):
        if len(values) < len(listed):
            raise WireError("a list has one service twice")


def _encode(offer: ServiceOffer) -> bytes:
    name = offer.name.encode("ascii")
    kind = 0 if offer.kind is None else KINDS.index(offer.kind) + 1
    flags = _CONNECTS * (offer.side is Side.CONNECT) | _REFUSES * offer.refuses
    return _ENTRY.pack(offer.number, kind, flags, len(name)) + name
