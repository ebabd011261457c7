"""The result of a cell whose hosts are neighbours: behind one NAT, behind one carrier's, or with IPv6. Pure.

The model names the rung there. The packets show by which way datagrams went, and which addresses the hosts tried
for the first time by themselves: that tells the rungs apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nat_traversal.errors import WireError
from nat_traversal.wire import datagrams
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from natlab.capture.packet import Packet
from natlab.evidence.category import Category
from natlab.evidence.check import LINKS_KEPT, Check
from natlab.evidence.fates import Fates, Travel
from natlab.evidence.relayed import carries_program
from natlab.evidence.result import Beside, CellResult, begun
from natlab.evidence.times import milliseconds
from natlab.evidence.way import Kind, PathFound, path_between, way_of
from natlab.oracle.outcome import Outcome


@dataclass(frozen=True, slots=True)
class NeighbourCase:
    """A pair of neighbours to run, and what the model expects of it."""

    nat_a: str
    nat_b: str
    topology: str
    hosts: tuple[str, str]
    """Their nodes; the first is A in odd rounds."""
    method: MethodName | None
    """The rung on which datagrams go at the end; None: on none."""
    can_open: bool = False
    """Some other program could open a direct path where none is predicted."""

    @property
    def path(self) -> Kind:
        """By which way datagrams go at the end."""
        return way_of(self.method)

    @property
    def predicted(self) -> Outcome:
        """Whether a direct path opens."""
        return Outcome.CONNECTED if self.path is Kind.DIRECT else Outcome.FAILED


def broken_neighbours(case: NeighbourCase, error: str, seconds: float | None = None) -> CellResult:
    """The result of a cell that could not be run to its end. `error` says why."""
    return replace(begun(case, seconds), predicted_method=case.method, error=error)


@dataclass(frozen=True, slots=True)
class Conduct:
    """The way of two hosts' datagrams at the end, and the HELLOs before."""

    path: PathFound
    own: Mapping[str, frozenset[str]]
    """By host: the addresses of its interfaces."""
    announced: Mapping[Endpoint, str]
    """Where the server saw which host."""
    hellos: tuple[Travel, ...]
    """In order of sending."""
    outside: frozenset[str]
    """The capture points outside a NAT."""

    @property
    def is_heard(self) -> bool:
        """Each host's announcements came to the server."""
        return set(self.announced.values()) == set(self.own)

    @property
    def rung(self) -> MethodName | None:
        """The rung that the packets show; None: no datagrams went both ways."""
        if self.path.kind is Kind.NONE:
            return None
        if self.path.kind is Kind.RELAYED:
            return MethodName.RELAY
        seen_in_ipv4 = any(seen.family == 4 for seen in self.announced)
        if seen_in_ipv4 and all("[" in endpoint for endpoint in self.path.endpoints):
            return MethodName.IPV6
        seen = {endpoint.rpartition(":")[0] for endpoint in self.path.endpoints}
        told = {travel.hops[0].packet.destination.address for travel in self.told}
        return MethodName.HOST if told & seen else MethodName.ORDERED_HELLO

    @property
    def told(self) -> Iterator[Travel]:
        """HELLOs that arrived at an address of the peer's own, which the sender had heard nothing from and the
        server has not seen: the peer has told it."""
        heard: dict[str, set[Endpoint]] = {host: set() for host in self.own}
        came = [travel for travel in self.hellos if travel.is_delivered]
        for travel in self.hellos:
            packet = travel.hops[0].packet
            for earlier in came:
                arrival = earlier.hops[-1].arrival
                if arrival and earlier.end == travel.sender and arrival.time <= packet.time:
                    heard[travel.sender].add(arrival.source)
            if (
                travel.is_delivered
                and packet.destination not in {*self.announced, *heard[travel.sender]}
                and packet.destination.address in self.own.get(travel.end or "", ())
            ):
                yield travel

    @property
    def turned_away(self) -> str | None:
        """The NAT at which a HELLO from inside ended though it was for where the server saw a host: it does not hairpin."""
        ended = (
            travel.dropped_by
            for travel in self.hellos
            if travel.dropped_by is not None
            and travel.hops[0].packet.destination in self.announced
            and travel.hops[-1].arrival is not None
            and travel.hops[-1].arrival.point not in self.outside
        )
        return next(ended, None)

    @property
    def first_steps(self) -> tuple[str, ...]:
        """The senders of HELLO 1, 2 and 3 of round 1, each for the first time."""
        steps: dict[int, str] = {}
        for travel in self.hellos:
            hello = _decoded(travel.hops[0].packet)
            if isinstance(hello, datagrams.Hello) and hello.round == 1:
                steps.setdefault(hello.step, travel.sender)
        return tuple(steps.values()) if list(steps) == sorted(steps) else ()


def conduct_of(fates: Fates, hosts: tuple[str, str], own: Mapping[str, frozenset[str]]) -> Conduct:
    """The conduct of `hosts` by the packets of `fates`. The hosts' interfaces have the addresses `own`."""
    decoded = [(travel, _decoded(travel.hops[0].packet)) for travel in fates.travels]
    announced = {
        arrival.source: travel.sender
        for travel, datagram in decoded
        if isinstance(datagram, datagrams.Announce)
        and (arrival := travel.hops[-1].arrival) is not None
        and travel.is_delivered
    }
    hellos = [travel for travel, datagram in decoded if isinstance(datagram, datagrams.Hello)]
    return Conduct(
        path_between(fates, *hosts, carries_program),
        own,
        announced,
        tuple(sorted(hellos, key=lambda travel: travel.hops[0].packet.time)),
        fates.outside,
    )


def conclude_neighbours(
    case: NeighbourCase,
    conduct: Conduct,
    fates: Fates,
    began: float | None,
    beside: Beside,
    *,
    seconds: float | None = None,
) -> CellResult:
    """The result of a cell that ran. `began` is when the later of the hosts sent its first packet."""
    path = conduct.path
    observed = Outcome.CONNECTED if path.kind is Kind.DIRECT else Outcome.FAILED
    checks = (*_checks(case, conduct, beside.method), *beside.checks)
    return replace(
        begun(case, seconds, beside),
        observed=observed,
        predicted_method=case.method,
        cause=_cause(conduct, fates),
        reason=f"By the packets: {conduct.rung or 'no path'}; the path was {path}.",
        explanation=fates.in_words,
        checks=checks,
        category=_category(case, observed, checks),
        path=str(path.kind),
        through=path.through,
        endpoints=path.endpoints,
        first_datagram_ms=milliseconds(path.first, began),
        final_path_ms=milliseconds(path.since, began),
    )


def _checks(case: NeighbourCase, conduct: Conduct, method: str | None) -> Iterator[Check]:
    shown = conduct.rung
    why = f"the packets show {shown or 'no path'}"
    yield Check(
        "the rung is the predicted one",
        shown is case.method,
        why if shown is case.method else f"{why}, predicted {case.method or 'no path'}",
    )
    yield Check(
        "the client names the rung that the packets show",
        method == shown,
        f"client_a says {method or 'that there is no path'}, {why}",
    )
    a, b = case.hosts
    order = conduct.first_steps
    yield Check(
        "the HELLOs of round 1 left in the contract's order",
        order == (a, b, a) or (not order and case.method is None),
        f"sent by {', '.join(order) or 'nobody'}",
    )


def _category(case: NeighbourCase, observed: Outcome, checks: Sequence[Check]) -> Category:
    if not all(check.ok for check in checks if check.name == LINKS_KEPT):
        return Category.LAB_WRONG
    if observed is Outcome.CONNECTED:
        return Category.AS_PREDICTED if case.predicted is Outcome.CONNECTED else Category.LAB_WRONG
    is_forbidden = case.predicted is Outcome.FAILED and not case.can_open
    return Category.FORBIDDEN if is_forbidden else Category.MISSED


def _cause(conduct: Conduct, fates: Fates) -> str:
    path, inward = conduct.path, conduct.turned_away
    if path.kind is Kind.DIRECT:
        return f"Direct between {' and '.join(path.endpoints)}."
    if inward is not None:
        return f"{inward} sends nothing from inside back in."
    return fates.cause


def _decoded(packet: Packet) -> datagrams.Datagram | None:
    try:
        return datagrams.decode(packet.payload)
    except WireError:
        return None
