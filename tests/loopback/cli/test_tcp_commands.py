"""`--listen tcp:` and `--connect tcp:`: one TCP service by two commands."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from tests.loopback.aio.tcp_programs import a_connection, a_tcp_service, asked
from tests.loopback.cli.words import CLIENT, host_a
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.support import unused


async def test_two_commands_carry_tcp_say_what_is_dead_and_end_in_order() -> None:
    at, service_at = unused(), unused()
    async with a_server() as (server, _):
        b_words = (*CLIENT, "--server", str(server.endpoint), "--id", "host_b", "-r", "host_a")
        async with (
            Command.run(*host_a(server.endpoint), "--listen", f"tcp:{at}") as a,
            Command.run(*b_words, "--connect", f"tcp:{service_at}") as b,
        ):
            await a.line(f"service tcp: connect your program to {at}, over TCP")
            await b.line(
                f"service tcp: TCP connections of the other side's programs go to {service_at}"
            )
            await a.line("services to host_b are ready: tcp")
            await b.line("services to host_a are ready: tcp")
            with pytest.raises(ConnectionResetError):
                await asked(b"1", at)
            await b.line(f"service tcp: nothing listens on {service_at}: start the service")
            await a.line("nothing listens on the service tcp that host_b connects to")
            async with a_tcp_service(at=service_at):
                assert await asked(b"2", at) == b"2"
                await a.line("the service tcp at host_b answers again")
                async with a_connection(at) as (reader, writer):
                    writer.write(b"3")
                    assert await reader.readexactly(1) == b"3"
                    assert await b.end(signal.SIGINT) == 0
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                await a.line("service tcp: connections ended (1): the other side has ended them")
                assert await a.end(signal.SIGINT) == 0


async def test_a_killed_client_s_connections_end_when_patience_does() -> None:
    settings = replace(ClientSettings().with_consent(0.5), tcp_patience=0.2)
    async with (
        a_tcp_service() as service,
        a_server() as (server, _),
        Host(server.endpoint, "host_a", "host_b", tcp={"web": None}, settings=settings) as a,
    ):
        b_words = (*CLIENT, "--server", str(server.endpoint), "--id", "host_b", "-r", "host_a")
        async with Command.run(*b_words, "--service", f"web:connect=tcp:{service}") as b:
            await b.line("services to host_a are ready: web")
            await a.notices.wait(note.ServicesReady)
            async with a_connection(a.tcp_port("web")) as (reader, writer):
                writer.write(b"1")
                assert await reader.readexactly(1) == b"1"
                assert await b.end(signal.SIGKILL) == -signal.SIGKILL
                with pytest.raises(ConnectionResetError):
                    await reader.read()
        assert a.problems == ["connections ended (1): no path to the other side for 0.2 s"]


async def test_plaintext_has_no_tcp_services() -> None:
    words = ("--server", "192.0.2.1", "-r", "b", "--listen", "tcp:2222", "--plaintext")
    async with Command.run(*CLIENT, *words) as command:
        assert await command.end() == 2
    assert command.told == [
        "error: --plaintext has no TCP services, which need a sealed path: leave it out"
    ]
