"""Candidates race: one that leads nowhere delays none that works, and all of them together cost little."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_HOSTS, UNVALIDATED_DATAGRAMS
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.methods import MethodName
from tests.sim.client import Client
from tests.sim.network import Packet
from tests.sim.test_hosts import NO_HAIRPIN, told_hosts
from tests.sim.test_swap import is_of
from tests.sim.world import World

DEAD = tuple(f"10.0.77.{number}" for number in range(1, MOST_HOSTS))
"""With one that works they are as many as a host tells."""
DEAD_IPV6 = ("2001:db8:77::1", "2001:db8:77::2", "2001:db8:77::3")
SWAPPED = ("EIM+APDF", "linux-masquerade")
"""Connected by the round in which host_b speaks first, at the endpoints that the server has seen."""


def world_of(
    nat_a: str, nat_b: str, dead: tuple[str, ...], *methods: MethodName, p: float = 1 / 32
) -> World:
    world = World(nat_a=nat_a, nat_b=nat_b, methods=methods, p=p)
    for name in ("host_a", "host_b"):
        world.net.hosts[name].dead = dead
    return world


def proofs(world: World) -> tuple[list[float], list[Client]]:
    """When each of the two got proof."""
    clients = list(world.pair())
    world.run(10.0)
    told = [
        at
        for client in clients
        for at, notice in client.notices
        if isinstance(notice, note.PathEstablished)
    ]
    return told, clients


def at_home(dead: tuple[str, ...]) -> World:
    world = world_of(NO_HAIRPIN, NO_HAIRPIN, dead, MethodName.HOST)
    world.net.hosts["host_b"].nat = world.net.hosts["host_a"].nat
    return world


def words_to(world: World, addresses: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """Datagrams of the handshake, by sender and address."""
    found: dict[tuple[str, str], int] = {}
    for packet in world.between_peers():
        if packet.destination.address in addresses and isinstance(packet.datagram, Hello | Confirm):
            key = packet.sender, packet.destination.address
            found[key] = found.get(key, 0) + 1
    return found


def test_dead_interfaces_beside_one_that_works_cost_no_time() -> None:
    without, _ = proofs(at_home(()))
    world = at_home(DEAD)
    times, clients = proofs(world)
    assert times == without
    assert len(times) == 2
    assert [client.path.method for client in clients] == ["host", "host"]
    assert {address for _, address in words_to(world, DEAD)} == set(DEAD)


def test_dead_ipv6_on_both_sides_costs_no_time() -> None:
    without, _ = proofs(world_of(*SWAPPED, (), MethodName.IPV6))
    world = world_of(*SWAPPED, DEAD_IPV6, MethodName.IPV6)
    times, clients = proofs(world)
    assert times == without
    assert len(times) == 2
    assert [client.path.method for client in clients] == ["ordered-hello"] * 2
    assert words_to(world, DEAD_IPV6)


@pytest.mark.parametrize("named", ["::", "::1", "ff02::1", "fe80::1", "::ffff:c633:6409"])
def test_a_peer_that_names_an_address_where_no_host_can_be_costs_the_other_nothing(
    named: str,
) -> None:
    """The server hands none on: it would be taken for a lie of the server, and end the connection to that."""
    world = world_of(*SWAPPED, DEAD_IPV6, MethodName.IPV6)
    world.net.hosts["host_b"].dead = (named,)
    times, (a, b) = proofs(world)
    assert named in [each.endpoint.address for told in told_hosts(b) for each in told.candidates]
    assert len(times) == 2
    assert not a.told(note.ServerLost)
    begun = [each for each in a.told(note.RoundStarted) if each.round > 1]
    assert begun
    assert all(each.kind != "host" for told in begun for each in told.candidates)


def test_a_mapped_port_that_died_costs_no_time() -> None:
    """The server has come by it, and nothing comes by it since. Round 1 is lost, and round 2 opens without it."""
    nats = "APDM+APDF+port-mapping", "full-cone"
    ports = set()

    def is_lost(packet: Packet) -> bool:
        if isinstance(packet.datagram, Knock):
            ports.add(packet.destination)
            return False
        return packet.destination in ports or is_of(1, packet)

    found = []
    for methods in ((), (MethodName.PORT_MAPPING,)):
        world = world_of(*nats, (), *methods, p=1.0)  # long enough for the server to knock
        world.net.drop(is_lost)
        times, clients = proofs(world)
        assert [client.path.round for client in clients] == [2, 2]
        found.append(times)
    assert any(packet.destination in ports for packet in world.between_peers())
    assert found[0] == found[1]


def test_a_host_of_many_interfaces_tells_few_and_tries_each_a_few_times() -> None:
    many = tuple(f"10.0.{number}.1" for number in range(50, 100))
    world = at_home(many)
    _, clients = proofs(world)
    for client in clients:
        told = told_hosts(client)
        assert told
        assert [each for each in told if len(each.candidates) > MOST_HOSTS] == []
    attempts = len(clients[0].told(note.AttemptFailed)) + 1
    tried = words_to(world, many)
    assert len(tried) <= 2 * MOST_HOSTS * attempts
    assert max(tried.values()) <= UNVALIDATED_DATAGRAMS * attempts


@pytest.mark.parametrize("dead", [DEAD, ()])
def test_one_host_decides_and_both_use_the_same_addresses(dead: tuple[str, ...]) -> None:
    world = at_home(dead)
    _, (a, b) = proofs(world)
    assert (a.path.remote, b.path.remote) == (
        b.sockets[b.path.generation],
        a.sockets[a.path.generation],
    )
    assert not a.told(note.PathMoved)
    assert not b.told(note.PathMoved)
