"""A host without room for one more socket: it says so, loses nothing else, and goes on once there is room."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire.messages import Relaying
from tests.sim.world import World

WITHIN = 1.0
"""Seconds in which a client goes on once there is room."""


def test_no_room_for_udp_is_told_once_and_the_pair_connects_within_a_second_of_room() -> None:
    world = World()
    b = world.client("host_b", "host_a").start()
    a = world.client("host_a", "host_b")
    a.start()
    a.host.is_full = True  # its TCP connection is on its way already
    world.run(4.0)
    (told,) = a.told(note.SocketLacking)
    assert "file descriptor" in told.reason
    assert not a.told(note.AnnounceUnanswered), "UDP is not to blame"
    a.host.is_full = False
    began = world.clock.now
    world.connect(a, b)
    assert world.clock.now - began <= WITHIN


def test_an_attempt_that_the_server_has_ended_meanwhile_begins_again_at_once() -> None:
    world = World()
    b = world.client("host_b", "host_a").start()
    a = world.client("host_a", "host_b").start()
    a.host.is_full = True
    world.until(lambda: bool(b.told(note.AttemptFailed)))
    world.run(2.0)
    assert not a.told(note.AttemptFailed)
    a.host.is_full = False
    began = world.clock.now
    world.connect(a, b)
    assert world.clock.now - began <= WITHIN


def test_once_it_ends_with_the_true_reason() -> None:
    world = World()
    world.client("host_b", "host_a").start()
    a = world.client("host_a", "host_b", once=True).start()
    a.host.is_full = True
    world.until(lambda: bool(a.told(note.AttemptFailed)))
    assert "file descriptor" in a.told(note.AttemptFailed)[0].text


def test_no_room_for_tcp_is_tried_again_soon_however_long_it_lasts() -> None:
    world = World()
    a = world.client("host_a", "host_b")
    a.host.is_full = True
    a.start()
    world.run(100.0)
    assert {told.retry_in for told in a.told(note.ServerLost)} == {0.5}
    a.host.is_full = False
    began = world.clock.now
    world.until(lambda: bool(a.told(note.RegisteredAtServer)))
    assert world.clock.now - began <= WITHIN


def test_a_relay_without_room_for_its_socket_is_bound_within_a_second_of_room() -> None:
    world = World(nat_a="symmetric", nat_b="symmetric", relaying=Relaying.AUTO)
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.RoundStarted)))
    a.host.is_full = True
    world.run(4.0)
    assert not [told for told in a.told(note.PathEstablished) if told.attempt == 0]
    a.host.is_full = False
    began = world.clock.now
    world.until(lambda: a.selected is not None and b.selected is not None)
    assert world.clock.now - began <= WITHIN


@pytest.mark.parametrize("seed", range(3))
def test_room_that_comes_and_goes_keeps_no_pair_apart_for_good(seed: int) -> None:
    world = World(seed=seed)
    a, b = world.pair()
    for _ in range(12):
        for client in (a, b):
            client.host.is_full = world.rng.random() < 0.5
        world.run(world.rng.choice((0.1, 0.7, 3.0)))
    a.host.is_full = b.host.is_full = False
    world.connect(a, b, within=30.0)
