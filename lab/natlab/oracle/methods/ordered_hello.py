"""The contract's ordered HELLOs between two model NATs: two rounds, roles swapped. Pure.

The ordered sequence of `docs/protocol.md`, without a packet, a clock or a line of the client's code.
Retransmissions are left out: they meet the same NAT state as the original and change no outcome.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.model import Admission, ModelNat, Verdict
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import NAT_ADDRESS, SERVER, Prediction, Step
from natlab.presets import preset

NAME = "ordered-hello"
ROUNDS = (1, 2)
_INSIDE = {"host_a": "10.0.1.2", "host_b": "10.0.2.2"}
_FIRST_PORT = {"host_a": 40_000, "host_b": 50_000}


def predict(nat_a: str, nat_b: str, crossing: Collection[int] = ()) -> Prediction:
    """Run both rounds between host_a behind the preset `nat_a` and host_b behind `nat_b`.

    `crossing`: the rounds in which HELLO 1 comes only after HELLO 2 has left, since the hosts are far from each other.

    Raises `UsageError` for a name that is no preset.
    """
    hosts = model_hosts(nat_a, nat_b)
    steps: list[Step] = []
    if any(host.is_mute for host in hosts.values()):
        # No announcement reaches the server, so no round begins.
        return Prediction(NAME, Outcome.FAILED, None, ())
    for round_ in ROUNDS:
        first, second = ("host_a", "host_b") if round_ % 2 else ("host_b", "host_a")
        if run_round(round_, hosts[first], hosts[second], steps, crosses=round_ in crossing):
            return Prediction(NAME, Outcome.CONNECTED, round_, tuple(steps))
    return Prediction(NAME, Outcome.FAILED, None, tuple(steps))


def model_hosts(nat_a: str, nat_b: str) -> dict[str, ModelHost]:
    """host_a and host_b, each behind a fresh model NAT."""
    rng = random.Random(0)  # noqa: S311 - model ports, not secrets
    behaviors = {"host_a": preset(nat_a).behavior, "host_b": preset(nat_b).behavior}
    return {
        name: ModelHost(
            name,
            ModelNat(behavior, NAT_ADDRESS[name], rng),
            _INSIDE[name] if behavior else NAT_ADDRESS[name],
        )
        for name, behavior in behaviors.items()
    }


@dataclass(slots=True)
class ModelHost:
    """A host, and its socket of the present round."""

    name: str
    nat: ModelNat
    address: str
    socket: Endpoint = SERVER
    """This round's; replaced by `open_socket`, as is the next."""
    target: Endpoint = SERVER
    """Where it now sends to the peer."""
    server: Endpoint = SERVER

    @property
    def is_mute(self) -> bool:
        """Its NAT lets no UDP through."""
        return self.nat.behavior is not None and self.nat.behavior.blocks_udp

    def hears(self, source: Endpoint) -> None:
        """A packet of the peer's has come from `source`, to which this host sends from now on."""
        self.target = source

    def open_socket(self, round_: int) -> Endpoint:
        """Open a fresh socket and announce it: returns what the server sees."""
        self.socket = Endpoint(self.address, _FIRST_PORT[self.name] + round_)
        return self.nat.outbound(self.socket, self.server)

    def send(self, round_: int, name: str, peer: ModelHost) -> Step:
        """One packet to the peer; if it arrives, the peer from now on sends to where it came from."""
        source, destination = self.nat.outbound(self.socket, self.target), self.target
        verdict = peer.nat.judge(source, destination)
        if verdict.internal == peer.socket:
            peer.hears(source)
        if verdict.is_answered:
            self.nat.hears_error(source, destination)
        return Step(round_, name, self.name, source, destination, verdict.admission)

    def is_heard_by(self, peer: ModelHost) -> bool:
        """Whether data reaches the peer from where that sends to: a path is one pair of endpoints.

        Not so where every answer to an observed source makes a mapping of its own, for ever.
        """
        source = self.nat.outbound(self.socket, self.target)
        verdict = peer.nat.judge(source, self.target)
        return verdict.internal == peer.socket and source == peer.target


def run_round(
    round_: int,
    a: ModelHost,
    b: ModelHost,
    steps: list[Step],
    asked: Callable[[ModelHost], Endpoint | None] = lambda _: None,
    *,
    crosses: bool = False,
) -> bool:
    """HELLO 1, 2, 3, and CONFIRM if 3 arrived. True if CONFIRM and then data can arrive as well.

    `asked`: the port that a host's router leads to its socket. `crosses`: HELLO 1 comes after HELLO 2 has left.
    """
    seen = {host.name: host.open_socket(round_) for host in (a, b)}
    b.target, a.target = (asked(host) or seen[host.name] for host in (a, b))
    if crosses:
        sent = _far_apart(round_, a, b)
    else:
        ordered = ((1, a, b), (2, b, a), (3, a, b))
        sent = [sender.send(round_, f"HELLO {number}", to) for number, sender, to in ordered]
    steps += sent
    if not any(each.name == "HELLO 3" and each.admission is Admission.DELIVERED for each in sent):
        return False
    steps.append(b.send(round_, "CONFIRM", a))
    return steps[-1].admission is Admission.DELIVERED and a.is_heard_by(b) and b.is_heard_by(a)


def _far_apart(round_: int, a: ModelHost, b: ModelHost) -> list[Step]:
    """HELLO 1, 2, 3 where the server's orders are faster than HELLOs."""
    announced = a.target
    steps = cross(round_, a, b)
    heard, a.target = a.target, announced
    steps.append(a.send(round_, "HELLO 3", b))  # its order came before HELLO 2
    a.target = heard
    if b.target != steps[1].destination:
        # HELLO 1 has come from an address that was not announced: B speaks there at once.
        steps.append(b.send(round_, "HELLO 2", a))
    if a.target != announced:
        steps.append(a.send(round_, "HELLO 3", b))
    return steps


def cross(round_: int, a: ModelHost, b: ModelHost) -> list[Step]:
    """HELLO 1 and HELLO 2, which both have left before either comes to the other's NAT."""
    sources = [(host, host.nat.outbound(host.socket, host.target)) for host in (a, b)]
    steps: list[Step] = []
    for number, (host, source), peer in zip((1, 2), sources, (b, a), strict=True):
        admission = peer.nat.judge(source, host.target).admission
        steps.append(Step(round_, f"HELLO {number}", host.name, source, host.target, admission))
    for step, sender, peer in zip(steps, (a, b), (b, a), strict=True):
        if Verdict(step.admission).is_answered:
            sender.nat.hears_error(step.source, step.destination)
        if step.admission is Admission.DELIVERED:
            peer.hears(step.source)
    return steps
