"""The topologies beside `two_nats` in which the model knows the rung of a pair of hosts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName
from natlab.oracle.ipv6 import SERVER
from natlab.oracle.neighbours import (
    behind_nat64,
    behind_one_carrier,
    behind_one_nat,
    with_ipv6,
    with_ipv6_alone,
)
from natlab.oracle.regions import NAME as REGIONS
from natlab.presets import preset

METHODS = (MethodName.ORDERED_HELLO, MethodName.HOST, MethodName.IPV6, MethodName.RELAY)
"""The rungs of which the model says here whether they open a pair, in their order."""
CARRIER = "port-restricted-cone"
"""A carrier's NAT that nobody chose, as the topology has it."""
_Rung = Callable[[str, str, Mapping[str, str], Collection[str]], MethodName | None]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A topology with two hosts that want each other."""

    topology: str
    hosts: tuple[str, str]
    """Their nodes; the first is A in odd rounds."""
    settings: tuple[str, ...]
    """Its parameters that are NATs, beside `nat_a` and `nat_b`."""
    has_one_nat: bool
    """Both hosts are behind `nat_a`, and no other NAT is between them."""
    rung: _Rung
    base: str = ""
    """The topology whose network it is, where that has another name."""
    methods: tuple[MethodName, ...] = METHODS
    """The rungs of which the model says whether they open a pair."""
    servers: Mapping[str, str] = field(default_factory=dict)
    """Where a host reaches the server, if not at its first IPv4 address."""
    server_options: tuple[str, ...] = ()
    is_of_two_nats: bool = False
    """The two NATs alone decide, as in `two_nats`."""


@dataclass(frozen=True, slots=True)
class Where:
    """A neighbourhood with the values of its settings."""

    neighbourhood: Neighbourhood
    settings: Mapping[str, str]

    def __str__(self) -> str:
        return ",".join([self.neighbourhood.topology, *_words(self.settings)])

    def topology(self, nat_a: str, nat_b: str) -> str:
        """As `natlab.network.loading.load` reads it."""
        nats = {"nat_a": nat_a} if self.neighbourhood.has_one_nat else _both(nat_a, nat_b)
        name = self.neighbourhood.base or self.neighbourhood.topology
        return ",".join([name, *_words({**nats, **self.settings})])

    def rung(self, nat_a: str, nat_b: str, methods: Collection[str] = METHODS) -> MethodName | None:
        """The rung on which datagrams go at the end, if the hosts may use `methods`; None: on none.

        Raises `UsageError` for a name that is no preset.
        """
        return self.neighbourhood.rung(nat_a, nat_b, self.settings, methods)


def parse_where(text: str) -> Where | None:
    """`shared_cgn,cgn=symmetric`; None for `two_nats`. Raises `UsageError` for what the model does not know."""
    name, *words = text.split(",")
    found = NEIGHBOURHOODS.get(name)
    if found is None:
        if text == "two_nats":
            return None
        known = ", ".join(["two_nats", *NEIGHBOURHOODS, REGIONS])
        raise UsageError(f"the matrix has no topology {text!r}: choose from {known}")
    settings = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in found.settings or not value:
            known = " or ".join(f"{each}=NAT" for each in found.settings) or "none"
            raise UsageError(
                f"{text!r}: {word!r} is no setting of {name} in the matrix: it has {known}"
            )
        if key in settings:
            raise UsageError(f"{text!r}: {key} stands there twice: give it once")
        settings[key] = preset(value).name
    return Where(found, settings)


def _one_nat(
    nat_a: str, _nat_b: str, _settings: Mapping[str, str], methods: Collection[str]
) -> MethodName | None:
    return behind_one_nat(nat_a, methods)


def _one_carrier(
    nat_a: str, nat_b: str, settings: Mapping[str, str], methods: Collection[str]
) -> MethodName | None:
    return behind_one_carrier(nat_a, nat_b, settings.get("cgn", CARRIER), methods)


def _ipv6(
    nat_a: str, nat_b: str, _settings: Mapping[str, str], methods: Collection[str]
) -> MethodName | None:
    return with_ipv6(nat_a, nat_b, methods)


def _ipv6_alone(
    nat_a: str, nat_b: str, _settings: Mapping[str, str], methods: Collection[str]
) -> MethodName | None:
    return with_ipv6_alone(nat_a, nat_b, methods)


def _nat64(
    nat_a: str, nat_b: str, _settings: Mapping[str, str], methods: Collection[str]
) -> MethodName | None:
    return behind_nat64(nat_a, nat_b, methods)


_AB = ("host_a", "host_b")
_CONTRACT_OR_RELAY = (MethodName.ORDERED_HELLO, MethodName.RELAY)
_EVERY_ADDRESS = ("--host", "::")
NEIGHBOURHOODS: Mapping[str, Neighbourhood] = {
    each.topology: each
    for each in (
        Neighbourhood("shared_nat", ("host_a1", "host_a2"), (), True, _one_nat),
        Neighbourhood("shared_cgn", _AB, ("cgn",), False, _one_carrier),
        Neighbourhood("dual_stack", _AB, (), False, _ipv6),
        Neighbourhood(
            "ipv6_only",
            _AB,
            (),
            False,
            _ipv6_alone,
            base="dual_stack",
            methods=_CONTRACT_OR_RELAY,
            servers=dict.fromkeys(_AB, f"[{SERVER.address}]"),
            server_options=_EVERY_ADDRESS,
        ),
        Neighbourhood(
            "nat64",
            _AB,
            (),
            False,
            _nat64,
            methods=_CONTRACT_OR_RELAY,
            servers={"host_a": "server.lab"},
            is_of_two_nats=True,
        ),
    )
}
"""By the names of their topologies."""


def _both(nat_a: str, nat_b: str) -> dict[str, str]:
    return {"nat_a": nat_a, "nat_b": nat_b}


def _words(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in settings.items()]
