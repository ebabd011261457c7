"""A server that drains and is replaced: attempts end, paths stand, clients come back as they were told."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from tests.sim.world import World

LATEST = ServerSettings().return_first + 1.0
"""Until the last of a few clients comes back."""


def replace_server(world: World) -> None:
    world.server.feed(e.DrainRequested())
    world.until(lambda: not world.server.rendezvous.registered)
    world.run(world.r)
    world.server.stop()
    world.server.restart()


@pytest.mark.parametrize("moment", [0.03, 0.1, 0.13, 0.17, 0.2, 0.22])
def test_an_attempt_under_way_succeeds_and_its_path_stands(moment: float) -> None:
    world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a, b = world.pair()
    world.until(lambda: len(world.server.rendezvous.registered) == 2)
    world.run(moment)
    replace_server(world)
    world.run(LATEST + 1.0)
    assert world.server.rendezvous.registered == {"host_a", "host_b"}
    for client in (a, b):
        assert client.is_connected
        assert len(client.told(note.RoundStarted)) == 1
        assert not client.told(note.PathLost)
        (lost,) = client.told(note.ServerLost)
        assert lost.reason == "it ends, and asks this host to come back"
        assert lost.retry_in is not None
        assert lost.retry_in <= LATEST


def test_a_waiting_client_is_back_within_the_time_and_meets_its_peer() -> None:
    world = World()
    a = world.client("host_a", "host_b").start()
    world.run(10.0)
    replace_server(world)
    b = world.client("host_b", "host_a").start()
    world.connect(a, b, within=LATEST + 1.0)


def test_no_server_makes_a_client_wait_longer_than_the_client_would() -> None:
    most = ClientSettings(reconnect_most=5.0)
    world = World(settings=ServerSettings(return_first=3600.0), client_settings=most)
    a = world.client("host_a", "host_b").start()
    world.run(1.0)
    world.server.feed(e.DrainRequested())
    world.run(1.0)
    assert [lost.retry_in for lost in a.told(note.ServerLost)] == [5.0]
