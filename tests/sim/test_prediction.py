"""The method `prediction`: NATs that give ports in sequence, or of a small block, open at a port that nobody has seen."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_DATAGRAMS
from nat_traversal.server.allocation import BLOCK
from nat_traversal.wire.datagrams import Confirm, Hello, encode
from nat_traversal.wire.messages import MOST_AT_ONCE
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.samples import Sample
from tests.seeds import seeds
from tests.sim.foreign import Foreign
from tests.sim.network import Packet, Weather
from tests.sim.world import World

METHODS = (MethodName.PREDICTION.value, MethodName.SIMULTANEOUS.value)
FIRST = 3
"""The first round of the method: after the two of the contract."""
SEQUENTIAL = "APDM+APDF+sequential"
PAIRS = [(SEQUENTIAL, "EIM+APDF"), ("linux-masquerade", SEQUENTIAL), (SEQUENTIAL, SEQUENTIAL)]


def a_world(nat_a: str, nat_b: str, *, seed: int = 0, foreign: float = 0.0) -> World:
    """Round trips of 50 ms to the server and 40 ms between the hosts, some jitter, and others' connections."""
    weather = Weather(jitter=0.005)
    world = World(
        nat_a=nat_a, nat_b=nat_b, r=0.05, p=0.04, seed=seed, weather=weather, methods=METHODS
    )
    for index, name in enumerate(("host_a", "host_b")):
        if foreign:
            Foreign(world, world.net.hosts[name], foreign, random.Random(2 * seed + index))
    return world


def said(world: World, host: str, round_: int | None = None) -> list[Packet]:
    """The words of the handshake that `host` said in the method's rounds, or in one of them."""
    return [
        packet
        for packet in world.between_peers()
        if packet.sender == host
        and isinstance(packet.datagram, Hello | Confirm)
        and packet.datagram.round >= FIRST
        and round_ in (None, packet.datagram.round)
    ]


@pytest.mark.parametrize(("foreign", "within", "most"), [(20.0, 3.0, 64), (100.0, 5.0, 200)])
@pytest.mark.parametrize("pair", PAIRS)
@seeds(2)
def test_the_next_port_is_met_while_others_take_ports_too(
    pair: tuple[str, str], foreign: float, within: float, most: int, seed: int
) -> None:
    world = a_world(*pair, seed=seed, foreign=foreign)
    a, b = world.pair()
    world.connect(a, b)
    assert [client.path.method for client in (a, b)] == ["prediction"] * 2
    assert world.clock.now < within, "from a cold start"
    assert max(len(said(world, host)) for host in ("host_a", "host_b")) <= most
    world.run(1.0)
    assert len(a.sockets) == len(b.sockets) == 1
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)
    a.stop()
    world.run(1.0)
    assert not a.sockets


def test_all_sockets_of_a_side_aim_at_one_port_at_the_same_moment() -> None:
    world = a_world(SEQUENTIAL, SEQUENTIAL, foreign=100.0)
    a, b = world.pair()
    world.connect(a, b)
    for host, other in (("host_a", "host_b"), ("host_b", "host_a")):
        openers = [
            packet
            for packet in said(world, host, FIRST)
            if isinstance(packet.datagram, Hello) and packet.datagram.step < 3
        ]
        burst = [packet for packet in openers if packet.sent_at == openers[0].sent_at]
        assert 12 <= len({packet.socket for packet in burst}) == len(burst) <= MOST_AT_ONCE
        (aim,) = {packet.destination for packet in burst}
        assert aim in {packet.source for packet in said(world, other, FIRST)}
        assert len(
            {packet.datagram.mac for packet in burst if isinstance(packet.datagram, Hello)}
        ) == len(burst)


@pytest.mark.long
def test_a_block_is_met_by_32_sockets_and_32_ports_in_the_median() -> None:
    rounds: Counter[int | None] = Counter()
    for seed in range(24):
        world = a_world("APDM+APDF+block-per-host", "EIM+APDF", seed=seed)
        a, _ = world.pair()
        world.run(7.0)
        rounds[a.path.round if a.is_connected else None] += 1
        burst = said(world, "host_a", FIRST)
        assert len({packet.socket for packet in burst}) <= MOST_AT_ONCE
        ports = {packet.destination.port for packet in said(world, "host_b", FIRST)}
        assert len(ports) <= MOST_AT_ONCE + 1, "those, and the one at which the peer was heard"
        assert {port // BLOCK for port in ports} == {burst[0].source.port // BLOCK}
    assert rounds[FIRST] > 12
    assert rounds[None] < 8


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        ("symmetric", "EIM+APDF"),
        ("APDM+APDF+block-per-host", SEQUENTIAL),
        ("linux-masquerade", "linux-masquerade"),
    ],
)
def test_nothing_is_tried_where_no_rule_helps(nat_a: str, nat_b: str) -> None:
    world = a_world(nat_a, nat_b)
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.PathEstablished) or a.told(note.AttemptFailed)))
    starts = [packet.socket for packet in said(world, "host_a", FIRST)]
    assert len(set(starts)) == 1, "one socket, of the method after it"
    assert {client.claims[0].method for client in (a, b) if client.claims} <= {"simultaneous"}


def test_pair_that_the_contract_opens_shows_no_sample() -> None:
    world = a_world(SEQUENTIAL, "EIM+EIF")
    a, b = world.pair()
    world.connect(a, b)
    assert a.path.method == "ordered-hello"
    assert not any(isinstance(packet.datagram, Sample) for packet in world.net.log)


def test_lost_words_cost_another_try_with_fresh_ports_and_all_sockets_are_closed() -> None:
    world = a_world(SEQUENTIAL, SEQUENTIAL)
    world.net.drop(
        lambda packet: isinstance(packet.datagram, Hello) and packet.datagram.round == FIRST
    )
    a, b = world.pair()
    world.connect(a, b)
    assert [(client.path.method, client.path.round) for client in (a, b)] == [
        ("prediction", FIRST + 1)
    ] * 2
    first, second = (
        {packet.source for packet in said(world, "host_a", round_)} for round_ in (FIRST, FIRST + 1)
    )
    assert not first & second
    assert len(a.sockets) == len(b.sockets) == 1


def test_it_ends_within_the_attempt_s_budget_and_leaves_no_socket() -> None:
    world = a_world(SEQUENTIAL, "EIM+APDF", foreign=100.0)
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello))
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)))
    sent = Counter(packet.sender for packet in world.between_peers())
    assert max(sent.values()) <= MOST_DATAGRAMS
    assert len(a.sockets) == len(b.sockets) == 0


def test_lost_samples_are_waited_for_a_moment_and_three_ports_will_do() -> None:
    world = a_world(SEQUENTIAL, SEQUENTIAL)
    world.net.drop(lambda packet: isinstance(packet.datagram, Sample), nth=2)
    a, b = world.pair()
    world.connect(a, b)
    assert [client.path.method for client in (a, b)] == ["prediction"] * 2


def test_recorded_samples_tell_the_server_nothing_new() -> None:
    """An attacker hears them, and sends each again from a port of its own, ahead of it: the ports would be no sequence."""
    world = a_world(SEQUENTIAL, SEQUENTIAL)
    a, b = world.pair()
    world.run(4.3)
    recorded = [packet for packet in world.net.log if isinstance(packet.datagram, Sample)]
    assert recorded
    member = world.server.rendezvous.member(1)
    assert member is not None
    before = member.sightings.count(member.generation)
    for packet in recorded:
        a.send_raw(encode(packet.datagram))
    world.run(0.1)
    assert member.sightings.count(member.generation) == before
    assert b.is_connected
