"""No rung makes a target of a third party: with a peer that lies about its address, a server that lies, and both."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import (
    MOST_DATAGRAMS,
    MOST_OCTETS,
    UNVALIDATED_DATAGRAMS,
    UNVALIDATED_OCTETS,
)
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import FURTHER, MethodName
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.client import Client

VICTIM = Endpoint("192.0.2.200", 53)
METHODS = tuple(each.value for each in FURTHER if each is not MethodName.BIRTHDAY)
"""`tests/sim/test_birthday_harmless.py` has that one, whose limits are its own."""
NATS = [
    ("linux-masquerade", "linux-masquerade"),
    ("APDM+APDF+sequential", "APDM+APDF+sequential"),
    ("APDM+APDF+block-per-host", "EIM+APDF"),
    ("symmetric", "EIM+APDF"),
]
SECONDS = 30.0
"""Two whole attempts and a part of a third, for all pairs but one. The limits are those of each."""


def a_world(nats: tuple[str, str]) -> tuple[World, Client, Client]:
    world = World(nat_a=nats[0], nat_b=nats[1], methods=METHODS)
    world.net.routers = ("198.18.0.1", "198.18.0.2")
    a, b = (
        world.client("host_a", "host_b"),
        world.client("host_b", "host_a"),
    )
    return world, a, b


def peer_lies(world: World) -> None:
    """Each datagram of host_b bears the victim's address, towards the server as well."""
    nat = world.net.hosts["host_b"].nat
    nat.outbound = lambda *_: VICTIM  # type: ignore[method-assign]


def server_lies(client: Client) -> None:
    """It names the victim for the peer, and says that somebody there has answered."""
    feed = client.feed

    def lied_to(event: e.Event) -> None:
        match event:
            case e.ControlReceived(m.StartRound() as start):
                named = (m.Candidate("srflx", VICTIM, validated=True),)
                event = e.ControlReceived(replace(start, candidates=named))
        feed(event)

    client.feed = lied_to  # type: ignore[method-assign]


def by_attempt(world: World, client: Client) -> Counter[int]:
    """How many datagrams of `client` went to the victim's address, by attempt; each is short."""
    begun = [
        (at, told.attempt) for at, told in client.notices if isinstance(told, note.RoundStarted)
    ]
    sent: Counter[int] = Counter()
    for packet in world.net.log:
        if packet.sender == client.host.name and packet.destination.address == VICTIM.address:
            assert len(encode(packet.datagram)) <= MOST_OCTETS
            sent[[attempt for at, attempt in begun if at <= packet.sent_at][-1]] += 1
    return sent


@pytest.mark.parametrize("nats", NATS)
def test_a_peer_that_lies_about_its_address_gets_ten_datagrams_of_an_attempt_to_a_victim(
    nats: tuple[str, str],
) -> None:
    world, a, b = a_world(nats)
    peer_lies(world)
    a.start(), b.start()
    world.run(SECONDS)
    sent = by_attempt(world, a)
    assert len(sent) > 1
    assert max(sent.values()) <= UNVALIDATED_DATAGRAMS
    assert max(sent.values()) * MOST_OCTETS <= UNVALIDATED_OCTETS


@pytest.mark.parametrize("nats", NATS)
@pytest.mark.parametrize("both", [False, True])
def test_a_server_that_lies_gets_ninety_also_with_the_peers_help(
    nats: tuple[str, str], both: bool
) -> None:
    world, a, b = a_world(nats)
    server_lies(a)
    if both:
        peer_lies(world)
    a.start(), b.start()
    world.run(SECONDS)
    sent = by_attempt(world, a)
    assert sent
    assert max(sent.values()) <= MOST_DATAGRAMS
    assert not a.is_connected
