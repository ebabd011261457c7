"""Mistakes between several peers of one file: ids and ports that two of them have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nat_traversal.arguments.config import Key
from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.services import Side

EVERY = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def clashes(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    """Each mistake in words, with the place of the second of two peers."""
    yield from _ids(plans)
    yield from _ports(plans)


def _ids(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    peers: set[str] = set()
    own: dict[str | None, str] = {}
    for key, plan in plans.items():
        if plan.peer in peers:
            yield f"{plan.peer} has a [[peer]] before: put its services there", (*key, "id")
            continue
        peers.add(plan.peer)
        other = own.setdefault(plan.options.id, plan.peer)
        if other != plan.peer:
            text = (
                f"{plan.options.id} is this host's id for {other} already, and a server knows a host by one "
                f'id for one peer: write as = "NAME" here, and let {plan.peer} connect to that'
            )
            yield text, key


def _ports(plans: Mapping[Key, PeerPlan]) -> Iterator[tuple[str, Key]]:
    taken: list[tuple[HostPort, str]] = []
    for key, plan in plans.items():
        for at, place, what in _listening(key, plan):
            rival = next((each for each in taken if _collide(each[0], at)), None)
            if rival is not None:
                yield f"{what} and {rival[1]} have one port: change one", place
            taken.append((at, what))


def _listening(key: Key, plan: PeerPlan) -> Iterator[tuple[HostPort, Key, str]]:
    if plan.options.listen is not None:
        at = plan.options.listen
        yield at, (*key, "listen"), f"listen {at} of {plan.peer}"
    for number, end in enumerate(plan.options.services):
        if end.side is Side.LISTEN:
            what = f"service {end.name} of {plan.peer} (listen {end.at})"
            yield end.at, (*key, "service", number, "listen"), what


def _collide(one: HostPort, other: HostPort) -> bool:
    if one.port != other.port or not one.port:
        return False
    return one.host == other.host or one.host in EVERY or other.host in EVERY
