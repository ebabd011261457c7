"""Every rung opens a pair at two servers as it does at one: a guest's further words come as its first ones do."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.cluster.clustered import ClusteredServer
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.samples import Sample
from tests.sim.client import Client
from tests.sim.cluster import ClusterWorld
from tests.sim.foreign import Foreign

SEQUENTIAL, STRICT, MAPS = "APDM+APDF+sequential", "EIM+APDF", "APDM+APDF+port-mapping"
CLOSED = "APDM+APDF+random"
KEEPS = "APDM+APDF+preserving"
RUNGS = [
    (MethodName.PREDICTION, (SEQUENTIAL, STRICT)),
    (MethodName.PREDICTION, (STRICT, SEQUENTIAL)),
    (MethodName.PREDICTION, (SEQUENTIAL, SEQUENTIAL)),
    (MethodName.PREDICTION, (KEEPS, KEEPS)),
    (MethodName.SIMULTANEOUS, ("linux-masquerade", "linux-masquerade")),
    (MethodName.LOW_TTL, ("linux-masquerade", "linux-masquerade")),
    (MethodName.BIRTHDAY, ("symmetric", STRICT)),
    (MethodName.BIRTHDAY, (STRICT, "symmetric")),
    (MethodName.PORT_MAPPING, (MAPS, STRICT)),
    (MethodName.PORT_MAPPING, (STRICT, MAPS)),
]
"""A pair that the rung alone opens."""


def at_two(
    nats: tuple[str, str],
    methods: tuple[MethodName, ...],
    *,
    first: int = 0,
    seed: int = 0,
    one_home: bool = False,
    have_ipv6: bool = False,
) -> tuple[ClusterWorld, Client, Client]:
    """`host_a` begins at the server `first` of two, host_b at the other one."""
    names = tuple(each.value for each in methods)
    world = ClusterWorld(2, nat=nats[0], nat_b=nats[1], methods=names, seed=seed)
    world.net.routers = ("198.18.0.1",)
    if one_home:
        world.net.hosts["host_b"].nat = world.net.hosts["host_a"].nat
    for number, host in enumerate(world.net.hosts.values() if have_ipv6 else (), 1):
        host.ipv6 = f"2001:db8::{number}"
    a = world.at("host_a", "host_b", server=first)
    b = world.at("host_b", "host_a", server=1 - first)
    return world, a, b


def opened_by(client: Client) -> list[str]:
    return [each.method for each in client.told(note.PathEstablished)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("rung", "nats"), RUNGS)
def test_the_rung_opens_a_pair_at_two_servers(
    rung: MethodName, nats: tuple[str, str], first: int
) -> None:
    world, a, b = at_two(nats, (rung,), first=first)
    world.connect(a, b, within=20.0)
    assert opened_by(a) == opened_by(b) == [rung.value]
    assert world.serving(a) is not world.serving(b)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


def test_hosts_behind_one_nat_meet_at_their_own_addresses() -> None:
    world, a, b = at_two((STRICT, STRICT), (MethodName.HOST,), one_home=True)
    world.connect(a, b, within=2.0)
    assert opened_by(a) == opened_by(b) == ["host"]
    assert b.path.remote.address == a.host.address


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("has_ipv6", [True, False])
def test_hosts_with_ipv6_meet_there_though_nothing_opens_their_ipv4_nats(
    has_ipv6: bool, first: int
) -> None:
    world, a, b = at_two((CLOSED, CLOSED), (MethodName.IPV6,), first=first, have_ipv6=has_ipv6)
    world.run(5.0)
    assert opened_by(a) == opened_by(b) == (["ipv6"] if has_ipv6 else [])
    if has_ipv6:
        assert (a.path.round, b.path.remote.address) == (2, a.host.ipv6)
        assert world.carries_data(a, b)
        assert world.carries_data(b, a)


@pytest.mark.long
def test_a_guests_next_port_is_met_while_others_take_ports_too() -> None:
    met = 0
    for seed in range(20):
        world, a, b = at_two((STRICT, SEQUENTIAL), (MethodName.PREDICTION,), seed=seed)
        Foreign(world, b.host, 20.0, world.stream_rng or world.rng)
        world.run(4.0)
        met += opened_by(a) == opened_by(b) == ["prediction"]
    assert met >= 19


def test_a_guests_router_is_knocked_at_by_its_own_server_alone() -> None:
    """The server that manages the pair takes the other one's word, and sends nothing that a guest cannot read."""
    world, a, b = at_two((STRICT, MAPS), (MethodName.PORT_MAPPING,))
    world.connect(a, b, within=20.0)
    assert b.host.name > a.host.name, "the guest"
    knocks = [each for each in world.net.log if isinstance(each.datagram, Knock)]
    assert {each.source for each in knocks} == set(world.serving(b).addresses)


def test_a_recorded_sample_of_a_guest_is_handed_on_once() -> None:
    world, a, b = at_two((STRICT, SEQUENTIAL), (MethodName.PREDICTION,))
    world.connect(a, b)
    sampled = [each for each in world.net.log if isinstance(each.datagram, Sample)]
    theirs = [each for each in sampled if each.sender == "host_b"]
    assert theirs
    managing, own = world.serving(a).machine, world.serving(b)
    before = shown(managing, "host_b")
    assert before >= len(theirs)
    for each in theirs:
        own.feed(e.DatagramArrived(each.datagram, each.source))
    world.run(1.0)
    assert shown(managing, "host_b") == before


def shown(machine: ClusteredServer, id_: str) -> int:
    """Ports of that host that the server knows, of its newest sockets."""
    members = [each.member for each in machine.hosts if each.member and each.member.id == id_]
    return sum(
        member.sightings.count(generation)
        for member, generation in itertools.product(members, range(1, 12))
    )
