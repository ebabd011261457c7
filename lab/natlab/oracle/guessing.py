"""How many ports two hosts have to guess until a path opens between their NATs, on the NAT model alone. Pure.

A host knows the endpoints at which the server has seen the other, and those from which it has heard it. Any
other port is a guess. A NAT's allocation says how good a guess can be: `natlab.oracle.rungs`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from nat_traversal.wire.behavior import PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.model import ModelNat
from natlab.oracle.prediction import NAT_ADDRESS, SERVER
from natlab.presets import preset

HOSTS = tuple(NAT_ADDRESS)
EXCHANGES = 4
"""Answers in each direction until a path that opens at all has settled on one pair of endpoints."""
_INSIDE = {"host_a": "10.0.1.2", "host_b": "10.0.2.2"}


@dataclass(slots=True)
class _Host:
    """One host with one socket, and where it sends to the other."""

    nat: ModelNat
    socket: Endpoint
    target: Endpoint = SERVER

    def send(self, peer: _Host) -> bool:
        """One packet. If it arrives, the peer from now on sends to where it came from."""
        source = self.nat.outbound(self.socket, self.target)
        verdict = peer.nat.judge(source, self.target)
        if verdict.internal != peer.socket:
            return False
        peer.target = source
        return True


def guesses(nat_a: str, nat_b: str) -> frozenset[frozenset[str]]:
    """The least sets of hosts whose port towards the other one has to be guessed; any of them will do.

    The empty set alone: none has to be. No set: no guess opens a path. A host is ``host_a`` or
    ``host_b``. Raises `UsageError` for a name that is no preset.
    """
    nobody, both = frozenset[str](), frozenset(HOSTS)
    if _opens(nat_a, nat_b, nobody):
        return frozenset({nobody})
    ones = {frozenset({host}) for host in HOSTS if _opens(nat_a, nat_b, frozenset({host}))}
    if ones:
        return frozenset(ones)
    return frozenset({both}) if _opens(nat_a, nat_b, both) else frozenset()


def _opens(nat_a: str, nat_b: str, guessed: frozenset[str]) -> bool:
    """Whether a path opens, with one of the hosts first, if the ports of the hosts `guessed` are known."""
    return any(_opens_from(nat_a, nat_b, first, guessed) for first in HOSTS)


def _opens_from(nat_a: str, nat_b: str, first: str, guessed: frozenset[str]) -> bool:
    hosts = dict(zip(HOSTS, map(_host, HOSTS, (nat_a, nat_b)), strict=True))
    if any(host.nat.behavior and host.nat.behavior.blocks_udp for host in hosts.values()):
        return False
    second = next(name for name in HOSTS if name != first)
    opener, other = hosts[first], hosts[second]
    seen = {name: host.nat.outbound(host.socket, SERVER) for name, host in hosts.items()}
    if second in guessed:
        # Its NAT's allocation is sequential here, so that the next port is no secret to the opener.
        seen[second] = replace(seen[second], port=seen[second].port + 1)
    opener.target, other.target = seen[second], seen[first]
    # The opener's first packet ends before the other NAT: it opens, and provokes nothing.
    shown = opener.nat.outbound(opener.socket, opener.target)
    if first in guessed:
        other.target = shown
    return _settles(other, opener)


def _settles(one: _Host, other: _Host) -> bool:
    """Whether packets to and fro end on one pair of endpoints, each the one that the other side sends to."""
    for _ in range(EXCHANGES):
        before = (one.target, other.target)
        if not (one.send(other) and other.send(one)):
            return False
        if (one.target, other.target) == before:
            return True
    return False


def _host(name: str, nat: str) -> _Host:
    behavior = preset(nat).behavior
    if behavior is not None:
        behavior = replace(behavior, allocation=PortAllocation.SEQUENTIAL)
    rng = random.Random(0)  # noqa: S311 - model ports, not secrets
    model = ModelNat(behavior, NAT_ADDRESS[name], rng)
    return _Host(model, Endpoint(_INSIDE[name] if behavior else NAT_ADDRESS[name], 40_000))
