"""TCP services: programs' connections through a path, from socket to socket."""

from __future__ import annotations

import asyncio
import random

import pytest

from nat_traversal.machine import notices as note
from tests.loopback.aio.tcp_programs import a_connection, a_tcp_service, asked
from tests.loopback.aio.tcp_sides import through, two_sides
from tests.loopback.hosts import Host, a_server
from tests.loopback.support import eventually, unused


async def test_what_a_program_says_comes_back_and_both_ends_close() -> None:
    octets = random.Random(1).randbytes(300_000)
    async with through() as (a, b):
        assert await asked(octets, a.tcp_port("web")) == octets
        await eventually(lambda: not a.tcp["web"].flows, "nothing is left at one side")
        await eventually(lambda: not b.tcp["web"].flows, "nor at the other")
        assert (a.problems, b.problems) == ([], [])


async def test_a_service_may_speak_first() -> None:
    async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello")

    async with through(greets) as (a, _):
        assert await asked(b"", a.tcp_port("web")) == b"220 hello"


async def test_a_service_may_go_on_after_its_program_has_said_all() -> None:
    async def answers_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read()
        await asyncio.sleep(0.05)
        writer.write(heard[::-1])

    async with through(answers_later) as (a, _):
        assert await asked(b"abc", a.tcp_port("web")) == b"cba"


async def test_a_program_may_go_on_after_its_service_has_said_all() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def says_all_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        heard.set_result(await reader.read())

    async with (
        through(says_all_first) as (a, _),
        a_connection(a.tcp_port("web")) as (reader, writer),
    ):
        assert await reader.read() == b"bye"
        writer.write(b"still here")
        writer.write_eof()
        assert await heard == b"still here"


async def test_a_reset_of_the_service_reaches_the_program() -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        raise ConnectionResetError

    async with through(resets) as (a, b):
        async with a_connection(a.tcp_port("web")) as (reader, writer):
            writer.write(b"1")
            with pytest.raises(ConnectionResetError):
                await reader.read()
        await eventually(lambda: not b.tcp["web"].flows, "nothing is left")


async def test_a_dead_service_resets_and_both_sides_say_so_until_it_is_back() -> None:
    at = unused()
    async with two_sides(at) as (a, b):
        with pytest.raises(ConnectionResetError):
            await asked(b"1", a.tcp_port("web"))
        assert await a.notices.wait(note.ServiceAtPeer) == note.ServiceAtPeer(
            "host_b", False, "web"
        )
        assert b.problems == [f"nothing listens on {at}: start the service or correct its address"]
        async with a_tcp_service(at=at):
            assert await asked(b"2", a.tcp_port("web")) == b"2"
            assert await a.notices.wait(note.ServiceAtPeer, 2) == note.ServiceAtPeer(
                "host_b", True, "web"
            )


async def test_without_a_path_a_program_is_refused_at_once() -> None:
    async with a_server() as (server, _):
        a = Host(*(server.endpoint, "host_a", "host_b"), tcp={"web": None})
        async with a:
            with pytest.raises(ConnectionResetError):
                await asked(b"1", a.tcp_port("web"))
            assert a.problems == ["connections are refused until a path stands"]
