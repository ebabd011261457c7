"""A host that has IPv6 alone, behind a translator and a NAT: with the prefix it meets whom the NAT lets it meet, as if it
had IPv4; without, it can only answer."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv6Address

import pytest

from nat_traversal.client.agent import Agent
from nat_traversal.machine import notices as note
from nat_traversal.wire.addresses import octets_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.nat64 import Prefix, way_to
from natlab.behavior import NINE
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from tests.seeds import every
from tests.sim.client import Client
from tests.sim.network import Host, Receive
from tests.sim.server import SERVER
from tests.sim.world import World

PREFIX = int(IPv6Address("2001:db8:64::"))
PAIRS = every(2, list(itertools.product(NINE, repeat=2)))
"""Each NAT in either place: the translator knows none of them."""
AN_ATTEMPT = 8.0
"""Seconds, and before a second one begins."""


def translated(endpoint: Endpoint) -> Endpoint:
    """As the translator has it: nothing here is the client's."""
    return Endpoint(str(IPv6Address(PREFIX | int(IPv4Address(endpoint.address)))), endpoint.port)


class Ipv6Host(Host):
    """Its datagrams to IPv4 are lost; the translator leads what it sends within the prefix, and brings what comes."""

    def open(self, receive: Receive) -> Endpoint:
        return super().open(lambda data, source: receive(data, translated(source)))

    def leads_to(self, destination: Endpoint) -> Endpoint | None:
        number = int(IPv6Address(destination.address)) if destination.family == 6 else 0
        if number >> 32 != PREFIX >> 32:
            return None
        return Endpoint(str(IPv4Address(number & 0xFFFFFFFF)), destination.port)


class Ipv6World(World):
    """host_a has IPv6 alone."""

    def kind_of_host(self, name: str) -> type[Host]:
        return Ipv6Host if name == "host_a" else Host

    def address_for(self, client: Client) -> Endpoint:
        return translated(SERVER) if client.host.name == "host_a" else SERVER


def a_pair(nat_a: str, nat_b: str, *, knows: bool) -> tuple[Client, Client]:
    """Both have had an attempt. host_a `knows` the prefix, as discovery finds it."""
    world = Ipv6World(nat_a=nat_a, nat_b=nat_b)
    a = world.client("host_a", "host_b")
    b = world.client("host_b", "host_a")
    if knows:
        way = way_to(translated(SERVER), [Prefix(octets_of("2001:db8:64::"), 96)])
        assert way is not None
        a.outside, a.inside = way.outside, way.inside
    a.start()
    b.start()
    world.run(AN_ATTEMPT)
    return a, b


def told(client: Client) -> list[tuple[float, note.Notice]]:
    return [
        (at, each)
        for at, each in client.notices
        if isinstance(each, note.HelloWentOut | note.HelloCameIn | note.PathEstablished)
    ]


@pytest.mark.seeded
@pytest.mark.parametrize(("nat_a", "nat_b"), PAIRS)
def test_a_pair_meets_as_it_would_by_ipv4(nat_a: str, nat_b: str) -> None:
    """The same HELLOs at the same times, to the same addresses, and the same path: to the very instant."""
    a, b = a_pair(nat_a, nat_b, knows=True)
    expected = predict(nat_a, nat_b)
    assert (a.is_connected, b.is_connected) == (expected.outcome is Outcome.CONNECTED,) * 2
    if not a.is_connected:
        assert a.told(note.AttemptFailed)
    else:
        ipv4 = World(nat_a=nat_a, nat_b=nat_b)
        both = ipv4.pair()
        ipv4.run(AN_ATTEMPT)
        assert a.path.round == expected.round
        assert [told(a), told(b)] == [told(each) for each in both]
        assert a.world.carries_data(a, b)
        assert b.world.carries_data(b, a)
        assert IPv4Address(a.path.remote.address)


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "meets"),
    [("EIM+EIF", "APDM+APDF", True), ("EIM+APDF", "EIM+EIF", False), ("APDM+APDF", "none", False)],
)
def test_without_the_prefix_it_can_only_answer(nat_a: str, nat_b: str, meets: bool) -> None:
    a, b = a_pair(nat_a, nat_b, knows=False)
    assert (a.is_connected, b.is_connected) == (meets, meets)


def test_its_agent_hears_of_no_ipv6_address_of_the_peer() -> None:
    a, _ = a_pair("EIM+APDF", "EIM+APDF", knows=True)
    assert isinstance(a.agent, Agent)
    went = [each for _, each in a.notices if isinstance(each, note.HelloWentOut | note.HelloCameIn)]
    assert went
    assert ":64:" not in str(went)
