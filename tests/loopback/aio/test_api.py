"""`import nat_traversal`: connections for programs in Python."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from nat_traversal import (
    Connection,
    ConnectionLostError,
    Endpoint,
    Security,
    TraversalFailedError,
    UsageError,
    connect,
)
from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD, Kind
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.aio.connections import has_ended, received, two_ends
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import DEADLINE, eventually

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class TestDatagrams:
    """All that goes in at one end comes out at the other."""

    async def test_datagrams_of_every_length_cross_both_ways(self) -> None:
        async with two_ends() as ends:
            for size in (0, 1, 1200, 9000, MAX_UDP_PAYLOAD):
                ends.a.send(bytes(size))
                assert await received(ends.b) == bytes(size)
                ends.b.send(memoryview(b"x" * size))
                assert await received(ends.a) == b"x" * size
            assert (
                ends.a.counters.counted() == ends.b.counters.counted() == {"sent": 5, "received": 5}
            )

    async def test_many_datagrams_at_once_cross_both_ways_in_order(self) -> None:
        payloads = [b"a" * 1_200] * 70 + [b"b" * 7, b"", b"", b"c" * 3_000, b"d" * 3_000, b"e"]
        async with two_ends() as ends:
            for sender, receiver in ((ends.a, ends.b), (ends.b, ends.a)):
                sender.send_many(payloads)
                sender.send_many([])
                found: list[bytes] = []
                async with asyncio.timeout(DEADLINE):
                    while len(found) < len(payloads):
                        some = await receiver.receive_many(50)
                        assert 1 <= len(some) <= 50
                        found += some
                assert found == payloads
                assert sender.counters["sent"] == len(payloads)

    async def test_of_many_datagrams_none_leaves_if_one_is_too_long(self) -> None:
        async with two_ends() as ends:
            with pytest.raises(UsageError, match="at most 65507 octets, not 65508"):
                ends.a.send_many([b"x", bytes(MAX_UDP_PAYLOAD + 1)])
            assert ends.a.counters["sent"] == 0

    async def test_the_end_comes_after_what_was_there(self) -> None:
        async with two_ends() as ends:
            ends.b.send_many([b"1", b"2", b"3"])
            await eventually(lambda: ends.a.counters["received"] == 3, "they came")
            await ends.leave_b()
            assert await ends.a.receive_many(2) == [b"1", b"2"]
            assert await ends.a.receive_many() == [b"3"]
            with pytest.raises(ConnectionLostError):
                await ends.a.receive_many()

    async def test_a_longer_payload_is_a_usage_error(self) -> None:
        async with two_ends() as ends:
            with pytest.raises(UsageError, match="at most 65507 octets, not 65508"):
                ends.a.send(bytes(MAX_UDP_PAYLOAD + 1))
            assert ends.a.counters.counted() == {}

    async def test_a_full_queue_drops_and_counts_what_comes(
        self,
    ) -> None:
        async with two_ends(ClientSettings(queue=3)) as ends:
            for number in range(5):
                ends.a.send(b"%d" % number)
            await eventually(lambda: ends.b.counters["received"] == 5, "all have come")
            assert ends.b.counters.counted() == {"received": 5, "unclaimed": 2}
            await ends.leave_b()
            with pytest.raises(ConnectionLostError):
                await received(ends.a)
            assert [await received(ends.b) for _ in range(3)] == [b"0", b"1", b"2"]
            with pytest.raises(ConnectionLostError):
                await received(ends.b)

    async def test_a_queue_is_bounded_in_octets_as_well(self) -> None:
        async with two_ends(ClientSettings(queue_octets=65_536)) as ends:
            for number in range(5):
                ends.a.send(bytes([number]) * 20_000)
            await eventually(lambda: ends.b.counters["received"] == 5, "all have come")
            assert ends.b.counters.counted() == {"received": 5, "unclaimed": 2}
            assert [(await received(ends.b))[0] for _ in range(3)] == [0, 1, 2]
            for number in (5, 6, 7, 8):
                ends.a.send(bytes([number]) * 20_000)
            await eventually(lambda: ends.b.counters["unclaimed"] == 3, "all have come")
            assert [each[0] for each in await ends.b.receive_many()] == [5, 6, 7]

    async def test_a_datagram_that_the_network_refuses_is_counted(self) -> None:
        errors: list[OSError] = []

        class Refusing(socket.socket):
            def send(self, data: ReadableBuffer, flags: int = 0) -> int:
                if errors:
                    raise errors.pop()
                return super().send(data, flags)

        def open_udp(local: Endpoint, buffer: int) -> socket.socket:
            sock = Refusing(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            return sock

        async with a_server() as (server, _):
            a = Connection()
            client = Client(
                ClientConfig(HostPort(*server.endpoint.sockaddr), "host_a", "host_b"),
                a,
                a.told,
                counters=a.counters,
                platform=Platform(open_udp=open_udp),
            )
            client.start()
            where = str(server.endpoint)
            async with connect(where, local_id="host_b", remote_id="host_a") as b:
                await a.wait_established()
                errors.append(OSError(errno.ENOBUFS, "No buffer space"))
                a.send(b"lost")
                assert a.counters.counted() == {"unsendable": 1}
                a.send(b"x")
                assert await received(b) == b"x"
            await client.close()

    async def test_a_program_talks_to_a_service_behind_the_command_s_connect(self) -> None:
        with Service(answer=lambda payload, _: payload[::-1]) as service:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_b", "host_a", connect=[service.endpoint]),
                connect(str(server.endpoint), local_id="host_a", remote_id="host_b") as a,
            ):
                for question in (b"", b"abc", bytes(range(256)) * 255):
                    a.send(question)
                    assert await received(a) == question[::-1]
                assert len({source for _, source in service.asked}) == 1

    async def test_a_program_hears_from_the_command_s_listen(self) -> None:
        with Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
                connect(str(server.endpoint), local_id="host_a", remote_id="host_b") as a,
            ):
                program.send(b"hello", b.port)
                assert await received(a) == b"hello"


class TestSecurity:
    """`security` is what each side demands of the other."""

    async def test_a_shared_key_on_both_sides(self) -> None:
        security = Security.sealed(psk=b"k" * 32)
        async with a_server() as (server, _), AsyncExitStack() as stack:
            a, b = await asyncio.gather(
                *(
                    stack.enter_async_context(
                        connect(
                            str(server.endpoint),
                            local_id=local,
                            remote_id=remote,
                            security=security,
                        )
                    )
                    for local, remote in (("host_a", "host_b"), ("host_b", "host_a"))
                )
            )
            a.send(b"x")
            assert await received(b) == b"x"

    async def test_a_key_on_one_side_ends_both(self) -> None:
        async with a_server() as (server, _):

            async def why(local: str, remote: str, security: Security | None) -> str:
                with pytest.raises(TraversalFailedError) as raised:
                    async with (
                        asyncio.timeout(DEADLINE),
                        connect(
                            str(server.endpoint),
                            local_id=local,
                            remote_id=remote,
                            security=security,
                        ),
                    ):
                        pass
                return str(raised.value)

            whys = await asyncio.gather(
                why("host_a", "host_b", Security.sealed(psk=b"k" * 32)),
                why("host_b", "host_a", None),
            )
        assert "this side asks for a shared key, host_b for no key" in whys[0]
        assert "this side asks for no key, host_a for a shared key" in whys[1]


class TestEnd:
    """The path ends."""

    async def test_leaving_the_block_is_told_to_the_peer_at_once(self) -> None:
        async with (
            a_server() as (server, notices),
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
        ):
            async with connect(str(server.endpoint), local_id="host_a", remote_id="host_b"):
                await b.connected()
            lost = await b.notices.wait(note.PathLost)
            assert lost.reason == "the other side closed it"
            assert await notices.wait(note.HostLeft) == note.HostLeft("host_a")

    async def test_what_came_before_the_end_is_read_after_it(self) -> None:
        async with two_ends() as ends:
            for number in range(3):
                ends.b.send(b"%d" % number)
            await ends.leave_b()
            await eventually(lambda: has_ended(ends.a), "the end is noticed")
            assert [await received(ends.a) for _ in range(3)] == [b"0", b"1", b"2"]
            for _ in range(2):
                with pytest.raises(ConnectionLostError, match="the other side closed it"):
                    await received(ends.a)
                with pytest.raises(ConnectionLostError, match="the other side closed it"):
                    ends.a.send(b"x")

    async def test_a_connection_is_iterated_until_its_end(self) -> None:
        async with two_ends() as ends:
            for number in range(3):
                ends.b.send(b"%d" % number)
            await ends.leave_b()
            async with asyncio.timeout(DEADLINE):
                assert [payload async for payload in ends.a] == [b"0", b"1", b"2"]

    async def test_everybody_who_waits_is_told(self) -> None:
        async with two_ends() as ends:
            waiting = [asyncio.create_task(received(ends.a)) for _ in range(3)]
            await asyncio.sleep(0)
            await ends.leave_b()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [ConnectionLostError] * 3

    async def test_the_one_who_left_can_neither_send_nor_receive(self) -> None:
        async with two_ends() as ends:
            await ends.leave_b()
            with pytest.raises(ConnectionLostError, match="the path has ended"):
                ends.b.send(b"x")
            with pytest.raises(ConnectionLostError, match="the path has ended"):
                await received(ends.b)

    async def test_a_peer_that_comes_back_with_a_new_socket_ends_the_connection(self) -> None:
        """It was killed, and the server knows it before this side does."""
        async with (
            a_server() as (server, notices),
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
            connect(str(server.endpoint), local_id="host_a", remote_id="host_b") as a,
        ):
            await b.connected()
            path = b.path.order
            b.client.feed(e.FrameOpened(Kind.BYE, b"", path.generation))
            # b thinks that a has left, and wants another path
            with pytest.raises(ConnectionLostError, match="asked for a new path"):
                await received(a)
            await eventually(lambda: note.HostLeft("host_a") in notices, "a has ended by itself")
            assert len(b.notices.of(note.PathEstablished)) == 1

    async def test_the_peer_s_address_and_the_method_are_known_to_the_end(self) -> None:
        async with two_ends() as ends:
            await ends.leave_b()
            assert ends.a.method == ends.b.method == "ordered-hello"
            assert ends.a.remote.address == ends.b.remote.address == "127.0.0.1"
            assert ends.a.remote != ends.b.remote
