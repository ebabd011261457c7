"""Ports that routers lead to their hosts: found open by the server, told to the peer, and bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.methods import MethodName
from natlab.behavior import PortMapping
from tests.sim.client import Client
from tests.sim.world import World

METHODS = (MethodName.PORT_MAPPING.value,)
MAPS = "APDM+APDF+port-mapping"
STRICT = "port-restricted-cone"


def told(client: Client, kind: type[m.Message]) -> list[m.Message]:
    assert client.control is not None
    lines = b"".join(client.control.written).splitlines()
    return [each for each in map(control.decode, lines) if isinstance(each, kind)]


def knocks(world: World) -> int:
    return sum(isinstance(packet.datagram, Knock) for packet in world.net.log)


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        (MAPS, STRICT),
        (STRICT, MAPS),
        ("symmetric", "EIM+APDF+port-mapping"),
        (MAPS, "symmetric"),
    ],
)
def test_a_router_on_either_side_makes_a_pair_direct_that_nothing_else_opens(
    nat_a: str, nat_b: str
) -> None:
    world = World(nat_a=nat_a, nat_b=nat_b, methods=METHODS)
    a, b = world.pair()
    world.connect(a, b, within=2.5)
    assert [client.path.method for client in (a, b)] == ["port-mapping"] * 2
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@pytest.mark.parametrize("nat", ["none", "EIM+EIF+port-mapping"])
def test_a_pair_that_the_contract_opens_asks_no_router(nat: str) -> None:
    sent = []
    for methods in ((), METHODS):
        world = World(nat_a=nat, nat_b=STRICT, methods=methods)
        a, b = world.pair()
        world.connect(a, b)
        sent.append([(type(p.datagram), p.sender, p.sent_at) for p in world.net.log])
        assert not a.told(note.PortForwarded)
    assert sent[0] == sent[1]


@pytest.mark.parametrize("takes", [0.5, 1.5])
def test_a_slow_router_joins_a_round_that_has_begun(takes: float) -> None:
    world = World(nat_a=MAPS, nat_b=STRICT, methods=METHODS)
    world.net.hosts["host_a"].router_takes = takes
    a, b = world.pair()
    world.connect(a, b, within=takes + 2.0)
    assert b.path.method == "port-mapping"


def test_a_lost_knock_comes_again() -> None:
    world = World(nat_a=MAPS, nat_b=STRICT, methods=METHODS)
    world.net.drop(lambda packet: isinstance(packet.datagram, Knock), nth=1)
    world.connect(*world.pair(), within=3.0)
    assert knocks(world) == 2


def test_a_port_that_leads_nowhere_is_offered_to_nobody_and_costs_a_few_knocks() -> None:
    world = World(nat_a=MAPS, nat_b=STRICT, methods=METHODS)
    world.net.hosts["host_a"].router_lies = True
    a, _ = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed)), within=10.0)
    assert not a.told(note.PortForwarded)
    assert 1 <= knocks(world) <= 6
    knocked = {p.destination.address for p in world.net.log if isinstance(p.datagram, Knock)}
    assert knocked == {world.net.hosts["host_a"].nat.public_address}
    shown = {p.source for p in world.net.log if p.sender == "host_a"}
    assert {p.destination for p in world.between_peers() if p.sender == "host_b"} <= shown


def begins_to_map(world: World, host: str) -> None:
    """Its router: from now on it leads ports."""
    nat = world.net.hosts[host].nat
    assert nat.behavior is not None
    nat.behavior = replace(nat.behavior, port_mapping=PortMapping.ASKED)


@pytest.mark.parametrize("host", ["host_a", "host_b"])
def test_a_relayed_pair_is_direct_soon_after_a_router_has_begun_to_map_ports(host: str) -> None:
    world = World(nat_a=STRICT, nat_b="symmetric", methods=METHODS, relaying=m.Relaying.AUTO)
    clients = world.pair()
    world.run(700.0)
    assert all(client.told(note.NotDirect) for client in clients), "minutes between two attempts"
    began = {client: len(client.told(note.RoundStarted)) for client in clients}
    begins_to_map(world, host)
    world.until(
        lambda: all(client.path.method == "port-mapping" for client in clients),
        within=ClientSettings().router_look + 5.0,
    )
    for client in clients:
        assert len(client.told(note.RoundStarted)) - began[client] == 2, "one attempt"


def test_a_router_that_maps_no_port_is_asked_once_a_minute_and_begins_no_attempt() -> None:
    world = World(nat_a=STRICT, nat_b="symmetric", methods=METHODS, relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(700.0)
    asked, retries = a.asked_router, len(told(a, m.Retry))
    world.run(600.0)
    attempts = len(told(a, m.Retry)) + len(told(b, m.Retry)) - retries
    assert 1 <= a.asked_router - asked <= 600 / ClientSettings().router_look + attempts
    assert len(told(a, m.Retry)) - retries <= 5


def test_more_candidates_stay_within_the_budget_of_the_attempt() -> None:
    """The worst case: nothing that the one host says arrives, and it has one more place to say it to."""
    world = World(nat_a=MAPS, nat_b=STRICT, methods=METHODS)
    world.net.drop(lambda p: p.sender == "host_b" and isinstance(p.datagram, Hello | Confirm))
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.AttemptFailed)), within=60.0)
    said = [p for p in world.between_peers() if p.sender == "host_b"]
    assert a.told(note.PortForwarded)
    assert len(said) <= 90
    assert not b.told(note.ServerLost), "an honest server is not left"
