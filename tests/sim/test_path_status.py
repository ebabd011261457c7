"""The status of a path at any time: which, by which rung, since when, how good, and why no better one."""

from __future__ import annotations

import pytest

from nat_traversal.client.path_status import PathKind, PathStatus, sentence
from nat_traversal.wire import messages as m
from tests.sim.client import Client
from tests.sim.network import Weather
from tests.sim.world import World


def status(client: Client) -> PathStatus:
    return client.agent.status(client.world.clock.now)


def test_a_direct_path_is_told_with_its_round_trip_and_mtu() -> None:
    world = World(nat_a="EIM+APDF", nat_b="EIM+APDF", relaying=m.Relaying.AUTO)
    pair = world.pair()
    assert status(pair[0]).path is PathKind.NONE
    world.run(30.0)
    for client, peer in zip(pair, ("host_b", "host_a"), strict=True):
        told = status(client)
        assert (told.peer, told.path, told.method) == (peer, PathKind.DIRECT, "ordered-hello")
        assert told.round_trip == pytest.approx(world.p)
        assert (told.loss, told.mtu, told.reason, told.remedy) == (0.0, 1500, "", "")
        assert told.seconds is not None
        assert 29.0 < told.seconds < 30.0


def test_a_relayed_path_says_why_and_what_would_change_it() -> None:
    world = World(nat_a="APDM+APDF", nat_b="APDM+APDF", relaying=m.Relaying.AUTO)
    pair = world.pair()
    world.run(30.0)
    for client in pair:
        told = status(client)
        assert (told.path, told.method) == (PathKind.RELAYED, "relay")
        assert told.reason
        assert "port forwarding" in told.remedy
        assert sentence(told).count("\n") == 0


def test_loss_shows() -> None:
    world = World(
        nat_a="EIM+EIF", nat_b="EIM+EIF", relaying=m.Relaying.AUTO, weather=Weather(loss=0.2)
    )
    pair = world.pair()
    world.run(300.0)
    for client in pair:
        told = status(client)
        assert told.loss is not None
        assert 0.05 < told.loss < 0.8


def test_a_peer_that_has_gone_is_told_as_such() -> None:
    world = World(nat_a="EIM+EIF", nat_b="EIM+EIF", relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(5.0)
    b.stop()
    world.run(5.0)
    told = status(a)
    assert (told.path, told.reason) == (PathKind.NONE, "host_b has left")
