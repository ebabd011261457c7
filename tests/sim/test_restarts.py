"""A new address, a new process, a new server: the path stands or comes back."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Frame, Kind
from tests.sim.world import World, connected, keeps_alive

SETTINGS = ClientSettings()


# A new address: the control connection is as dead as the path, and nothing says so

NEW_ADDRESS = "203.0.113.77"


@pytest.mark.parametrize("r", [1 / 16, 2.5, 5.0])
def test_changed_address_costs_no_more_than_consent(r: float) -> None:
    """Silence of the path is a reason to ask the server, long before its heartbeats would."""
    world = World(r=r, nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a, b = world.pair()
    world.connect(a, b)
    world.run(1.0)
    a.change_address(NEW_ADDRESS)
    changed = world.clock.now
    world.until(lambda: len(a.told(note.RegisteredAtServer)) == 2, within=60.0)
    asked = 1.2 * SETTINGS.ping_interval + SETTINGS.silent_after
    assert (
        world.clock.now
        <= changed + asked + 1.0 + SETTINGS.answer_within + SETTINGS.reconnect_first + 3 * r
    )
    world.until(lambda: len(a.told(note.PathEstablished)) == 2, within=60.0)
    assert world.clock.now <= changed + SETTINGS.consent + 7 * r + 1.0
    world.run(20.0)
    for client in (a, b):
        assert client.is_connected
        assert not client.told(note.AttemptFailed)
    assert b.path.remote.address == NEW_ADDRESS
    assert len(a.told(note.ServerLost)) == 1
    assert not b.told(note.ServerLost)


def test_waiting_client_with_a_changed_address_registers_anew() -> None:
    """It is seen elsewhere over UDP, so it asks over TCP. Two heartbeats and a half would be 50 s."""
    world = World(nat_a="full-cone")
    a = world.client("host_a", "host_b").start()
    world.run(1.0)
    a.change_address(NEW_ADDRESS)
    world.run(SETTINGS.announce_keepalive + SETTINGS.answer_within + SETTINGS.reconnect_first + 1.0)
    assert len(a.told(note.RegisteredAtServer)) == 2
    assert a.told(note.MappingLearned)[-1].mapped.address == NEW_ADDRESS


@pytest.mark.parametrize("r", [1 / 16, 2.5, 5.0])
def test_slow_server_is_asked_once_for_each_silence_and_not_left(r: float) -> None:
    world = World(r=r)
    a, b = world.pair()
    world.connect(a, b)
    world.run(1.0)
    world.net.drop(keeps_alive)
    asked = world.server.ends[1].other.written
    before = len(asked)
    world.until(lambda: bool(a.told(note.PathLost)), within=SETTINGS.consent + 1.0)
    pings = [line for line in asked[before:] if b'"ping"' in line]
    assert 1 <= len(pings) <= 2 + SETTINGS.consent // 20.0, "in silence, at the end; a heartbeat"
    world.net.drops.clear()
    world.run(30.0)
    for client in (a, b):
        assert client.is_connected
        assert not client.told(note.ServerLost)
        assert len(client.told(note.RegisteredAtServer)) == 1


def test_lost_path_shortens_a_long_pause_before_reconnecting() -> None:
    world, a, b = connected()
    world.server.stop()
    world.run(300.0)
    for client in (a, b):  # both lose it at about the same time where they use it
        client.send_frame(Kind.DATA, b"01234?")
    world.net.drop(keeps_alive)
    world.until(lambda: bool(a.told(note.PathLost) and b.told(note.PathLost)), within=40.0)
    world.net.drops.clear()
    world.server.restart()
    world.connect(a, b, within=SETTINGS.reconnect_first + 2.0)


# A new process, a new server


@pytest.mark.parametrize("restarted", ["host_a", "host_b"])
def test_restarted_peer_gets_a_new_path_and_the_old_one_ends(restarted: str) -> None:
    world, a, b = connected(nat_a="full-cone", nat_b="port-restricted-cone")
    old, other = (a, b) if restarted == "host_a" else (b, a)
    old_token = other.path.binding
    old.crash()
    new = world.client(restarted, other.host.name).start()
    world.connect(new, other, within=5.0)
    assert new.path.binding == other.path.binding != old_token
    assert [notice.reason for notice in other.told(note.PathLost)] == [
        "the other side has restarted"
    ]


@pytest.mark.parametrize("fault", ["restart", "address"])
def test_a_host_that_comes_back_twice_in_a_row_waits_for_no_budget(fault: str) -> None:
    world, a, b = connected(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    for number in (1, 2):
        if fault == "restart":
            a.crash()
            a = world.client("host_a", "host_b").start()
        else:
            a.change_address(f"203.0.113.{100 + number}")
            a.feed(e.Woke())
        before = len(b.told(note.PathEstablished))
        world.until(lambda b=b, n=before: len(b.told(note.PathEstablished)) > n)  # type: ignore[misc]
        world.connect(a, b)
    assert world.server.rendezvous.counters["attempts-begun"] == 3
    assert world.server.rendezvous.counters["attempts-deferred"] == 0


@pytest.mark.parametrize("tell", [True, False])
def test_server_restart_leaves_the_path_standing(*, tell: bool) -> None:
    """`tell` False: the clients' connections are half open until they write."""
    world, a, b = connected(nat_a="linux-masquerade", nat_b="port-restricted-cone")
    world.server.stop(tell=tell)
    world.run(5.0)
    world.server.restart()
    world.run(120.0)
    assert world.server.rendezvous.registered == {"host_a", "host_b"}
    for client in (a, b):
        assert client.is_connected
        assert not client.told(note.PathLost)
        assert len(client.told(note.RoundStarted)) == 1
        assert len(client.told(note.RegisteredAtServer)) == 2


def test_path_outlives_a_server_that_never_returns() -> None:
    world, a, b = connected()
    world.server.stop()
    world.run(3600.0)
    assert a.is_connected
    assert b.is_connected
    pauses = [notice.retry_in for notice in a.told(note.ServerLost)]
    assert [pause for pause in pauses if pause is None or pause > 60.0] == []
    assert len(pauses) > 60
    world.server.restart()
    world.until(lambda: len(world.server.rendezvous.registered) == 2, within=62.0)


def test_path_lost_without_a_server_is_opened_when_it_returns() -> None:
    world, a, b = connected()
    world.server.stop()
    world.net.drop(keeps_alive)
    world.run(SETTINGS.consent + 10.0)
    assert not a.is_connected
    assert not b.is_connected
    world.net.drops.clear()
    world.server.restart()
    world.connect(a, b, within=65.0)


@pytest.mark.parametrize("moment", [0.03, 0.1, 0.13, 0.17, 0.2, 0.22])
def test_server_restart_in_the_middle_of_a_round_only_costs_time(moment: float) -> None:
    world = World(nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a, b = world.pair()
    world.run(moment)
    world.server.stop()
    world.run(1.0)
    world.server.restart()
    world.connect(a, b, within=45.0)
    world.run(40.0)
    assert a.is_connected
    assert a.path.binding == b.path.binding


def test_pauses_begin_small_again_once_registered() -> None:
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    for down in (100.0, 0.5):
        world.server.stop()
        world.run(down)
        world.server.restart()
        world.run(100.0)
    pauses = [notice.retry_in for notice in client.told(note.ServerLost)]
    assert max(pause for pause in pauses if pause is not None) > 15.0
    last = [
        notice.retry_in
        for at, notice in client.notices
        if isinstance(notice, note.ServerLost) and at > 201.0
    ]
    assert last
    assert [pause for pause in last if pause is None or pause > 2.0] == []


def test_unconnected_clients_wait_for_a_server_that_is_down() -> None:
    world = World()
    world.server.stop()
    a, b = world.pair()
    world.run(100.0)
    assert not a.told(note.RegisteredAtServer)
    assert {notice.reason for notice in a.told(note.ServerLost)} == {"connection refused"}
    world.server.restart()
    world.connect(a, b, within=62.0)


def test_frames_of_a_stranger_and_replayed_ones_end_nothing() -> None:
    """An attacker that has seen the frames of a path can say them again from anywhere, and nothing comes of it."""
    world, a, b = connected()
    world.run(60.0)
    frames = [
        packet.datagram.octets
        for packet in world.between_peers()
        if isinstance(packet.datagram, Frame)
    ]
    assert frames
    before = len(world.net.log)
    for client in (a, b):
        for octets in frames:
            client.host.sockets[client.socket](octets, client.path.remote)
            forged = bytes([Kind.BYE]) + octets[1:]
            client.host.sockets[client.socket](forged, client.path.remote)
    assert len(world.net.log) == before
    assert (a.is_connected, b.is_connected) == (True, True)
