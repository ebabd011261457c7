"""A host moves from Wi-Fi to cellular: the path goes on there, or another one takes its place within a second."""

from __future__ import annotations

import pytest

from nat_traversal.client.path_status import PathStatus
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.sim.client import Client
from tests.sim.test_relay import Stream
from tests.sim.world import World

EVERY = 1 / 32
"""Seconds between two datagrams of a stream: one of each is always on its way."""
SECOND = 32
"""Datagrams of a stream in a second."""
CELLULAR = ("198.18.3.2", "10.0.3.2")
"""Outside and inside."""


def streaming(nat_a: str, nat_b: str) -> tuple[World, Client, Client, tuple[Stream, Stream]]:
    """Two hosts with a path, with round trips and a relay as between real ones, and streams both ways."""
    world = World(r=0.0625, p=0.0625, nat_a=nat_a, nat_b=nat_b, relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.connect(a, b)
    world.run(10.0)
    streams = Stream(a, b, every=EVERY), Stream(b, a, every=EVERY)
    world.run(1.0)
    return world, a, b, streams


def carrier(client: Client) -> PathStatus:
    """The path that programs' datagrams take."""
    return client.agent.status(client.world.clock.now)


def longest_gap(stream: Stream) -> int:
    """The most datagrams in a row that did not arrive, of all but those that are on their way."""
    arrived, longest, row = set(stream.arrived), 0, 0
    for number in stream.sent[:-SECOND]:
        row = 0 if number in arrived else row + 1
        longest = max(longest, row)
    return longest


@pytest.mark.parametrize("nat_b", ["none", "full-cone"])
@pytest.mark.parametrize("cellular", ["none", "port-restricted-cone", "symmetric"])
def test_the_path_goes_on_from_the_other_interface_where_the_peers_nat_lets_it_in(
    cellular: str, nat_b: str
) -> None:
    world, a, b, streams = streaming("port-restricted-cone", nat_b)
    a.hand_over(cellular, *CELLULAR)
    world.run(12.0)
    (roamed,) = b.told(note.PeerRoamed)
    assert roamed.remote.address == CELLULAR[0]
    for client in (a, b):
        assert len(client.told(note.PathEstablished)) == 1
        assert not client.told(note.PathLost)
    assert longest_gap(streams[0]) == 0
    assert longest_gap(streams[1]) <= SECOND // 2


@pytest.mark.parametrize("nat_b", ["restricted-cone", "port-restricted-cone", "symmetric"])
def test_where_it_does_not_another_path_is_there_within_a_second(nat_b: str) -> None:
    world, a, b, streams = streaming("full-cone", nat_b)
    a.hand_over("full-cone", *CELLULAR)
    world.run(12.0)
    remote = carrier(b).remote
    assert remote is not None
    assert remote.address == CELLULAR[0]
    for client, stream in zip((b, a), streams, strict=True):
        assert not client.told(note.PathLost)
        assert longest_gap(stream) <= SECOND


def test_a_pair_that_can_only_be_relayed_from_there_is_relayed_within_two_seconds() -> None:
    world, a, b, streams = streaming("full-cone", "symmetric")
    a.hand_over("symmetric", *CELLULAR)
    world.run(30.0)
    for client, stream in zip((b, a), streams, strict=True):
        assert carrier(client).method == "relay"
        assert longest_gap(stream) <= 2 * SECOND


def test_back_and_forth_the_path_is_the_same() -> None:
    world, a, b, streams = streaming("full-cone", "full-cone")
    for number in range(4):
        a.hand_over("full-cone", f"198.18.3.{2 + number}", f"10.0.3.{2 + number}")
        world.run(10.0)
    assert [each.remote.address for each in b.told(note.PeerRoamed)] == [
        f"198.18.3.{2 + number}" for number in range(4)
    ]
    assert len(b.told(note.PathEstablished)) == 1
    assert max(map(longest_gap, streams)) <= SECOND // 2


def test_while_the_old_interface_still_works_nothing_is_lost_and_the_peer_leaves_it_as_well() -> (
    None
):
    world, a, b, streams = streaming("full-cone", "full-cone")
    a.hand_over("full-cone", *CELLULAR, keeps=True)
    world.run(12.0)
    (roamed,) = b.told(note.PeerRoamed)
    assert roamed.remote.address == CELLULAR[0]
    assert [*map(longest_gap, streams)] == [0] * len(streams)


def test_the_server_s_absence_does_not_hinder_it() -> None:
    world, a, b, streams = streaming("full-cone", "full-cone")
    world.server.stop()
    a.hand_over("full-cone", *CELLULAR)
    world.run(12.0)
    assert len(b.told(note.PeerRoamed)) == 1
    assert max(map(longest_gap, streams)) <= SECOND // 2
