"""One end of an established path, against a peer's socket that the test holds."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import pytest

from nat_traversal import Endpoint
from nat_traversal.aio.datapath import DataPath, Delivery, Traffic
from nat_traversal.aio.packet_io import endpoint_of, open_udp
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import UsePath
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD, Bye, Data, Fragment, decode, encode
from tests.loopback.support import Program, eventually, unused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SETTINGS = ClientSettings()
TOKEN = bytes(range(16))
TAG = TOKEN[:4]
FOREIGN = b"\xff" * 4


class Taker:
    """A forwarder that keeps what comes."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, bool, bytes]] = []
        self.troubles: list[OSError] = []

    def path_up(self, path: DataPath) -> None: ...

    def path_down(self) -> None: ...

    def deliver(self, batch: Sequence[Delivery]) -> None:
        self.taken += [
            (flow, from_listener, bytes(payload)) for flow, from_listener, payload in batch
        ]

    def not_sent(self, error: OSError) -> None:
        self.troubles.append(error)


class End:
    """A path, its socket in the event loop, and everything that happened."""

    def __init__(self, remote: Endpoint) -> None:
        self.sock = open_udp(Endpoint("127.0.0.1", 0))
        self.taker = Taker()
        self.counters = Counters()
        self.other: list[bytes] = []
        self.other_closes = False
        """What is not data closes the path, as a BYE does."""
        self.path = DataPath(
            self.sock,
            UsePath(1, remote, TOKEN),
            forwarder=self.taker,
            traffic=Traffic(self.counters),
            settings=SETTINGS,
            on_other=self._came,
        )

    def _came(self, octets: bytes) -> None:
        self.other.append(octets)
        if self.other_closes:
            self.path.close()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self.sock, self.path.readable)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.sock.getsockname())

    async def counted(self, **counts: int) -> None:
        """Wait until the counters are exactly these."""
        await eventually(lambda: self.counters.counted() == counts, f"{counts} are counted")


@asynccontextmanager
async def an_end() -> AsyncIterator[tuple[End, Program]]:
    with Program() as peer, End(peer.endpoint) as end:
        yield end, peer


def half(number: int, *, last: bool, payload: bytes, tag: bytes = TAG, flow: int = 7) -> bytes:
    return encode(Fragment(tag, flow, True, number, last, payload))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_halves_meet_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    halves = [
        half(number, last=last, payload=b"%d%d" % (number, last))
        for number in (1, 2)
        for last in (False, True)
    ]
    async with an_end() as (end, peer):
        for index in order:
            peer.send(halves[index], end.endpoint)
        await end.counted(received=2)
        assert sorted(end.taker.taken) == [(7, True, b"1011"), (7, True, b"2021")]


async def test_a_half_that_came_twice_makes_one_datagram() -> None:
    async with an_end() as (end, peer):
        for last in (False, False, True):
            peer.send(half(1, last=last, payload=b"%d" % last), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"01")]


async def test_the_numbers_of_both_directions_are_kept_apart() -> None:
    async with an_end() as (end, peer):
        peer.send(half(1, last=False, payload=b"a"), end.endpoint)
        peer.send(encode(Fragment(TAG, 7, False, 1, True, b"b")), end.endpoint)
        peer.send(half(1, last=True, payload=b"c"), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"ac")]


async def test_a_half_whose_other_half_is_lost_is_counted_once_many_others_have_come() -> None:
    async with an_end() as (end, peer):
        for number in range(1, SETTINGS.pending_halves + 2):
            peer.send(half(number, last=False, payload=b"x"), end.endpoint)
        await eventually(
            lambda: end.path.waiting_halves == SETTINGS.pending_halves + 1, "all are kept"
        )
        assert end.counters["incomplete"] == 0
        peer.send(half(SETTINGS.pending_halves + 2, last=False, payload=b"x"), end.endpoint)
        await end.counted(incomplete=1)
        assert end.path.waiting_halves == SETTINGS.pending_halves + 1


async def test_a_lost_half_never_meets_a_stranger_when_the_numbers_have_wrapped() -> None:
    async with an_end() as (end, peer):
        peer.send(half(1, last=False, payload=b"old"), end.endpoint)
        for number in (20_000, 40_000, 60_000):
            peer.send(half(number, last=False, payload=b"x"), end.endpoint)
            peer.send(half(number, last=True, payload=b"y"), end.endpoint)
        peer.send(half(1, last=True, payload=b"new"), end.endpoint)
        peer.send(half(1, last=False, payload=b"really "), end.endpoint)
        await end.counted(received=4, incomplete=1)
        assert end.taker.taken == [(7, True, b"xy")] * 3 + [(7, True, b"really new")]


async def test_halves_across_the_wrap_are_neighbours() -> None:
    async with an_end() as (end, peer):
        peer.send(half(65_535, last=False, payload=b"a"), end.endpoint)
        peer.send(half(0, last=False, payload=b"c"), end.endpoint)
        peer.send(half(65_535, last=True, payload=b"b"), end.endpoint)
        peer.send(half(0, last=True, payload=b"d"), end.endpoint)
        await end.counted(received=2)
        assert end.taker.taken == [(7, True, b"ab"), (7, True, b"cd")]


async def test_what_bears_a_foreign_tag_is_counted_and_dropped() -> None:
    async with an_end() as (end, peer):
        peer.send(encode(Data(FOREIGN, 7, True, b"x")), end.endpoint)
        peer.send(half(1, last=False, payload=b"x", tag=FOREIGN), end.endpoint)
        peer.send(half(1, last=True, payload=b"x"), end.endpoint)
        await end.counted(malformed=2)
        assert end.taker.taken == []


async def test_a_fragment_that_is_cut_short_is_counted() -> None:
    async with an_end() as (end, peer):
        whole = half(1, last=False, payload=b"")
        for length in range(1, len(whole)):
            peer.send(whole[:length], end.endpoint)
        await end.counted(malformed=len(whole) - 1)


async def test_everything_but_data_goes_to_the_agent() -> None:
    data = encode(Data(TAG, 7, True, b""))
    others = [b"", b"\x00", b"H", data[:1], data[:-1], encode(Bye(TOKEN))]
    async with an_end() as (end, peer):
        for other in others:
            peer.send(other, end.endpoint)
        peer.send(data, end.endpoint)
        await end.counted(received=1)
        assert end.other == others
        assert end.taker.taken == [(7, True, b"")]


async def test_the_kernel_drops_what_does_not_come_from_the_peer() -> None:
    async with an_end() as (end, peer):
        with Program() as stranger:
            stranger.send(encode(Data(TAG, 7, True, b"stranger")), end.endpoint)
        peer.send(encode(Data(TAG, 7, True, b"peer")), end.endpoint)
        await end.counted(received=1)
        assert end.taker.taken == [(7, True, b"peer")]


async def test_a_long_datagram_leaves_as_two_halves_and_counts_as_one() -> None:
    payload = bytes(range(256)) * 255 + bytes(MAX_UDP_PAYLOAD - 256 * 255)
    async with an_end() as (end, peer):
        end.path.send(9, False, payload)
        first, second = [decode((await peer.receive())[0]) for _ in range(2)]
        assert isinstance(first, Fragment)
        assert isinstance(second, Fragment)
        assert (first.last, second.last) == (False, True)
        assert first.number == second.number
        assert first.payload + second.payload == payload
        assert end.counters.counted() == {"sent": 1}


async def test_an_icmp_answer_does_not_cost_the_next_datagram() -> None:
    """The peer's port was closed for a moment: the kernel reports that to the send after it."""
    closed = unused()
    with End(closed) as end:
        end.path.send(1, True, b"early")
        with Program(*closed.sockaddr) as peer:
            end.path.send(1, True, b"late")
            assert decode((await peer.receive())[0]) == Data(TAG, 1, True, b"late")
        assert end.counters.counted() == {"sent": 2, "refused": 1}


async def test_an_icmp_answer_does_not_cost_half_a_datagram() -> None:
    closed = unused()
    with End(closed) as end:
        end.path.send(1, True, b"early")
        with Program(*closed.sockaddr) as peer:
            end.path.send(1, True, bytes(MAX_UDP_PAYLOAD))
            for _ in range(2):
                assert isinstance(decode((await peer.receive())[0]), Fragment)
        assert end.counters.counted() == {"sent": 2, "refused": 1}


async def test_a_peer_whose_port_stays_closed_is_counted_until_it_opens() -> None:
    closed = unused()
    with End(closed) as end:
        for count in (1, 2, 3):
            end.path.send(1, True, b"x")
            await end.counted(sent=count, refused=count)
        with Program(*closed.sockaddr) as peer:
            peer.send(encode(Data(TAG, 7, True, b"here")), end.endpoint)
            await end.counted(sent=3, refused=3, received=1)


async def test_more_than_one_drain_of_datagrams_all_arrive() -> None:
    async with an_end() as (end, peer):
        for number in range(2 * SETTINGS.batch + 1):
            peer.send(encode(Data(TAG, number, True, b"")), end.endpoint)
        await end.counted(received=2 * SETTINGS.batch + 1)
        assert [flow for flow, _, _ in end.taker.taken] == list(range(2 * SETTINGS.batch + 1))


async def test_nothing_is_delivered_after_the_path_was_closed_by_what_came() -> None:
    async with an_end() as (end, peer):
        end.other_closes = True
        asyncio.get_running_loop().remove_reader(end.sock)
        peer.send(encode(Data(TAG, 0, True, b"")), end.endpoint)
        peer.send(encode(Bye(TOKEN)), end.endpoint)
        peer.send(encode(Data(TAG, 1, True, b"")), end.endpoint)
        await eventually(lambda: end.sock.recv(1, 2), "something is there")
        end.path.readable()
        assert end.other == [encode(Bye(TOKEN))]
        assert [flow for flow, _, _ in end.taker.taken] == [0]
        assert end.counters.counted() == {"received": 1}


async def test_frames_are_made_in_the_room_around_the_payloads() -> None:
    async with an_end() as (end, peer):
        room = end.path.headroom
        frames = [memoryview(bytearray(bytes(room) + payload)) for payload in (b"a", b"", b"ccc")]
        end.path.send_frames(5, True, frames)
        came = [decode((await peer.receive())[0]) for _ in frames]
        assert came == [Data(TAG, 5, True, payload) for payload in (b"a", b"", b"ccc")]
        assert end.counters.counted() == {"sent": 3}


async def test_a_long_datagram_between_short_ones_keeps_its_place() -> None:
    async with an_end() as (end, peer):
        room = end.path.headroom
        payloads = (b"a", bytes(MAX_UDP_PAYLOAD), b"c")
        frames = [memoryview(bytearray(bytes(room) + payload)) for payload in payloads]
        end.path.send_frames(5, True, frames)
        kinds = [type(decode((await peer.receive())[0])) for _ in range(4)]
        assert kinds == [Data, Fragment, Fragment, Data]
        assert end.counters.counted() == {"sent": 3}


async def test_a_peer_that_no_route_leads_to_is_told_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), End(Endpoint("255.255.255.255", 9)) as end:
        end.path.send(1, True, b"x")
        assert end.counters.counted() == {"unsendable": 1}
        assert len(end.taker.troubles) == 1
        assert "no way to 255.255.255.255:9" in caplog.text


class _Failing(socket.socket):
    """A socket that fails to send for one reason after the other."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.numbers = list(numbers)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        raise OSError(self.numbers.pop(0), "for a reason")


@pytest.mark.parametrize("size", [10, MAX_UDP_PAYLOAD])
async def test_a_second_try_that_fails_is_counted_too(size: int) -> None:
    async with an_end() as (end, _):
        with _Failing(errno.ECONNREFUSED, errno.ENOBUFS) as failing:
            order = UsePath(1, Endpoint("127.0.0.1", 9), TOKEN)
            path = DataPath(
                failing,
                order,
                forwarder=end.taker,
                traffic=Traffic(end.counters),
                settings=SETTINGS,
                on_other=end.other.append,
            )
            path.send(1, True, bytes(size))
            assert failing.numbers == []
        assert end.counters.counted() == {"refused": 1, "unsendable": 1}
        assert [error.errno for error in end.taker.troubles] == [errno.ENOBUFS]
