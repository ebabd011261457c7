"""TCP services when something goes: a slow reader, many programs, the path, the other process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aioquic.quic.connection import QuicConnection

from nat_traversal import Endpoint
from nat_traversal.aio import tcp_service
from nat_traversal.aio.service import NamedService
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.streams import quic
from nat_traversal.streams.connection import Streams
from nat_traversal.streams.credit import INITIAL_CREDIT, MOST_WINDOW
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.aio.tcp_programs import a_connection, a_tcp_service, asked, echoes, reset
from tests.loopback.aio.tcp_sides import through, two_sides
from tests.loopback.hosts import Host, a_server
from tests.loopback.support import eventually


async def test_two_hundred_programs_at_once_each_get_their_own_answers() -> None:
    async with through() as (a, b):
        at = a.tcp_port("web")
        octets = [bytes([index]) * (1000 + 50 * index) for index in range(200)]
        answers = await asyncio.gather(*(asked(each, at) for each in octets))
        assert answers == octets
        await eventually(lambda: not a.tcp["web"].flows + b.tcp["web"].flows, "all have ended")


async def test_a_program_that_reads_nothing_is_sent_a_window_and_no_more() -> None:
    written = 0

    async def writes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
                written += 65_536

    async with through(writes) as (a, b), a_connection(a.tcp_port("web")) as (reader, writer):
        before = -1
        while written != before:  # until half a second passes without a word
            before = written
            await asyncio.sleep(0.5)
        kernel = 16 * 1024 * 1024
        """More than the buffers of four TCP sockets take."""
        assert INITIAL_CREDIT < written < MOST_WINDOW + kernel
        assert b.counters["sent"] * 1200 < MOST_WINDOW + kernel
        assert await reader.readexactly(1_000_000) == bytes(1_000_000)
        reset(writer)


async def test_a_program_s_reset_reaches_the_service() -> None:
    has_begun, is_broken = asyncio.Event(), asyncio.Event()

    async def reads(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(100)
        has_begun.set()
        try:
            await reader.read(100)
        except ConnectionResetError:
            is_broken.set()

    async with through(reads) as (a, b):
        async with a_connection(a.tcp_port("web")) as (_, writer):
            writer.write(b"1")
            await eventually(has_begun.is_set, "the service has it")
            reset(writer)
        await eventually(is_broken.is_set, "the service is told")
        await eventually(lambda: not a.tcp["web"].flows + b.tcp["web"].flows, "nothing is left")


async def test_a_connection_outlives_the_move_from_a_dead_path_to_another() -> None:
    async with through() as (a, b), a_connection(a.tcp_port("web")) as connection:
        await echoes(*connection)
        asyncio.get_running_loop().remove_reader(b.socket.sock)  # b is deaf on that path
        await echoes(*connection)
        assert a.notices.of(note.PathMoved)
        assert (a.problems, b.problems) == ([], [])


async def test_a_connection_outlives_the_loss_of_the_only_path() -> None:
    hasty = ClientSettings().with_consent(0.5)
    never = m.Relaying.NEVER
    async with a_tcp_service() as service, a_server() as (server, _):
        a = Host(
            *(server.endpoint, "host_a", "host_b"),
            tcp={"web": None},
            relaying=never,
            settings=hasty,
        )
        b = Host(
            *(server.endpoint, "host_b", "host_a"),
            tcp={"web": service},
            relaying=never,
            settings=hasty,
        )
        async with a, b:
            await a.notices.wait(note.ServicesReady)
            async with a_connection(a.tcp_port("web")) as connection:
                await echoes(*connection)
                asyncio.get_running_loop().remove_reader(b.socket.sock)
                await echoes(*connection)
                assert a.notices.of(note.PathEstablished)[1:]
            assert (a.problems, b.problems) == ([], [])


async def test_the_end_of_the_other_client_resets_connections_at_once_and_a_new_one_serves() -> (
    None
):
    async with (
        a_tcp_service() as service,
        a_server() as (server, _),
        Host(server.endpoint, "host_a", "host_b", tcp={"web": None}) as a,
    ):
        for count in (1, 2):
            async with Host(server.endpoint, "host_b", "host_a", tcp={"web": service}):
                await a.notices.wait(note.ServicesReady, count)
                reader, writer = await asyncio.open_connection(*a.tcp_port("web").sockaddr)
                writer.write(b"1")
                assert await reader.readexactly(1) == b"1"
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            assert a.problems == ["connections ended (1): the other side has ended them"] * count


async def test_another_process_of_the_listening_side_begins_anew() -> None:
    async with (
        a_tcp_service() as service,
        a_server() as (server, _),
        Host(server.endpoint, "host_b", "host_a", tcp={"web": service}) as b,
    ):
        for count in (1, 2):
            async with Host(server.endpoint, "host_a", "host_b", tcp={"web": None}) as a:
                await a.notices.wait(note.ServicesReady)
                await b.notices.wait(note.ServicesReady, count)
                assert await asked(b"hello", a.tcp_port("web")) == b"hello"
        await eventually(lambda: not b.tcp["web"].flows, "nothing is left")


async def test_a_peer_that_begins_anew_without_end_gets_a_few_handshakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Streams] = []

    def make(connection: QuicConnection, *, opens: bool) -> Streams:
        made.append(Streams(connection, opens=opens))
        return made[-1]

    async with through() as (a, b):
        assert await asked(b"hello", a.tcp_port("web")) == b"hello"
        begun = Streams(quic.client(b.forwarder.certificate, 1200), opens=True)
        begun.start(0.0)
        (first,) = begun.datagrams(0.0)
        monkeypatch.setattr(tcp_service, "Streams", make)
        clock = asyncio.get_running_loop().time
        began_at = clock()
        for number in range(10, 510):
            b.tcp["web"].deliver(number, [memoryview(first)])
        most = 8 + int((clock() - began_at) / 0.25) + 2
        assert 7 <= len(made) <= most
        made.clear()
        await asyncio.sleep(0.3)
        b.tcp["web"].deliver(1000, [memoryview(first)])
        assert made, "after a while another one may begin"


async def test_a_service_whose_name_nobody_knows_resets_connections() -> None:
    async def unknown(name: HostPort) -> list[Endpoint]:
        raise NameUnresolvedError(f"{name.host}: no such name", is_temporary=False)

    told: list[str] = []
    name = HostPort("web.example", 80)
    service = NamedService(name, ClientSettings(), told.append, look_up=unknown)
    async with two_sides(service) as (a, b):
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5.0):
                await asked(b"1", a.tcp_port("web"))
        assert told == ["--connect web.example:80: web.example: no such name"]
        assert b.problems == []
        await eventually(lambda: not a.tcp["web"].flows + b.tcp["web"].flows, "nothing is left")
