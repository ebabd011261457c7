"""The rung of the ladder that opens a path between two NATs, or that none but a relay can. Pure.

`docs/rungs.md` shows it for every pair of the nine behaviours and for each port allocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from nat_traversal.wire.behavior import PortAllocation
from natlab.oracle.guessing import HOSTS, guesses
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from natlab.presets import preset


class Rung(StrEnum):
    """Ways to a path, in the order in which they are tried. The words are those of results and reports."""

    ORDERED_HELLO = "ordered-hello"
    """The contract."""
    SIMULTANEOUS = "simultaneous"
    """First packets that cross, or that end between the NATs: no port has to be guessed."""
    PREDICTION = "prediction"
    """The next port follows from those before, or is one of a small block."""
    BIRTHDAY = "birthday"
    """Many sockets at one side, many probes from the other."""
    RELAY = "relay"
    """No guess is good enough."""
    NONE = "none"
    """The hosts do not even reach the server over UDP."""


_PREDICTABLE = frozenset({PortAllocation.SEQUENTIAL, PortAllocation.PRESERVING})


def rung(nat_a: str, nat_b: str) -> Rung:
    """The first rung that opens the pair. Raises `UsageError` for a name that is no preset."""
    behaviors = dict(zip(HOSTS, (preset(name).behavior for name in (nat_a, nat_b)), strict=True))
    if any(behavior and behavior.blocks_udp for behavior in behaviors.values()):
        return Rung.NONE
    if predict(nat_a, nat_b).outcome is Outcome.CONNECTED:
        return Rung.ORDERED_HELLO
    allocations = {
        host: PortAllocation.PRESERVING if behavior is None else behavior.allocation
        for host, behavior in behaviors.items()
    }
    found = [_for(allocations[host] for host in hosts) for hosts in guesses(nat_a, nat_b)]
    return min(found, key=list(Rung).index, default=Rung.RELAY)


def _for(guessed: Iterable[PortAllocation]) -> Rung:
    """The rung that guesses a port of each of these allocations."""
    allocations = list(guessed)
    if not allocations:
        return Rung.SIMULTANEOUS
    if all(each in _PREDICTABLE for each in allocations):
        return Rung.PREDICTION
    if len(allocations) > 1:
        return Rung.RELAY
    return Rung.BIRTHDAY if allocations == [PortAllocation.RANDOM] else Rung.PREDICTION
