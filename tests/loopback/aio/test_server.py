"""The server over real sockets: hostile, slow and silent clients cost nobody else anything."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from nat_traversal import Endpoint, ServerSettings
from nat_traversal.machine import notices as note
from nat_traversal.server.useless import COUNTED
from nat_traversal.wire import control
from nat_traversal.wire import datagrams as d
from nat_traversal.wire import messages as m
from tests.features import linux_only
from tests.loopback.aio.guests import DISCARD, NO_RATE_LIMIT, a_deaf_client, a_pair_connects
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program
from tests.loopback.scripted import Wire, announce, register
from tests.loopback.support import DEADLINE, eventually
from tests.unit.counterpart import some_keys


async def test_two_lines_in_one_segment_are_two_messages() -> None:
    async with a_server() as (server, _), await Wire.to(server.endpoint) as wire:
        wire.send(register("host_a", "host_b"), m.Heartbeat(7))
        assert isinstance(await wire.next(), m.Registered)
        assert await wire.next() == m.PeerStatus(m.PeerState.ABSENT)
        assert await wire.next() == m.HeartbeatAnswer(7)


async def test_a_line_may_come_octet_by_octet() -> None:
    async with a_server() as (server, _), await Wire.to(server.endpoint) as wire:
        sock = wire.writer.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for octet in control.encode(register("host_a", "host_b")):
            wire.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        assert isinstance(await wire.next(), m.Registered)


GARBAGE = [
    b"\n",
    b"garbage\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\n",
    b"\xff\xfe\n",
    b"[]\n",
    b"{}\n",
    b'{"type": 1}\n',
    b'{"type": "register"}\n',
    b"[" * 4000 + b"\n",
    b"x" * (control.MAX_LINE - 1) + b"\n",
    b"x" * control.MAX_LINE,
    b"x" * 100_000,
    b'{"type": "ping", "transaction": ' + b"9" * 4000 + b"}\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=[repr(line[:16]) for line in GARBAGE])
async def test_a_garbled_line_gets_an_error_and_a_close(garbage: bytes) -> None:
    async with a_server() as (server, notices), await Wire.to(server.endpoint) as wire:
        wire.writer.write(garbage)
        refused = await wire.next()
        assert isinstance(refused, m.Refused)
        assert refused.code == m.ErrorCode.BAD_MESSAGE
        await wire.ended()
        assert await notices.wait(note.HostRefused) == note.HostRefused(
            None, refused.code, refused.text
        )
        await a_pair_connects(server.endpoint)


async def test_a_good_line_before_a_garbled_one_counts() -> None:
    async with a_server() as (server, notices), await Wire.to(server.endpoint) as wire:
        wire.writer.write(control.encode(register("host_a", "host_b")) + b"garbage\nmore\n")
        await wire.until(m.Registered)
        assert (await wire.until(m.Refused)).code == m.ErrorCode.BAD_MESSAGE
        assert await wire.next() is None
        assert notices.of(note.HostLeft) == [note.HostLeft("host_a")]


async def test_nothing_is_heard_from_a_connection_after_its_end_was_decided() -> None:
    async with a_server() as (server, notices), await Wire.to(server.endpoint) as wire:
        wire.writer.write(b"garbage\n" + control.encode(register("host_a", "host_b")))
        assert isinstance(await wire.next(), m.Refused)
        await wire.ended()
        assert notices.of(note.HostRegistered) == []


async def test_half_a_line_and_a_close_is_no_news() -> None:
    async with a_server() as (server, notices):
        async with await Wire.to(server.endpoint) as wire:
            wire.writer.write(control.encode(register("host_a", "host_b"))[:20])
            wire.writer.write_eof()
            await wire.ended()
        assert notices == []
        assert server.connections == []


@pytest.mark.parametrize("count", [9, 200])
async def test_idle_connections_do_not_delay_a_pair(count: int) -> None:
    async with AsyncExitStack() as stack:
        settings = ServerSettings(
            unregistered_per_source=300, connects_burst=300, connects_in_all=300
        )
        server, notices = await stack.enter_async_context(a_server(settings=settings))
        for _ in range(count):
            await stack.enter_async_context(await Wire.to(server.endpoint))
        await a_pair_connects(server.endpoint)
        assert len(server.connections) >= count
        assert notices.of(note.HostRefused) == []


async def test_connections_above_the_cap_push_out_the_oldest_unregistered_one() -> None:
    settings = ServerSettings(connections=3)
    async with AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(a_server(settings=settings))
        host = await stack.enter_async_context(await Wire.to(server.endpoint))
        host.send(register("host_c", "host_d"))
        await host.until(m.Registered)
        silent = [await stack.enter_async_context(await Wire.to(server.endpoint)) for _ in range(5)]
        for wire in silent[:3]:
            assert (await wire.until(m.Refused)).code == m.ErrorCode.SERVER_FULL
            await wire.ended()
        await a_pair_connects(server.endpoint)
        for wire in silent[3:]:
            assert (await wire.until(m.Refused)).code == m.ErrorCode.SERVER_FULL
        host.send(m.Heartbeat(5))
        await host.until(m.HeartbeatAnswer)


async def test_a_server_full_of_registered_hosts_refuses_the_next() -> None:
    async with AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(
            a_server(settings=ServerSettings(connections=2))
        )
        host = await stack.enter_async_context(await Wire.to(server.endpoint))
        other = await stack.enter_async_context(await Wire.to(server.endpoint))
        host.send(register("host_a", "host_b"))
        other.send(register("host_c", "host_d", some_keys("c")[0]))
        await host.until(m.Registered)
        await other.until(m.Registered)
        async with await Wire.to(server.endpoint) as late:
            late.send(register("host_b", "host_a"))
            assert (await late.until(m.Refused)).code == m.ErrorCode.SERVER_FULL
            await late.ended()
        host.send(m.Heartbeat(5))
        await host.until(m.HeartbeatAnswer)
        assert server.rendezvous.registered == {"host_a", "host_c"}


async def test_a_client_that_never_reads_is_cut_off_and_the_others_are_served() -> None:
    async with (
        a_server(settings=NO_RATE_LIMIT) as (server, _),
        a_deaf_client(server) as (deaf, protocol),
    ):
        backlog = protocol.transport.get_write_buffer_size
        while protocol.is_open:
            deaf.writer.write(control.encode(m.Heartbeat(1)) * 400)
            await asyncio.sleep(0)
            assert not protocol.is_open or backlog() <= NO_RATE_LIMIT.backlog
            await a_pair_connects(server.endpoint)
        await eventually(lambda: not server.connections, "the server forgets it")


async def test_a_flood_of_messages_ends_the_connection_that_sends_it() -> None:
    async with a_server() as (server, _), await Wire.to(server.endpoint) as wire:
        wire.send(register("host_c", "host_d", some_keys("c")[0]), *[m.Heartbeat(1)] * 1000)
        assert (await wire.until(m.Refused)).code == m.ErrorCode.TOO_FAST
        await wire.ended()
        await a_pair_connects(server.endpoint)


async def test_a_connection_without_a_registration_ends() -> None:
    settings = ServerSettings(register_within=0.02)
    async with a_server(settings=settings) as (server, _), await Wire.to(server.endpoint) as wire:
        assert (await wire.until(m.Refused)).code == m.ErrorCode.TOO_SLOW
        await wire.ended()


async def test_a_silent_host_ends_and_an_answering_one_stays() -> None:
    async with a_server(settings=ServerSettings(heartbeat=0.4)) as (server, notices):
        address = server.endpoint
        async with await Wire.to(address) as silent, await Wire.to(address) as host:
            silent.send(register("silent", "host_d", some_keys("s")[0]))
            host.send(register("host_a", "host_b"))

            async def answer() -> None:
                while True:
                    ping = await host.until(m.Heartbeat)
                    host.send(m.HeartbeatAnswer(ping.transaction))

            answering = asyncio.create_task(answer())
            await eventually(lambda: note.HostLeft("silent") in notices, "the silent host ends")
            await silent.ended()
            assert server.rendezvous.registered == {"host_a"}
            answering.cancel()


class TestIdentity:
    """One id, two clients."""

    async def test_an_id_in_use_is_refused_while_its_holder_answers(self) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as holder,
        ):
            await holder.notices.wait(note.RegisteredAtServer)
            async with Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as second:
                lost = await second.notices.wait(note.ServerLost)
                assert "in use by another client, which has no identity" in lost.reason
                assert lost.retry_in is not None
            assert server.rendezvous.registered == {"host_a"}

    async def test_an_id_whose_holder_is_dead_and_has_no_key_is_taken_over(self) -> None:
        settings = ServerSettings(challenge_within=0.02, longest_round_trip=0.02)
        async with (
            a_server(settings=settings) as (server, _),
            await Wire.to(server.endpoint) as dead,
        ):
            dead.send(register("host_a", "host_b"))
            await dead.until(m.Registered)
            await a_pair_connects(server.endpoint)
            assert (await dead.until(m.Refused)).code == m.ErrorCode.REPLACED
            await dead.ended()


class TestUdp:
    """The server's UDP port."""

    @linux_only
    async def test_the_answer_leaves_from_the_address_that_was_asked(self) -> None:
        async with a_server("0.0.0.0") as (server, _), await Wire.to(server.endpoint) as wire:
            wire.send(register("host_a", "host_b"))
            await wire.until(m.Registered)
            with Program() as program:
                for number in (2, 1, 3, 2):
                    asked = Endpoint(f"127.0.0.{number}", server.endpoint.port)
                    program.send(announce(), asked)
                    data, source = await program.receive()
                    answer = d.decode(data)
                    assert source == asked
                    assert isinstance(answer, d.Announced)
                    assert answer.mapped == program.endpoint

    async def test_an_answer_is_never_longer_than_the_question(self) -> None:
        async with a_server() as (server, _), await Wire.to(server.endpoint) as wire:
            wire.send(register("host_a", "host_b"))
            await wire.until(m.Registered)
            with Program() as program:
                question = announce()
                assert len(await program.ask(question, server.endpoint)) <= len(question)

    async def test_noise_of_every_length_is_dropped_and_gets_no_answer(self) -> None:
        numbers = random.Random(2)
        async with a_server() as (server, _):
            with Program() as program:
                for length in [*range(1500), 9000, 65_507]:
                    program.send(numbers.randbytes(length), server.endpoint)
                    program.send(bytes([numbers.choice(list(d.Kind))]) * length, server.endpoint)
                    if length % 50 == 0:  # no more than its socket holds
                        await asyncio.sleep(0)
                await a_pair_connects(server.endpoint)
                assert server.counters["datagrams-dropped"] > 0
                assert not program.has_received()

    async def test_an_announce_of_nobody_gets_no_answer(self) -> None:
        async with a_server() as (server, _):
            with Program() as program:
                program.send(announce(some_keys("?")[0]), server.endpoint)
                counters = server.counters
                await eventually(lambda: counters["announces-unknown"] == 1, "it is counted")
                assert not program.has_received()

    async def test_every_kind_of_useless_datagram_is_known_to_what_sheds_them(self) -> None:
        async with a_server() as (server, _):
            assert set(COUNTED) <= set(server.counters.snapshot())

    async def test_an_answer_that_cannot_be_sent_is_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with a_server() as (server, _), await Wire.to(server.endpoint) as wire:
            wire.send(register("host_a", "host_b"))
            await wire.until(m.Registered)
            with Program() as program, monkeypatch.context() as patch:
                patch.setattr(server.ports.udp[0], "answer", _no_buffer)
                program.send(announce(), server.endpoint)
                await eventually(lambda: server.counters["datagrams-dropped"] == 1, "it is counted")
            await a_pair_connects_with(server.endpoint, wire)

    async def test_an_error_of_the_socket_is_no_news(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with a_server() as (server, _):
            udp = server.ports.udp[0]
            receive, errors = udp.receive_into, [OSError(101, "Network is unreachable")]

            def stumble(view: memoryview) -> object:
                if errors:
                    raise errors.pop()
                return receive(view)

            monkeypatch.setattr(udp, "receive_into", stumble)
            await a_pair_connects(server.endpoint)
            assert errors == []


def _no_buffer(*_: object) -> None:
    raise OSError(105, "No buffer space available")


async def a_pair_connects_with(server: Endpoint, wire: Wire) -> None:
    """host_a is `wire`'s: it is still served."""
    with Program() as program:
        assert isinstance(d.decode(await program.ask(announce(), server)), d.Announced)
    wire.send(m.Heartbeat(5))
    await wire.until(m.HeartbeatAnswer)


class TestClose:
    """A connection is closed once everything is sent, but not for ever."""

    async def test_one_who_reads_at_last_gets_everything(self) -> None:
        settings = replace(NO_RATE_LIMIT, close_within=DEADLINE)
        async with (
            a_server(settings=settings) as (server, notices),
            a_deaf_client(server) as (slow, protocol),
        ):
            slow.writer.write(b"garbage\n")
            await notices.wait(note.HostRefused)
            assert protocol.transport.get_write_buffer_size()
            assert protocol.will_be_cut
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await slow.until(m.Refused)
            await slow.ended()
            slow.writer.close()  # the server waits for that, as its last word could be lost
            await eventually(lambda: not protocol.is_open, "it is closed")
            assert not protocol.will_be_cut  # asyncio fails on an abort after such a close

    async def test_one_who_does_not_read_is_cut(self) -> None:
        settings = replace(NO_RATE_LIMIT, close_within=0.02)
        async with (
            a_server(settings=settings) as (server, notices),
            a_deaf_client(server) as (deaf, protocol),
        ):
            deaf.writer.write(b"garbage\n")
            await notices.wait(note.HostRefused)
            await eventually(lambda: not protocol.is_open, "it is cut")
