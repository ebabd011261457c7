"""Which rung of the ladder opens a path from this host's NAT to each kind of peer: `docs/rungs.md` as values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from nat_traversal.check.verdict import Ipv6, Udp, Verdict
from nat_traversal.wire.behavior import (
    FILTERING_IDS,
    MAPPING_IDS,
    Filtering,
    Mapping,
    PortAllocation,
)
from nat_traversal.wire.methods import MethodName

GUESSED = {
    ("EIM+APDF", "ADM+EIF"): "second",
    ("EIM+APDF", "ADM+ADF"): "second",
    ("EIM+APDF", "ADM+APDF"): "second",
    ("EIM+APDF", "APDM+EIF"): "second",
    ("EIM+APDF", "APDM+ADF"): "second",
    ("EIM+APDF", "APDM+APDF"): "second",
    ("ADM+EIF", "ADM+APDF"): "first",
    ("ADM+EIF", "APDM+APDF"): "first",
    ("ADM+ADF", "ADM+ADF"): "either",
    ("ADM+ADF", "ADM+APDF"): "first",
    ("ADM+ADF", "APDM+ADF"): "either",
    ("ADM+ADF", "APDM+APDF"): "first",
    ("ADM+APDF", "ADM+APDF"): "both",
    ("ADM+APDF", "APDM+EIF"): "both",
    ("ADM+APDF", "APDM+ADF"): "both",
    ("ADM+APDF", "APDM+APDF"): "both",
    ("APDM+EIF", "APDM+EIF"): "both",
    ("APDM+EIF", "APDM+ADF"): "both",
    ("APDM+EIF", "APDM+APDF"): "both",
    ("APDM+ADF", "APDM+ADF"): "both",
    ("APDM+ADF", "APDM+APDF"): "both",
    ("APDM+APDF", "APDM+APDF"): "both",
}
"""Of each pair that ordered HELLOs do not open: whose port somebody has to guess."""
_PREDICTABLE = frozenset({PortAllocation.SEQUENTIAL, PortAllocation.PRESERVING})
_TIMES = {
    "ordered-hello": (0.0, "a round trip to the peer"),
    "ipv6": (0.6, ""),
    "port-mapping": (0.6, "the router's answer"),
    "simultaneous": (2.5, "some 2 s more by low-ttl, if first packets do not cross"),
    "prediction": (2.5, ""),
    "birthday": (
        10.0,
        "the wait for the server's turn; only if both sides have a key, or name it in --methods",
    ),
    "relay": (1.0, ""),
    "relay-tcp": (2.0, ""),
}
"""Of each rung, seconds beside two round trips to the server, about; and what has to be added to them."""
_SECOND_ROUND = "a round trip to the peer; some 0.5 s more if the roles have to be swapped"


@dataclass(frozen=True, slots=True)
class Nat:
    """One host's NAT, as far as it matters here. A public host is as open as EIM+EIF."""

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ENDPOINT_INDEPENDENT
    allocation: PortAllocation = PortAllocation.PRESERVING
    order_sensitive: bool = False
    passes_udp: bool = True
    ipv6: bool = False
    """It reaches the server over IPv6 as well."""
    maps_ports: bool = False
    """Its router leads a port to it, and has a public address."""

    @property
    def id(self) -> str:
        return f"{MAPPING_IDS[self.mapping]}+{FILTERING_IDS[self.filtering]}"


@dataclass(frozen=True, slots=True)
class Row:
    """Towards one kind of peer. `rung` None: it cannot be told, and `note` says why."""

    peer: str
    rung: str | None
    seconds: float | None = None
    """From the moment when both hosts are at the server until data flows that way, about; beside that, `note`."""
    note: str = ""
    is_here: bool = False
    """This version has that rung; else the pair is relayed."""


def rung(mine: Nat, theirs: Nat) -> str:
    """The first rung that opens the pair, by its name."""
    found = _after_the_contract(mine, theirs)
    if found in ("ordered-hello", "relay-tcp"):
        return found
    if mine.ipv6 and theirs.ipv6:
        return "ipv6"
    return "port-mapping" if mine.maps_ports or theirs.maps_ports else found


def _after_the_contract(mine: Nat, theirs: Nat) -> str:
    """The rung where there is nothing but IPv4 and these two NATs."""
    if not (mine.passes_udp and theirs.passes_udp):
        return "relay-tcp"
    if mine.order_sensitive and theirs.order_sensitive:
        return "simultaneous"
    whose = GUESSED.get((mine.id, theirs.id))
    nats = (mine, theirs)
    if whose is None:
        whose, nats = GUESSED.get((theirs.id, mine.id)), (theirs, mine)
    match whose:
        case None:
            return "ordered-hello"
        case "both":
            ports = {nat.allocation for nat in nats}
            return "prediction" if ports <= _PREDICTABLE else "relay"
        case "either":
            guessed = [_one(nat.allocation) for nat in nats]
            return "prediction" if "prediction" in guessed else "birthday"
        case _:
            return _one(nats[whose == "second"].allocation)


def guessed(mine: Nat, theirs: Nat) -> frozenset[str]:
    """Whose ports somebody has to guess: ``mine``, ``theirs``, both, or nobody's. Where either will do, both."""
    whose, names = GUESSED.get((mine.id, theirs.id)), ("mine", "theirs")
    if whose is None:
        whose, names = GUESSED.get((theirs.id, mine.id)), ("theirs", "mine")
    match whose:
        case None:
            return frozenset()
        case "both" | "either":
            return frozenset(names)
        case _:
            return frozenset({names[whose == "second"]})


def rows(verdict: Verdict) -> list[Row]:
    """A row for each kind of peer."""
    mine = list(_possible(verdict))
    return [_row(verdict, mine, peer, nat) for peer, nat in PEERS.items()]


def _one(allocation: PortAllocation) -> str:
    return "birthday" if allocation is PortAllocation.RANDOM else "prediction"


def _row(verdict: Verdict, mine: list[Nat], peer: str, nat: Nat) -> Row:
    rungs = {rung(each, nat) for each in mine}
    if len(rungs) != 1:
        lacking = [
            name for name in ("mapping", "filtering", "allocation") if name in verdict.not_told
        ]
        why = verdict.not_told[lacking[0]] if lacking else verdict.not_told.get("udp", "")
        return Row(peer, None, note=f"not told: {why}")
    (found,) = rungs
    seconds, more = _TIMES[found]
    if found == "ordered-hello" and any(_may_swap(each, nat) for each in mine):
        more = _SECOND_ROUND
    if verdict.round_trip is not None:
        seconds = round(seconds + 2 * verdict.round_trip, 3)
    return Row(peer, found, seconds, more, is_here=found in set(MethodName))


def _may_swap(mine: Nat, theirs: Nat) -> bool:
    """Only one order of HELLOs opens the pair."""
    return mine.id == theirs.id == "EIM+APDF" and mine.order_sensitive != theirs.order_sensitive


def _possible(verdict: Verdict) -> Iterator[Nat]:
    """This host's side in every way that the verdict leaves open."""
    if verdict.udp is not None and verdict.udp is not Udp.PASSES:
        yield Nat(passes_udp=False)
        return
    mappings = [verdict.mapping] if verdict.mapping else list(Mapping)
    filterings = [verdict.filtering] if verdict.filtering else list(Filtering)
    if verdict.nat is False:
        mappings = [Mapping.ENDPOINT_INDEPENDENT]
    allocations = [verdict.allocation] if verdict.allocation else list(PortAllocation)
    passes = [True] if verdict.udp else [True, False]
    orders = [False, True] if verdict.order_sensitive is None else [verdict.order_sensitive]
    for mapping, filtering, allocation, order, udp in product(
        mappings, filterings, allocations, orders, passes
    ):
        can_be = mapping is Mapping.ENDPOINT_INDEPENDENT
        can_be = can_be and filtering is not Filtering.ENDPOINT_INDEPENDENT
        has_ipv6 = verdict.ipv6 in (Ipv6.UNTRANSLATED, Ipv6.TRANSLATED)
        maps = any(verdict.port_mapping.values())
        yield Nat(mapping, filtering, allocation, order and can_be, udp, has_ipv6, maps)


def _nat(id_: str) -> Nat:
    mapping, filtering = id_.split("+")
    return Nat(
        next(term for term, short in MAPPING_IDS.items() if short == mapping),
        next(term for term, short in FILTERING_IDS.items() if short == filtering),
        PortAllocation.PRESERVING if mapping == "EIM" else PortAllocation.RANDOM,
    )


_STRICT = _nat("APDM+APDF")
PEERS = {
    "a public host": Nat(),
    **{
        f"{mapping}+{filtering}": _nat(f"{mapping}+{filtering}")
        for mapping in MAPPING_IDS.values()
        for filtering in FILTERING_IDS.values()
    },
    "EIM+APDF+order-sensitive": Nat(
        filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT, order_sensitive=True
    ),
    "APDM+APDF+sequential": Nat(
        Mapping.ADDRESS_AND_PORT_DEPENDENT,
        Filtering.ADDRESS_AND_PORT_DEPENDENT,
        PortAllocation.SEQUENTIAL,
    ),
    "APDM+APDF, with IPv6": replace(_STRICT, ipv6=True),
    "APDM+APDF, mapping ports": replace(_STRICT, maps_ports=True),
    "UDP blocked": Nat(passes_udp=False),
}
"""Kinds of peers by their names: as ids have them, with random ports where a NAT maps by destination."""
