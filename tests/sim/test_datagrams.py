"""Datagrams that are lost, late, doubled, foreign or noise, at agents and at the server."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import (
    Announce,
    Announced,
    Confirm,
    Datagram,
    Frame,
    Hello,
    Kind,
    encode,
)
from nat_traversal.wire.endpoint import Endpoint
from tests.sim.client import Client
from tests.sim.network import Packet, Weather
from tests.sim.server import SECOND_SERVER_ADDRESS, SERVER
from tests.sim.world import World, is_frame

SETTINGS = ClientSettings()


def is_hello(step: int, copy: int | None = None) -> Callable[[Packet], bool]:
    def matches(packet: Packet) -> bool:
        hello = packet.datagram
        return isinstance(hello, Hello) and hello.step == step and copy in (None, hello.copy)

    return matches


def hellos(world: World) -> list[tuple[int, int, bool]]:
    """Step, copy and heard flag of every HELLO, in order."""
    return [
        (p.datagram.step, p.datagram.copy, p.datagram.heard)
        for p in world.between_peers()
        if isinstance(p.datagram, Hello)
    ]


def inject(world: World, client: Client, datagram: Datagram, source: Endpoint) -> None:
    """Something from `source` reaches the client's newest socket."""
    client.feed(e.DatagramArrived(datagram, source, max(client.sockets)))


# Lost


def test_each_lost_datagram_is_made_good_within_its_step() -> None:
    for matches in (is_hello(1), is_hello(2), is_hello(3)):
        world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
        world.net.drop(matches, nth=1)
        a, b = world.pair()
        world.connect(a, b, within=1.0)
        assert (a.path.round, b.path.round) == (1, 1)


@pytest.mark.parametrize("announces", [1, 2, 3])
def test_lost_announces_are_sent_again(announces: int) -> None:
    world = World()
    for nth in range(1, announces + 1):
        world.net.drop(lambda p: isinstance(p.datagram, Announce) and p.sender == "host_a", nth=nth)
    a, b = world.pair()
    world.connect(a, b, within=5.0)
    assert not a.told(note.AttemptFailed)


def test_lost_answers_to_announces_delay_nothing() -> None:
    """The server has seen the socket; the answer is only news to the client."""
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Announced))
    a, b = world.pair()
    world.connect(a, b, within=0.5)
    assert not a.told(note.MappingLearned)


def test_a_heard_b_but_b_missed_hello_3() -> None:
    """Neither side may claim a path before HELLO 3 has come through."""
    world = World()
    world.net.drop(is_hello(3))
    a, b = world.pair()
    world.run(2.0)
    assert (2, 0, True) in hellos(world)
    assert not a.told(note.PathEstablished)
    assert not b.told(note.PathEstablished)
    world.net.drops.clear()
    world.connect(a, b, within=2 * SETTINGS.hello_interval)


def test_b_missed_hello_3_for_good_in_both_rounds() -> None:
    world = World()
    world.net.drop(is_hello(3))
    a, b = world.pair()
    world.run(10.0)
    for client in (a, b):
        assert not client.told(note.PathEstablished)
        assert client.told(note.AttemptFailed)[0].code == "no-path"


def test_lost_confirm_is_said_again_when_hello_3_is_repeated() -> None:
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Confirm), nth=1)
    a, b = world.pair()
    world.until(lambda: b.is_connected, within=1.0)
    assert not a.is_connected
    world.connect(a, b, within=SETTINGS.hello_interval + world.p)
    assert hellos(world)[-1] == (3, 1, True)


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.BUNDLE, Kind.PING])
def test_frames_that_overtake_the_confirm_prove_nothing_and_are_not_lost(kind: Kind) -> None:
    """Only one's own nonce is proof. A frame that came before it is opened after it."""
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Confirm), nth=1)
    a, b = world.pair()
    world.until(lambda: b.is_connected, within=1.0)
    b.send_frame(kind, b"01234 early")
    world.run(world.p)
    assert not a.is_connected
    assert a.delivered == []
    world.connect(a, b, within=SETTINGS.hello_interval + world.p)
    expected = [] if kind is Kind.PING else [b"01234 early"]
    assert a.delivered == expected


def test_hello_2_lost_until_hello_3_went_out_deaf() -> None:
    """B hears a HELLO 3 that does not say `heard`: it asks for an answer before it claims a path."""
    world = World()
    world.net.drop(lambda p: is_hello(2)(p) and world.clock.now < 0.6)
    a, b = world.pair()
    world.until(lambda: (3, 0, False) in hellos(world), within=1.0)
    world.run(world.p / 2)
    assert not b.is_connected
    (wanted,) = [p.datagram for p in world.between_peers() if isinstance(p.datagram, Confirm)]
    assert (wanted.round, wanted.answer_wanted) == (1, True)
    world.connect(a, b, within=1.0)
    assert a.path.round == 1


def test_lost_answer_to_a_wanted_confirm_is_asked_for_again() -> None:
    world = World()
    world.net.drop(is_hello(2))
    world.net.drop(lambda p: isinstance(p.datagram, Confirm) and p.sender == "host_a", nth=1)
    a, b = world.pair()
    world.connect(a, b, within=2.0)
    assert a.path.round == 1


def test_announces_that_overtake_their_registration_cost_no_second_one() -> None:
    """UDP is faster than TCP in each of these worlds."""
    for seed in range(20):
        world = World(seed=seed, weather=Weather(segments=True))
        a, b = world.pair()
        world.connect(a, b, within=1.0)
        assert world.server.rendezvous.counters["announces-unknown"] == 2
        assert sum(isinstance(packet.datagram, Announce) for packet in world.net.log) == 2


# Late and doubled


def test_doubled_announce_answer_is_not_the_answer_to_the_next() -> None:
    """It may carry an outdated mapping: only an open transaction counts."""
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    (answer,) = [p.datagram for p in world.net.log if isinstance(p.datagram, Announced)]
    world.run(14.15)  # the keepalive is on its way
    assert sum(isinstance(p.datagram, Announce) for p in world.net.log) == 2
    inject(world, client, replace(answer, mapped=Endpoint("203.0.113.77", 7)), SERVER)
    world.run(5.0)
    assert [notice.mapped.port for notice in client.told(note.MappingLearned)] == [40_000]


def test_late_hellos_of_round_1_are_ignored_in_round_2() -> None:
    world = World()
    world.net.drop(lambda p: isinstance(p.datagram, Hello) and p.datagram.round == 1)
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.RoundStarted)), within=1.0)
    world.until(lambda: len(b.told(note.RoundStarted)) == 2, within=10.0)
    late = [
        packet
        for packet in world.between_peers()
        if isinstance(packet.datagram, Hello) and packet.datagram.round == 1
    ]
    assert {packet.sender for packet in late} == {"host_a", "host_b"}
    for packet in late:
        target = b if packet.sender == "host_a" else a
        inject(world, target, packet.datagram, packet.source)
    assert not [n for client in (a, b) for n in client.told(note.HelloCameIn)]
    world.connect(a, b, within=2.0)
    assert {n.round for n in b.told(note.HelloCameIn)} == {2}


def test_handshake_datagrams_that_the_peer_did_not_sign_are_ignored() -> None:
    """A stranger may have seen the tag of the round: it is in clear."""
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello))
    _, b = world.pair()
    world.until(lambda: bool(b.told(note.HelloWentOut)), within=1.0)
    tag = next(p.datagram.tag for p in world.between_peers() if isinstance(p.datagram, Hello))
    stranger = Endpoint("203.0.113.9", 9)
    sent = len(world.net.log)
    for step in (1, 2, 3):
        inject(world, b, Hello(tag, 1, step, True), stranger)
        inject(world, b, b.signed(Hello(tag, 1, step, True)), stranger)
    inject(world, b, b.signed(Confirm(tag, 1, answer_wanted=True)), stranger)
    assert not b.told(note.HelloCameIn)
    assert len(world.net.log) == sent


def test_a_path_stands_only_on_ones_own_nonce() -> None:
    """The peer itself lies: it says with its own key that it heard, from where it never did."""
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello) and packet.datagram.step > 1)
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.HelloWentOut)), within=1.0)
    tag = next(p.datagram.tag for p in world.between_peers() if isinstance(p.datagram, Hello))
    victim = Endpoint("203.0.113.9", 9)
    seen = [p.datagram for p in world.between_peers() if isinstance(p.datagram, Hello)]
    for echo in (bytes(8), b"guessed!", *(hello.nonce for hello in seen)):
        inject(world, b, a.signed(Hello(tag, 1, 3, True, echo=echo)), victim)
        inject(world, b, a.signed(Confirm(tag, 1, answer_wanted=False, echo=echo)), victim)
        assert not b.is_connected
    world.run(SETTINGS.hello_interval)
    frames = [p for p in world.between_peers() if isinstance(p.datagram, Frame)]
    assert frames == []


def test_hello_out_of_its_role_is_ignored() -> None:
    world = World()
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello))
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.HelloWentOut)), within=1.0)
    tag = next(p.datagram.tag for p in world.between_peers() if isinstance(p.datagram, Hello))
    sent = len(world.net.log)
    for step in (1, 3):
        inject(world, a, b.signed(Hello(tag, 1, step, True)), SERVER)
    inject(world, b, a.signed(Hello(tag, 1, 2, True)), SERVER)
    assert not a.told(note.HelloCameIn)
    assert not b.told(note.HelloCameIn)
    assert len(world.net.log) == sent


def test_everything_doubled_is_told_once() -> None:
    world = World(weather=Weather(duplication=1.0))
    a, b = world.pair()
    world.connect(a, b, within=1.0)
    world.run(60.0)
    for client in (a, b):
        assert len(client.told(note.PathEstablished)) == 1
        steps = [notice.step for notice in client.told(note.HelloCameIn)]
        assert len(steps) == len(set(steps))
        assert not client.told(note.PathLost)


def test_hello_whose_first_copy_was_lost_is_told_all_the_same() -> None:
    world = World()
    world.net.drop(is_hello(3, copy=0))
    a, b = world.pair()
    world.connect(a, b, within=1.0)
    assert [notice.step for notice in b.told(note.HelloCameIn)] == [1, 3]


def test_hello_1_from_an_unannounced_source_redirects_hello_2_at_once() -> None:
    """A is symmetric, B is open, and HELLO 1 is late: HELLO 2 went to a port that nobody holds."""
    world = World(r=1.0, nat_a="symmetric", nat_b="full-cone")
    world.net.drop(lambda packet: is_hello(1)(packet) and world.clock.now < 3.0)
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.HelloWentOut)), within=5.0)
    sent_to = b.told(note.HelloWentOut)[0].destination
    world.until(lambda: bool(b.told(note.HelloCameIn)), within=1.0)
    second = [p for p in world.between_peers() if is_hello(2)(p)][-1]
    assert second.sent_at == world.clock.now
    assert second.destination == b.told(note.HelloCameIn)[0].source != sent_to
    world.connect(a, b, within=1.5 * world.p)


# Foreign, and noise


@pytest.mark.parametrize("kind", [None, *Kind])
def test_noise_of_every_length_hurts_nobody(kind: Kind | None) -> None:
    """Sent to the server and to both agents, before, during and after the handshake."""
    rng = random.Random(str(kind))
    world = World()
    a, b = world.pair()
    head = b"" if kind is None else bytes([kind])
    lengths = iter(rng.sample(range(2000), 400))
    for _ in range(40):
        for length in (next(lengths) for _ in range(10)):
            for client in (a, b):
                for socket in client.sockets.values():
                    client.host.sockets[socket](head + rng.randbytes(length), SERVER)
            world.net.server_sockets[SERVER](head + rng.randbytes(length), SERVER)
        world.run(1 / 128)
    world.connect(a, b, within=1.0)
    world.run(60.0)
    for client in (a, b):
        assert client.is_connected
        assert len(client.told(note.PathEstablished)) == 1
        assert not client.told(note.ServerLost)


def test_server_ignores_what_is_meant_for_a_peer() -> None:
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    before = len(world.net.log)
    for datagram in (
        Hello(bytes(8), 1, 1, False),
        Frame(Kind.PING, bytes([Kind.PING]) + bytes(40)),
        Confirm(bytes(8), 1, True),
    ):
        client.send_raw(encode(datagram))
    world.run(1.0)
    assert world.server.rendezvous.counters["datagrams-ignored"] == 2
    assert world.server.rendezvous.counters["relay-stray"] == 1
    assert len(world.net.log) == before + 3


def test_server_answers_no_announce_of_a_stranger() -> None:
    """It would answer to a source that may be forged, and tell an address to whoever asks."""
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    before = len(world.net.log)
    client.send_raw(encode(Announce(bytes(16), 1, 1)))
    world.run(1.0)
    assert world.server.rendezvous.counters["announces-unknown"] == 1
    assert len(world.net.log) == before + 1


def test_answer_leaves_from_the_address_that_was_asked() -> None:
    world = World(nat_a="port-restricted-cone")
    world.server_address = SECOND_SERVER_ADDRESS
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    assert client.told(note.MappingLearned)
    (answer,) = [p for p in world.net.log if p.sender == "server"]
    assert answer.source == SECOND_SERVER_ADDRESS


def test_a_ping_is_answered_once_from_the_peer_alone() -> None:
    world = World()
    a, b = world.pair()
    world.connect(a, b)
    stranger = Endpoint("192.0.2.99", 9)
    b.send_frame(Kind.PING, b"12345678")
    ping = world.net.log[-1]
    assert isinstance(ping.datagram, Frame)
    world.run(world.p)
    before = len(world.net.log)
    assert is_frame(world.net.log[-1], Kind.PONG)
    a.host.sockets[a.socket](ping.datagram.octets, a.path.remote)
    a.host.sockets[a.socket](ping.datagram.octets, stranger)
    assert len(world.net.log) == before
