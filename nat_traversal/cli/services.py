"""The option `--service`: named services beside the one of `--listen` and `--connect`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import HostPort, parse_host_port
from nat_traversal.wire.services import (
    MOST_SERVICES,
    ServiceKind,
    ServiceOffer,
    Side,
    check_service_name,
)

_FORM = "write NAME:listen=[HOST:]PORT or NAME:connect=HOST:PORT, with tcp: before the address of a TCP service"
_TCP = f"{ServiceKind.TCP}:"
QUIC = "aioquic~=1.7.2"
"""The package of the extra ``tcp``. Its own name works also where nat-traversal was installed from a checkout."""
LACKS_QUIC = "TCP services need one more package"
UNNAMED_TCP = "tcp"
"""The name that a TCP service of ``--listen`` and ``--connect`` bears towards the other side."""


@dataclass(frozen=True, slots=True)
class NamedEnd:
    """This side's end of one named service."""

    name: str
    side: Side
    at: HostPort
    """Where local programs send to, or where the service is."""
    kind: ServiceKind = ServiceKind.UDP

    def __str__(self) -> str:
        return f"{self.name}:{self.side}={self.address}"

    @property
    def address(self) -> str:
        """Where it is, as a user writes it."""
        return f"{_TCP if self.kind is ServiceKind.TCP else ''}{self.at}"


def parse_service(text: str) -> NamedEnd:
    """One ``NAME:listen=[HOST:]PORT`` or ``NAME:connect=HOST:PORT``. Raises `UsageError`."""
    name, colon, rest = text.partition(":")
    side, equals, at = rest.partition("=")
    if not (colon and equals) or side not in set(Side):
        raise UsageError(f"{text!r} is no service: {_FORM}")
    check_service_name(name)
    return _end(name, Side(side), at)


def parse_end(side: Side, text: str) -> HostPort | NamedEnd:
    """The address of ``--listen`` or ``--connect``. With ``tcp:`` before it, it is a service with a name: the same on
    both sides. Raises `UsageError`."""
    if not text.startswith(_TCP):
        return _address(side, text)
    return _end(UNNAMED_TCP, side, text)


def _end(name: str, side: Side, text: str) -> NamedEnd:
    kind = ServiceKind.TCP if text.startswith(_TCP) else ServiceKind.UDP
    at = text.removeprefix(_TCP) if kind is ServiceKind.TCP else text
    return NamedEnd(name, side, _address(side, at), kind)


def _address(side: Side, text: str) -> HostPort:
    if side is Side.CONNECT:
        return parse_host_port(text)
    at = parse_host_port(text, default_host="127.0.0.1")
    if at.host.lower() in set(ServiceKind):
        raise UsageError(
            f"{text!r} is no address to listen at: write PORT for UDP and {_TCP}PORT for TCP"
        )
    return at


def check_services(ends: Sequence[NamedEnd], listen: HostPort | None) -> tuple[NamedEnd, ...]:
    """`ends` as they go together, beside the port of ``--listen``. Raises `UsageError`."""
    if len(ends) > MOST_SERVICES:
        raise UsageError(f"more than {MOST_SERVICES} times --service: run a second client")
    names: dict[str, NamedEnd] = {}
    ports = {} if listen is None else {(ServiceKind.UDP, listen): f"--listen {listen}"}
    for end in ends:
        before = names.setdefault(end.name, end)
        if before is not end:
            raise UsageError(f"--service {before} and --service {end} have one name: rename one")
        if end.side is Side.LISTEN and end.at.port:
            other = ports.setdefault((end.kind, end.at), f"--service {end}")
            if other != f"--service {end}":
                raise UsageError(f"{other} and --service {end} have one port: change one")
    return tuple(ends)


def check_tcp(ends: Iterable[NamedEnd], *, plaintext: bool) -> None:
    """Refuse TCP services that cannot be. Raises `UsageError`."""
    if all(end.kind is not ServiceKind.TCP for end in ends):
        return
    if plaintext:
        raise UsageError("--plaintext has no TCP services, which need a sealed path: leave it out")
    if find_spec("aioquic") is None:
        raise UsageError(f"{LACKS_QUIC}: pip install '{QUIC}'")


def offer_of(number: int, end: NamedEnd) -> ServiceOffer:
    """`end` as the other side is told of it, by this side's `number`."""
    return ServiceOffer(number, end.name, end.side, end.kind)
