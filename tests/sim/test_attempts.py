"""Attempts: why they fail, what is told, when they are made again."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.client.phases import PathState
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire.datagrams import Confirm, Hello, Kind
from tests.seeds import every, seeds
from tests.sim.client import Client
from tests.sim.network import Weather
from tests.sim.world import World, keeps_alive

SETTINGS = ClientSettings()

SERVER_SETTINGS = ServerSettings()


def impossible() -> World:
    return World(nat_a="symmetric", nat_b="symmetric")


def loses_its_path(client: Client) -> None:
    """It is told so in its peer's name, and the peer knows nothing of it."""
    client.feed(e.FrameOpened(Kind.BYE, b"", client.path.generation))


def is_closed(client: Client) -> bool:
    return client.state is PathState.CLOSED


def attempts(client: Client) -> list[float]:
    """When the first round of each attempt began."""
    return [
        at
        for at, notice in client.notices
        if isinstance(notice, note.RoundStarted) and notice.round == 1
    ]


def test_failure_is_told_with_its_reason_within_fifteen_seconds() -> None:
    world = impossible()
    a, b = world.pair()
    world.until(
        lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=15.0
    )
    for client in (a, b):
        (failed,) = client.told(note.AttemptFailed)
        assert failed.code == "no-path"
        assert "symmetric" in failed.text
        assert "host_a (203.0.113.2:" in failed.text
        assert "host_b (198.51.100.2:" in failed.text


def test_failed_pair_tries_again_with_growing_pauses() -> None:
    world = impossible()
    a, b = world.pair()
    world.run(3600.0)
    for client in (a, b):
        pauses = [notice.retry_in for notice in client.told(note.AttemptFailed)]
        for index, pause in enumerate(pauses):
            full = min(SETTINGS.retry_most, SETTINGS.retry_first * 2**index)
            assert pause is not None
            assert full / 2 <= pause <= full
    began = attempts(a)
    gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert len(gaps) >= 12
    assert min(gaps[-5:]) > 10 * gaps[0]


def test_pauses_begin_small_again_after_a_success() -> None:
    world = impossible()
    a, b = world.pair()
    world.run(600.0)
    for name in ("host_a", "host_b"):
        world.net.hosts[name].nat.behavior = None
        world.net.hosts[name].nat.public_address = world.net.hosts[name].address
    world.connect(a, b, within=2 * SETTINGS.retry_most)
    world.net.drop(lambda packet: packet.destination.address != "192.0.2.2")
    already = len(a.told(note.AttemptFailed)), len(b.told(note.AttemptFailed))
    world.run(60.0)
    pauses = [
        notice.retry_in
        for client, count in zip((a, b), already, strict=True)
        for notice in client.told(note.AttemptFailed)[count : count + 1]
    ]
    assert len(pauses) == 2
    assert [pause for pause in pauses if pause is None or pause > SETTINGS.retry_first] == []


def test_each_round_has_fresh_sockets_and_swapped_roles() -> None:
    world = impossible()
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)))
    assert [(n.round, n.role) for n in a.told(note.RoundStarted)] == [(1, "a"), (2, "b")]
    assert [(n.round, n.role) for n in b.told(note.RoundStarted)] == [(1, "b"), (2, "a")]
    for client in (a, b):
        sockets = {
            (packet.datagram.round, packet.socket)
            for packet in world.between_peers()
            if isinstance(packet.datagram, Hello) and packet.sender == client.host.name
        }
        assert len(sockets) == len({socket for _, socket in sockets}) == 2


def test_nothing_is_sent_between_failed_attempts() -> None:
    world = impossible()
    a, b = world.pair()
    world.until(
        lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=15.0
    )
    assert (a.sockets, b.sockets) == ({}, {})
    before = len(world.net.log)
    world.run(SETTINGS.retry_first / 2 - 0.1)
    assert len(world.net.log) == before


def test_once_gives_up_after_the_first_failure() -> None:
    world = impossible()
    a = world.client("host_a", "host_b", once=True).start()
    b = world.client("host_b", "host_a").start()
    world.run(20.0)
    (failed,) = a.told(note.AttemptFailed)
    assert failed.retry_in is None
    assert is_closed(a)
    assert a.agent.deadline() is None
    assert not a.sockets
    assert "host_a" not in world.server.rendezvous.registered
    assert not is_closed(b)


def test_once_gives_up_when_the_server_cannot_be_reached() -> None:
    world = World()
    world.server.stop()
    client = world.client("host_a", "host_b", once=True).start()
    world.run(5.0)
    assert client.told(note.ServerLost) == [note.ServerLost("connection refused", None)]
    assert client.agent.deadline() is None


def test_once_gives_up_when_the_path_ends_but_waits_for_the_peer() -> None:
    world = World()
    a = world.client("host_a", "host_b", once=True).start()
    world.run(300.0)
    assert not is_closed(a)
    b = world.client("host_b", "host_a").start()
    world.connect(a, b)
    b.stop()
    world.run(1.0)
    assert a.told(note.PathLost)
    assert is_closed(a)


def test_connected_once_client_outlives_the_server() -> None:
    world = World()
    a = world.client("host_a", "host_b", once=True).start()
    b = world.client("host_b", "host_a", once=True).start()
    world.connect(a, b)
    world.server.stop()
    world.run(100.0)
    assert a.is_connected
    assert b.is_connected


def assert_connected_in_the_first_round(world: World, a: Client, b: Client) -> None:
    assert_connected_in_one_attempt(world, a, b)
    for client in (a, b):
        assert [path.round for path in client.told(note.PathEstablished)] == [1]


def assert_connected_in_one_attempt(world: World, a: Client, b: Client) -> None:
    world.until(lambda: bool(a.told(note.PathEstablished) and b.told(note.PathEstablished)))
    world.run(SERVER_SETTINGS.verdict_most + 10.0)
    assert a.path.binding == b.path.binding
    for client in (a, b):
        assert client.is_connected
        assert len(client.sockets) == 1
        assert {told.attempt for told in client.told(note.RoundStarted)} == {1}
        assert len(client.told(note.RegisteredAtServer)) == 1
        assert not client.told(note.ServerLost)
        assert not client.told(note.PathLost)


@pytest.mark.parametrize("r", [0.0, 0.25, 0.5, 1.0, 2.5, 5.0])
@pytest.mark.parametrize("p", [0.0, 0.7, 1.5, 2.5, 3.5, 5.0])
def test_slow_links_connect_in_the_first_round(r: float, p: float) -> None:
    world = World(r=r, p=p, nat_a="port-restricted-cone", nat_b="port-restricted-cone")
    a, b = world.pair()
    world.connect(a, b, within=3 * r + 2 * p + 0.5)
    assert_connected_in_the_first_round(world, a, b)


SLOW = [
    (r, p, loss)
    for r in (0.0, 0.25, 1.0, 2.5, 5.0)
    for p in (0.0, 0.5, 1.5, 2.5, 3.5, 5.0)
    for loss in (0.1, 0.3)
    if p <= 2 * r + 3.5
]
"""R, P, and the part that is lost; beyond, P is longer than the way over the server by more than the last round waits."""


@seeds(1)
@pytest.mark.parametrize(("r", "p", "loss"), every(3, SLOW))
def test_loss_on_slow_links_ends_no_round_too_early(
    r: float, p: float, loss: float, seed: int
) -> None:
    """TCP's ways vary too, by up to half. Where P is longer than the way over the server, the roles are swapped
    before there can be proof: it counts all the same."""
    weather = Weather(loss=loss, duplication=0.1, jitter=0.05, segments=True)
    nat = "port-restricted-cone"
    world = World(r=r, p=p, nat_a=nat, nat_b=nat, weather=weather, seed=seed)
    a, b = world.pair()
    assert_connected_in_one_attempt(world, a, b)


@pytest.mark.parametrize("r", [0.0, 1.0, 5.0])
def test_slow_servers_verdict_takes_some_round_trips_more(r: float) -> None:
    world = World(r=r, p=r, nat_a="symmetric", nat_b="symmetric")
    a, b = world.pair()
    within = SERVER_SETTINGS.swap_within + SERVER_SETTINGS.verdict_within
    rounds = within + 2 * (2 * r + 2 * r) + r
    world.until(
        lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)),
        within=3 * r + rounds + 0.1,
    )
    assert a.told(note.AttemptFailed)[0].code == "no-path"


# Only one side has proof when round 1 ends


@pytest.mark.parametrize("once", [True, False])
def test_client_whose_peer_has_no_proof_takes_part_in_round_2(*, once: bool) -> None:
    """Role B has its proof with HELLO 3; that A's never comes is no end of B's one attempt."""
    world = World(nat_a="restricted-cone", nat_b="restricted-cone")
    world.net.drop(
        lambda packet: (
            (isinstance(packet.datagram, Confirm) or keeps_alive(packet))
            and not a.told(note.RoundStarted)[1:]
        )
    )
    a = world.client("host_a", "host_b", once=once).start()
    b = world.client("host_b", "host_a", once=once).start()
    world.connect(a, b, within=30.0)
    assert [path.round for path in a.told(note.PathEstablished)] == [2]
    assert [path.round for path in b.told(note.PathEstablished)] == [1, 2]
    assert b.told(note.PathLost) == [note.PathLost("the other side had no proof of it", True)]
    world.run(60.0)
    assert a.is_connected
    assert b.is_connected


def test_once_client_ends_when_its_peer_had_proof_too() -> None:
    """A new path is a new attempt, however early it is asked for."""
    world = World()
    a = world.client("host_a", "host_b", once=True).start()
    b = world.client("host_b", "host_a").start()
    world.connect(a, b)
    loses_its_path(b)
    world.run(10.0)
    assert a.told(note.PathLost) == [note.PathLost("the other side asked for a new path")]
    assert is_closed(a)


def test_once_client_ends_when_its_peer_returns_as_another_process() -> None:
    """Before it could show that it had proof: but it has left, as the server says."""
    world = World(p=1 / 4, r=1 / 64)
    a = world.client("host_a", "host_b").start()
    b = world.client("host_b", "host_a", once=True).start()
    world.until(lambda: bool(b.told(note.PathEstablished)), within=5.0)
    a.crash()
    world.client("host_a", "host_b").start()
    world.run(60.0)
    assert [lost.attempt_goes_on for lost in b.told(note.PathLost)] == [False]
    assert is_closed(b)


# UDP is blocked


def test_blocked_udp_is_told_to_the_waiting_client() -> None:
    world = World()
    world.net.hosts["host_a"].udp_blocked = True
    a = world.client("host_a", "host_b").start()
    world.run(SETTINGS.udp_silence + 4.0)
    (told,) = a.told(note.AnnounceUnanswered)
    assert told.seconds >= SETTINGS.udp_silence
    assert a.told(note.RegisteredAtServer)


def test_blocked_udp_fails_the_attempt_with_the_host_by_name() -> None:
    world = World()
    world.net.hosts["host_b"].udp_blocked = True
    a, b = world.pair()
    world.run(8.0)
    for client in (a, b):
        (failed,) = client.told(note.AttemptFailed)
        assert failed.code == "udp-blocked"
        assert failed.text.startswith("no UDP packet from host_b reached the server")


@pytest.mark.parametrize("first_to_retry", ["host_a", "host_b"])
def test_unblocked_udp_connects_at_the_next_attempt(first_to_retry: str) -> None:
    """No matter who asks for it: the other one's socket is closed, or was never seen."""
    world = World()
    world.net.hosts["host_b"].udp_blocked = True
    patient = ClientSettings(retry_first=1000.0, retry_most=1000.0)
    a, b = (
        world.client(own, other, settings=SETTINGS if own == first_to_retry else patient).start()
        for own, other in (("host_a", "host_b"), ("host_b", "host_a"))
    )
    world.until(lambda: bool(a.told(note.AttemptFailed) and b.told(note.AttemptFailed)), within=8.0)
    world.net.hosts["host_b"].udp_blocked = False
    world.connect(a, b, within=SETTINGS.retry_first + 1.0)
    assert len(a.told(note.AttemptFailed)) == 1


def test_client_behind_a_dead_route_keeps_trying() -> None:
    """Not even a refusal comes back: each try ends after its own patience."""
    world = World()
    world.server.connect = lambda client, feed=None: world.dead_end()  # type: ignore[method-assign]
    client = world.client("host_a", "host_b").start()
    world.run(100.0)
    reasons = [notice.reason for notice in client.told(note.ServerLost)]
    assert set(reasons) == {"no answer within 10 s"}
    assert len(reasons) >= 3


# Both ask at once


@seeds(10)
def test_crossing_retries_make_one_attempt(seed: int) -> None:
    """Both lose the path at the same moment; their announces may overtake their messages."""
    world = World(seed=seed, weather=Weather(jitter=0.05, segments=True))
    a, b = world.pair()
    world.connect(a, b)
    world.run(2.0)
    assert a.control is not None
    assert b.control is not None
    for client in (a, b):
        loses_its_path(client)
    world.connect(a, b, within=1.5)
    world.run(20.0)
    assert a.path.binding == b.path.binding
    assert not a.told(note.AttemptFailed)
    assert not b.told(note.AttemptFailed)
