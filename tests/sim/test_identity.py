"""Who holds an id: the living, and of two living the first."""

from __future__ import annotations

from collections import Counter

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import decode
from tests.sim.client import Client
from tests.sim.offers import register
from tests.sim.server import Raw
from tests.sim.world import World

SERVER_SETTINGS = ServerSettings()
SAME_ID = register()


def holder(world: World) -> Client:
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    assert client.told(note.RegisteredAtServer)
    return client


def contender(world: World) -> Client:
    """A second process, on another machine, with the same id."""
    return world.client("host_a", "host_b", host="host_c").start()


def test_id_in_use_is_refused_and_its_holder_notices_nothing() -> None:
    world = World()
    first = holder(world)
    second = contender(world)
    world.run(5.0)
    (refused,) = second.told(note.ServerRefused)
    assert refused.code == m.ErrorCode.ID_IN_USE
    assert refused.text == "the id 'host_a' is in use by another client: choose another --id"
    assert second.agent.deadline() is None
    assert not first.told(note.ServerLost)
    world.connect(first, world.client("host_b", "host_a").start())


def test_refusal_takes_two_round_trips_not_the_whole_challenge() -> None:
    world = World()
    holder(world)
    began = world.clock.now
    second = contender(world)
    world.run(5.0)
    assert second.time_of(note.ServerRefused) == began + 3 * world.r  # connect, challenge, answer


def test_connected_holder_keeps_its_id_and_its_path() -> None:
    world = World()
    a, b = world.pair()
    world.connect(a, b)
    second = contender(world)
    world.run(5.0)
    assert second.told(note.ServerRefused)
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


def test_id_of_a_silent_holder_is_free_after_the_challenge() -> None:
    world = World()
    first = holder(world)
    first.vanish()
    began = world.clock.now
    second = contender(world)
    world.run(5.0)
    assert (
        second.time_of(note.RegisteredAtServer)
        == began + 2 * world.r + SERVER_SETTINGS.challenge_within
    )
    assert world.server.told(note.HostRefused)[-1].code == m.ErrorCode.REPLACED


def test_holder_that_crashes_while_challenged_makes_room_at_once() -> None:
    world = World()
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    assert not second.told(note.RegisteredAtServer)
    world.server.ends[1].on_end("connection reset")
    world.run(world.r)
    assert second.told(note.RegisteredAtServer)
    world.run(SERVER_SETTINGS.challenge_within)
    assert not second.told(note.ServerLost)


def test_contender_that_leaves_at_once_costs_the_holder_nothing() -> None:
    world = World()
    first = holder(world)
    raw = Raw(world)
    raw.send(SAME_ID)
    raw.end.close()
    world.run(SERVER_SETTINGS.challenge_within + 1.0)
    assert not first.told(note.ServerLost)
    assert world.server.rendezvous.registered == {"host_a"}


def test_one_of_two_contenders_leaves_the_challenge_to_the_other() -> None:
    world = World()
    first = holder(world)
    first.vanish()
    leaves, stays = Raw(world), Raw(world)
    for raw in (leaves, stays):
        raw.send(SAME_ID)
    world.run(0.5)
    leaves.end.close()
    world.run(SERVER_SETTINGS.challenge_within)
    assert isinstance(stays.received[0], m.Registered)


def test_contenders_are_refused_together_when_the_holder_answers() -> None:
    world = World()
    first = holder(world)
    contenders = [Raw(world) for _ in range(3)]
    for raw in contenders:
        raw.send(SAME_ID)
    world.run(2 * world.r)
    assert [raw.refusals() for raw in contenders] == [[m.ErrorCode.ID_IN_USE]] * 3
    assert not first.told(note.ServerLost)


def test_contender_that_dies_waiting_is_challenged_in_its_turn() -> None:
    """Power cut, reboot, power cut, reboot: the last process must not be refused for good."""
    world = World()
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    second.vanish()
    third = contender(world)
    world.run(2 * SERVER_SETTINGS.challenge_within + 1.0)
    assert third.told(note.RegisteredAtServer)
    assert world.server.rendezvous.registered == {"host_a"}


def test_living_contender_keeps_the_id_from_the_next_one() -> None:
    world = World()
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    third = contender(world)
    world.run(2 * SERVER_SETTINGS.challenge_within + 1.0)
    assert second.told(note.RegisteredAtServer)
    assert third.told(note.ServerRefused)[0].code == m.ErrorCode.ID_IN_USE


def test_same_process_replaces_its_own_dead_connection_at_once() -> None:
    """A NAT that forgot the TCP connection: the client sees a reset, the server sees nothing."""
    world = World()
    first = holder(world)
    assert first.control is not None
    first.control.is_cut = True
    first.control.on_end("connection reset")
    world.until(lambda: len(first.told(note.RegisteredAtServer)) == 2, within=1.0 + 3 * world.r)
    assert world.server.told(note.HostRefused)[-1].text == "this client has connected again"


def test_same_process_that_returns_counts_as_alive_to_a_contender() -> None:
    world = World()
    first = Raw(world)
    first.send(SAME_ID)
    world.run(1.0)
    first.end.is_cut = True
    other = Raw(world)
    other.send(register(key=b"x" * 32))
    world.run(0.5)
    again = Raw(world)
    again.send(SAME_ID)
    world.run(world.r)
    assert isinstance(again.received[0], m.Registered)
    assert other.refusals() == [m.ErrorCode.ID_IN_USE]


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
    raw.send(SAME_ID)
    world.run(1.25)
    assert [type(each) for each in raw.received] == [m.Registered, m.PeerStatus, m.Heartbeat]
    world.run(1.5)
    assert raw.refusals() == [m.ErrorCode.TOO_SLOW]


def test_idle_but_living_tcp_stays_for_a_day() -> None:
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(86_400.0)
    assert not client.told(note.ServerLost)
    assert len(client.told(note.RegisteredAtServer)) == 1


def test_heartbeats_are_sent_only_into_silence() -> None:
    world = World()
    client = holder(world)
    world.run(600.0)
    assert client.control is not None
    lines = map(decode, b"".join(client.control.written).splitlines())
    assert Counter(map(type, lines)) == {m.Register: 1, m.Heartbeat: 20, m.HeartbeatAnswer: 20}


def test_host_whose_peer_wants_another_is_told_that_nobody_is_there() -> None:
    world = World()
    a = world.client("host_a", "host_b").start()
    world.client("host_b", "host_c").start()
    world.run(2.0)
    assert [notice.state for notice in a.told(note.PeerSeen)] == [m.PeerState.ABSENT]
    assert not a.told(note.RoundStarted)
