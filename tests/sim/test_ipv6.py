"""IPv6 beside IPv4 behind NATs: each pair meets somewhere, though one host may hear the other where no answer arrives."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Confirm
from nat_traversal.wire.methods import MethodName
from natlab.behavior import NINE
from natlab.oracle.neighbours import with_ipv6
from tests.sim.client import Client
from tests.sim.network import Packet
from tests.sim.process import connected_at
from tests.sim.world import World

PAIRS = [
    *itertools.product(NINE, repeat=2),
    *itertools.product(["port-restricted-cone", "linux-masquerade"], repeat=2),
]


def pair_with_ipv6(nats: tuple[str, str]) -> tuple[World, Client, Client]:
    world = World(nat_a=nats[0], nat_b=nats[1], methods=(MethodName.IPV6.value,))
    for number, host in enumerate(world.net.hosts.values(), 1):
        host.ipv6 = f"2001:db8::{number}"
    return (world, *world.pair())


@pytest.mark.parametrize("nats", PAIRS, ids="x".join)
def test_each_pair_meets_by_the_rung_that_the_model_names(
    nats: tuple[str, str],
) -> None:
    world, a, b = pair_with_ipv6(nats)
    world.run(4.0)
    rung = with_ipv6(*nats, [MethodName.IPV6])
    assert rung in (MethodName.ORDERED_HELLO, MethodName.IPV6)
    for client in (a, b):
        assert [each.method for each in client.told(note.PathEstablished)] == [rung]
        assert client.told(note.AttemptFailed) == []
        assert connected_at(client) < 1.5
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_a_lost_confirm_comes_again_though_the_peer_was_heard_over_ipv4_too() -> None:
    """Both ways open in round 2: B takes the first, and A has heard HELLO 2 by the other one last."""
    world, a, b = pair_with_ipv6(("port-restricted-cone", "linux-masquerade"))
    confirms: list[Packet] = []

    def is_first_confirm(packet: Packet) -> bool:
        if isinstance(packet.datagram, Confirm):
            confirms.append(packet)
        return [packet] == confirms

    world.net.drops.append(is_first_confirm)
    world.run(4.0)
    assert confirms[0].destination.family == 6
    for client in (a, b):
        assert [each.method for each in client.told(note.PathEstablished)] == ["ipv6"]
    assert connected_at(b) - connected_at(a) < 2 * ClientSettings().hello_interval
