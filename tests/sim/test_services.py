"""Named services over one path: matched by name at both sides, told when the path stands, and again when they change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.services import ServiceKind, ServiceOffer, Side
from tests.sim.client import Client
from tests.sim.network import CALM, Weather
from tests.sim.world import World, is_frame

Offers = tuple[ServiceOffer, ...]


def listens(number: int, name: str) -> ServiceOffer:
    return ServiceOffer(number, name, Side.LISTEN)


def connects(number: int, name: str) -> ServiceOffer:
    return ServiceOffer(number, name, Side.CONNECT)


def pair_with(
    a: Offers, b: Offers, *, weather: Weather = CALM, relaying: m.Relaying = m.Relaying.NEVER
) -> tuple[World, Client, Client]:
    world = World(nat_a="EIM+APDF", nat_b="EIM+APDF", weather=weather, relaying=relaying)
    host_a = world.client("host_a", "host_b", services=a).start()
    host_b = world.client("host_b", "host_a", services=b).start()
    world.connect(host_a, host_b)
    return world, host_a, host_b


def test_services_match_by_name_whatever_their_numbers() -> None:
    world, a, b = pair_with(
        (listens(1, "factorio"), connects(2, "dns")), (listens(7, "dns"), connects(9, "factorio"))
    )
    world.run(1.0)
    assert a.matched == {"host_b": {1: 9, 2: 7}}
    assert b.matched == {"host_a": {7: 2, 9: 1}}
    for client, peer in ((a, "host_b"), (b, "host_a")):
        assert client.told(note.ServicesReady) == [note.ServicesReady(peer, ("dns", "factorio"))]


def test_they_are_known_one_way_between_the_hosts_after_the_path_stands() -> None:
    world, a, b = pair_with((listens(1, "dns"),), (connects(1, "dns"),))
    world.run(1.0)
    for client, other in ((a, b), (b, a)):
        after = client.time_of(note.ServicesReady) - other.time_of(note.PathEstablished)
        assert after == world.p / 2


def test_a_pair_without_named_services_tells_nothing() -> None:
    world, _, _ = pair_with((), ())
    world.run(10.0)
    assert not [each for each in world.between_peers() if is_frame(each, Kind.CONTROL)]


def test_one_that_only_one_side_has_is_said_by_name_on_both_sides() -> None:
    world, a, b = pair_with((listens(1, "dns"), connects(2, "ssh")), (connects(1, "dns"),))
    world.run(1.0)
    assert a.told(note.ServiceOnlyHere) == [note.ServiceOnlyHere("host_b", "ssh", "connect")]
    assert b.told(note.ServiceOnlyThere) == [note.ServiceOnlyThere("host_a", "ssh", "connect")]
    assert (a.matched, b.matched) == ({"host_b": {1: 1}}, {"host_a": {1: 1}})


def test_a_side_without_any_hears_and_answers() -> None:
    world, a, b = pair_with((listens(1, "dns"),), ())
    world.run(1.0)
    assert a.told(note.ServiceOnlyHere) == [note.ServiceOnlyHere("host_b", "dns", "listen")]
    assert b.told(note.ServiceOnlyThere) == [note.ServiceOnlyThere("host_a", "dns", "listen")]
    assert (a.matched, b.matched) == ({}, {})


@pytest.mark.parametrize("make", [listens, connects])
def test_the_same_side_twice_is_said_on_both(make: Callable[[int, str], ServiceOffer]) -> None:
    world, a, b = pair_with((make(1, "dns"),), (make(2, "dns"),))
    world.run(1.0)
    side = str(make(1, "dns").side)
    assert a.told(note.ServiceSidesAlike) == [note.ServiceSidesAlike("host_b", "dns", side)]
    assert b.told(note.ServiceSidesAlike) == [note.ServiceSidesAlike("host_a", "dns", side)]
    assert (a.matched, b.matched) == ({}, {})


def test_kinds_must_be_the_same() -> None:
    tcp = ServiceOffer(1, "web", Side.LISTEN, ServiceKind.TCP)
    world, a, b = pair_with((tcp,), (connects(1, "web"),))
    world.run(1.0)
    assert a.told(note.ServiceKindsDiffer) == [
        note.ServiceKindsDiffer("host_b", "web", "tcp", "udp")
    ]
    assert b.told(note.ServiceKindsDiffer) == [
        note.ServiceKindsDiffer("host_a", "web", "udp", "tcp")
    ]
    assert (a.matched, b.matched) == ({}, {})


def test_a_hundred_services_cross_a_path_that_loses_a_fifth() -> None:
    names = [f"service-{index:03}-with-a-long-name" for index in range(1, 101)]
    ours = tuple(listens(index, name) for index, name in enumerate(names, 1))
    theirs = tuple(connects(index, name) for index, name in enumerate(reversed(names), 1))
    world, a, b = pair_with(ours, theirs, weather=Weather(loss=0.2))
    world.run(120.0)
    assert a.matched == {"host_b": {index: 101 - index for index in range(1, 101)}}
    assert b.matched == {"host_a": {index: 101 - index for index in range(1, 101)}}


def test_a_change_is_told_at_once_and_others_keep_their_numbers() -> None:
    world, a, b = pair_with((listens(1, "dns"), listens(2, "old")), (connects(1, "dns"),))
    world.run(1.0)
    b.feed(e.ServicesChanged("host_a", (connects(1, "dns"), connects(2, "new"))))
    a.feed(e.ServicesChanged("host_b", (listens(1, "dns"), listens(3, "new"))))
    began = world.clock.now
    world.until(lambda: a.matched == {"host_b": {1: 1, 3: 2}}, within=1.0)
    world.until(lambda: b.matched == {"host_a": {1: 1, 2: 3}}, within=1.0)
    assert world.clock.now - began < 4 * world.p
    assert b.told(note.ServicesReady)[-1].names == ("dns", "new")


def test_one_behind_which_nothing_listens_is_told_at_the_other_side_and_so_is_its_return() -> None:
    world, a, b = pair_with((listens(1, "dns"),), (connects(4, "dns"),))
    world.run(1.0)
    for up in (False, True):
        b.feed(e.ServiceChanged(up, "host_a", 4))
        world.run(1.0)
    assert a.told(note.ServiceAtPeer) == [
        note.ServiceAtPeer("host_b", False, "dns"),
        note.ServiceAtPeer("host_b", True, "dns"),
    ]
    assert a.matched == {"host_b": {1: 4}}


def test_another_process_of_the_peer_is_matched_anew() -> None:
    world, a, b = pair_with((listens(1, "dns"),), (connects(4, "dns"),))
    world.run(1.0)
    b.crash()
    again = world.client("host_b", "host_a", services=(connects(2, "dns"),)).start()
    world.until(lambda: a.matched == {"host_b": {1: 2}}, within=60.0)
    world.run(1.0)
    assert again.matched == {"host_a": {2: 1}}


def test_they_are_told_again_where_the_path_moves_from_a_relay() -> None:
    world, a, b = pair_with((listens(1, "dns"),), (connects(4, "dns"),), relaying=m.Relaying.EARLY)
    world.run(10.0)
    assert (a.matched, b.matched) == ({"host_b": {1: 4}}, {"host_a": {4: 1}})
    assert len(a.told(note.ServicesReady)) == 1


def test_a_peer_that_changes_its_list_without_end_makes_this_side_say_little() -> None:
    world, a, b = pair_with((listens(1, "dns"),), (connects(1, "dns"),))
    world.run(1.0)
    for index in range(100):
        b.feed(e.ServicesChanged("host_a", (connects(1, f"dns-{index}"),)))
        world.run(0.2)
    said = a.told(note.ServiceOnlyHere) + a.told(note.ServiceOnlyThere)
    assert 8 <= len(said) <= 2 * 12


class TestCertificate:
    """TCP services: each process tells the certificate that it shows in QUIC, ahead of its services."""

    @staticmethod
    def tcp(side: Side) -> Offers:
        return (ServiceOffer(1, "web", side, ServiceKind.TCP),)

    @pytest.mark.parametrize("loss", [0.0, 0.3])
    def test_it_is_known_when_the_services_match(self, loss: float) -> None:
        world = World(nat_a="EIM+APDF", nat_b="EIM+APDF", weather=Weather(loss=loss))
        sides = {"host_a": Side.LISTEN, "host_b": Side.CONNECT}
        a, b = (
            world.client(
                *(name, other), services=self.tcp(sides[name]), certificate=name.encode() * 40
            ).start()
            for name, other in (("host_a", "host_b"), ("host_b", "host_a"))
        )
        world.until(lambda: bool(a.matched and b.matched), within=120.0)
        assert (a.certificates, b.certificates) == ([b"host_b" * 40], [b"host_a" * 40])

    def test_that_of_a_process_which_has_ended_counts_no_more(self) -> None:
        world = World(nat_a="EIM+APDF", nat_b="EIM+APDF")
        a = world.client("host_a", "host_b", services=self.tcp(Side.LISTEN)).start()
        b = world.client(
            "host_b", "host_a", services=self.tcp(Side.CONNECT), certificate=b"first"
        ).start()
        world.until(lambda: bool(a.matched), within=10.0)
        b.crash()
        world.client(
            "host_b", "host_a", services=self.tcp(Side.CONNECT), certificate=b"second"
        ).start()
        world.until(lambda: a.certificates[-1:] == [b"second"], within=60.0)
        assert a.certificates == [b"first", b"", b"second"]

    def test_a_service_that_is_added_later_brings_it(self) -> None:
        world, a, b = pair_with((listens(1, "dns"),), (connects(1, "dns"),))
        world.run(1.0)
        web = ServiceOffer(2, "web", Side.CONNECT, ServiceKind.TCP)
        b.feed(e.ServicesChanged("host_a", (connects(1, "dns"), web), b"certificate"))
        a.feed(
            e.ServicesChanged(
                "host_b",
                (listens(1, "dns"), ServiceOffer(5, "web", Side.LISTEN, ServiceKind.TCP)),
                b"another",
            )
        )
        world.until(lambda: a.matched == {"host_b": {1: 1, 5: 2}}, within=5.0)
        assert a.certificates[-1] == b"certificate"
