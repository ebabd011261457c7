"""The status of a path at any time: which, by which rung, since when, how good, and why no better one."""

from __future__ import annotations

import pytest

from nat_traversal.client.path_status import PathKind, PathStatus, sentence
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.nat_facts import NatFacts
from natlab.presets import preset
from tests.sim.client import Client
from tests.sim.network import CALM, Weather
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


def facts_of(nat: str) -> NatFacts:
    behavior = preset(nat).behavior
    assert behavior is not None
    return NatFacts(behavior.mapping, behavior.filtering, behavior.allocation, False)


class TestWhy:
    """Both sides of a relayed pair find their NATs out, and tell each other."""

    @staticmethod
    def relayed(nat_a: str, nat_b: str, weather: Weather = CALM) -> tuple[World, Client, Client]:
        world = World(nat_a=nat_a, nat_b=nat_b, relaying=m.Relaying.AUTO, weather=weather)
        a, b = world.pair()
        a.nat_facts, b.nat_facts = facts_of(nat_a), facts_of(nat_b)
        return world, a, b

    def test_the_reason_names_both_nats_at_each_side(self) -> None:
        world, a, b = self.relayed("APDM+APDF", "EIM+APDF")
        world.run(20.0)
        assert status(a).reason.startswith(
            "your NAT gives a new port to every destination, and theirs filters by port"
        )
        assert status(b).reason.startswith(
            "your NAT filters by port, and theirs gives a new port to every destination"
        )
        assert "port forwarding on either side, or UPnP" in status(a).remedy
        for client in (a, b):
            (why,) = client.told(note.WhyRelayed)
            assert why.reason == status(client).reason

    def test_lost_packets_do_not_keep_the_facts_back(self) -> None:
        world, a, b = self.relayed("APDM+APDF", "APDM+APDF", Weather(loss=0.2))
        world.run(40.0)
        assert "both NATs give a new port" in status(a).reason
        assert "both NATs give a new port" in status(b).reason

    def test_nothing_is_asked_where_a_path_is_direct_or_has_not_lasted(self) -> None:
        world, a, b = self.relayed("EIM+APDF", "EIM+APDF")
        world.run(60.0)
        assert (a.asked_for_nat, b.asked_for_nat) == (0, 0)
        world, a, b = self.relayed("APDM+APDF", "EIM+APDF")
        world.run(9.0)
        assert (a.asked_for_nat, b.asked_for_nat) == (0, 0)
        world.run(600.0)
        assert (a.asked_for_nat, b.asked_for_nat) == (1, 1)
