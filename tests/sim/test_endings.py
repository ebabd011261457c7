"""How a path, a peer or a server ends, and what the ones who are left do about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from tests.sim.client import Client
from tests.sim.world import World, connected, is_frame, keeps_alive

SETTINGS = ClientSettings()
SERVER_SETTINGS = ServerSettings()
SILENCE = SERVER_SETTINGS.silence_heartbeats * SERVER_SETTINGS.heartbeat
Kill = Callable[[Client], None]


# The peer vanishes between the steps

MOMENTS = [
    ("host_a", note.RegisteredAtServer, None),
    ("host_b", note.RegisteredAtServer, None),
    ("host_b", note.RoundStarted, None),
    ("host_a", note.HelloWentOut, 1),
    ("host_b", note.HelloCameIn, 1),
    ("host_b", note.HelloWentOut, 2),
    ("host_a", note.HelloWentOut, 3),
    ("host_b", note.PathEstablished, None),
    ("host_a", note.PathEstablished, None),
]


def at_the_moment(
    world: World, victim_id: str, notice: type[note.Notice], step: int | None
) -> tuple[Client, Client]:
    """A pair, as soon as the host `victim_id` has told `notice`: that host, and the other."""
    clients = dict(zip(("host_a", "host_b"), world.pair(), strict=True))
    victim = clients.pop(victim_id)
    (survivor,) = clients.values()
    world.until(
        lambda: any(step in (None, getattr(told, "step", None)) for told in victim.told(notice)),
        within=5.0,
    )
    return victim, survivor


@pytest.mark.parametrize("kill", [Client.vanish, Client.crash])
@pytest.mark.parametrize(("victim_id", "notice", "step"), MOMENTS)
def test_peer_that_vanishes_between_steps_is_noticed_and_may_return(
    victim_id: str, notice: type[note.Notice], step: int | None, kill: Kill
) -> None:
    world = World(nat_a="restricted-cone", nat_b="full-cone")
    victim, survivor = at_the_moment(world, victim_id, notice, step)
    kill(victim)
    world.run(SETTINGS.consent + 10.0)
    assert not survivor.is_connected
    returned = world.client(victim_id, survivor.host.name).start()
    # Another process has another key, so the server takes the old one for gone when it is silent for long.
    patience = 10.0 if kill is Client.crash else SILENCE + SETTINGS.reconnect_most
    world.connect(returned, survivor, within=patience)


def test_survivor_is_told_that_the_peer_went_silent_in_the_round() -> None:
    world = World()
    a, b = world.pair()
    world.until(lambda: bool(b.told(note.RoundStarted)), within=5.0)
    b.vanish()
    world.run(SERVER_SETTINGS.step_within + SERVER_SETTINGS.longest_round_trip + 1.0)
    (failed,) = a.told(note.AttemptFailed)
    assert (failed.code, failed.text) == (
        "peer-silent",
        "host_b did not obey the order to send HELLO 2",
    )


@pytest.mark.parametrize(
    ("victim_id", "notice", "step"),
    [
        ("host_a", note.RoundStarted, None),
        ("host_b", note.RoundStarted, None),
        ("host_a", note.HelloWentOut, 1),
        ("host_b", note.HelloWentOut, 2),
        ("host_a", note.HelloWentOut, 3),
    ],
)
def test_peer_that_dies_in_a_round_is_not_called_blocked(
    victim_id: str, notice: type[note.Notice], step: int | None
) -> None:
    """Its connection still stands, as far as the server knows; the next round finds it mute."""
    world = World(nat_a="symmetric", nat_b="symmetric")
    victim, survivor = at_the_moment(world, victim_id, notice, step)
    victim.vanish()
    world.run(45.0)
    failures = survivor.told(note.AttemptFailed)
    assert failures
    assert {failed.code for failed in failures} == {"peer-silent"}
    assert [failed for failed in failures if not failed.text.startswith(f"{victim_id} ")] == []


# Bye


def test_bye_ends_the_path_at_once() -> None:
    world, a, b = connected()
    a.stop()
    world.run(world.p)
    (lost,) = b.told(note.PathLost)
    assert lost.reason == "the other side closed it"
    assert a.agent.deadline() is None
    world.run(5.0)
    assert not a.sockets
    assert [notice.state for notice in b.told(note.PeerSeen)][-1] is m.PeerState.LEFT


def test_stopped_peer_returns_to_a_waiting_one() -> None:
    world, a, b = connected()
    a.stop()
    world.run(50.0)
    assert not b.is_connected
    world.connect(world.client("host_a", "host_b").start(), b, within=1.0)


# Consent


@pytest.mark.parametrize("consent", [2.0, 6.0, 120.0])
def test_consent_that_the_user_chose_is_when_a_silent_path_ends(consent: float) -> None:
    """And not before: six pings have gone out in that time."""
    world = World(client_settings=SETTINGS.with_consent(consent))
    a, b = world.pair()
    world.connect(a, b)
    began = world.clock.now
    b.vanish()
    world.server.stop(tell=False)
    index = len(world.net.log)
    world.until(lambda: not a.is_connected, within=2 * consent)
    assert consent - world.r <= world.clock.now - began <= consent + world.r
    pings = [each for each in world.net.log[index:] if is_frame(each, Kind.PING)]
    assert len(pings) >= 6


def test_consent_expires_when_the_path_falls_silent() -> None:
    world, a, b = connected()
    world.net.drop(keeps_alive)
    began = world.clock.now
    world.until(lambda: not (a.is_connected or b.is_connected), within=SETTINGS.consent + 1.0)
    first_lost = min(a.time_of(note.PathLost), b.time_of(note.PathLost))
    assert first_lost <= began + SETTINGS.consent
    reasons = {notice.reason for client in (a, b) for notice in client.told(note.PathLost)}
    assert "the other side has stopped answering" in reasons


def test_path_lost_by_silence_is_opened_again() -> None:
    world, a, b = connected()
    world.net.drop(keeps_alive)
    world.until(lambda: not (a.is_connected or b.is_connected), within=SETTINGS.consent + 1.0)
    world.net.drops.clear()
    world.connect(a, b, within=5.0)
    assert a.path.binding == b.path.binding
    assert a.path.attempt > 1


def test_one_way_silence_ends_the_path_on_both_sides() -> None:
    world, a, b = connected()
    world.net.drop(
        lambda packet: packet.sender == "host_a" and packet.destination.address != "192.0.2.2"
    )
    world.until(lambda: not a.is_connected and not b.is_connected, within=SETTINGS.consent + 2.0)


def test_standing_path_survives_hours_of_silence_behind_nats() -> None:
    """The pings keep the mappings, whose timeout is 30 s in the model."""
    world, a, b = connected(nat_a="port-restricted-cone", nat_b="linux-masquerade")
    world.run(7200.0)
    assert a.is_connected
    assert b.is_connected
    assert not a.told(note.PathLost)
    assert len(a.told(note.PathEstablished)) == 1


def test_pings_cost_two_datagrams_each_and_are_rare() -> None:
    world, _, _ = connected()
    before = len(world.net.log)
    world.run(600.0)
    probes = [packet for packet in world.net.log[before:] if packet.sender != "server"]
    assert all(map(keeps_alive, probes))
    assert 2 * 10 <= len(probes) <= 2 * 2 * 20, "on a path that nobody uses"


# Doubt: the server says that the peer left


def test_doubted_path_that_lives_stays() -> None:
    world, a, b = connected()
    assert b.control is not None
    b.control.reset()
    world.run(10.0)
    assert m.PeerState.LEFT in [notice.state for notice in a.told(note.PeerSeen)]
    assert a.is_connected
    assert b.is_connected
    assert not a.told(note.PathLost)


@pytest.mark.parametrize("p", [1.0, 3.0, 5.0])
def test_doubted_path_that_lives_far_away_stays(p: float) -> None:
    world = World(p=p, r=1 / 4)
    a, b = world.pair()
    world.connect(a, b)
    world.run(30.0)
    assert b.control is not None
    b.control.reset()
    world.run(60.0)
    for client in (a, b):
        assert client.is_connected
        assert not client.told(note.PathLost)


def test_doubted_path_that_is_dead_is_lost_within_seconds() -> None:
    world, a, b = connected()
    b.crash()
    world.run(SETTINGS.doubt_within + 2 * world.r)
    assert [notice.reason for notice in a.told(note.PathLost)] == [
        "the other side has stopped answering"
    ]


def test_late_pong_does_not_settle_a_doubt() -> None:
    """The peer answered, died, and its answer is overtaken by the news of its death."""
    world = World(r=1 / 64, p=1.0)
    a, b = world.pair()
    world.connect(a, b)
    world.until(
        lambda: any(
            is_frame(packet, Kind.PONG) and packet.sender == "host_b" for packet in world.net.log
        ),
        within=10.0,
    )
    b.crash()
    world.run(SETTINGS.doubt_within + 0.5)
    assert not a.is_connected
