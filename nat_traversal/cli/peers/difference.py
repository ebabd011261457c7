"""The difference between what runs and what a file says now, peer by peer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.services import ServiceKind, Side


@dataclass(frozen=True, slots=True)
class Difference:
    """Peers by id: those to end, to begin, to begin anew, and those of which only named services have changed."""

    ends: tuple[str, ...]
    begins: tuple[str, ...]
    anew: tuple[str, ...]
    services: tuple[str, ...]

    def words(self) -> list[str]:
        """Each peer and what became of it, for people."""
        said = (
            ("begun", self.begins),
            ("ended", self.ends),
            ("begun anew", self.anew),
            ("other services", self.services),
        )
        return [f"{peer} ({what})" for what, peers in said for peer in peers]


def difference(old: Mapping[str, PeerPlan], new: Mapping[str, PeerPlan]) -> Difference:
    """From `old` to `new`, each by the other host's id."""
    changed = [peer for peer, plan in new.items() if peer in old and plan != old[peer]]
    live = [
        peer for peer in changed if _without_services(old[peer]) == _without_services(new[peer])
    ]
    return Difference(
        ends=tuple(peer for peer in old if peer not in new),
        begins=tuple(peer for peer in new if peer not in old),
        anew=tuple(peer for peer in changed if peer not in live),
        services=tuple(live),
    )


def new_ports(
    old: Iterable[PeerPlan], new: Iterable[PeerPlan]
) -> Iterator[tuple[ServiceKind, HostPort]]:
    """Where `new` listens and `old` does not."""
    held = {at for plan in old for at in _listening(plan)}
    for plan in new:
        yield from (at for at in _listening(plan) if at not in held)


def _without_services(plan: PeerPlan) -> PeerPlan:
    return replace(plan, options=replace(plan.options, services=()))


def _listening(plan: PeerPlan) -> Iterator[tuple[ServiceKind, HostPort]]:
    if plan.options.listen is not None:
        yield ServiceKind.UDP, plan.options.listen
    yield from ((end.kind, end.at) for end in plan.options.services if end.side is Side.LISTEN)
