"""One end of an established path, against a peer's socket that the test holds."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.machine.events import LargerFramesSent
from nat_traversal.paths.bundles import Unbundler
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD, Kind
from nat_traversal.wire.offers import Suite
from nat_traversal.wire.tray import Run, Tray
from tests.loopback.aio.ends import SETTINGS, End, an_end
from tests.loopback.programs import Program
from tests.loopback.support import eventually, unused
from tests.unit.bundled import Datagram
from tests.unit.counterpart import opened

if TYPE_CHECKING:
    pass


def whole(frames: Sequence[tuple[Kind, bytes]]) -> list[Datagram]:
    """The datagrams of these frames of bundles, which came in order."""
    assert {kind for kind, _ in frames} == {Kind.BUNDLE}
    unbundler = Unbundler()
    found = [
        (direction, flow, bytes(payload))
        for number, (_, plain) in enumerate(frames)
        for direction, flow, payload in unbundler.arrived(number, memoryview(plain), 0.0)
    ]
    assert (unbundler.octets, unbundler.malformed) == (0, 0)
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_frames_of_bundles_come_in_any_order(order: tuple[int, ...]) -> None:
    async with an_end() as (end, peer):
        frames = [
            frame for payload in (b"first", b"second") for frame in end.bundle((1, 7, payload), content=8)
        ]  # fmt: skip
        for place in order:
            peer.send(frames[place], end.endpoint)
        await end.counted(received=2)
        assert sorted(end.taker.taken) == [(7, 1, b"first"), (7, 1, b"second")]
        assert end.path.waiting_octets == 0


async def test_a_bundle_has_datagrams_of_several_flows_and_directions() -> None:
    datagrams = [(1, 7, b"a"), (0, 7, b"b"), (1, 8, b""), (1, 7, bytes(150)), (0, 7, b"c")]
    async with an_end() as (end, peer):
        for frame in end.bundle(*datagrams):
            peer.send(frame, end.endpoint)
        await end.counted(received=5)
        for key in ((7, 1), (7, 0), (8, 1)):
            came = [payload for *of, payload in end.taker.taken if tuple(of) == key]
            assert came == [payload for to, flow, payload in datagrams if (flow, to) == key]


async def test_a_datagram_whose_rest_is_lost_is_counted_once_its_time_is_over() -> None:
    async with an_end() as (end, peer):
        for payload in (bytes(150), bytes(120)):
            peer.send(end.bundle((1, 7, payload))[0], end.endpoint)
        peer.send(end.data(b"both are there"), end.endpoint)
        await end.counted(received=1)
        end.clock.run_to(SETTINGS.reassembly_within - 0.1)
        assert end.path.waiting_octets == 200
        end.clock.run_to(SETTINGS.reassembly_within)
        assert end.path.waiting_octets == 0, "nothing else has to come"
        await end.counted(received=1, incomplete=2)


async def test_parts_that_wait_end_with_their_path() -> None:
    async with an_end() as (end, peer):
        peer.send(end.bundle((1, 7, bytes(150)))[0], end.endpoint)
        await eventually(lambda: end.path.waiting_octets == 100, "it waits")
        end.path.close()
        assert end.path.waiting_octets == 0
        await end.counted(incomplete=1)


async def test_only_so_many_octets_wait_and_the_oldest_make_room() -> None:
    little = ClientSettings(reassembly_octets=65_536)
    async with an_end(settings=little) as (end, peer):
        first, second = (end.bundle((1, 7, bytes(45_000)), content=40_000) for _ in range(2))
        for frame in (first[0], second[0]):
            peer.send(frame, end.endpoint)
        await end.counted(incomplete=1)
        assert end.path.waiting_octets == 40_000
        for frame in (first[1], second[1]):
            peer.send(frame, end.endpoint)
        await end.counted(incomplete=1, received=1)
        assert end.taker.taken == [(7, 1, bytes(45_000))]
        assert end.path.waiting_octets == 5_007, "the end of the first"


@pytest.mark.parametrize("suite", [Suite.AES_256_GCM, Suite.CHACHA20_POLY1305])
async def test_what_the_peer_has_not_sealed_is_counted_and_dropped(suite: Suite) -> None:
    async with an_end(suite) as (end, peer):
        genuine, lost = end.data(b"x"), end.data(b"y")
        peer.send(genuine, end.endpoint)
        peer.send(genuine, end.endpoint)
        peer.send(lost[:-1] + bytes([lost[-1] ^ 1]), end.endpoint)
        peer.send(bytes([Kind.BUNDLE]) + lost[1:], end.endpoint)
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


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.BUNDLE])
async def test_a_frame_with_too_little_inside_is_counted(kind: Kind) -> None:
    room = 5 if kind is Kind.DATA else 3
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
async def test_a_long_datagram_leaves_as_a_bundle_and_counts_as_one(
    suite: Suite, size: int
) -> None:
    payload = random.Random(size).randbytes(size)
    async with an_end(suite) as (end, peer):
        end.path.send(9, False, payload)
        overhead = 29 if suite is not Suite.NONE else 13
        count = -(-(size + 7) // (end.path.frame_size - overhead))
        frames = [(await peer.receive())[0] for _ in range(count)]
        assert {len(frame) for frame in frames[:-1]} == {end.path.frame_size}
        assert len(frames[-1]) <= end.path.frame_size
        assert whole(opened(end.peers, *frames)) == [(0, 9, payload)]
        assert end.counters.counted() == {"sent": 1}


async def test_frames_grow_with_what_passes() -> None:
    async with an_end() as (end, peer):
        end.path.frame_size = 1_472
        end.path.send(9, False, bytes(1_472 - 32))
        end.path.send(9, False, bytes(1_472 - 31))
        kinds = [kind for kind, _ in await end.hear(peer, 3)]
        assert kinds == [Kind.DATA, Kind.BUNDLE, Kind.BUNDLE]
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
            count = -(-3_007 // (end.path.frame_size - 29))
            assert whole(await end.hear(peer, count)) == [(1, 1, bytes(3_000))]
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
        *data, bundle = await end.hear(peer, 10)
        assert data == [(Kind.DATA, b"\x01\x00\x00\x00\x05a%d" % n) for n in range(9)]
        assert whole([bundle]) == [(1, 6, b"bb"), (1, 6, b"c"), (1, 5, b"")]
        assert end.counters.counted() == {"sent": 12}
        assert (end.traffic.direct.sent, end.traffic.direct.sent_octets) == (12, 9 * 2 + 2 + 1)


@pytest.mark.parametrize("suite", Suite)
async def test_datagrams_of_any_sizes_leave_in_order_in_frames_of_one_size(suite: Suite) -> None:
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.randint(0, 700)) for _ in range(40)]
    async with an_end(suite) as (end, peer):
        for number, payload in enumerate(payloads):
            end.path.send_run(number % 3, True, a_run(payload))
        end.path.flush()
        expected = [(1, number % 3, payload) for number, payload in enumerate(payloads)]
        found, frames = list[tuple[Kind, bytes]](), list[bytes]()
        octets = sum(7 + len(payload) for payload in payloads)
        content = end.path.frame_size - (29 if suite is not Suite.NONE else 13)
        for _ in range(-(-octets // content)):
            frames.append((await peer.receive())[0])
            found += opened(end.peers, frames[-1])
        assert whole(found) == expected
        assert {len(frame) for frame in frames[:-1]} == {end.path.frame_size}
        assert end.counters.counted() == {"sent": 40}
        assert end.traffic.direct.sent_octets == sum(map(len, payloads))


async def test_datagrams_of_one_size_are_not_bundled_whatever_their_flows() -> None:
    async with an_end() as (end, peer):
        for flow in range(5):
            end.path.send_run(flow, True, a_run(b"same"))
        end.path.send_run(5, True, a_run(b"end"))
        end.path.flush()
        kinds = [kind for kind, _ in await end.hear(peer, 6)]
        assert kinds == [Kind.DATA] * 6


async def test_a_run_that_a_bundle_precedes_leaves_after_it() -> None:
    async with an_end() as (end, peer):
        for payloads in ((b"a",), (bytes(1_000),), (b"c" * 9,) * 5, (b"d",)):
            end.path.send_run(5, True, a_run(*payloads))
        end.path.flush()
        frames = await end.hear(peer, 8)
        assert whole(frames[:2]) == [(1, 5, b"a"), (1, 5, bytes(1_000))]
        assert [plain[5:] for _, plain in frames[2:]] == [*[b"c" * 9] * 5, b"d"]
        assert end.counters.counted() == {"sent": 8}


async def test_more_than_the_buffer_of_frames_holds_leaves_at_once() -> None:
    payloads = [bytes([number]) * (60_000 + number) for number in range(12)]
    async with an_end() as (end, peer):
        for payload in payloads:
            end.path.send_run(5, True, a_run(payload))
        end.path.flush()
        found, frames = list[Datagram](), list[tuple[Kind, bytes]]()
        while len(found) < len(payloads):
            frames += await end.hear(peer, 1)
            if len(frames[-1][1]) < end.path.frame_size - 27:  # the last of a bundle
                found += whole(frames)
                frames.clear()
        assert found == [(1, 5, payload) for payload in payloads]
        assert end.counters.counted() == {"sent": 12}


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
