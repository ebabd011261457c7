"""The method `simultaneous`: two order-sensitive NATs open where the first packets cross."""

from __future__ import annotations

from collections import Counter

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_DATAGRAMS
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.methods import MethodName
from natlab.oracle.model import Admission
from tests.seeds import seeds
from tests.sim.network import Weather
from tests.sim.world import World

METHODS = (MethodName.SIMULTANEOUS.value,)
FIRST = 3
"""The first round of the method: after the two of the contract."""


@pytest.mark.parametrize(("r", "p"), [(1 / 64, 1 / 128), (1 / 16, 1 / 32), (1 / 4, 1 / 8)])
def test_first_packets_cross_and_the_pair_is_direct(r: float, p: float) -> None:
    world = World(nat_a="linux-masquerade", nat_b="linux-masquerade", r=r, p=p, methods=METHODS)
    a, b = world.pair()
    world.run(12.0)
    for client in (a, b):
        (path,) = client.claims
        assert (path.method, path.round) == ("simultaneous", FIRST)
        assert not client.told(note.AttemptFailed)
    firsts = [
        packet
        for packet in world.between_peers()
        if isinstance(packet.datagram, Hello)
        and packet.datagram.round == FIRST
        and packet.datagram.step < 3
    ]
    assert {packet.sender for packet in firsts} == {"host_a", "host_b"}
    assert abs(firsts[0].sent_at - firsts[1].sent_at) < p / 2
    assert {packet.arrivals[0][2] for packet in firsts} == {Admission.DELIVERED}
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_pair_that_it_cannot_help_fails_soon_and_within_its_budget() -> None:
    world = World(nat_a="symmetric", nat_b="symmetric", methods=METHODS)
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=8.0)
    assert {told.round for told in a.told(note.RoundStarted)} == {1, 2, 3, 4}
    sent = Counter(
        packet.sender
        for packet in world.between_peers()
        if isinstance(packet.datagram, Hello | Confirm)
    )
    assert max(sent.values()) < MOST_DATAGRAMS
    assert len(a.sockets) == len(b.sockets) == 0


@seeds(6)
def test_unequal_ways_to_the_server_are_made_up_for(seed: int) -> None:
    """One host's orders take 30 ms longer, and the way between the hosts takes 20 ms: at once would be too late."""
    world = World(
        nat_a="linux-masquerade", nat_b="linux-masquerade", r=1 / 32, p=0.04, seed=seed,
        methods=METHODS, weather=Weather(jitter=0.004),
    )  # fmt: skip
    world.net.hosts["host_b"].farther = 0.03
    a, b = world.pair()
    world.run(12.0)
    assert [client.claims[-1].method for client in (a, b)] == ["simultaneous"] * 2
    assert [client.claims[-1].round for client in (a, b)] == [FIRST] * 2
