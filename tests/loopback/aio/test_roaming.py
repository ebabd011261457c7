"""A path whose peer speaks from another port, and whose own socket is replaced: real sockets, the peer played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from nat_traversal.aio.roaming import Roaming
from nat_traversal.machine import events as e
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.offers import Suite
from tests.loopback.aio.ends import SETTINGS, End, an_end
from tests.loopback.programs import Program
from tests.loopback.support import eventually
from tests.unit.counterpart import opened


@contextmanager
def roaming(end: End) -> Iterator[Roaming]:
    asyncio.get_running_loop().remove_reader(end.sock)
    made = Roaming(end.sock, end.path, SETTINGS, end.events.append)
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def a_roaming_end(
    suite: Suite = Suite.AES_256_GCM,
) -> AsyncIterator[tuple[End, Program, Program, Roaming]]:
    """The end, its peer, the same peer's next address."""
    async with an_end(suite) as (end, peer):
        with Program() as elsewhere, roaming(end) as made:
            yield end, peer, elsewhere, made


async def test_a_newer_frame_from_elsewhere_is_taken_and_told_and_changes_nothing_yet() -> None:
    async with a_roaming_end() as (end, peer, elsewhere, _):
        peer.send(end.data(b"before"), end.endpoint)
        await end.counted(received=1)
        elsewhere.send(end.data(b"after"), end.endpoint)
        await end.counted(received=2)
        assert [payload for _, _, payload in end.taker.taken] == [b"before", b"after"]
        assert end.events == [e.PeerElsewhere(elsewhere.endpoint, Kind.DATA, 1)]
        end.path.send(7, 1, b"still there")
        await end.hear(peer, 1)
        assert not elsewhere.has_received()


async def test_an_older_one_is_taken_and_tells_nothing() -> None:
    async with a_roaming_end() as (end, peer, elsewhere, _):
        older, newer = end.data(b"older"), end.data(b"newer")
        peer.send(newer, end.endpoint)
        await end.counted(received=1)
        elsewhere.send(older, end.endpoint)
        await end.counted(received=2)
        elsewhere.send(newer, end.endpoint)
        await end.counted(received=2, replayed=1)
        assert end.events == []


async def test_bundles_and_pings_come_from_elsewhere_as_well() -> None:
    async with a_roaming_end() as (end, _, elsewhere, _):
        frames = end.bundle((1, 7, bytes(150)))
        assert len(frames) == 2
        for frame in frames:
            elsewhere.send(frame, end.endpoint)
        elsewhere.send(end.peers.sealer.seal(Kind.PING, b"12345678"), end.endpoint)
        await eventually(lambda: len(end.events) == 4, "three words of elsewhere, and a ping")
        assert [payload for _, _, payload in end.taker.taken] == [bytes(150)]
        assert end.events[-1] == e.FrameOpened(Kind.PING, b"12345678", 1, elsewhere.endpoint)


async def test_a_frame_may_be_sent_where_the_peer_may_be_from_the_port_of_the_path() -> None:
    async with a_roaming_end() as (end, _, elsewhere, made):
        made.send(Kind.PING, b"12345678", elsewhere.endpoint)
        data, source = await elsewhere.receive()
        assert opened(end.peers, data) == [(Kind.PING, b"12345678")]
        assert source == end.endpoint


async def test_once_redirected_the_stream_goes_there_and_comes_from_there() -> None:
    async with a_roaming_end() as (end, peer, elsewhere, made):
        made.redirect(elsewhere.endpoint)
        end.path.send(7, 1, b"here now")
        await end.hear(elsewhere, 1)
        elsewhere.send(end.data(b"the fast way"), end.endpoint)
        await end.counted(received=1, sent=1)
        assert end.events == []
        peer.send(end.data(b"late"), end.endpoint)
        await end.counted(received=2, sent=1)
        assert not peer.has_received()


async def test_a_rebound_path_goes_on_both_ways_from_its_port_and_hears_elsewhere() -> None:
    async with a_roaming_end() as (end, peer, elsewhere, made):
        before = end.endpoint
        peer.send(end.data(b"in the old socket's queue"), before)
        made.rebind()
        assert end.sock.fileno() == -1
        end.path.send(7, 1, b"from the new one")
        data, source = await peer.receive()
        assert opened(end.peers, data)
        assert source.port == before.port
        peer.send(end.data(b"to the new one"), before)
        await end.counted(received=2, sent=1)
        elsewhere.send(end.data(b"and from there"), before)
        await end.counted(received=3, sent=1)
        assert end.events == [e.PeerElsewhere(elsewhere.endpoint, Kind.DATA, 1)]


async def test_without_encryption_nothing_from_elsewhere_is_believed_that_anybody_can_make() -> (
    None
):
    async with a_roaming_end(Suite.NONE) as (end, peer, elsewhere, _):
        elsewhere.send(end.data(b"anybody's"), end.endpoint)
        for frame in end.bundle((1, 7, b"anybody's")):
            elsewhere.send(frame, end.endpoint)
        await end.counted(**{"not-authentic": 2})
        elsewhere.send(end.peers.sealer.seal(Kind.PING, b"12345678"), end.endpoint)
        await eventually(lambda: len(end.events) == 2, "a ping that was authentic")
        peer.send(end.data(b"the peer's"), end.endpoint)
        await end.counted(received=1, **{"not-authentic": 2})


@pytest.mark.parametrize("octets", [b"", b"\xc7", bytes(40), b"\xc4" + bytes(40)])
async def test_what_is_no_frame_of_the_peer_is_dropped(octets: bytes) -> None:
    async with a_roaming_end() as (end, peer, elsewhere, _):
        for _ in range(200):
            elsewhere.send(octets, end.endpoint)
        peer.send(end.data(b"x"), end.endpoint)
        await eventually(lambda: end.taker.taken, "the peer's datagram")
        assert end.events == []
        assert end.other == []
