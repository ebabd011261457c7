"""Faults at random moments. No matter what happened: when it is over, the pair finds its way back."""

from __future__ import annotations

import random

from nat_traversal.settings import ClientSettings
from tests.seeds import seeds
from tests.sim.client import Client
from tests.sim.network import Weather
from tests.sim.world import World

SETTINGS = ClientSettings()

FAULTS = (
    "reset",
    "cut",
    "crash",
    "vanish",
    "stop",
    "server-restart",
    "server-blackout",
    "udp-blocked",
    "udp-open",
    "weather",
)
PEER = {"host_a": "host_b", "host_b": "host_a"}
QUIET = Weather(segments=True)


def strike(world: World, pair: dict[str, Client], rng: random.Random) -> str:
    fault = rng.choice(FAULTS)
    name = rng.choice(sorted(pair))
    client, host = pair[name], world.net.hosts[name]
    control = client.control
    match fault:
        case "reset" if control is not None and not control.is_gone:
            control.reset()
        case "cut" if control is not None:
            control.is_cut = rng.random() < 0.7
            control.other.is_cut = rng.random() < 0.7
        case "crash" | "vanish" | "stop":
            getattr(client, fault)()
            client.is_dead = True
            pair[name] = world.client(name, PEER[name]).start()
        case "server-restart" | "server-blackout":
            world.server.stop(tell=rng.random() < 0.5)
            world.run(0.0 if fault == "server-restart" else rng.uniform(0.0, 20.0))
            world.server.restart()
        case "udp-blocked" | "udp-open":
            host.udp_blocked = fault == "udp-blocked"
        case "weather":
            world.net.weather = Weather(
                loss=rng.uniform(0.0, 0.5),
                duplication=rng.uniform(0.0, 0.3),
                reordering=rng.uniform(0.0, 0.3),
                jitter=rng.uniform(0.0, 0.2),
            )
    return f"{world.clock.now:.3f} {fault} {name}"


@seeds(10)
def test_pair_recovers_from_any_sequence_of_faults(seed: int) -> None:
    rng = random.Random(seed)
    nats = rng.choice([("none", "none"), ("port-restricted-cone", "linux-masquerade")])
    world = World(seed=seed, nat_a=nats[0], nat_b=nats[1], weather=QUIET)
    a, b = world.pair()
    pair = {"host_a": a, "host_b": b}
    struck = []
    for _ in range(rng.randrange(3, 15)):
        world.run(rng.choice([0.0, 0.05, 0.5, 5.0, 60.0]) * rng.random())
        struck.append(strike(world, pair, rng))
    world.net.weather = QUIET
    for host in world.net.hosts.values():
        host.udp_blocked = False

    world.run(2 * SETTINGS.retry_most)
    one, two = pair.values()
    assert one.is_connected, struck
    assert two.is_connected, struck
    token = one.path.binding
    world.run(SETTINGS.retry_most)
    for client in (one, two):
        assert client.is_connected, struck
        assert client.path.binding == token, struck
