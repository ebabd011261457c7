"""Every captured packet once more, through the model: did each NAT do with it what the model does? Pure.

The hosts' packets and their times are taken from the capture, so that no race between programs matters.
Where chance decides, the model takes the port that the kernel took, if it may. That the ports stand for each other, one
for one, is part of what is held against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import PortMapping
from natlab.evidence.journey import Fate, Passage
from natlab.evidence.trace import Knocked, Trace
from natlab.oracle.model import Admission, ModelNat, NoRoomError
from natlab.oracle.possible import HOSTS, model_nats

MOST_TAKEN = 4096
"""Ports in sequence that others may take between two of a host: at 100 a second more than an attempt lasts."""
_SAME = {
    # The NAT lets it in, and its TTL ends there.
    Admission.DELIVERED: (Fate.DELIVERED, Fate.PORT_CLOSED, Fate.EXPIRED),
    Admission.FILTERED: (Fate.DROPPED,),
    Admission.NO_MAPPING: (Fate.DROPPED,),
    Admission.TAKEN_BY_ROUTER: (Fate.TAKEN_BY_ROUTER,),
    Admission.REJECTED: (Fate.TAKEN_BY_ROUTER,),  # to its sender the two look alike
    Admission.BLOCKED: (Fate.DROPPED,),
}


def differences(trace: Trace, nat_a: str, nat_b: str) -> Iterator[str]:
    """Where the capture and the model of the two presets part, in words; nothing if they never do."""
    replay = _Replay(model_nats(nat_a, nat_b))
    for time, arrives, index, passage in _events(trace):
        for knock in trace.knocks:
            if knock.time <= time:
                replay.knock(knock)
        difference = (
            replay.arrive(index, passage, time) if arrives else replay.leave(index, passage, time)
        )
        if difference:
            yield f"{type(passage.datagram).__name__.upper()} of {passage.sender} {difference}"


def _events(trace: Trace) -> list[tuple[float, int, int, Passage]]:
    # At one instant a packet leaves before it arrives.
    events = [(p.sent, 0, index, p) for index, p in enumerate(trace.passages())]
    events += [
        (p.reached, 1, index, p)
        for _, _, index, p in events
        if p.reached is not None and p.receiver in HOSTS
    ]
    return sorted(events, key=lambda event: event[:3])


@dataclass(slots=True)
class _Replay:
    nats: dict[str, ModelNat]
    source_of: dict[int, Endpoint] = field(default_factory=dict)
    """The model's source of each passage, by its position."""
    modelled: dict[Endpoint, Endpoint] = field(default_factory=dict)
    last_port: dict[str, int] = field(default_factory=dict)
    """By host: the newest of its NAT. Uncaptured packets take ports as well, but a NAT in sequence never goes back."""
    captured: dict[Endpoint, Endpoint] = field(default_factory=dict)
    """External endpoints of the capture, and of the model, each with its counterpart."""

    known: set[Endpoint] = field(default_factory=set)
    """The ports that routers lead to their hosts."""

    def knock(self, knock: Knocked) -> None:
        """The model's router leads the same port to the same socket: its number was asked for."""
        nat = self.nats[knock.host]
        if knock.outside in self.known or nat.behavior is None:
            return
        self.known.add(knock.outside)
        if nat.behavior.port_mapping is PortMapping.ASKED:
            nat.forward(knock.inside, knock.outside.port)
            nat.judge(knock.server, knock.outside, knock.time)

    def leave(self, index: int, passage: Passage, now: float) -> str | None:
        if passage.fate is Fate.EXPIRED and passage.translated is None:
            return None  # it ended before the NAT had anything to do with it
        nat, real = self.nats[passage.sender], passage.translated
        target = self._in_model(passage.destination)
        if real is not None and not nat.knows(passage.source, target):
            last = self.last_port.get(passage.sender, real.port - 1)
            if (
                0 < real.port - last <= MOST_TAKEN
            ):  # else the model's own port shows that it is none
                nat.others_took(real.port)
            self.last_port[passage.sender] = real.port
            nat.draws(real.port)  # somebody may have aimed at it before
        try:
            source = self.source_of[index] = nat.outbound(passage.source, target, now)
        except NoRoomError:
            self.source_of[index] = passage.source
            return "left its NAT, which has no room for it in the model" if real else None
        if nat.behavior and nat.behavior.blocks_udp:
            return "left its NAT, which lets no UDP through" if real else None
        if real is None:
            return "never left its NAT"
        same = self.modelled.setdefault(real, source) == source
        if not (self.captured.setdefault(source, real) == real and same):
            return f"left as {real}, which the model would not have used for it"
        if passage.fate is Fate.EXPIRED:
            nat.hears_error(source, target)
        return None

    def arrive(self, index: int, passage: Passage, now: float) -> str | None:
        target = self._in_model(passage.destination)
        source = self.source_of[index]
        verdict = self.nats[passage.receiver].judge(source, target, now)
        if verdict.is_answered:
            self.nats[passage.sender].hears_error(source, target)
        admission = verdict.admission
        if passage.fate in _SAME[admission]:
            return None
        return f"to {passage.destination} was {passage.fate}, in the model {admission}"

    def _in_model(self, real: Endpoint) -> Endpoint:
        return self.modelled.get(real, real)
