"""A data path whose datagrams the kernel refuses."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING

import pytest

from nat_traversal import Endpoint
from nat_traversal.machine.events import FrameRefused
from nat_traversal.paths.bundles import Unbundler
from nat_traversal.wire.datagrams import Kind
from tests.loopback.aio.ends import End, an_end

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


async def test_a_peer_that_no_route_leads_to_is_told_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), End(Endpoint("255.255.255.255", 9)) as end:
        end.path.send(1, True, b"x")
        assert end.counters.counted() == {"unsendable": 1}
        assert len(end.taker.troubles) == 1
        assert "no way to 255.255.255.255:9" in caplog.text


async def test_a_probe_that_is_too_long_here_is_told_to_the_agent_alone() -> None:
    async with an_end() as (end, _):
        with _Failing(errno.EMSGSIZE, errno.EMSGSIZE) as failing:
            path = end.on(failing)
            path.send_frame(Kind.PING, bytes(1_000))
        assert end.events == [FrameRefused(1_027, 1)]
        assert end.counters.counted() == {}
        assert end.taker.troubles == []


class _Failing(socket.socket):
    """A socket that fails to send for one reason after the other."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.numbers = list(numbers)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        raise OSError(self.numbers.pop(0), "for a reason")

    def sendmsg(self, *_: object) -> int:
        raise OSError(errno.EIO, "no runs here")


async def test_a_second_try_that_fails_is_counted_too() -> None:
    async with an_end() as (end, _):
        with _Failing(errno.ECONNREFUSED, errno.ENOBUFS) as failing:
            end.on(failing).send(1, True, bytes(10))
            assert failing.numbers == []
        assert end.counters.counted() == {"refused": 1, "unsendable": 1}
        assert end.taker.troubles == ["not sent: for a reason"]


async def test_a_datagram_of_which_one_frame_fails_is_not_called_sent() -> None:
    async with an_end() as (end, _):
        with _Failing(errno.ENOBUFS, errno.ENOBUFS) as failing:
            end.on(failing).send(1, True, bytes(1_000))
            assert failing.numbers == []
        assert end.counters.counted() == {"unsendable": 2}


class _Narrowed(socket.socket):
    """A socket of the peer's whose own network carries datagrams of 600 octets from now on."""

    def __init__(self, peer: Endpoint) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        super().connect(peer.sockaddr)

    def connect(self, _: object) -> None:
        """It stays where it is."""

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        if memoryview(data).nbytes > 600:
            raise OSError(errno.EMSGSIZE, "Message too long")
        return super().send(data, flags)

    def sendmsg(self, *_: object) -> int:
        raise OSError(errno.EIO, "no runs here")


@pytest.mark.parametrize("size", [900, 9_000])
async def test_datagrams_that_have_become_too_long_here_are_bundled_and_sent_again(
    size: int,
) -> None:
    payloads = [b"short", b"a" * size, b"short", b"b" * size]
    async with an_end() as (end, peer):
        with _Narrowed(peer.endpoint) as narrowed:
            path = end.on(narrowed)
            path.frame_size = 1_400
            for payload in payloads:
                path.send(5, True, payload)
        found: list[bytes] = []
        unbundler = Unbundler()
        number = 0
        while len(found) < len(payloads):
            ((kind, plain),) = await end.hear(peer, 1)
            if kind == Kind.DATA:
                found.append(plain[5:])
                continue
            number += 1
            came = unbundler.arrived(number, memoryview(plain), 0.0)
            found += [bytes(payload) for _, _, payload in came]
        assert sorted(found) == sorted(payloads)
        assert path.frame_size == 548
        assert len(end.events) == 1
        assert isinstance(end.events[0], FrameRefused)
        assert end.counters.counted() == {"sent": 4}
        assert end.taker.troubles == []
