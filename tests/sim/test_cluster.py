"""Clients of different servers that share a store: what it costs, and what becomes of them when one dies."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from tests.sim.client import Client
from tests.sim.cluster import ClusterWorld
from tests.sim.process import connected_at
from tests.sim.world import keeps_alive

DISTANCES = [(1 / 16, 1 / 32, 1 / 128), (1 / 8, 1 / 64, 1 / 32), (1 / 32, 1 / 32, 1 / 256)]
"""R, P, and X: from a server to the store and back, in seconds. P < 2 R."""


@pytest.mark.parametrize("newcomer", ["host_a", "host_b"])
@pytest.mark.parametrize(("r", "p", "x"), DISTANCES)
def test_peers_at_two_servers_cost_two_crossings_of_the_store_more(
    newcomer: str, r: float, p: float, x: float
) -> None:
    world = ClusterWorld(2, r=r, p=p, x=x)
    waiter = "host_a" if newcomer == "host_b" else "host_b"
    waiting = world.at(waiter, newcomer, server=0)
    world.run(40.0)
    began = world.clock.now
    arriving = world.at(newcomer, waiter, server=1)
    world.run(10.0)
    a, b = sorted((waiting, arriving), key=lambda client: client.host.name)
    assert connected_at(b) - began == 3 * r + p + 2 * x
    assert connected_at(a) == connected_at(b) + p / 2
    assert world.serving(a) is not world.serving(b)


def a_pair_at_two_servers(
    *, bare: bool = False, nat: str = "none"
) -> tuple[ClusterWorld, Client, Client]:
    world = ClusterWorld(3, bare=bare, nat=nat)
    a, b = world.at("host_a", "host_b", server=0), world.at("host_b", "host_a", server=1)
    world.connect(a, b)
    world.run(2.0)
    return world, a, b


def notice_nothing(world: ClusterWorld, *clients: Client) -> None:
    """The paths stand, and no attempt has begun since the first."""
    for client in clients:
        assert client.is_connected
        assert not client.told(note.PathLost)
        assert len(client.told(note.RoundStarted)) == 1
    first, second = clients
    assert world.carries_data(first, second)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("dead", [0, 1])
def test_clients_of_a_dead_server_move_and_a_running_path_notices_nothing(
    dead: int, *, bare: bool
) -> None:
    world, a, b = a_pair_at_two_servers(bare=bare)
    world.servers[dead].stop()
    world.run(30.0)
    notice_nothing(world, a, b)
    ids = [each for server in world.servers if server.is_up for each in server.machine.registered]
    assert sorted(ids) == ["host_a", "host_b"]
    # the pair is known as a pair: what one says about its service reaches the other
    b.feed(e.ServiceChanged(up=False))
    world.run(1.0)
    assert a.told(note.ServiceAtPeer)


def test_a_pair_that_lost_its_path_and_a_server_opens_another() -> None:
    world, a, b = a_pair_at_two_servers()
    world.net.drop(keeps_alive)
    world.servers[0].stop()
    world.until(lambda: bool(a.told(note.PathLost) and b.told(note.PathLost)), within=60.0)
    world.net.drops.clear()
    world.connect(a, b, within=60.0)


def test_a_client_that_leaves_is_told_to_its_peer_at_another_server() -> None:
    world, a, b = a_pair_at_two_servers()
    a.stop()
    world.run(1.0)
    assert [each.state for each in b.told(note.PeerSeen)][-1] == "left"


def test_a_store_that_dies_and_comes_back_empty_leaves_every_id_with_its_holder() -> None:
    world, a, b = a_pair_at_two_servers()
    world.store.kill()
    thief = world.client("host_a", "host_b", host="host_c")
    world._at["host_c"] = 1
    thief.start()
    world.run(3.0)
    world.store.start()
    world.run(20.0)
    notice_nothing(world, a, b)
    assert [each.code for each in thief.told(note.ServerRefused)][:1] in ([], ["id-in-use"])
    assert not thief.told(note.RegisteredAtServer)
    assert "host_a" in world.servers[0].machine.registered


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("away", [2.0, 6.0, 20.0])
def test_attempts_of_pairs_at_two_servers_wait_for_the_store_and_do_not_fail(
    away: float, *, empty: bool
) -> None:
    """Orders and answers that the store does not carry are nobody's fault: not blocked UDP, no silent peer."""
    world, a, b = a_pair_at_two_servers()
    world.net.drop(keeps_alive)
    if empty:
        world.store.kill()
    else:
        for server in world.servers:
            world.store.cut_off(server)
    world.until(lambda: bool(a.told(note.PathLost) and b.told(note.PathLost)), within=60.0)
    world.net.drops.clear()
    world.run(away)
    if empty:
        world.store.start()
    else:
        for server in world.servers:
            world.store.mend(server)
    world.connect(a, b, within=10.0)
    for client in (a, b):
        assert not client.told(note.AttemptFailed)


def test_newcomers_find_each_other_once_the_store_is_back() -> None:
    world = ClusterWorld(3)
    world.store.kill()
    a, b = world.at("host_a", "host_b", server=0), world.at("host_b", "host_a", server=1)
    world.run(5.0)
    assert not a.told(note.RegisteredAtServer)
    world.store.start()
    world.connect(a, b, within=90.0)


def test_a_server_that_is_cut_off_loses_its_ids_to_those_that_came_after_the_lease() -> None:
    """Two may hold one id no longer than the lease: after it the cut-off server introduces nobody by it."""
    world, _, _ = a_pair_at_two_servers()
    waiting = world.client("host_x", "host_y", host="host_c")
    world._at["host_c"] = 1
    waiting.start()
    world.run(5.0)
    cut_off = world.serving(waiting)
    assert "host_x" in cut_off.machine.registered
    world.store.cut_off(cut_off)
    other = world.client("host_x", "host_y", host="host_a")
    world._at["host_a"] = (world.servers.index(cut_off)) % 3
    other.start()
    began = world.clock.now
    world.until(lambda: bool(other.told(note.RegisteredAtServer)), within=30.0)
    assert world.clock.now - began > 3.0, "not before the lease of the other one is over"
    world.store.mend(cut_off)
    world.run(1.0)
    assert "host_x" not in cut_off.machine.registered
    assert [each.reason for each in waiting.told(note.ServerLost)]


def test_a_client_that_comes_back_by_another_server_displaces_its_own_dead_connection() -> None:
    """By proof of its key, across the two servers."""
    world, a, b = a_pair_at_two_servers(nat="full-cone")
    before = world.serving(a)
    a.change_address("203.0.113.77")
    world.run(60.0)
    world.connect(a, b, within=60.0)
    assert world.serving(a) is not before
    assert "host_a" in world.serving(a).machine.registered
    assert "host_a" not in before.machine.registered
