"""Mistakes between several peers of one file: ids and ports that two of them have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nat_traversal.arguments.config import Key
from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.services import ServiceKind, Side

EVERY = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def clashes(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    """Each mistake in words, with the place of the second of two peers."""
    yield from _ids(plans)
    yield from _ports(plans)


def _ids(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    peers: set[str] = set()
    for key, plan in plans.items():
        if plan.peer in peers:
            yield f"{plan.peer} has a [[peer]] before: put its services there", (*key, "id")
            continue
        peers.add(plan.peer)


def _ports(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    taken: list[tuple[ServiceKind, HostPort, str]] = []
    for key, plan in plans.items():
        for kind, at, place, what in _listening(key, plan):
            rivals = [other for of, there, other in taken if of is kind and _collide(there, at)]
            if rivals:
                yield f"{what} and {rivals[0]} have one port: change one", place
            taken.append((kind, at, what))


def _listening(key: Key, plan: PeerPlan) -> Iterator[tuple[ServiceKind, HostPort, Key, str]]:
    if plan.options.listen is not None:
        at = plan.options.listen
        yield ServiceKind.UDP, at, (*key, "listen"), f"listen {at} of {plan.peer}"
    for number, end in enumerate(plan.options.services):
        if end.side is Side.LISTEN:
            what = f"service {end.name} of {plan.peer} (listen {end.address})"
            yield end.kind, end.at, (*key, "service", number, "listen"), what


def _collide(one: HostPort, other: HostPort) -> bool:
    if one.port != other.port or not one.port:
        return False
    return one.host == other.host or one.host in EVERY or other.host in EVERY
