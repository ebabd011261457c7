"""One end of an established path, against a peer's socket that the test holds."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from typing import TYPE_CHECKING

import pytest

from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.machine.events import LargerFramesSent
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD, Kind
from nat_traversal.wire.offers import Suite
from nat_traversal.wire.tray import Run, Tray
from tests.loopback.aio.ends import SETTINGS, End, an_end
from tests.loopback.programs import Program
from tests.loopback.support import eventually, unused
from tests.unit.counterpart import opened

if TYPE_CHECKING:
    pass


def whole(frames: list[tuple[Kind, bytes]]) -> bytes:
    """The datagram of these fragments, which came in order."""
    assert {kind for kind, _ in frames} == {Kind.FRAGMENT}
    heads = [struct.unpack("!BIIBB", plain[:11]) for _, plain in frames]
    assert len({head[:3] for head in heads}) == 1
    assert [head[3:] for head in heads] == [
        (index, len(frames) - 1) for index in range(len(frames))
    ]
    return b"".join(plain[11:] for _, plain in frames)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_fragments_meet_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    async with an_end() as (end, peer):
        fragments = [
            end.fragment(number, index, b"%d%d" % (number, index))
            for number in (1, 2)
            for index in (0, 1)
        ]
        for place in order:
            peer.send(fragments[place], end.endpoint)
        await end.counted(received=2)
        assert sorted(end.taker.taken) == [(7, True, b"1011"), (7, True, b"2021")]
        assert end.path.waiting_octets == 0


async def test_a_fragment_that_came_twice_makes_one_datagram() -> None:
    async with an_end() as (end, peer):
        for index in (0, 0, 1):
            peer.send(end.fragment(1, index, b"%d" % index), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"01")]


async def test_the_numbers_of_directions_and_flows_are_kept_apart() -> None:
    async with an_end() as (end, peer):
        peer.send(end.fragment(1, 0, b"a"), end.endpoint)
        peer.send(end.fragment(1, 1, b"b", from_listener=False), end.endpoint)
        peer.send(end.fragment(1, 1, b"d", flow=8), end.endpoint)
        peer.send(end.fragment(1, 1, b"c"), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"ac")]


async def test_a_datagram_whose_fragment_is_lost_is_counted_once_its_time_is_over() -> None:
    async with an_end() as (end, peer):
        peer.send(end.fragment(1, 0, b"x" * 100), end.endpoint)
        await eventually(lambda: end.path.waiting_octets == 100, "it waits")
        peer.send(end.fragment(2, 0, b""), end.endpoint)
        peer.send(end.data(b"both are there"), end.endpoint)
        await end.counted(received=1)
        end.clock.run_to(SETTINGS.reassembly_within - 0.1)
        assert end.path.waiting_octets == 100
        end.clock.run_to(SETTINGS.reassembly_within)
        assert end.path.waiting_octets == 0, "nothing else has to come"
        await end.counted(received=1, incomplete=2)


async def test_fragments_that_wait_end_with_their_path() -> None:
    async with an_end() as (end, peer):
        peer.send(end.fragment(1, 0, b"x" * 100), end.endpoint)
        await eventually(lambda: end.path.waiting_octets == 100, "it waits")
        end.path.close()
        assert end.path.waiting_octets == 0
        await end.counted(incomplete=1)


async def test_only_so_many_octets_wait_and_the_oldest_make_room() -> None:
    little = ClientSettings(reassembly_octets=65_536)
    async with an_end(settings=little) as (end, peer):
        for number in (1, 2):
            peer.send(end.fragment(number, 0, bytes(40_000)), end.endpoint)
        await end.counted(incomplete=1)
        assert end.path.waiting_octets == 40_000
        peer.send(end.fragment(1, 1, b"late"), end.endpoint)
        peer.send(end.fragment(2, 1, b"in time"), end.endpoint)
        await end.counted(incomplete=1, received=1)
        assert end.taker.taken == [(7, True, bytes(40_000) + b"in time")]


async def test_a_lost_fragment_never_meets_a_stranger_when_the_numbers_have_wrapped() -> None:
    async with an_end() as (end, peer):
        peer.send(end.fragment(1, 0, b"old"), end.endpoint)
        await eventually(lambda: end.path.waiting_octets == 3, "it waits")
        end.clock.now = SETTINGS.reassembly_within + 0.1
        peer.send(end.fragment(1, 1, b"new"), end.endpoint)
        peer.send(end.fragment(1, 0, b"really "), end.endpoint)
        await end.counted(received=1, incomplete=1)
        assert end.taker.taken == [(7, True, b"really new")]


@pytest.mark.parametrize("suite", [Suite.AES_256_GCM, Suite.CHACHA20_POLY1305])
async def test_what_the_peer_has_not_sealed_is_counted_and_dropped(suite: Suite) -> None:
    async with an_end(suite) as (end, peer):
        genuine, lost = end.data(b"x"), end.data(b"y")
        peer.send(genuine, end.endpoint)
        peer.send(genuine, end.endpoint)
        peer.send(lost[:-1] + bytes([lost[-1] ^ 1]), end.endpoint)
        peer.send(bytes([Kind.FRAGMENT]) + lost[1:], end.endpoint)
        peer.send(lost[:1] + b"else" + lost[5:], end.endpoint)
        peer.send(lost[:20], end.endpoint)
        counted = {"not-authentic": 2, "stranger": 1, "replayed": 1, "malformed": 1}
        await end.counted(received=1, **counted)
        peer.send(lost, end.endpoint)
        await end.counted(received=2, **counted)
        assert [payload for _, _, payload in end.taker.taken] == [b"x", b"y"]


async def test_without_encryption_only_what_is_no_program_s_has_to_be_authentic() -> None:
    async with an_end(Suite.NONE) as (end, peer):
        bye = end.peers.sealer.seal(Kind.BYE, b"")
        data = end.data(b"in clear")
        assert data.endswith(b"in clear")
        peer.send(bye[:-1] + bytes([bye[-1] ^ 1]), end.endpoint)
        peer.send(data, end.endpoint)
        await end.counted(**{"received": 1, "not-authentic": 1})
        assert end.told == []
        end.path.send(9, False, b"back")
        assert await end.hear(peer, 1) == [(Kind.DATA, b"\x00\x00\x00\x00\x09back")]


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.FRAGMENT])
async def test_a_frame_with_too_little_inside_is_counted(kind: Kind) -> None:
    room = 5 if kind is Kind.DATA else 11
    async with an_end() as (end, peer):
        for length in range(room):
            peer.send(end.peers.sealer.seal(kind, bytes(length)), end.endpoint)
        await end.counted(malformed=room)
        assert end.taker.taken == []
        assert end.told == []


async def test_everything_but_data_goes_to_the_agent() -> None:
    async with an_end() as (end, peer):
        others = [b"", b"\x00", b"HELLO", bytes([Kind.CONFIRM]) * 30]
        for other in others:
            peer.send(other, end.endpoint)
        for kind in (Kind.PING, Kind.PONG, Kind.CONTROL, Kind.BYE):
            peer.send(end.peers.sealer.seal(kind, kind.name.encode()), end.endpoint)
        peer.send(end.data(b""), end.endpoint)
        await end.counted(received=1)
        assert end.other == others
        assert [(kind.name.encode(), kind) for kind, _ in end.told] == [
            (plain, kind) for kind, plain in end.told
        ]
        assert [kind for kind, _ in end.told] == [Kind.PING, Kind.PONG, Kind.CONTROL, Kind.BYE]
        assert end.taker.taken == [(7, True, b"")]


async def test_the_kernel_drops_what_does_not_come_from_the_peer() -> None:
    async with an_end() as (end, peer):
        with Program() as stranger:
            stranger.send(end.data(b"stranger"), end.endpoint)
        peer.send(end.data(b"peer"), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"peer")]


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", [1_473, 9_000, MAX_UDP_PAYLOAD])
async def test_a_long_datagram_leaves_as_fragments_and_counts_as_one(
    suite: Suite, size: int
) -> None:
    payload = random.Random(size).randbytes(size)
    async with an_end(suite) as (end, peer):
        end.path.send(9, False, payload)
        frames: list[tuple[Kind, bytes]] = []
        while not frames or frames[-1][1][9] != frames[-1][1][10]:  # the index of the last
            (octets, _) = await peer.receive()
            assert len(octets) <= end.path.frame_size
            frames += opened(end.peers, octets)
        assert whole(frames) == payload
        assert end.counters.counted() == {"sent": 1}


async def test_frames_grow_with_what_passes() -> None:
    async with an_end() as (end, peer):
        end.path.frame_size = 1_472
        end.path.send(9, False, bytes(1_472 - 32))
        end.path.send(9, False, bytes(1_472 - 31))
        kinds = [kind for kind, _ in await end.hear(peer, 3)]
        assert kinds == [Kind.DATA, Kind.FRAGMENT, Kind.FRAGMENT]
        assert end.events == [LargerFramesSent(1)], "told once in a while"


async def test_an_icmp_answer_does_not_cost_the_next_datagram() -> None:
    """The peer's port was closed for a moment: the kernel reports that to the send after it."""
    closed = unused()
    with End(closed) as end:
        end.path.send(1, True, b"early")
        with Program(*closed.sockaddr) as peer:
            end.path.send(1, True, b"late")
            assert await end.hear(peer, 1) == [(Kind.DATA, b"\x01\x00\x00\x00\x01late")]
        assert end.counters.counted() == {"sent": 2, "refused": 1}


async def test_an_icmp_answer_does_not_cost_a_part_of_a_datagram() -> None:
    closed = unused()
    with End(closed) as end:
        end.path.send(1, True, b"early")
        with Program(*closed.sockaddr) as peer:
            end.path.send(1, True, bytes(3_000))
            count = -(-3_000 // (end.path.frame_size - 38))
            assert whole(await end.hear(peer, count)) == bytes(3_000)
        assert end.counters.counted() == {"sent": 2, "refused": 1}


async def test_a_peer_whose_port_stays_closed_is_counted_until_it_opens() -> None:
    closed = unused()
    with End(closed) as end:
        for count in (1, 2, 3):
            end.path.send(1, True, b"x")
            await end.counted(sent=count, refused=count)
        with Program(*closed.sockaddr) as peer:
            peer.send(end.data(b"here"), end.endpoint)
            await end.counted(sent=3, refused=3, received=1)


async def test_more_than_one_drain_of_datagrams_all_arrive() -> None:
    async with an_end() as (end, peer):
        for number in range(2 * SETTINGS.batch + 1):
            peer.send(end.data(b"", flow=number), end.endpoint)
        await end.counted(received=2 * SETTINGS.batch + 1)
        assert [flow for flow, _, _ in end.taker.taken] == list(range(2 * SETTINGS.batch + 1))


async def test_nothing_is_delivered_after_the_path_was_closed_by_what_came() -> None:
    async with an_end() as (end, peer):
        end.frame_closes = True
        asyncio.get_running_loop().remove_reader(end.sock)
        peer.send(end.data(b"", flow=0), end.endpoint)
        peer.send(end.peers.sealer.seal(Kind.BYE, b""), end.endpoint)
        peer.send(end.data(b"", flow=1), end.endpoint)
        await eventually(lambda: end.sock.recv(1, 2), "something is there")
        end.path.readable()
        assert end.told == [(Kind.BYE, b"")]
        assert [flow for flow, _, _ in end.taker.taken] == [0]
        assert end.counters.counted() == {"received": 1}


def a_run(*payloads: bytes) -> Run:
    """Of one size but the last, in a tray, as a socket reads them."""
    tray = Tray.of(bytes(HEADROOM) + b"".join(payloads))
    return Run.between(tray, HEADROOM, len(tray.octets), len(payloads[0]))


@pytest.mark.parametrize("suite", Suite)
async def test_runs_of_several_flows_leave_together_and_in_order(suite: Suite) -> None:
    async with an_end(suite) as (end, peer):
        for flow, payloads in [(5, [b"a%d" % n for n in range(9)]), (6, [b"bb", b"c"]), (5, [b""])]:
            end.path.send_run(flow, True, a_run(*payloads))
        assert not peer.has_received()
        end.path.flush()
        end.path.flush()
        assert await end.hear(peer, 12) == [
            (Kind.DATA, b"\x01\x00\x00\x00" + inside)
            for inside in [*(b"\x05a%d" % n for n in range(9)), b"\x06bb", b"\x06c", b"\x05"]
        ]
        assert end.counters.counted() == {"sent": 12}


async def test_a_long_datagram_between_short_ones_keeps_its_place() -> None:
    async with an_end() as (end, peer):
        for payload in (b"a", bytes(1_000), b"c"):
            end.path.send_run(5, True, a_run(payload))
        end.path.flush()
        kinds = [kind for kind, _ in await end.hear(peer, 4)]
        assert kinds == [Kind.DATA, Kind.FRAGMENT, Kind.FRAGMENT, Kind.DATA]
        assert end.counters.counted() == {"sent": 3}


async def test_a_run_whose_last_datagram_alone_fits_in_a_frame() -> None:
    payloads = [b"a" * 1_000, b"b" * 1_000, b"short"]
    async with an_end() as (end, peer):
        end.path.send_run(5, True, a_run(*payloads))
        end.path.flush()
        frames = await end.hear(peer, 5)
        assert [whole(frames[:2]), whole(frames[2:4]), frames[4][1][5:]] == payloads
        assert end.counters.counted() == {"sent": 3}


async def test_more_than_the_buffer_of_frames_holds_leaves_at_once() -> None:
    async with an_end() as (end, peer):
        for number in range(5):
            end.path.send_run(5, True, a_run(bytes([number]) * 60_000))
        end.path.flush()
        count = 5 * -(-60_000 // (end.path.frame_size - 38))
        frames = await end.hear(peer, count)
        assert whole(frames[-count // 5 :]) == b"\x04" * 60_000
        assert end.counters.counted() == {"sent": 5}


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("offload", [0, 1])
async def test_a_run_of_the_peer_s_comes_to_its_programs(suite: Suite, offload: int) -> None:
    """Frames of two flows, a ping, a HELLO of the same size and a forged frame among them, at once."""
    async with an_end(suite, ClientSettings(offload=offload)) as (end, peer):
        frames = [end.data(b"%020d" % n, flow=7 + (n >= 20)) for n in range(40)]
        size = len(frames[0])
        ping = end.peers.sealer.seal(Kind.PING, bytes(size - 27))
        forged = frames[9][:1] + b"else" + frames[9][5:]
        frames[10:10] = [ping, b"HELLO".ljust(size), forged]
        peer.send_run(b"".join(frames), size, end.endpoint)
        await end.counted(received=40, stranger=1)
        assert end.taker.taken == [(7 + (n >= 20), True, b"%020d" % n) for n in range(40)]
        assert (end.told, end.other) == (
            [(Kind.PING, bytes(size - 27))],
            [b"HELLO".ljust(size)],
        )
