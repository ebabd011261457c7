"""The method `low-ttl`: two order-sensitive NATs open by datagrams that end between them, however long the way is."""

from __future__ import annotations

from collections import Counter

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_DATAGRAMS, MOST_OCTETS
from nat_traversal.wire.datagrams import Confirm, Hello, encode
from nat_traversal.wire.methods import MethodName
from nat_traversal.wire.opener import Opener
from natlab.oracle.model import Admission
from tests.seeds import seeds
from tests.sim.network import CALM, Packet, Weather
from tests.sim.world import World

METHODS = (MethodName.LOW_TTL.value,)
FIRST = 3
"""The first round of the method: after the two of the contract."""
ORDER_SENSITIVE = "linux-masquerade"


def a_world(
    routers: int, *, seed: int = 0, p: float = 0.04, loss: float = 0.0, jitter: float = 0.03
) -> World:
    """Two order-sensitive NATs with so many routers between them, and the server as far as the peer: first packets do
    not cross by themselves."""
    world = World(
        nat_a=ORDER_SENSITIVE, nat_b=ORDER_SENSITIVE, r=max(0.05, p), p=p, seed=seed, methods=METHODS,
        weather=Weather(jitter=jitter, loss=loss),
    )  # fmt: skip
    world.net.routers = tuple(f"198.18.0.{number}" for number in range(1, routers + 1))
    return world


def openers(world: World) -> list[Packet]:
    return [packet for packet in world.between_peers() if isinstance(packet.datagram, Opener)]


def said(world: World) -> Counter[str]:
    """The datagrams of the handshake to the peer, by host."""
    words = [
        packet
        for packet in world.between_peers()
        if isinstance(packet.datagram, Hello | Confirm | Opener)
    ]
    assert max(len(encode(packet.datagram)) for packet in words) <= MOST_OCTETS
    return Counter(packet.sender for packet in words)


@pytest.mark.parametrize("p", [0.001, 0.04, 0.3])
@pytest.mark.parametrize("routers", [1, 2, 5, 12])
@seeds(2)
def test_it_opens_whatever_the_way_between_the_nats(routers: int, p: float, seed: int) -> None:
    world = a_world(routers, seed=seed, p=p)
    a, b = world.pair()
    world.run(12.0)
    assert [(client.path.method, client.path.round) for client in (a, b)] == [
        ("low-ttl", FIRST)
    ] * 2
    assert not a.told(note.AttemptFailed)
    assert max(said(world).values()) <= MOST_DATAGRAMS
    world.net.weather = CALM
    world.run(1.0)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)
    assert len(a.sockets) == len(b.sockets) == 1


def test_the_opener_of_the_announced_socket_reaches_no_nat_of_the_peer() -> None:
    world = a_world(3)
    a, b = world.pair()
    world.connect(a, b)
    for client in (a, b):
        mine = [each for each in openers(world) if each.socket == client.socket]
        assert mine
        assert not any(each.arrivals for each in mine)
    hellos = [
        each
        for each in world.between_peers()
        if isinstance(each.datagram, Hello) and each.datagram.round == FIRST
    ]
    assert {each.arrivals[0][2] for each in hellos} == {Admission.DELIVERED}


def firsts(world: World) -> list[Packet]:
    """The first words of both hosts in the method's first round."""
    return [
        each
        for each in world.between_peers()
        if isinstance(each.datagram, Hello)
        and each.datagram.round == FIRST
        and each.datagram.step < 3
        and each.datagram.copy == 0
    ]


@pytest.mark.parametrize("silent", [(1,), (2, 3), (1, 2, 4)])
def test_routers_that_say_nothing_are_passed_over(silent: tuple[int, ...]) -> None:
    world = a_world(4)
    world.net.silent_routers = frozenset(f"198.18.0.{number}" for number in silent)
    a, b = world.pair()
    world.connect(a, b)
    assert [client.path.method for client in (a, b)] == ["low-ttl"] * 2


def test_a_host_that_hears_no_router_speaks_first_and_the_other_after_it() -> None:
    """One opener is enough where the other host's first word comes before its peer's."""
    world = a_world(3)
    a, b = world.pair()
    world.until(lambda: bool(openers(world)))
    deaf = a.feed
    a.feed = lambda event: None if isinstance(event, e.HopTold) else deaf(event)  # type: ignore[method-assign]
    world.connect(a, b)
    assert [client.path.method for client in (a, b)] == ["low-ttl"] * 2
    mine = [each for each in openers(world) if each.socket in (a.socket, b.socket)]
    assert {each.sender for each in mine} == {"host_b"}
    assert [each.sender for each in firsts(world)] == ["host_a", "host_b"]


@pytest.mark.parametrize("routers", [0, 3])
def test_where_no_router_answers_nothing_more_is_said_and_the_attempt_ends_soon(
    routers: int,
) -> None:
    world = a_world(routers)
    world.net.silent_routers = frozenset(world.net.routers)
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=5.0)
    assert not firsts(world)
    assert {told.round for told in a.told(note.RoundStarted)} == {1, 2, FIRST}
    assert max(said(world).values()) <= MOST_DATAGRAMS
    assert len(a.sockets) == len(b.sockets) == 0


@seeds(4)
def test_lost_words_cost_another_try_at_most(seed: int) -> None:
    world = a_world(2, seed=seed, loss=0.2)
    a, b = world.pair()
    world.connect(a, b, within=30.0)
    assert {client.path.method for client in (a, b)} <= {"low-ttl", "ordered-hello"}
