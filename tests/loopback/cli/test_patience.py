"""A command waits for a server, a name or an address that may yet come."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from tests.loopback.cli.words import CLIENT, SERVER, at, host_a, listening
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

NAMES_IN_A_FILE = """
import os, socket
def look_up(host, *rest, real=socket.getaddrinfo):
    if host != "nas":
        return real(host, *rest)
    with open(os.environ["NAMES"]) as names:
        address = names.read()
    if not address:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return real(address, *rest)
socket.getaddrinfo = look_up
"""
"""Looks the name ``nas`` up in the file NAMES."""


def since_path(told: list[str]) -> list[str]:
    """The lines behind the first one that a path stands."""
    return told[next(at for at, line in enumerate(told) if "connected to" in line) :]


class TestPatience:
    """Without --once, a command waits for what time may bring, and says so once."""

    @pytest.mark.parametrize(
        "words",
        [
            (*SERVER, "--host", "192.0.2.77", "--set", "wait-first=1ms", "--set", "wait-most=1ms"),
            (
                *(*CLIENT, "--server", "127.0.0.1:9", "-r", "b", "--listen", "192.0.2.77:5300"),
                *("--set", "wait-first=1ms", "--set", "wait-most=1ms"),
            ),
        ],
        ids=["server", "client"],
    )
    async def test_an_address_that_this_host_lacks_is_waited_for(
        self, words: tuple[str, ...]
    ) -> None:
        async with Command.run(*words) as command:
            line = await command.line("this host has no such address; trying again")
            assert await command.end(signal.SIGTERM) == 0
            assert command.told.count(line) == 1
            assert not any(each.startswith("error") for each in command.told)

    async def test_a_port_that_is_given_up_is_taken(self) -> None:
        where = unused()
        patient = ("--set", "port-within=1h", "--set", "wait-first=1ms", "--set", "wait-most=1ms")
        with Program(*where.sockaddr) as taken:
            async with Command.run(*SERVER, *at(where), *patient) as server:
                await server.line(f"cannot use UDP {where}: another program has it")
                taken.sock.close()
                assert await listening(server) == where
                assert await server.end(signal.SIGTERM) == 0

    async def test_a_service_whose_name_comes_later_is_served(self, tmp_path: Path) -> None:
        names = tmp_path / "names"
        names.write_text("")
        with Service() as service, Program() as program:
            async with a_server() as (server, _):
                words = (*host_a(server.endpoint), "--connect", f"nas:{service.endpoint.port}")
                async with (
                    Command.run(*words, before=NAMES_IN_A_FILE, NAMES=str(names)) as a,
                    Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
                ):
                    await a.line("--connect nas:")
                    assert "there is no such name as 'nas'" in a.told[-1]
                    await b.connected()
                    names.write_text("127.0.0.1")
                    assert await program.ask(b"hello", b.port) == b"hello"
                    assert await a.end(signal.SIGTERM) == 0

    async def test_a_server_that_stays_away_is_told_once_and_again_after_it_was_there(self) -> None:
        where = unused()
        hasty = ("--set", "reconnect-first=10ms", "--set", "reconnect-most=10ms")
        refused = f"server: cannot connect to {where}: Connection refused; trying again in"
        async with Command.run(*host_a(where), "--connect", "127.0.0.1:9", *hasty) as a:
            await a.line(refused)
            async with Command.run(*SERVER, *at(where)) as server:
                await a.line("registered as host_a")
                assert len([line for line in a.told if line.startswith(refused)]) == 1
                assert await server.end(signal.SIGTERM) == 0
            await a.line(refused)
            assert await a.end(signal.SIGTERM) == 0
            assert len([line for line in a.told if line.startswith(refused)]) == 2

    async def test_a_server_that_starts_later_is_found(self) -> None:
        where = unused()
        async with Command.run(*host_a(where), "--connect", "127.0.0.1:9") as a:
            await a.line(f"cannot connect to {where}: Connection refused; trying again in")
            async with (
                Command.run(*SERVER, *at(where)),
                Host(where, "host_b", "host_a", listen="127.0.0.1") as b,
            ):
                await a.line("connected to")
                await b.connected()
                assert await a.end(signal.SIGTERM) == 0

    async def test_a_port_that_answers_nothing_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            where = Endpoint("127.0.0.1", mute.getsockname()[1])
            hasty = ("--set", "answer-within=500ms", "--connect", "127.0.0.1:9")
            async with Command.run(*host_a(where), *hasty) as a:
                told = await a.line("no answer within 0.5 s")
                assert "see whether a server of this project listens there" in told
                assert await a.end(signal.SIGTERM) == 0

    async def test_a_script_waits_for_a_path_no_longer_than_it_said(self) -> None:
        async with a_server() as (server, _):
            words = (*host_a(server.endpoint), "--connect", "127.0.0.1:9", "--wait")
            async with Command.run(*words, "0.5s") as a:
                assert await a.end() == 4
            assert "error: no path after 0.5 s: host_b is not there yet" in a.told
            async with (
                Command.run(*words, "2s") as a,
                Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
            ):
                await a.line("connected to")
                await b.connected()
                await asyncio.sleep(2.2)  # past the limit, which is for the first path alone
                assert a.process.returncode is None
                assert await a.end(signal.SIGTERM) == 0

    async def test_a_server_that_was_killed_is_found_again_and_the_path_stays(self) -> None:
        where = unused()
        with Service() as service, Program() as program:
            local = unused()
            async with Command.run(*SERVER, *at(where)) as first:
                await listening(first)
                async with (
                    Command.run(*host_a(where), "--listen", str(local)) as a,
                    Command.run(
                        *(*CLIENT, "--server", str(where), "--id", "host_b", "-r", "host_a"),
                        *("--connect", str(service.endpoint)),
                    ) as b,
                ):
                    await a.line("connected to")
                    await b.line("connected to")
                    assert await first.end(signal.SIGKILL) == -signal.SIGKILL
                    await a.line("the connection to host_b goes on without the server")
                    assert await program.ask(b"1", local) == b"1"
                    async with Command.run(*SERVER, *at(where)) as second:
                        await second.line("host_a has come")
                        assert await program.ask(b"2", local) == b"2"
                        await asyncio.gather(
                            a.line("registered as host_a"), b.line("registered as host_b")
                        )
                        assert await program.ask(b"3", local) == b"3"
                        await asyncio.gather(a.line("host_b is here"), b.line("host_a is here"))
                        told = [line for each in (a, b) for line in since_path(each.told)]
                        assert not any("connection lost" in line for line in told)
                        assert not any(line.startswith("waiting for") for line in told)
                        back = [line for line in told if "is not back at the server yet; " in line]
                        assert len(back) == 1, "who comes first misses the other there"
                        assert "the connection to host_" in back[0]
                        assert await second.end(signal.SIGKILL) == -signal.SIGKILL
                        await a.line("the connection to host_b goes on without the server")
                        await a.line("Connection refused; trying again in")
                        assert a.told[-1].endswith("(start the server there)")
        assert len({source for _, source in service.asked}) == 1
