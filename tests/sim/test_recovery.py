"""No matter what has stopped a pair: three seconds after it is over, datagrams arrive again. `docs/recovery.md` has the table."""

from __future__ import annotations

import random

import pytest

from nat_traversal.client.security import Security
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.seeds import every
from tests.sim.client import Client
from tests.sim.test_relay import Stream, assert_all_arrived
from tests.sim.world import World

WITHIN = 3.0
"""Seconds from the end of the cause until datagrams arrive both ways."""
EVERY = 0.1
"""Seconds between two datagrams; where nothing arrives for longer, a 600th of that time."""
NATS = [
    ("port-restricted-cone", "port-restricted-cone"),
    ("symmetric", "full-cone"),
    ("symmetric", "symmetric"),
]
"""The last pair is relayed."""
STOPPED = every(
    5,
    [
        (nats, who, consent, stopped)
        for nats, who in ((NATS[0], 0), (NATS[-1], 0), (NATS[-1], 1))
        for consent in (2.0, 8.0, 30.0)
        for stopped in (1.0, 1.1, 1.5, 2.0)
    ],
)
"""Where, for whom, and for how many times its consent a program was stopped."""
RESTARTED = Endpoint("192.0.2.77", 6545)


def streaming(
    nat_a: str = NATS[0][0], nat_b: str = NATS[0][1], consent: float = ClientSettings().consent
) -> tuple[World, Client, Client]:
    settings = ClientSettings().with_consent(consent)
    world = World(nat_a=nat_a, nat_b=nat_b, relaying=m.Relaying.AUTO, client_settings=settings)
    a, b = world.pair()
    world.until(lambda: a.selected is not None and b.selected is not None)
    world.run(10.0)
    return world, a, b


def both_ways(a: Client, b: Client, pause: float = EVERY) -> tuple[Stream, Stream]:
    return Stream(a, b, every=pause), Stream(b, a, every=pause)


def assert_back(world: World, *streams: Stream, within: float = WITHIN) -> None:
    """Datagrams that are sent from now on arrive in time, and go on to."""
    firsts = [len(stream.sent) for stream in streams]
    over = world.clock.now
    for stream, first in zip(streams, firsts, strict=True):
        world.until(lambda s=stream, n=first: any(each >= n for each in s.arrived[-50:]), within)  # type: ignore[misc]
    assert world.clock.now <= over + within
    begun = [len(stream.sent) for stream in streams]
    world.run(10.0)
    for stream, number in zip(streams, begun, strict=True):
        second = int(1.0 / stream.every) + 1
        assert set(range(number + second, len(stream.sent) - second)) <= set(stream.arrived)


@pytest.mark.parametrize(("nat_a", "nat_b"), NATS)
@pytest.mark.parametrize("seconds", [10.0, 60.0])
def test_a_program_that_was_stopped(nat_a: str, nat_b: str, seconds: float) -> None:
    world, a, b = streaming(nat_a, nat_b)
    streams = both_ways(a, b, pause=max(EVERY, seconds / 600.0))
    world.run(1.0)
    a.stop_running()
    world.run(seconds)
    a.go_on()
    assert_back(world, *streams)


@pytest.mark.seeded
@pytest.mark.parametrize(("nats", "who", "consent", "stopped"), STOPPED)
def test_whatever_consent_is_and_when_in_it_a_program_goes_on(
    nats: tuple[str, str], who: int, consent: float, stopped: float
) -> None:
    """A relay dies under an attempt that began while it stood, and that finds nothing for seconds."""
    world, *clients = streaming(*nats, consent)
    a, b = clients
    streams = both_ways(a, b, pause=max(0.1, stopped * consent / 200.0))
    world.run(1.0)
    clients[who].stop_running()
    world.run(stopped * consent)
    clients[who].go_on()
    assert_back(world, *streams)


@pytest.mark.parametrize(("nat_a", "nat_b"), NATS)
@pytest.mark.parametrize("seconds", [10.0, 60.0, 3600.0])
def test_a_host_that_slept(nat_a: str, nat_b: str, seconds: float) -> None:
    world, a, b = streaming(nat_a, nat_b)
    streams = both_ways(a, b, pause=min(0.5, max(EVERY, seconds / 600.0)))
    world.run(1.0)
    a.sleep(seconds)
    assert_back(world, *streams)


def test_both_hosts_slept_the_one_longer_than_the_other() -> None:
    world, a, b = streaming()
    streams = both_ways(a, b, pause=0.2)
    world.run(1.0)
    b.stop_running()
    a.sleep(600.0)
    world.run(300.0)
    b.go_on(forgets=True)
    assert_back(world, *streams)


def test_a_host_that_wakes_in_another_network() -> None:
    world, a, b = streaming()
    streams = both_ways(a, b)
    world.run(1.0)
    a.sleep(60.0)
    a.hand_over("port-restricted-cone", "198.18.3.2", "10.0.3.2")
    assert_back(world, *streams)


def test_a_wall_clock_that_jumps_costs_nothing() -> None:
    world, a, b = streaming()
    streams = both_ways(a, b)
    for _ in range(3):
        world.run(1.0)
        a.feed(e.Woke())
    world.run(5.0)
    assert_all_arrived(*streams)
    for client in (a, b):
        assert len(client.told(note.PathEstablished)) == 1
        assert not client.told(note.ServerLost)


@pytest.mark.parametrize("away", [1.0, 5.0, 600.0])
def test_a_server_that_restarts_touches_no_direct_path(away: float) -> None:
    world, a, b = streaming()
    streams = both_ways(a, b, pause=max(0.2, away / 600.0))
    world.server.stop()
    world.run(away)
    world.server.restart()
    world.run(70.0)
    assert_all_arrived(*streams)
    assert [len(each.told(note.PathEstablished)) for each in (a, b)] == [1, 1]
    assert world.server.rendezvous.registered == {"host_a", "host_b"}


@pytest.mark.parametrize("away", [0.5, 2.0, 5.0, 15.0, 30.0])
def test_a_pair_without_a_path_has_one_soon_after_the_server_is_back(away: float) -> None:
    world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    world.server.stop()
    a, b = world.pair()
    world.run(away)
    world.server.restart()
    world.until(lambda: a.is_connected and b.is_connected, WITHIN)


@pytest.mark.parametrize("away", [0.5, 5.0, 15.0, 30.0])
def test_a_relayed_pair_is_relayed_again_soon_after_the_server_is_back(away: float) -> None:
    world, a, b = streaming("symmetric", "symmetric")
    streams = both_ways(a, b)
    world.server.stop()
    world.run(away)
    world.server.restart()
    assert_back(world, *streams)


@pytest.mark.parametrize(("nat_a", "nat_b"), NATS)
@pytest.mark.parametrize("away", [0.1, 2.0, 20.0])
def test_a_peer_that_is_killed_and_restarted(nat_a: str, nat_b: str, away: float) -> None:
    world, a, b = streaming(nat_a, nat_b)
    world.run(1.0)
    a.crash()
    world.run(away)
    again = world.client("host_a", "host_b").start()
    assert_back(world, *both_ways(again, b))


@pytest.mark.parametrize("after", [0.9, 1.0, 1.1, 1.2])
def test_a_peer_that_is_killed_while_the_relay_is_made_and_restarted(after: float) -> None:
    """The relay was ordered one second after both came: the other host shall not wait for the dead process at it."""
    world = World(nat_a=NATS[-1][0], nat_b=NATS[-1][1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(after)
    a.crash()
    world.run(0.1)
    again = world.client("host_a", "host_b").start()
    assert_back(world, *both_ways(again, b))


def test_a_program_that_goes_on_and_finds_itself_elsewhere_when_it_has_spoken() -> None:
    """Its last words from the old network begin a relay of which it never hears."""
    world, a, b = streaming(*NATS[-1], consent=8.0)
    streams = both_ways(a, b)
    world.run(1.0)
    a.stop_running()
    world.run(12.0)
    a.go_on()
    a.hand_over("symmetric", "198.18.3.2", "10.0.3.2")
    assert_back(world, *streams)


def test_a_peer_with_an_identity_that_lost_power_and_is_back_before_the_server_knows() -> None:
    ours, theirs = (KeyPair.generate(random.Random(seed)) for seed in (1, 2))
    identity = Security.sealed(identity=ours, known={"host_b": theirs.public})
    world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a = world.client("host_a", "host_b", security=identity).start()
    known = Security.sealed(identity=theirs, known={"host_a": ours.public})
    b = world.client("host_b", "host_a", security=known).start()
    world.connect(a, b)
    world.run(10.0)
    a.vanish()
    world.run(5.0)
    again = world.client("host_a", "host_b", security=identity).start()
    asked = ServerSettings().proven_within  # the old process may yet live, and is asked
    assert_back(world, *both_ways(again, b), within=3.0)
    assert asked < 3.0


def test_a_server_at_a_new_address_of_its_name() -> None:
    """The path stands meanwhile, and the new server helps when it is needed."""
    world, a, b = streaming()
    streams = both_ways(a, b)
    world.server.stop()
    world.run(5.0)
    world.server.addresses, world.server_address = (RESTARTED,), RESTARTED
    world.server.restart()
    world.run(15.0)
    assert_all_arrived(*streams)
    assert world.server.rendezvous.registered == {"host_a", "host_b"}
    a.hand_over("port-restricted-cone", "198.18.3.2", "10.0.3.2")
    assert_back(world, *streams)
