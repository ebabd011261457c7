"""A client without a file answers at a local socket too, by its id: `status`, `ping`, and one line for a second instance."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from nat_traversal.wire.endpoint import Endpoint
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Service
from tests.loopback.support import unused

PROGRAM = (sys.executable, "-m", "nat_traversal")


def words(server: Endpoint, service: Endpoint, *more: str) -> tuple[str, ...]:
    ids = ("--id", "host_a", "-r", "host_b", "--connect", str(service), "--json", *more)
    return *CLIENT, "--server", str(server), *ids


async def said(*command: str) -> tuple[int, list[str], list[dict[str, Any]]]:
    """The exit status, the lines on stderr, and the JSON objects on stdout."""
    async with Command.run(*PROGRAM, *command) as asked:
        status = await asked.end()
    return status, asked.told, asked.events


async def test_it_is_asked_by_its_id_as_one_with_a_file_is() -> None:
    with Service() as service:
        async with (
            a_server() as (server, _),
            Command.run(*words(server.endpoint, service.endpoint)) as a,
        ):
            await a.event("registered-at-server")
            status, told, (answer,) = await said("status", "host_a", "--json")
            assert (status, told, answer["name"]) == (0, [], "host_a")
            (peer,) = answer["peers"]
            assert (peer["peer"], peer["path"]) == ("host_b", "none")
            async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                await b.connected()
                await a.event("path-established")
                async with Command.run(*PROGRAM, "ping", "host_b", "--count", "1") as ping:
                    assert ping.process.stdout is not None
                    lines = await ping.process.stdout.read()
                    assert lines.startswith(b"host_b answered after"), lines
            status, told, _ = await said("reload", "host_a")
            assert (status, told) == (
                2,
                ["error: the client host_a runs without --config: it has no file"],
            )
            assert await a.end(signal.SIGTERM) == 0
    assert (await said("status", "--json"))[:2] == (
        2,
        ["error: no client of this user runs: start one"],
    )


async def test_a_ping_finds_the_one_client_that_has_the_peer() -> None:
    """Two hosts on one machine, or a unit for each peer: each client answers, and one has the peer."""
    with Service() as service:
        async with (
            a_server() as (server, _),
            Command.run(*words(server.endpoint, service.endpoint)) as a,
        ):
            at = ("--server", str(server.endpoint), "--json")
            other = (*at, "--id", "host_b", "-r", "host_a", "--listen", str(unused()))
            async with Command.run(*CLIENT, *other) as b:
                await a.event("path-established")
                async with Command.run(*PROGRAM, "ping", "host_a", "--count", "1") as ping:
                    assert ping.process.stdout is not None
                    lines = await ping.process.stdout.read()
                    assert lines.startswith(b"host_a answered after"), lines
                status, told, _ = await said("ping", "nobody")
                line = "no client has the peer nobody: nat-traversal status tells their peers"
                assert (status, told) == (2, [f"error: {line}"])
                third = (*at, "--id", "host_c", "-r", "host_b", "--connect", "127.0.0.1:9")
                async with Command.run(*CLIENT, *third) as c:
                    await c.event("registered-at-server")
                    status, told, _ = await said("ping", "host_b")
                    line = (
                        "several clients have the peer host_b: name one after it, of host_a, host_c"
                    )
                    assert (status, told) == (2, [f"error: {line}"])
                    assert await c.end(signal.SIGTERM) == 0
                assert await b.end(signal.SIGTERM) == 0
            assert await a.end(signal.SIGTERM) == 0


async def test_a_second_instance_gets_one_line_and_begins_nothing() -> None:
    with Service() as service:
        async with a_server() as (server, _):
            command = words(server.endpoint, service.endpoint)
            async with Command.run(*command) as first:
                await first.event("registered-at-server")
                async with Command.run(*command) as second:
                    assert await second.end() == 2
    assert second.events == []
    (line,) = second.told
    assert line == (
        f"error: another client with the id host_a runs already for {server.endpoint}: end that one, "
        "or give this one another --id"
    )


async def test_the_same_id_at_another_server_is_another_client() -> None:
    with Service() as service:
        async with (
            a_server() as (one, _),
            a_server() as (other, _),
            Command.run(*words(one.endpoint, service.endpoint)) as a,
        ):
            await a.event("registered-at-server")
            async with Command.run(*words(other.endpoint, service.endpoint)) as b:
                await b.event("registered-at-server")
                _, _, answers = await said("status", "--json")
                assert {each["name"] for each in answers} == {"host_a-2", "host_a"}


async def test_what_a_killed_one_has_left_is_neither_asked_nor_in_the_way() -> None:
    with Service() as service:
        async with a_server() as (server, _):
            async with Command.run(*words(server.endpoint, service.endpoint)) as a:
                await a.event("registered-at-server")
                await a.end(signal.SIGKILL)
            assert (await said("status", "--json"))[1] == [
                "error: no client of this user runs: start one"
            ]
            async with Command.run(*words(server.endpoint, service.endpoint)) as a:
                await a.event("started")
                assert (await said("status", "host_a", "--json"))[0] == 0


async def test_without_a_place_for_a_socket_it_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "nat-traversal").write_text("no folder")
    with Service() as service:
        async with (
            a_server() as (server, _),
            Command.run(*words(server.endpoint, service.endpoint)) as a,
        ):
            line = await a.line("nat-traversal status cannot ask this client: ")
            await a.event("registered-at-server")
    assert str(tmp_path / "nat-traversal") in line
