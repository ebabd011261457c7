"""NATs that keep ports and map by destination: the port to aim at is the own port of a socket that has spoken to nobody."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_DATAGRAMS
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.methods import FURTHER
from tests.seeds import seeds
from tests.sim.network import Weather
from tests.sim.world import World

METHODS = tuple(each.value for each in FURTHER)
KEEPS = "APDM+APDF+preserving"
SEQUENTIAL = "APDM+APDF+sequential"
PAIRS = [
    (KEEPS, "EIM+APDF"),
    ("linux-masquerade", KEEPS),
    (KEEPS, KEEPS),
    ("ADM+APDF+preserving", KEEPS),
    (KEEPS, SEQUENTIAL),
    (SEQUENTIAL, KEEPS),
]


def a_world(nat_a: str, nat_b: str, seed: int = 0, methods: tuple[str, ...] = METHODS) -> World:
    weather = Weather(jitter=0.005)
    return World(
        nat_a=nat_a, nat_b=nat_b, r=0.05, p=0.04, seed=seed, weather=weather, methods=methods
    )


@pytest.mark.parametrize("pair", PAIRS)
@seeds(2)
def test_the_own_port_of_a_fresh_socket_is_met(pair: tuple[str, str], seed: int) -> None:
    world = a_world(*pair, seed=seed)
    a, b = world.pair()
    world.connect(a, b, within=6.0)
    assert [client.path.method for client in (a, b)] == ["prediction"] * 2
    assert not a.told(note.AttemptFailed)
    world.net.weather = Weather()
    world.run(1.0)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)
    assert len(a.sockets) == len(b.sockets) == 1


def test_it_does_without_the_other_rungs() -> None:
    world = a_world(KEEPS, KEEPS, methods=("prediction",))
    a, b = world.pair()
    world.connect(a, b, within=4.0)
    assert a.path.method == "prediction"


def test_two_nats_of_which_only_the_order_matters_need_no_spare() -> None:
    world = a_world("linux-masquerade", "linux-masquerade")
    a, b = world.pair()
    world.connect(a, b)
    assert a.path.method == "simultaneous"


def test_a_port_that_is_taken_is_missed_and_nothing_is_left_open() -> None:
    world = a_world(KEEPS, KEEPS)
    world.net.drop(
        lambda packet: isinstance(packet.datagram, Hello | Confirm) and packet.sender == "host_b"
    )
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=9.0)
    assert len(a.sockets) == len(b.sockets) == 0
    sent = [
        packet
        for packet in world.between_peers()
        if packet.sender == "host_a" and isinstance(packet.datagram, Hello | Confirm)
    ]
    assert len(sent) <= MOST_DATAGRAMS
