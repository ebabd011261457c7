"""The holder of an id at a server that can check keys: the key that came first, and nobody else while it lives."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from nat_traversal.client.security import Security
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import decode
from tests.sim.client import Client
from tests.sim.offers import register
from tests.sim.server import Raw
from tests.sim.world import World

SERVER_SETTINGS = ServerSettings()
SETTINGS = ClientSettings()
SILENCE = SERVER_SETTINGS.silence_heartbeats * SERVER_SETTINGS.heartbeat
IDENTITY = KeyPair.generate(random.Random(1))


def holder(world: World, security: Security | None = None) -> Client:
    client = world.client("host_a", "host_b", security=security).start()
    world.run(1.0)
    assert client.told(note.RegisteredAtServer)
    return client


def contender(world: World, *, once: bool = False, security: Security | None = None) -> Client:
    """A second process, on another machine, with the same id."""
    return world.client("host_a", "host_b", host="host_c", once=once, security=security).start()


def said_to(world: World, connection: int = 1) -> int:
    """How much the server has told that connection."""
    return len(world.server.ends[connection].written)


def registration_of(client: Client) -> m.Register:
    """The last that the client has sent."""
    assert client.control is not None
    said = [decode(line) for line in b"".join(client.control.written).splitlines()]
    (sent,) = [each for each in said if isinstance(each, m.Register)]
    return sent


def test_another_key_is_refused_at_once_and_the_holder_notices_nothing() -> None:
    world = World()
    first = holder(world)
    before = said_to(world)
    began = world.clock.now
    second = contender(world)
    world.run(2 * world.r)
    (lost,) = second.told(note.ServerLost)
    assert second.time_of(note.ServerLost) == began + 2 * world.r  # connect, register
    assert lost.reason == (
        "the id 'host_a' is in use by another client, which has no identity: "
        "end that one, or choose another --id"
    )
    world.run(5.0)
    assert said_to(world) == before
    assert not first.told(note.ServerLost)
    world.connect(first, world.client("host_b", "host_a").start())


def test_squatter_does_not_end_the_rightful_client_which_says_who_it_is_and_comes_back() -> None:
    world = World()
    squatter = holder(world, Security.sealed(identity=IDENTITY, known={"host_b": bytes(32)}))
    rightful = contender(world)
    world.run(20.0)
    assert rightful.told(note.ServerLost)[0].reason.startswith(
        "the id 'host_a' is in use by a client that shows the identity nt-public-1:"
    )
    assert not rightful.told(note.ServerRefused)
    squatter.stop()
    world.until(lambda: bool(rightful.told(note.RegisteredAtServer)), SETTINGS.reconnect_most)


def test_client_that_has_one_attempt_only_ends() -> None:
    world = World()
    holder(world)
    second = contender(world, once=True)
    world.run(1.0)
    assert [refused.code for refused in second.told(note.ServerRefused)] == [m.ErrorCode.ID_IN_USE]
    assert second.agent.deadline() is None


@pytest.mark.long
def test_many_strangers_do_not_end_the_holder_by_what_it_has_to_answer() -> None:
    """Once each of them drew a ping, and the pongs made the holder too fast."""
    world = World()
    first = holder(world)
    before = said_to(world)
    for number in range(40 * SERVER_SETTINGS.burst):
        Raw(world).send(register(key=number.to_bytes(32, "big"), owner=b"o" * 32))
        world.run(0.004)
    world.run(1.0)
    assert said_to(world) == before
    assert not first.told(note.ServerLost)
    assert world.server.rendezvous.counters["refused-id-in-use"] == 40 * SERVER_SETTINGS.burst


def test_connected_holder_keeps_its_id_and_its_path() -> None:
    world = World()
    a, b = world.pair()
    world.connect(a, b)
    contender(world)
    world.run(5.0)
    assert (a.is_connected, b.is_connected) == (True, True)
    assert not a.told(note.PathLost)


def test_id_of_a_crashed_holder_is_free_at_once() -> None:
    world = World()
    first = holder(world)
    first.crash()
    world.run(world.r)
    began = world.clock.now
    second = contender(world)
    world.run(5.0)
    assert second.time_of(note.RegisteredAtServer) == began + 2 * world.r


def test_id_of_a_silent_holder_is_free_when_it_has_been_silent_for_long() -> None:
    world = World()
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(SILENCE - 2.0)
    assert not second.told(note.RegisteredAtServer)
    world.until(lambda: bool(second.told(note.RegisteredAtServer)), SETTINGS.reconnect_most)


# The same key


def test_same_process_replaces_its_own_dead_connection_for_one_round_trip_more() -> None:
    """A NAT that forgot the TCP connection: the client sees a reset, the server sees nothing."""
    world = World()
    first = holder(world)
    assert first.control is not None
    first.control.is_cut = True
    first.control.on_end("connection reset")
    began = world.clock.now
    world.until(lambda: len(first.told(note.RegisteredAtServer)) == 2, within=5.0)
    (lost,) = first.told(note.ServerLost)
    assert lost.retry_in is not None
    assert world.clock.now == began + lost.retry_in + 3 * world.r  # connect, register, prove
    assert world.server.told(note.HostRefused)[-1].text == "this client has connected again"


@pytest.mark.parametrize("id_", ["host_a", "host_x"])
def test_recorded_registration_is_worth_nothing_while_it_stands_and_after_it(id_: str) -> None:
    world = World()
    first = holder(world)
    before = said_to(world)
    recorded = replace(registration_of(first), id=id_)
    replayed = Raw(world)
    replayed.send(recorded)
    world.run(1.0)
    assert replayed.refusals() == [m.ErrorCode.KEY_USED]
    assert said_to(world) == before
    first.crash()
    world.run(1.0)
    again = Raw(world)
    again.send(recorded)
    world.run(1.0)
    assert again.refusals() == [m.ErrorCode.KEY_USED]
    assert world.server.rendezvous.registered == set()


@pytest.mark.parametrize("mac", [None, bytes(32)])
def test_registration_made_from_a_recorded_one_lacks_the_proof(mac: bytes | None) -> None:
    world = World()
    first = holder(world)
    before = said_to(world)
    thief = Raw(world)
    thief.send(replace(registration_of(first), key=b"t" * 32))
    world.run(world.r)
    assert [type(message) for message in thief.received] == [m.Challenge]
    if mac is not None:
        thief.send(m.Proof(mac))
    world.run(SERVER_SETTINGS.register_within)
    expected = m.ErrorCode.TOO_SLOW if mac is None else m.ErrorCode.BAD_PROOF
    assert thief.refusals() == [expected]
    world.run(60.0)
    assert not first.told(note.ServerLost)
    assert said_to(world) >= before  # heartbeats


def test_proof_of_one_connection_is_none_on_another() -> None:
    """On the path: the thief holds back what the client says, and says it on a connection of its own."""
    world = World()
    first = holder(world)
    assert first.control is not None
    first.control.is_cut = True
    first.control.on_end("connection reset")
    world.until(lambda: said(first, m.Proof) is not None, within=5.0)
    proof = said(first, m.Proof)
    assert proof is not None
    thief = Raw(world)
    thief.send(replace(registration_of(first), key=b"t" * 32))
    thief.send(proof)
    thief.send(proof)
    world.run(world.r)
    assert thief.refusals() == [m.ErrorCode.BAD_PROOF]
    world.until(lambda: len(first.told(note.RegisteredAtServer)) == 2, within=1.0)


def test_proof_that_nobody_asked_for_changes_nothing() -> None:
    world = World()
    raw = Raw(world)
    raw.send(m.Proof(bytes(32)))
    raw.send(register())
    raw.send(m.Proof(bytes(32)))
    world.run(1.0)
    assert [type(message) for message in raw.received] == [m.Registered, m.PeerStatus]


def said(client: Client, kind: type[m.Message]) -> m.Message | None:
    if client.control is None:
        return None
    messages = [decode(line) for line in b"".join(client.control.written).splitlines()]
    return next((each for each in messages if isinstance(each, kind)), None)


def with_identity() -> Security:
    return Security.sealed(identity=IDENTITY, known={"host_b": bytes(32)})


def test_second_process_with_the_same_identity_leaves_the_first_where_it_is() -> None:
    """Somebody has started the client twice: the two must not throw each other out without end."""
    world = World()
    first = holder(world, with_identity())
    second = contender(world, security=with_identity())
    world.run(60.0)
    assert not first.told(note.ServerLost)
    assert not second.told(note.RegisteredAtServer)
    assert len(second.told(note.ServerLost)) > 2


def test_restarted_host_with_an_identity_replaces_its_dead_connection_after_a_question() -> None:
    world = World()
    holder(world, with_identity()).vanish()
    began = world.clock.now
    second = contender(world, security=with_identity())
    asked = SERVER_SETTINGS.proven_within + SERVER_SETTINGS.longest_round_trip
    world.until(lambda: bool(second.told(note.RegisteredAtServer)), within=SILENCE / 2)
    assert began + asked < world.clock.now < began + asked + SETTINGS.reconnect_first + 5 * world.r
    assert world.server.told(note.HostRefused)[-1].code == m.ErrorCode.REPLACED


def test_reconnecting_while_the_path_stands_leaves_the_path() -> None:
    world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a, b = world.pair()
    world.connect(a, b)
    assert a.control is not None
    a.control.reset()
    world.run(80.0)
    for client in (a, b):
        assert client.is_connected
        assert not client.told(note.PathLost)
        assert len(client.told(note.PathEstablished)) == 1
        assert len(client.told(note.RoundStarted)) == 1
    assert len(a.told(note.RegisteredAtServer)) == 2


@pytest.mark.parametrize(("cut_client", "cut_server"), [(True, True), (True, False), (False, True)])
def test_silently_dead_tcp_is_noticed_on_both_ends(cut_client: bool, cut_server: bool) -> None:
    """Octets vanish on the way from the client, from the server, or both ways."""
    world = World()
    client = holder(world)
    assert client.control is not None
    client.control.is_cut, world.server.ends[1].is_cut = cut_client, cut_server
    heartbeat = 20.0
    world.until(lambda: "host_a" not in world.server.rendezvous.registered, within=3 * heartbeat)
    world.until(lambda: bool(client.told(note.ServerLost)), within=3 * heartbeat)
    world.until(lambda: len(client.told(note.RegisteredAtServer)) == 2, within=2.0)


def test_server_notices_sooner_with_a_shorter_heartbeat() -> None:
    world = World(settings=ServerSettings(heartbeat=1.0))
    raw = Raw(world)
    raw.send(register())
    world.run(1.25)
    assert [type(each) for each in raw.received] == [m.Registered, m.PeerStatus, m.Heartbeat]
    world.run(1.5)
    assert raw.refusals() == [m.ErrorCode.TOO_SLOW]


def test_idle_but_living_tcp_stays_for_hours() -> None:
    """While the peer is missing; `test_keepalive.py` has a day of a pair."""
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(2 * 3600.0)
    assert not client.told(note.ServerLost)
    assert len(client.told(note.RegisteredAtServer)) == 1


def test_heartbeats_are_sent_only_into_silence() -> None:
    world = World()
    client = holder(world)
    world.run(600.0)
    assert client.control is not None
    lines = map(decode, b"".join(client.control.written).splitlines())
    # Each other ping of the server is spared: it hears the client's meanwhile.
    assert Counter(map(type, lines)) == {m.Register: 1, m.Heartbeat: 20, m.HeartbeatAnswer: 11}


def test_host_whose_peer_wants_another_is_told_that_nobody_is_there() -> None:
    world = World()
    a = world.client("host_a", "host_b").start()
    world.client("host_b", "host_c").start()
    world.run(2.0)
    assert [notice.state for notice in a.told(note.PeerSeen)] == [m.PeerState.ABSENT]
    assert not a.told(note.RoundStarted)
