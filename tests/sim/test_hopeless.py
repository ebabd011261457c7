"""Two NATs that give ports at random: the samples show it, the ladder ends early, and only a change begins another attempt."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import FURTHER
from tests.sim.client import Client
from tests.sim.world import World

METHODS = tuple(each.value for each in FURTHER)
RANDOM = "APDM+APDF"
SETTINGS = ClientSettings()
LONG = SETTINGS.retry_most / 2


def a_world(nat_a: str = RANDOM, nat_b: str = RANDOM) -> tuple[World, Client, Client]:
    world = World(nat_a=nat_a, nat_b=nat_b, r=0.05, p=0.04, methods=METHODS, relaying=Relaying.AUTO)
    return (world, *world.pair())


def attempts(client: Client) -> int:
    return len({told.attempt for told in client.told(note.RoundStarted)})


def test_the_attempt_ends_with_the_samples_the_relay_stays_and_one_sentence_says_why() -> None:
    world, a, b = a_world()
    world.run(LONG)
    for client in (a, b):
        (failed,) = client.told(note.NotDirect)
        assert "both give each destination a port at random" in failed.text
        assert "without guessing ports" in failed.text
        assert failed.retry_in >= LONG
        assert client.time_of(note.NotDirect) < 3.0
        assert {told.round for told in client.told(note.RoundStarted)} == {1, 2}
        assert attempts(client) == 1
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@pytest.mark.long
def test_minutes_later_it_is_looked_at_again_and_seldom() -> None:
    world, a, _ = a_world()
    world.run(3600.0)
    assert 3600 / SETTINGS.retry_most <= attempts(a) <= 1 + 3600 / LONG


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        (RANDOM, "EIM+APDF"),
        ("linux-masquerade", RANDOM),
        (RANDOM, "APDM+EIF"),
        ("EIM+APDF+random", "udp-blocked"),
    ],
)
def test_where_one_nat_keeps_ports_or_lets_words_in_nothing_is_said_to_last(
    nat_a: str, nat_b: str
) -> None:
    world, a, b = a_world(nat_a, nat_b)
    world.run(60.0)
    for client in (a, b):
        for failed in client.told(note.NotDirect) + client.told(note.AttemptFailed):
            assert "at random" not in failed.text
            assert failed.retry_in is not None
            assert failed.retry_in <= 80.0


def test_another_network_begins_another_attempt_at_once() -> None:
    world, a, b = a_world()
    world.run(30.0)
    assert attempts(a) == 1
    a.feed(e.NetworkChanged())
    world.run(1.0)
    assert attempts(a) == attempts(b) == 2


def test_so_does_a_peer_that_comes_anew_from_behind_another_nat() -> None:
    world, a, b = a_world()
    world.run(30.0)
    b.stop()
    world.run(1.0)
    world.net.hosts["host_b"].nat = type(world.net.hosts["host_b"].nat)(
        None, "198.51.100.7", world.rng
    )
    world.net.hosts["host_b"].address = "198.51.100.7"
    anew = world.client("host_b", "host_a").start()
    world.connect(a, anew, within=10.0)
    assert a.path.method == "ordered-hello"
