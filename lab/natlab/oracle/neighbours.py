"""The rung that opens a pair of another place than two NATs: one NAT, one carrier's NAT, IPv6 beside IPv4 or alone. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from natlab.oracle.ipv6 import predict_ipv6
from natlab.oracle.methods.ordered_hello import ROUNDS, ModelHost, model_hosts, run_round
from natlab.oracle.model import Admission, ModelNat, Verdict
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from natlab.oracle.prediction import NAT_ADDRESS, SERVER, Step
from natlab.presets import preset
from natlab.terms import Ipv6

OUTSIDE = NAT_ADDRESS["host_a"]
"""Of the NAT that both have in common."""
_HOMES = {"host_a": ("10.0.1.2", "100.64.1.2"), "host_b": ("10.0.2.2", "100.64.1.3")}
"""The host's address, and its home's in the carrier's network."""


def behind_one_nat(nat: str, methods: Collection[str]) -> MethodName | None:
    """The rung of two hosts behind one NAT of the preset `nat`, if they may use `methods`; None: none of these.

    Raises `UsageError` for a name that is no preset.
    """
    behavior = preset(nat).behavior
    if behavior is None:
        return MethodName.ORDERED_HELLO  # they have public addresses, and one link
    shared = _model(nat, OUTSIDE)
    a, b = (
        Neighbour(name, shared, address)
        for name, address in (("host_a", "10.0.1.2"), ("host_b", "10.0.1.3"))
    )
    return _first(a, b, methods, MethodName.HOST)


def behind_one_carrier(
    nat_a: str, nat_b: str, carrier: str, methods: Collection[str]
) -> MethodName | None:
    """The same of two homes behind one carrier's NAT. Host addresses lead from one to the other only where
    neither has a NAT, so that both are addresses of the carrier's network.

    Raises `UsageError` for a name that is no preset.
    """
    shared = _model(carrier, OUTSIDE)
    is_open = all(preset(name).behavior is None for name in (nat_a, nat_b))

    def subscriber(name: str, nat: str) -> Subscriber:
        inside, home = _HOMES[name]
        own = _model(nat, home)
        return Subscriber(name, own, inside if own.behavior else home, carrier=shared)

    return _first(
        subscriber("host_a", nat_a),
        subscriber("host_b", nat_b),
        methods,
        MethodName.HOST if is_open else None,
    )


def with_ipv6(nat_a: str, nat_b: str, methods: Collection[str]) -> MethodName | None:
    """The same of two hosts with a NAT each, and IPv6 behind stateful firewalls beside that.

    Where a router translates IPv6, its host's address is a private one (RFC 4193), which leads nobody there.
    In round 2 both ways race, and IPv6 is called first.
    Raises `UsageError` for a name that is no preset.
    """
    contract = predict(nat_a, nat_b)
    behaviors = [preset(name).behavior for name in (nat_a, nat_b)]
    is_mute = any(behavior and behavior.blocks_udp for behavior in behaviors)
    leads = all(behavior is None or behavior.ipv6 is Ipv6.FIREWALL for behavior in behaviors)
    races = leads and MethodName.IPV6 in methods and contract.round != 1
    if contract.outcome is Outcome.CONNECTED and not races:
        return MethodName.ORDERED_HELLO
    return _otherwise(methods, MethodName.IPV6 if leads else None, is_mute=is_mute)


def with_ipv6_alone(nat_a: str, nat_b: str, methods: Collection[str]) -> MethodName | None:
    """The same of two hosts that use IPv6 alone, each behind a router that filters it and may translate it.

    Raises `UsageError` for a name that is no preset.
    """
    if predict_ipv6(nat_a, nat_b).outcome is Outcome.CONNECTED:
        return MethodName.ORDERED_HELLO
    return _otherwise(methods, None, is_mute=False)


def behind_nat64(nat_a: str, nat_b: str, methods: Collection[str]) -> MethodName | None:
    """The same of a host that has IPv6 alone behind a NAT64 of the behaviour `nat_a`, and one with IPv4 behind `nat_b`.

    The first reaches IPv4 addresses of the second through the translator, so that the two NATs decide as between two
    hosts with IPv4.
    Raises `UsageError` for a name that is no preset, and for a `nat_a` that does not translate.
    """
    if preset(nat_a).behavior is None:
        raise UsageError(f"nat_a has to translate: a NAT64 cannot be `{nat_a}`")
    hosts = model_hosts(nat_a, nat_b)
    return _first(hosts["host_a"], hosts["host_b"], methods, None)


@dataclass(slots=True)
class Neighbour(ModelHost):
    """One of two hosts behind one NAT."""

    def send(self, round_: int, name: str, peer: ModelHost) -> Step:
        """By the NAT's hairpin, or by the LAN to an address in it."""
        source, verdict = self._goes(peer)
        if verdict.internal == peer.socket:
            peer.hears(source)
        return Step(round_, name, self.name, source, self.target, verdict.admission)

    def is_heard_by(self, peer: ModelHost) -> bool:
        """Whether data reaches the peer from where that sends to."""
        source, verdict = self._goes(peer)
        return verdict.internal == peer.socket and source == peer.target

    def _goes(self, peer: ModelHost) -> tuple[Endpoint, Verdict]:
        if self.target == peer.socket:
            return self.socket, Verdict(Admission.DELIVERED, peer.socket)
        return self.nat.hairpin(self.socket, self.target)


@dataclass(slots=True)
class Subscriber(Neighbour):
    """One of two hosts in homes behind one carrier's NAT."""

    carrier: ModelNat = field(kw_only=True)

    @property
    def is_mute(self) -> bool:
        """One of its NATs lets no UDP through."""
        return any(nat.behavior and nat.behavior.blocks_udp for nat in (self.nat, self.carrier))

    def open_socket(self, round_: int) -> Endpoint:
        """Open a fresh socket and announce it: returns what the server sees."""
        return self.carrier.outbound(super(Neighbour, self).open_socket(round_), SERVER)

    def _goes(self, peer: ModelHost) -> tuple[Endpoint, Verdict]:
        shown, verdict = self.carrier.hairpin(
            self.nat.outbound(self.socket, self.target), self.target
        )
        if verdict.internal is None:
            return shown, verdict
        return shown, peer.nat.judge(shown, verdict.internal)


def _first(
    a: ModelHost, b: ModelHost, methods: Collection[str], after: MethodName | None
) -> MethodName | None:
    """The contract if it opens the pair, `after` if that may be used, or a relay."""
    if a.is_mute or b.is_mute:
        return None
    steps: list[Step] = []
    for round_ in ROUNDS:
        first, second = (a, b) if round_ % 2 else (b, a)
        if run_round(round_, first, second, steps):
            return MethodName.ORDERED_HELLO
    return _otherwise(methods, after, is_mute=False)


def _otherwise(
    methods: Collection[str], after: MethodName | None, *, is_mute: bool
) -> MethodName | None:
    if is_mute:
        return None
    if after in methods:
        return after
    return MethodName.RELAY if MethodName.RELAY in methods else None


def _model(nat: str, address: str) -> ModelNat:
    return ModelNat(preset(nat).behavior, address, random.Random(0))  # noqa: S311 - model ports
