"""A size of packets that is given by hand: nothing longer leaves, and no other size is tried."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.paths.mtu import HEADERS_IPV4, MtuSettings
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Kind
from tests.sim.world import World, is_frame

SEARCHES = 2 * MtuSettings().search_again
"""Seconds in which a client without a given size looks for a larger one twice."""


@pytest.mark.parametrize("packet", [576, 1280])
def test_nothing_longer_than_the_given_size_leaves_and_one_probe_proves_it(packet: int) -> None:
    world = World(client_settings=ClientSettings(mtu=packet))
    a, b = world.pair()
    world.connect(a, b)
    world.run(SEARCHES)
    most = packet - HEADERS_IPV4
    lengths = [len(datagrams.encode(each.datagram)) for each in world.net.log]
    assert max(lengths) == most
    pings = {"host_a": 0, "host_b": 0}
    for sent in world.net.log:
        if is_frame(sent, Kind.PING) and len(datagrams.encode(sent.datagram)) > 100:
            pings[sent.sender] += 1
    assert pings == {"host_a": 1, "host_b": 1}
    assert [each.size for each in a.told(note.PathSized)] == [most]
    assert set(a.frame_sizes) == {most}


def test_one_side_s_size_binds_that_side_alone() -> None:
    world = World()
    a = world.client("host_a", "host_b", settings=ClientSettings(mtu=1280)).start()
    b = world.client("host_b", "host_a").start()
    world.connect(a, b)
    world.run(10.0)
    longest = {
        host: max(
            len(datagrams.encode(each.datagram)) for each in world.net.log if each.sender == host
        )
        for host in ("host_a", "host_b")
    }
    assert longest == {"host_a": 1280 - HEADERS_IPV4, "host_b": 1500 - HEADERS_IPV4}
