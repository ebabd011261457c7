"""The option `--service`: named services beside the one of `--listen` and `--connect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import HostPort, parse_host_port
from nat_traversal.wire.services import (
    MOST_SERVICES,
    ServiceKind,
    ServiceOffer,
    Side,
    check_service_name,
)

_FORM = "write NAME:listen=[HOST:]PORT or NAME:connect=HOST:PORT"


@dataclass(frozen=True, slots=True)
class NamedEnd:
    """This side's end of one named service."""

    name: str
    side: Side
    at: HostPort
    """Where local programs send to, or where the service is."""

    def __str__(self) -> str:
        return f"{self.name}:{self.side}={self.at}"


def parse_service(text: str) -> NamedEnd:
    """One ``NAME:listen=[HOST:]PORT`` or ``NAME:connect=HOST:PORT``. Raises `UsageError`."""
    name, colon, rest = text.partition(":")
    side, equals, at = rest.partition("=")
    if not (colon and equals) or side not in set(Side):
        raise UsageError(f"{text!r} is no service: {_FORM}")
    check_service_name(name)
    if at.startswith(f"{ServiceKind.TCP}:"):
        raise UsageError(f"{text!r}: a service carries UDP only; tcp is not there yet")
    host = "127.0.0.1" if side == Side.LISTEN else None
    return NamedEnd(name, Side(side), parse_host_port(at, default_host=host))


def check_services(ends: Sequence[NamedEnd], listen: HostPort | None) -> tuple[NamedEnd, ...]:
    """`ends` as they go together, beside the port of ``--listen``. Raises `UsageError`."""
    if len(ends) > MOST_SERVICES:
        raise UsageError(f"more than {MOST_SERVICES} times --service: run a second client")
    names: dict[str, NamedEnd] = {}
    ports = {} if listen is None else {listen: f"--listen {listen}"}
    for end in ends:
        before = names.setdefault(end.name, end)
        if before is not end:
            raise UsageError(f"--service {before} and --service {end} have one name: rename one")
        if end.side is Side.LISTEN and end.at.port:
            other = ports.setdefault(end.at, f"--service {end}")
            if other != f"--service {end}":
                raise UsageError(f"{other} and --service {end} have one port: change one")
    return tuple(ends)


def offer_of(number: int, end: NamedEnd) -> ServiceOffer:
    """`end` as the other side is told of it, by this side's `number`."""
    return ServiceOffer(number, end.name, end.side)
