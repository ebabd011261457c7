"""The method `birthday`: many sockets of one host meet many probes of the other at a port that nobody has seen."""

from __future__ import annotations

import pytest

from nat_traversal.wire.datagrams import encode
from nat_traversal.wire.methods import MethodName
from tests.seeds import seeds
from tests.sim.guesses import granted_at, guesses
from tests.sim.network import Weather
from tests.sim.world import World

METHODS = (MethodName.PREDICTION.value, MethodName.BIRTHDAY.value)
CELLS = [("symmetric", "EIM+APDF"), ("EIM+APDF", "symmetric")]
ORDER_SENSITIVE = [("symmetric", "linux-masquerade"), ("linux-masquerade", "symmetric")]


def a_world(nat_a: str, nat_b: str, *, seed: int = 0) -> World:
    """Round trips of 50 ms to the server and 40 ms between the hosts, and some jitter."""
    weather = Weather(jitter=0.005)
    return World(
        nat_a=nat_a, nat_b=nat_b, r=0.05, p=0.04, seed=seed, weather=weather, methods=METHODS
    )


@pytest.mark.parametrize(
    ("nats", "within"),
    [(each, 10.0) for each in CELLS] + [(each, 15.0) for each in ORDER_SENSITIVE],
)
@seeds(1)
def test_a_random_port_is_met(nats: tuple[str, str], within: float, seed: int) -> None:
    world = a_world(*nats, seed=seed)
    a, b = world.pair()
    world.connect(a, b)
    assert [client.path.method for client in (a, b)] == ["birthday"] * 2
    assert granted_at(a)[0] < 3.0
    assert world.clock.now - granted_at(a)[0] < within
    assert len(a.sockets) == len(b.sockets) == 1
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)
    for host in ("host_a", "host_b"):
        said = guesses(world, host)
        assert len(said) <= 1300
        assert max(len(encode(packet.datagram)) for packet in said) <= 100
