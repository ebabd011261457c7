"""`birthday` where both NATs give ports at random: one guess is enough if one of them maps and filters by address."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire.behavior import PortAllocation
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.nat_facts import NatFacts
from natlab.presets import preset
from tests.seeds import every, seeds
from tests.sim.client import Client
from tests.sim.guesses import entries, granted_at, guesses, most_within
from tests.sim.network import Weather
from tests.sim.world import World

METHODS = (MethodName.PREDICTION.value, MethodName.BIRTHDAY.value)
PAIRS = [
    ("ADM+EIF", "ADM+APDF"),
    ("ADM+EIF", "APDM+APDF"),
    ("ADM+ADF", "ADM+ADF"),
    ("ADM+ADF", "ADM+APDF"),
    ("ADM+ADF", "APDM+ADF"),
    ("ADM+ADF", "APDM+APDF"),
]
SIDES = every(2, [(nats, (n + k) % 2 > 0) for n, nats in enumerate(PAIRS) for k in (0, 1)])
"""Each pair with one or the other host behind its first NAT."""
HOPELESS = [("ADM+APDF", "ADM+APDF"), ("APDM+EIF", "APDM+ADF"), ("APDM+APDF", "APDM+APDF")]
"""Both ports would have to be guessed at once."""
WITHIN = 10.0
MOST_ENTRIES, MOST_A_SECOND = 1_300, 150


def facts_of(nat: str) -> NatFacts:
    """What a server with two addresses helps the host to find out."""
    behavior = preset(nat).behavior
    assert behavior is not None
    return NatFacts(behavior.mapping, behavior.filtering, PortAllocation.RANDOM, False)


def a_pair(
    nats: tuple[str, str], *, seed: int = 0, told: bool = True
) -> tuple[World, Client, Client]:
    """Relayed at first. `told`: each host finds out how its NAT behaves."""
    nat_a, nat_b = (f"{nat}+random" for nat in nats)
    world = World(
        nat_a=nat_a,
        nat_b=nat_b,
        r=0.05,
        p=0.04,
        seed=seed,
        weather=Weather(jitter=0.005),
        methods=METHODS,
        relaying=Relaying.AUTO,
    )
    a, b = world.client("host_a", "host_b"), world.client("host_b", "host_a")
    if told:
        a.nat_facts, b.nat_facts = facts_of(nat_a), facts_of(nat_b)
    a.start(), b.start()
    return world, a, b


def is_direct(client: Client) -> bool:
    return any(told.method == "birthday" for told in client.told(note.PathEstablished))


@pytest.mark.parametrize(("nats", "swapped"), SIDES)
@seeds(1)
def test_the_port_of_the_nat_by_address_is_met(
    nats: tuple[str, str], swapped: bool, seed: int
) -> None:
    world, a, b = a_pair(nats[::-1] if swapped else nats, seed=seed)
    world.until(lambda: bool(granted_at(a)), within=20.0)
    before = [entries(world, client.host) for client in (a, b)]
    world.until(lambda: is_direct(a) and is_direct(b), within=WITHIN)
    assert world.clock.now - granted_at(a)[0] < WITHIN
    for client, earlier in zip((a, b), before, strict=True):
        assert entries(world, client.host) - earlier <= MOST_ENTRIES
        assert most_within(1.0, guesses(world, client.host.name)) <= MOST_A_SECOND
    world.run(1.0)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@pytest.mark.parametrize(
    ("nats", "told"), [(each, True) for each in HOPELESS] + [(PAIRS[0], False)]
)
def test_nothing_is_guessed_where_it_would_be_in_vain_or_nobody_can_tell(
    nats: tuple[str, str], told: bool
) -> None:
    world, a, b = a_pair(nats, told=told)
    world.run(60.0)
    assert a.asked_for_nat
    assert not granted_at(a)
    assert not granted_at(b)
    assert not is_direct(a)
